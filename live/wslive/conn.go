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

const (
	// closeTimeout is how long the peer may take to answer a close frame.
	closeTimeout = 5 * time.Second
	// controlBurst is how many control frames may come at once, and controlEvery
	// after how many milliseconds one of them is forgotten. They are answered
	// without the session.
	controlBurst = 128
	controlEvery = 100
	// maxControl is how many bytes of pongs and the like may wait to be written. A
	// peer that lets more pile up does not read.
	maxControl = 4096
)

// A conn is one websocket, as the session sees it. A write never waits: what
// the socket does not take at once is left to drain, a goroutine that exists as
// long as something is left. At most one goroutine reads at a time: the reading
// one.
type conn struct {
	// What a delivery touches comes first: one line of the processor's cache.
	fd       int32      // to write to and read from without waiting; -1: only by way of Conn. Set once
	mu       sync.Mutex // guards what follows, rest included
	control  int32      // bytes of the library's in rest
	stage    stage
	why      live.Reason // why the connection ends; zero: nobody knows a reason yet. The first one stays
	draining bool        // drain runs
	full     bool        // the session waits for Ready
	rest     []byte      // has not left yet

	discard bool    // the session takes no more; owned by the reading goroutine
	reader  *reader // nil: it is not being read; owned by the reading goroutine

	// set before the first byte is read, and before anything is written
	net.Conn // the hijacked connection
	h        *Handler
	variant  *variant
	session  *live.Session
	number   uint64 // in Handler.conns

	quiet      atomic.Uint32 // since when there is nothing to read; 0: there is, or has been and is dealt with. A Handler.stamp
	pinged     uint32        // when a ping was sent that nothing has come after; 0: none. A stamp; owned by Handler.keepalive
	controlsAt uint32        // up to when controls have been forgotten. A stamp; owned by the reading goroutine
	controls   uint16        // control frames that are not forgotten; owned by the reading goroutine
}

// A stage is where a connection is in its life. It only grows.
type stage uint8

const (
	stageOpen    stage = iota // messages and control frames are sent
	stageClosing              // a close frame has been sent, or waits: nothing comes after it
	stageHalf                 // and our direction is closed when nothing waits
	stageClosed               // fd is not ours any more
)

// A variant is a form of compression, none included: what connections that have
// negotiated the same have in common.
type variant struct {
	wire     *live.Wire
	deflates bool // messages may be compressed
}

// Wire implements live.Conn.
func (c *conn) Wire() *live.Wire { return c.variant.wire }

// Bind implements live.Conn.
func (c *conn) Bind(s *live.Session) { c.session = s }

// Send implements live.Conn.
func (c *conn) Send(b []byte) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage >= stageClosing {
		return true
	}
	c.full = !c.put(b)
	return !c.full
}

// sendControl sends control frames, which the library writes. It answers a close frame by the same
// one, and does not look whether the peer's reason is UTF-8 (RFC 6455 §5.5.1): that is seen here.
func (c *conn) sendControl(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stage == stageClosed:
		return 0, net.ErrClosed
	case c.stage >= stageClosing:
		return len(b), nil
	case int(c.control)+len(b) > maxControl:
		c.setReasonLocked(live.ReasonBacklog)
		return 0, errors.New("wslive: the peer does not read")
	}
	if b[0] == closeFrame && !utf8.Valid(closeReason(b)) {
		c.setReasonLocked(live.ReasonNotUTF8)
		c.sendClose(live.ReasonNotUTF8)
		return len(b), nil
	}
	if b[0] == closeFrame {
		c.advance(stageClosing)
	}
	if !c.put(bytes.Clone(b)) { // the library uses b again
		c.control += int32(len(b))
	}
	return len(b), nil
}

// advance brings the connection to a stage, unless it is beyond. The caller holds mu.
func (c *conn) advance(to stage) { c.stage = max(c.stage, to) }

// setReasonLocked notes why the connection ends, unless that is known. The caller
// holds mu.
func (c *conn) setReasonLocked(why live.Reason) {
	if c.why == 0 {
		c.why = why
	}
}

// setReason is setReasonLocked for callers that do not hold mu.
func (c *conn) setReason(why live.Reason) {
	c.mu.Lock()
	c.setReasonLocked(why)
	c.mu.Unlock()
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
		c.h.spawn(func() { c.end(live.ReasonLost) })
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
		half := !c.draining && c.stage == stageHalf
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
			c.end(live.ReasonLost)
			return
		}
	}
}

// Close implements live.Conn: it sends the close frame and gives the peer time
// to answer. A peer that does not read is cut off.
func (c *conn) Close(why live.Reason) {
	c.mu.Lock()
	stuck, again := c.draining && why.Code() == live.CodeOverload, c.stage >= stageClosing
	c.setReasonLocked(why)
	if !stuck {
		c.sendClose(why)
	}
	c.mu.Unlock()
	switch {
	case stuck:
		c.h.spawn(c.cut)
	case !again:
		c.h.after(closeTimeout, func() { c.end(why) })
	}
}

// sendClose sends a close frame if none has been. The caller holds mu.
func (c *conn) sendClose(why live.Reason) {
	if c.stage == stageOpen {
		c.put(encodeClose(why.Code(), why.Text()))
	}
	c.advance(stageClosing)
}

// fault ends the connection for what the peer sends, or does not send. It
// returns the reason as an error.
func (c *conn) fault(why live.Reason) error {
	c.mu.Lock()
	first := c.stage == stageOpen
	c.setReasonLocked(why)
	c.sendClose(why)
	c.mu.Unlock()
	if first && why.Code() == live.CodeAbuse {
		c.h.abusive.Add(1)
	}
	return errors.New("wslive: " + why.Text())
}

// allowControls counts control frames, and reports whether the peer may send
// as many. The goroutine that reads calls it.
func (c *conn) allowControls(n int) bool {
	forgotten := (c.h.stamp() - c.controlsAt) / controlEvery
	c.controlsAt += forgotten * controlEvery
	c.controls -= uint16(min(uint32(c.controls), forgotten))
	c.controls += uint16(n)
	return c.controls <= controlBurst
}

// changeReader replaces the reader of the handshake, and hands on what has been
// received: the library has negotiated compression on that one, and would
// decompress.
func (c *conn) changeReader() error {
	r, err := c.h.readers.take(c)
	if err == nil {
		r.unread = append(r.buffer[:0], c.reader.unread...)
	}
	c.reader.close()
	c.reader = r
	return err
}

// setQuiet notes that something has come, or that nothing more is there: only
// then the peer can be silent.
func (c *conn) setQuiet(something bool) {
	switch {
	case something:
		c.quiet.Store(0)
	case c.quiet.Load() == 0:
		c.quiet.Store(c.h.stamp())
	}
}

// cut ends a connection whose peer does not read. The kernel frees what it holds
// for it at once.
func (c *conn) cut() {
	if tcp := tcpOf(c.Conn); tcp != nil {
		_ = tcp.SetLinger(0) // it ends either way
	}
	c.end(live.ReasonLost)
}

// end gives the connection back and tells the session why it ends: for a
// reason that is known before, or for this one. Ending twice is harmless.
func (c *conn) end(why live.Reason) {
	c.mu.Lock()
	first := c.stage < stageClosed
	c.setReasonLocked(why)
	why = c.why
	c.advance(stageClosed)
	c.rest = nil
	c.mu.Unlock()
	if !first {
		return
	}
	c.h.forget(c)
	_ = c.Conn.Close() // it is over
	c.session.Disconnect(why)
}

// tryRead reads what is there without waiting.
func (c *conn) tryRead(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == stageClosed {
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
			c.setReason(live.ReasonTransport)
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
			c.setReason(reasonOf(err))
			return false
		}
		message, err := io.ReadAll(r)
		if err != nil {
			c.setReason(reasonOf(err))
			return false
		}
		c.handle(ctx, kind, message)
	}
}

// reasonOf returns why the library reads no more, unless the stream under it
// has said so before.
func reasonOf(err error) live.Reason {
	switch {
	case websocket.CloseStatus(err) >= 0:
		return live.ReasonLeft
	case errors.Is(err, websocket.ErrMessageTooBig):
		return live.ReasonTooLong
	}
	return live.ReasonProtocol
}

// handle gives a message to the session. After one that ends the connection,
// others are only read, until the peer has answered the close frame.
func (c *conn) handle(ctx context.Context, kind websocket.MessageType, message []byte) {
	if c.discard {
		return
	}
	if kind != websocket.MessageText {
		c.reject(live.ReasonNotText)
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
		c.reject(live.ReasonNotUTF8)
		return
	}
	c.discard = !c.session.Receive(ctx, message)
}

func (c *conn) reject(why live.Reason) {
	c.discard = true
	c.Close(why)
}

func (c *conn) rejectDeflated(err error) {
	if errors.Is(err, errTooLong) {
		c.reject(live.ReasonTooLong)
		return
	}
	c.reject(live.ReasonCompression)
}

// over reports whether the connection has ended. Its lock also hands what one
// reader has left, before await, over to the next.
func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stage == stageClosed
}

// await makes the poller report when there is more to read.
func (c *conn) await(how func(p *poller, fd int, number uint64) error) {
	c.mu.Lock()
	var err error
	if c.stage < stageClosed {
		err = how(c.h.poller, int(c.fd), c.number)
	}
	c.mu.Unlock()
	if err != nil {
		c.end(live.ReasonTransport)
	}
}

// closeGently ends a connection that can't be read any more. It lets the peer read
// the close frame, which is the library's if that has found a fault: to close
// with unread bytes would reset the connection.
func (c *conn) closeGently() {
	if c.reader != nil {
		c.reader.close() // it is in the middle of something
		c.reader = nil
	}
	c.mu.Lock()
	c.setReasonLocked(live.ReasonLost)
	why := c.why
	c.sendClose(live.ReasonProtocol)
	c.advance(stageHalf)
	idle := !c.draining
	c.mu.Unlock()
	c.session.Disconnect(why)
	if idle {
		c.closeWrite()
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c.Conn) // whatever ends it
	c.end(why)
}

// closeWrite says that nothing more will come.
func (c *conn) closeWrite() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the peer may have gone
	}
}
