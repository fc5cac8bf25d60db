package wslive

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/coder/websocket"

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
// A Conn comes from a handshake only: see pool.go.
//
// The library does not know of compression. Its decompressor reads
// ahead, and keeps what a message has behind the end of its compressed data: the
// next message would begin with that, and with shared readers it would be
// another tab's.

// errAgain is what the library gets when it wants to read a new message and
// none has come: it returns it, and is called again later.
var errAgain = errors.New("wslive: nothing to read yet")

const (
	// messageTimeout bounds the time from the first byte of a message to its last.
	messageTimeout = 10 * time.Second
	// maxFrames is how many frames a message may come in. Browsers send one.
	maxFrames = 256

	// readAhead is for all that a page sends at once.
	readAhead = 4096
	// readBuffer is the library's, which has its bytes from the one above: the
	// least that there can be.
	readBuffer = 16
	// writeBuffer is the library's too. A control frame must fit into it, to
	// leave in one write: 125 bytes and a header of 4.
	writeBuffer = 144
)

// A reader reads messages from one connection after the other.
type reader struct {
	ws *websocket.Conn

	// owned by the goroutine that reads
	conn   *conn // nil: none
	bounds boundary
	until  time.Time // when the message must be complete; zero: it has not been waited for
	unread []byte    // of buffer
	buffer [readAhead]byte
}

// A stream is a reader as its websocket.Conn sees it: what that writes, which
// is control frames, goes out between the session's messages.
type stream struct{ *reader }

var _ net.Conn = stream{}

// Read implements net.Conn. Between two messages it does not wait, where that
// is possible. It does not read beyond the end of one.
func (s stream) Read(p []byte) (n int, err error) {
	if len(s.unread) == 0 {
		err = s.fill()
	}
	n = s.bounds.feed(p[:copy(p, s.unread)])
	s.unread = s.unread[n:]
	if s.bounds.clean() {
		s.until = time.Time{}
	}
	if fault := s.fault(); fault != nil {
		return 0, fault
	}
	return n, err
}

// fault ends the connection if what has been read breaks a limit that the
// library does not know.
func (r *reader) fault() error {
	controls := r.bounds.controls
	r.bounds.controls = 0
	switch {
	case r.bounds.long:
		return r.conn.fault(live.ReasonTooLong)
	case r.bounds.frames > maxFrames:
		return r.conn.fault(live.ReasonTooManyFrames)
	case controls > 0 && !r.conn.allowControls(controls):
		return r.conn.fault(live.ReasonTooManyControl)
	}
	return nil
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
	if err != nil && !errors.Is(err, errAgain) {
		r.conn.setReason(live.ReasonLost)
	}
	r.unread = r.buffer[:n]
	r.conn.setQuiet(n > 0)
	return err
}

// wait reads, for ever between two messages and not for long within one.
func (r *reader) wait() (int, error) {
	if r.until.IsZero() && !r.bounds.clean() {
		r.until = time.Now().Add(messageTimeout)
	}
	if err := r.conn.SetReadDeadline(r.until); err != nil {
		return 0, err
	}
	r.conn.setQuiet(false)
	n, err := r.conn.Read(r.buffer[:])
	if errors.Is(err, os.ErrDeadlineExceeded) && !r.until.IsZero() {
		return 0, r.conn.fault(live.ReasonSlowMessage)
	}
	return n, err
}

// Write implements net.Conn.
func (s stream) Write(b []byte) (int, error) { return s.conn.sendControl(b) }

// Close implements net.Conn. The goroutine that reads ends the connection: it
// only has to be woken. A reader that is in no connection is closed without.
func (s stream) Close() error {
	if s.conn == nil {
		return nil
	}
	return s.conn.SetReadDeadline(time.Unix(1, 0))
}

// The library does not use the rest of net.Conn while it reads messages.

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
