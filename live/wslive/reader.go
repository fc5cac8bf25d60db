package wslive

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
)

// How messages are read.
//
// The library's websocket.Conn and its buffers are two kilobytes: more than all
// else that an idle tab costs. Between two messages it holds nothing of the
// connection that it reads (there is no context takeover). So there is one only
// for each connection that is being read at this moment: a reader is such a Conn
// over a stream that can be put on one connection after the other. It stays on
// one from its first byte to a boundary between two messages with nothing left
// to read, and then goes back to a pool. Measured with 10,000 idle tabs: 2.7 KB
// less for each, of 4.4.
//
// A Conn comes from a handshake only. The one that each tab begins with becomes
// a reader of the pool, and where the pool is empty one is made by a handshake
// with nobody.

// errAgain is what the library gets when it wants to read a new message and
// none has come: it returns it, and is called again later.
var errAgain = errors.New("wslive: nothing to read yet")

var errTooLong = errors.New("wslive: a message that is too long")

// frameTimeout bounds the time from the first byte of a message to its last.
const frameTimeout = 10 * time.Second

const (
	// spareReaders is how many readers may lie in a pool: 6 KB each.
	spareReaders = 64
	// readAhead is for all that a page sends at once.
	readAhead = 4096
	// readBuffer is the library's, which has its bytes from the one above: the
	// least that there can be.
	readBuffer = 16
	// writeBuffer is the library's too. A control frame must fit into it, to
	// leave in one piece: 125 bytes and a header of 4.
	writeBuffer = 144
)

// A reader reads messages from one connection after the other.
type reader struct {
	ws *websocket.Conn

	// owned by who reads
	conn   *conn // nil: none
	bounds boundary
	unread []byte // of buffer
	buffer [readAhead]byte
}

// A stream is a reader as its websocket.Conn sees it: what that writes, which
// is control frames, goes out between the session's messages.
type stream struct{ *reader }

var _ net.Conn = stream{}

// Read implements net.Conn. Between two messages it does not wait, where that
// is possible.
func (s stream) Read(p []byte) (n int, err error) {
	if len(s.unread) == 0 {
		err = s.fill()
	}
	n = copy(p, s.unread)
	s.unread = s.unread[n:]
	s.bounds.feed(p[:n])
	if s.bounds.long {
		s.conn.fault(codeTooLong)
		return 0, errTooLong
	}
	return n, err
}

// fill reads what there is into the buffer, which is empty.
func (r *reader) fill() error {
	var n int
	var err error
	if r.bounds.clean() && r.conn.fd >= 0 {
		n, err = r.conn.tryRead(r.buffer[:])
	} else {
		n, err = r.wait()
	}
	r.unread = r.buffer[:n]
	return err
}

// wait reads, for ever between two messages and not for long within one.
func (r *reader) wait() (int, error) {
	var limit time.Time
	if !r.bounds.clean() {
		limit = time.Now().Add(frameTimeout)
	}
	if err := r.conn.SetReadDeadline(limit); err != nil {
		return 0, err
	}
	return r.conn.Read(r.buffer[:])
}

// Write implements net.Conn.
func (s stream) Write(b []byte) (int, error) { return s.conn.sendControl(b) }

// Close implements net.Conn. Who reads ends the connection: it must only be
// woken. A reader that the pool forgets is closed without one.
func (s stream) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.SetReadDeadline(time.Unix(1, 0))
}

// The rest of net.Conn is not asked for while messages are read.

// SetDeadline implements net.Conn.
func (s stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s stream) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (s stream) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (s stream) RemoteAddr() net.Addr { return nil }

// A dialect is what connections that have negotiated the same have in common:
// how messages look, and a pool of readers.
type dialect struct {
	wire       *live.Wire
	extensions string // as in Sec-WebSocket-Extensions; "": none
	readers    chan *reader
}

func newDialect(encode func(message []byte) []byte, extensions string) *dialect {
	return &dialect{wire: &live.Wire{Encode: encode}, extensions: extensions, readers: make(chan *reader, spareReaders)}
}

func (d *dialect) take() (*reader, error) {
	select {
	case r := <-d.readers:
		return r, nil
	default:
		return d.add()
	}
}

// put gives back a reader that has come to a boundary.
func (d *dialect) put(r *reader) {
	r.conn = nil
	select {
	case d.readers <- r:
	default:
		r.close()
	}
}

// close gives up the readers that nobody has.
func (d *dialect) close() {
	for {
		select {
		case r := <-d.readers:
			r.close()
		default:
			return
		}
	}
}

// close gives a reader up. It must be: the library sets a finalizer on what is
// part of a cycle, which is never collected before it is closed.
func (r *reader) close() {
	r.conn = nil
	_ = r.ws.CloseNow() // there is nothing under it
}

// add makes a reader by a handshake with nobody.
func (d *dialect) add() (*reader, error) {
	req := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header)}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "bm90IGEgc2VjcmV0IGtleQ==")
	if d.extensions != "" {
		req.Header.Set("Sec-WebSocket-Extensions", d.extensions)
	}
	return accept(&handshake{ResponseWriter: nobody(make(http.Header))}, req, nil)
}

// accept makes a reader by a handshake.
func accept(hs *handshake, r *http.Request, origins []string) (*reader, error) {
	hs.reader = new(reader)
	ws, err := websocket.Accept(hs, r, &websocket.AcceptOptions{
		OriginPatterns:  origins,
		CompressionMode: websocket.CompressionNoContextTakeover,
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(htmx.MaxEvent)
	hs.reader.ws = ws
	return hs.reader, nil
}

// A handshake hands the library a stream in place of what it hijacks, with
// buffers for a control frame and no more.
type handshake struct {
	http.ResponseWriter
	hijack func(*reader) error // puts the reader on its connection; nil: there is none
	reader *reader
}

// Hijack implements http.Hijacker.
func (hs *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if hs.hijack != nil {
		if err := hs.hijack(hs.reader); err != nil {
			return nil, nil, err
		}
	}
	s := stream{hs.reader}
	return s, bufio.NewReadWriter(bufio.NewReaderSize(s, readBuffer), bufio.NewWriterSize(s, writeBuffer)), nil
}

// nobody is who a handshake without a connection answers.
type nobody http.Header

// Header implements http.ResponseWriter.
func (n nobody) Header() http.Header { return http.Header(n) }

// Write implements http.ResponseWriter.
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (n nobody) WriteHeader(int) {}
