package browser

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// A socket is a connection as its tab has it. Only the tab's loop calls it, and no call waits.
type socket interface {
	write(b []byte) error                         // sends all of b, which it may keep: frames of a websocket
	text(message []byte, chance *rand.Rand) error // sends a message, which it may keep
	flush() error                                 // goes on after a write that the kernel had no room for
	read(b []byte) (int, error)                   // 0: nothing is there
	pause()                                       // reports nothing to read until resume
	resume()                                      // ends a pause
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
	if l.fleet.config.OverHTTP {
		return newOverHTTP(l, t)
	}
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

func (p *plain) text(message []byte, chance *rand.Rand) error {
	return p.write(appendFrame(nil, opText, message, chance))
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
	return f.ask(req, v)
}

// ask makes a request with the cookie of a page, and returns the body of the answer, which the
// caller has to close.
func (f *Fleet) ask(req *http.Request, v *protocol.View) (io.ReadCloser, error) {
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
		err := events(body, func(_ string, data []byte) {
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

func (s *stream) write([]byte) error            { return nil }
func (s *stream) text([]byte, *rand.Rand) error { return nil }
func (s *stream) close()                        { _ = s.body.Close() } // nothing is lost with it

// events calls f with the name of each event, which is "" for most, and its data, until the stream
// ends. f may keep the data. (HTML, 9.2.6.)
func events(body io.Reader, f func(name string, data []byte)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxMessage)
	var data []byte
	name := ""
	for lines.Scan() {
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0:
			if data != nil {
				f(name, bytes.TrimSuffix(data, []byte("\n")))
			}
			data, name = nil, ""
		case string(field) == "data":
			data = append(append(data, value...), '\n')
		case string(field) == "event":
			name = string(value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
