package serve

import (
	"net/http"
	"time"
)

// chunk is how much of an answer is written at a time: the client must take as much within the time
// limit.
const chunk = 64 << 10 // bytes

// deadlines returns the middleware that ends answers that the client does not take, as
// WithWriteDeadline does. limit <= 0: never.
func deadlines(limit time.Duration) middleware {
	return func(next handler) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if limit > 0 {
				w = WithWriteDeadline(w, limit)
			}
			return next(w, r)
		}
	}
}

// WithWriteDeadline returns w with a time limit for each 64 KB that are written to it, and for what
// is left at the end: a client that takes nothing for so long is cut off, but it may be as slow as
// that for a large file. It is for one answer, and one goroutine.
func WithWriteDeadline(w http.ResponseWriter, limit time.Duration) http.ResponseWriter {
	d := &deadlineWriter{w, http.NewResponseController(w), limit}
	d.extend() // also for the head, and what is smaller than the server's buffer
	return d
}

// A deadlineWriter sets a new write deadline for each chunk.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// Write implements http.ResponseWriter.
func (w *deadlineWriter) Write(b []byte) (n int, err error) {
	for {
		w.extend()
		k, err := w.ResponseWriter.Write(b[:min(len(b), chunk)])
		n += k
		b = b[k:]
		if err != nil || len(b) == 0 {
			return n, err
		}
	}
}

// extend gives the client time for one more chunk. Where there are no deadlines, as in tests, there
// is nothing to bound.
func (w *deadlineWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.limit)) }

// Unwrap lets http.ResponseController find what is below: a websocket takes the connection over,
// and net/http then takes the deadline off.
func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
