package browser

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// A socket is a connection as its tab has it. Only the tab's loop calls it, and no call waits.
type socket interface {
	write(b []byte) error       // sends all of b, which it may keep
	flush() error               // goes on after a write that the kernel had no room for
	read(b []byte) (int, error) // 0: nothing is there
	pause()                     // reports nothing to read until resume
	resume()                    // ends a pause
	close()
}

// An event says that the socket of a tab can be read or written, or that its connection has ended.
type event struct {
	tab                       int32
	life                      uint32
	readable, writable, ended bool
}

// attach makes the socket of a tab out of the connection that was opened.
func (o opening) attach(l *loop, t *tab) socket {
	if o.body != nil {
		return newStream(l, t, o.body)
	}
	if tcp, ok := o.conn.(*net.TCPConn); ok && !l.fleet.config.Plain {
		if s := l.poll.attach(tcp, t.index, t.life); s != nil {
			return s
		}
	}
	return newPlain(l, t, o.conn)
}

// A plain socket has goroutines of its own that read and write. It is for TLS, and for systems
// without epoll. It can't be slow: its goroutine reads all the time.
type plain struct {
	conn net.Conn
	out  chan []byte // closed by close
}

// plainQueue is how many messages may wait for a socket that takes none: those of a full outbox.
const plainQueue = 2 * htmx.MaxOutbox

func newPlain(l *loop, t *tab, conn net.Conn) *plain {
	p := &plain{conn: conn, out: make(chan []byte, plainQueue)}
	life := t.life
	l.fleet.sockets.Go(func() { // ends with close
		for b := range p.out {
			if _, err := conn.Write(b); err != nil {
				break
			}
		}
		_ = conn.Close() // all is written
		for range p.out {
		}
	})
	l.fleet.sockets.Go(func() { // ends with the connection
		for {
			b := make([]byte, 4096)
			n, err := conn.Read(b)
			l.post(func() {
				if t.life != life {
					return
				}
				if n > 0 {
					t.feed(l, b[:n])
				}
				if err != nil {
					t.lost(l, err)
				}
			})
			if err != nil {
				return
			}
		}
	})
	return p
}

func (p *plain) write(b []byte) error {
	select {
	case p.out <- b:
		return nil
	default:
		return io.ErrShortWrite
	}
}

func (p *plain) flush() error             { return nil }
func (p *plain) read([]byte) (int, error) { return 0, nil }
func (p *plain) pause()                   {}
func (p *plain) resume()                  {}
func (p *plain) close()                   { close(p.out) }

// A stream is a socket of server-sent events: it is read only.
type stream struct {
	plain
	body io.Closer
}

// stream opens the stream of a page's events.
func (f *Fleet) stream(v *protocol.View) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, v.Socket, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if v.Cookie != "" {
		req.Header.Set("Cookie", v.Cookie)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // the status says enough
		return nil, Refusal{resp.Status}
	}
	return resp.Body, nil
}

func newStream(l *loop, t *tab, body io.ReadCloser) *stream {
	life := t.life
	l.fleet.sockets.Go(func() { // ends with close, or with the stream
		err := events(body, func(data []byte) {
			l.post(func() {
				if t.life == life {
					l.seen.Counts.Bytes += int64(len(data))
					l.replicas[t.replica].seen.Bytes += int64(len(data))
					t.receive(l, data)
				}
			})
		})
		l.post(func() {
			if t.life == life {
				t.lost(l, err)
			}
		})
	})
	return &stream{body: body}
}

func (s *stream) write([]byte) error { return nil }
func (s *stream) close()             { _ = s.body.Close() } // nothing is lost with it

// events calls f with the data of each event, until the stream ends. (HTML, 9.2.6.)
func events(body io.Reader, f func(data []byte)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxMessage)
	var data []byte
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		switch {
		case len(line) == 0 && data != nil:
			f(bytes.TrimSuffix(data, []byte("\n")))
			data = nil
		case ok:
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
