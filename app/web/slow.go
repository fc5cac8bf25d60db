package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// piece is how much of an answer is written at a time: as much must be taken
// by the client within the time limit.
const piece = 64 << 10 // bytes

// hurried ends answers that the client does not take: it must take a piece in
// each period, but may be as slow as that for a large file.
func (s *Server) hurried(next echo.HandlerFunc) echo.HandlerFunc {
	limit := s.opts.Limits.WriteTimeout
	return func(c echo.Context) error {
		if limit > 0 {
			c.Response().Writer = Hurry(c.Response().Writer, limit)
		}
		return next(c)
	}
}

// Hurry returns w with a time limit for each 64 KB that are written to it, and
// for what is left at the end: a client that takes nothing for so long is cut
// off. It is for one answer, and one goroutine.
func Hurry(w http.ResponseWriter, limit time.Duration) http.ResponseWriter {
	h := &hurriedWriter{w, http.NewResponseController(w), limit}
	h.extend() // also for the head, and what is smaller than the server's buffer
	return h
}

// A hurriedWriter sets a new deadline for each piece.
type hurriedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

// Write implements http.ResponseWriter.
func (w *hurriedWriter) Write(b []byte) (n int, err error) {
	for {
		w.extend()
		k, err := w.ResponseWriter.Write(b[:min(len(b), piece)])
		n += k
		b = b[k:]
		if err != nil || len(b) == 0 {
			return n, err
		}
	}
}

// extend gives the client time for one more piece. Where there are no
// deadlines, as in tests, there is nothing to bound.
func (w *hurriedWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.limit)) }

// Unwrap lets http.ResponseController find what is below: a websocket takes
// the connection over, and net/http then takes the deadline off.
func (w *hurriedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
