package wslive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"lockstep/live"
)

// Close codes of the transport itself (RFC 6455 §7.4.1).
const (
	codeProtocol    live.Code = 1002
	codeUnsupported live.Code = 1003 // a type of data that cannot be accepted
	codeInvalid     live.Code = 1007 // text that is not UTF-8
	codeTooLong     live.Code = 1009
)

const (
	// closeTimeout is how long the peer may take to answer a close frame.
	closeTimeout = 5 * time.Second
	// controlBurst is how many control frames may come at once, and controlEvery
	// after how many milliseconds one of them is forgotten. They are answered, and
	// no session has a say in it.
	controlBurst = 128
	controlEvery = 100
	// maxControl is what may wait to be written of pongs and the like. A peer
	// that lets more pile up does not read.
	maxControl = 4096
)

// A conn is one websocket, as the session sees it. Nobody who writes ever
// waits: what the socket does not take at once is left to drain, a goroutine
// that exists as long as something is left.
type conn struct {
	// What a delivery touches comes first: one line of the processor's cache.
	fd       int32      // to write to and read from without waiting; -1: only by way of Conn. Set once
	mu       sync.Mutex // guards what follows, rest included
	control  int32      // bytes of the library's in rest
	draining bool       // drain runs
	half     bool       // close our direction when nothing waits
	full     bool       // the session waits for Ready
	closing  bool       // a close frame has been sent: nothing comes after it
	closed   bool       // fd is not ours any more
	rest     []byte     // has not left yet

	discard bool    // the session takes no more; owned by who reads
	reader  *reader // nil: it is not being read; owned by who reads

	// set before the first byte is read, and before anything is written
	net.Conn // the hijacked connection
	h        *Handler
	dialect  *dialect
	session  *live.Session
	number   uint64 // in Handler.conns

	quiet      atomic.Uint32 // since when there is nothing to read; 0: there is, or has been and is dealt with. A Handler.stamp
	pinged     uint32        // when a ping was sent that nothing has come after; 0: none. A stamp; owned by Handler.watch
	controlsAt uint32        // up to when controls have been forgotten. A stamp; owned by who reads
	controls   uint16        // control frames that are not forgotten; owned by who reads
}

// A dialect is what connections that have negotiated the same have in common.
type dialect struct {
	wire     *live.Wire
	deflates bool // messages may be compressed
}

// Wire implements live.Conn.
func (c *conn) Wire() *live.Wire { return c.dialect.wire }

// Bind implements live.Conn.
func (c *conn) Bind(s *live.Session) { c.session = s }

// Send implements live.Conn.
func (c *conn) Send(b []byte) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing {
		return true
	}
	c.full = !c.put(b)
	return !c.full
}

// sendControl sends what the library writes: control frames.
func (c *conn) sendControl(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.closing:
		return len(b), nil
	case int(c.control)+len(b) > maxControl:
		return 0, errors.New("wslive: the peer does not read")
	}
	c.closing = b[0] == closeFrame
	if !c.put(bytes.Clone(b)) { // the library uses b again
		c.control += int32(len(b))
	}
	return len(b), nil
}

// put writes b after what waits. It reports whether everything has left. The
// caller holds mu; b is not changed, and kept while it waits.
func (c *conn) put(b []byte) bool {
	if !c.draining {
		n, err := c.tryWrite(b)
		if n == len(b) || err != nil {
			return true // an error is seen by the reader too
		}
		b = b[n:]
	}
	if c.rest == nil {
		c.rest = b
	} else {
		c.rest = append(c.rest[:len(c.rest):len(c.rest)], b...) // not into a shared array
	}
	if !c.draining {
		c.draining = c.h.spawn(c.drain)
	}
	return false
}

// tryWrite writes what the socket takes at once. The caller holds mu.
func (c *conn) tryWrite(b []byte) (int, error) {
	if c.fd < 0 {
		return 0, nil
	}
	n, err := writeNow(int(c.fd), b)
	if err != nil {
		c.h.spawn(c.end)
	}
	return n, err
}

// drain writes what waits until nothing does.
func (c *conn) drain() {
	for {
		c.mu.Lock()
		b := c.rest
		c.rest, c.control = nil, 0
		c.draining = len(b) > 0
		ready := !c.draining && c.full
		c.full = c.full && !ready
		half := !c.draining && c.half
		c.mu.Unlock()
		if half {
			c.closeWrite()
		}
		if ready {
			c.session.Ready()
		}
		if len(b) == 0 {
			return
		}
		if _, err := c.Conn.Write(b); err != nil {
			c.end()
			return
		}
	}
}

// Close implements live.Conn: it sends the close frame and gives the peer time
// to answer. A peer that does not read is cut off.
func (c *conn) Close(code live.Code, reason string) {
	c.mu.Lock()
	stuck, again := c.draining && code == live.CodeOverload, c.closing
	if !stuck {
		c.sayClose(code, reason)
	}
	c.mu.Unlock()
	switch {
	case stuck:
		c.h.spawn(c.cut)
	case !again:
		c.h.after(closeTimeout, c.end)
	}
}

// sayClose sends a close frame if none has been. The caller holds mu.
func (c *conn) sayClose(code live.Code, reason string) {
	if !c.closing && !c.closed {
		c.put(encodeClose(code, reason))
	}
	c.closing = true
}

// fault says what is wrong with what the peer sends. It returns the same as an
// error.
func (c *conn) fault(code live.Code, reason string) error {
	c.mu.Lock()
	first := !c.closing
	c.sayClose(code, reason)
	c.mu.Unlock()
	if first && code == live.CodeAbuse {
		c.h.abusive.Add(1)
	}
	return errors.New("wslive: " + reason)
}

// allowControls counts control frames, and reports whether the peer may send
// as many. Who reads calls it.
func (c *conn) allowControls(n int) bool {
	forgotten := (c.h.stamp() - c.controlsAt) / controlEvery
	c.controlsAt += forgotten * controlEvery
	c.controls -= uint16(min(uint32(c.controls), forgotten))
	c.controls += uint16(n)
	return c.controls <= controlBurst
}

// changeReader puts another reader than that of the handshake on the
// connection, with all that has come: the library has negotiated compression on
// that one, and would decompress.
func (c *conn) changeReader() error {
	r, err := c.h.readers.take(c)
	if err == nil {
		r.unread = append(r.buffer[:0], c.reader.unread...)
	}
	c.reader.close()
	c.reader = r
	return err
}

// heard notes that something has come, or that nothing more is there: only then
// the peer can be silent.
func (c *conn) heard(something bool) {
	switch {
	case something:
		c.quiet.Store(0)
	case c.quiet.Load() == 0:
		c.quiet.Store(c.h.stamp())
	}
}

// cut ends a connection whose peer does not read: what the kernel holds for it
// is given back at once.
func (c *conn) cut() {
	if tcp := tcpOf(c.Conn); tcp != nil {
		_ = tcp.SetLinger(0) // it ends either way
	}
	c.end()
}

// end gives the connection back and tells the session. Ending twice is
// harmless.
func (c *conn) end() {
	c.mu.Lock()
	first := !c.closed
	c.closed, c.rest = true, nil
	c.mu.Unlock()
	if !first {
		return
	}
	c.h.forget(c)
	_ = c.Conn.Close() // it is over
	c.session.Disconnect()
}

// tryRead reads what is there without waiting.
func (c *conn) tryRead(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	n, err := readNow(int(c.fd), p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// receive hands messages to the session until none is there. It reports false
// when the connection has come to its end.
func (c *conn) receive(ctx context.Context) bool {
	if c.reader == nil {
		r, err := c.h.readers.take(c)
		if err != nil {
			return false
		}
		c.reader = r
	}
	for {
		kind, r, err := c.reader.ws.Reader(context.Background()) // a context that can end costs an allocation a message
		if errors.Is(err, errAgain) {
			c.h.readers.put(c.reader)
			c.reader = nil
			return true
		}
		if err != nil {
			return false
		}
		message, err := io.ReadAll(r)
		if err != nil {
			return false
		}
		c.handle(ctx, kind, message)
	}
}

// handle gives a message to the session. After one that ends the connection,
// others are only read, until the peer has answered the close frame.
func (c *conn) handle(ctx context.Context, kind websocket.MessageType, message []byte) {
	if c.discard {
		return
	}
	if kind != websocket.MessageText {
		c.reject(codeUnsupported, "text only")
		return
	}
	if c.reader.bounds.deflated {
		var err error
		if message, err = c.h.inflater.inflate(message); err != nil {
			c.rejectDeflated(err)
			return
		}
	}
	if !utf8.Valid(message) {
		c.reject(codeInvalid, "not UTF-8")
		return
	}
	c.discard = !c.session.Receive(ctx, message)
}

func (c *conn) reject(code live.Code, reason string) {
	c.discard = true
	c.Close(code, reason)
}

func (c *conn) rejectDeflated(err error) {
	if errors.Is(err, errTooLong) {
		c.reject(codeTooLong, "a message that is too long")
		return
	}
	c.reject(codeInvalid, "not compressed with deflate")
}

// over reports whether the connection has ended. Its lock also hands what one
// reader has left, before await, over to the next.
func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// await has the poller say when there is more to read.
func (c *conn) await(how func(p *poller, fd int, number uint64) error) {
	c.mu.Lock()
	var err error
	if !c.closed {
		err = how(c.h.poller, int(c.fd), c.number)
	}
	c.mu.Unlock()
	if err != nil {
		c.end()
	}
}

// linger ends a connection that can't be read any more. It lets the peer read
// the close frame, which is the library's if that has found a fault: to close
// with unread bytes would reset the connection.
func (c *conn) linger() {
	if c.reader != nil {
		c.reader.close() // it is in the middle of something
		c.reader = nil
	}
	c.session.Disconnect()
	c.mu.Lock()
	c.sayClose(codeProtocol, "")
	c.half = true
	idle := !c.draining
	c.mu.Unlock()
	if idle {
		c.closeWrite()
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c.Conn) // whatever ends it
	c.end()
}

// closeWrite says that nothing more will come.
func (c *conn) closeWrite() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may have gone
	}
}
