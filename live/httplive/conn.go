package httplive

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lockstep/live"
)

// closeTimeout is how long the peer may take for what is written last.
const closeTimeout = 5 * time.Second

// maxWhole is how much of an exchange's answer is kept until it is complete, in
// bytes, about.
const maxWhole = 64 << 10

// errStopped ends the requests that are left at Handler.Close.
var errStopped = errors.New("httplive: the handler was closed")

// A conn is the answer to one request, as the session sees it. It is full while
// something waits to be written, which is at most what the session sends at
// once: what comes meanwhile is conflated there.
type conn struct {
	// set once
	wire    *live.Wire
	out     http.ResponseWriter // owned by write; its deadline is set by all
	control *http.ResponseController
	wake    chan struct{} // of size 1: there is something to write, or it is over
	// whole: the answer is written when all of it is there, up to maxWhole: a
	// request that has a body gets through Go's proxies that way nearly always (see
	// MessagesHeader).
	whole bool
	kept  []byte // owned by write: what of the whole is there
	begun bool   // owned by write: some of it has been written

	mu      sync.Mutex    // guards the rest
	session *live.Session // nil before Bind
	rest    []byte        // waits to be written
	why     live.Reason   // why it ends; zero: it does not. The first one stays
}

// Wire implements live.Conn.
func (c *conn) Wire() *live.Wire { return c.wire }

// Bind implements live.Conn.
func (c *conn) Bind(s *live.Session) {
	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
}

// bound returns the session, or nil before Bind.
func (c *conn) bound() *live.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// disconnect tells the session, if there is one, that it has ended.
func (c *conn) disconnect(why live.Reason) {
	if s := c.bound(); s != nil {
		s.Disconnect(why)
	}
}

// Send implements live.Conn.
func (c *conn) Send(b []byte) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != 0 {
		return true
	}
	c.rest = append(c.rest, b...)
	c.nudge()
	return false
}

// Close implements live.Conn: it has the last event written. A peer that does
// not read is cut off.
func (c *conn) Close(why live.Reason) { c.end(why) }

// end is Close, for reasons of the transport, too.
func (c *conn) end(why live.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != 0 {
		return
	}
	c.why = why
	// A recorder has no deadlines, and never waits.
	_ = c.control.SetWriteDeadline(time.Now().Add(closeTimeout))
	c.nudge()
}

func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what comes, until the connection ends, and returns why it has.
func (c *conn) write(ctx context.Context) live.Reason {
	for {
		b, why := c.next(ctx)
		if why != 0 {
			b = append(b, encodeClose(why)...)
		}
		if b = append(c.kept, b...); c.whole && why == 0 && len(b) < maxWhole {
			c.kept = b
			c.bound().Ready() // it counts as sent
			continue
		}
		if c.whole && !c.begun && why != 0 {
			c.out.Header().Set("Content-Length", strconv.Itoa(len(b)))
		}
		c.kept, c.begun = nil, true
		if err := c.put(b, why != 0); err != nil {
			c.end(live.ReasonLost)
			return c.reason()
		}
		if why != 0 {
			return why
		}
		c.bound().Ready() // it has sent b
	}
}

// next waits for something to write. A reason comes with what is written last.
func (c *conn) next(ctx context.Context) (b []byte, why live.Reason) {
	for {
		c.mu.Lock()
		b, why = c.rest, c.why
		c.rest = nil
		c.mu.Unlock()
		if len(b) > 0 || why != 0 {
			return b, why
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			c.end(ended(ctx))
		}
	}
}

// ended returns why a request has ended whose context has.
func ended(ctx context.Context) live.Reason {
	if errors.Is(context.Cause(ctx), errStopped) {
		return live.ReasonStopped
	}
	return live.ReasonLost
}

// put writes b as one; last: nothing comes after it.
func (c *conn) put(b []byte, last bool) error {
	_, err := c.out.Write(b)
	if err == nil {
		err = c.control.Flush()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && (c.why == 0 || last) {
		// It is for this write alone: with HTTP/2 it would end the answer in a pause,
		// and without it would hold for the next one on this connection.
		_ = c.control.SetWriteDeadline(time.Time{})
	}
	return err
}

func (c *conn) reason() live.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}
