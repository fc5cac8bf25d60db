package planted

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/coder/websocket"
)

// click counts an op, or does not. The caller holds mu.
func (s *Server) click(t *tab, op string) {
	c, b := t.counter, s.bugs
	if c.seen[op] {
		if b.TwiceOnResend {
			s.count(c, 1)
			s.broadcast(c)
		}
		t.send(ack(op))
		return
	}
	c.ops++
	if each(b.Retry, c.ops) {
		t.send(fmt.Sprintf(`{"error":"try again","op":%q,"retry":true}`, op))
		return
	}
	c.seen[op] = true
	if each(b.Refuse, c.ops) {
		t.send(fmt.Sprintf(`{"error":"not allowed","op":%q}`, op))
		return
	}
	switch {
	case each(b.LoseClick, c.ops):
	case each(b.Twice, c.ops):
		s.count(c, 2)
	default:
		s.count(c, 1)
	}
	if each(b.EarlyAck, c.ops) {
		t.send(ack(op))
		return // the state follows with the next click
	}
	s.broadcast(c)
	if !each(b.NoAck, c.ops) {
		t.send(ack(op))
	}
}

func (s *Server) count(c *counter, n int64) {
	c.count += n
	c.version++
	c.states[c.version] = c.count
}

// broadcast sends the newest state to all, as far as the bugs let it. The caller holds mu.
func (s *Server) broadcast(c *counter) {
	b := s.bugs
	v := int(c.version)
	for i, t := range c.tabs {
		count := c.count
		switch {
		case each(b.DropUpdate, t.number+v), t.number == b.Freeze:
			continue
		case each(b.TwoTruths, v) && t.number%2 == 0:
			count++
		}
		t.send(state(t.name, c.version, count))
		if each(b.Backwards, v) && i == v%len(c.tabs) {
			t.send(state(t.name, c.version-1, c.states[c.version-1]))
		}
		if each(b.Garbage, v) && i == 0 {
			t.send("garbage")
		}
	}
}

func ack(op string) string { return fmt.Sprintf(`{"ack":[%q]}`, op) }

// A tab is a connection with a queue that has no end: the server must not be slow where it is
// right.
type tab struct {
	number  int // in the order of connecting, from 1
	name    string
	counter *counter

	mu    sync.Mutex // guards the rest
	queue []string
	ended string // why, as the tab is told; "": without a word
	done  bool
	more  chan struct{}
}

// send never waits.
func (t *tab) send(message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, message)
	t.wake()
}

// end closes the connection once the queue is written. The tab is told why, unless that is "".
func (t *tab) end(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.ended = true, why
	t.wake()
}

func (t *tab) wake() {
	select {
	case t.more <- struct{}{}:
	default: // it is awake
	}
}

// A connection is that of a tab.
type connection interface {
	message(m string) error
	end(why string) // the last; "": without a word
}

// A websocketConn is a connection over a websocket.
type websocketConn struct{ *websocket.Conn }

func (c websocketConn) message(m string) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, []byte(m))
}

func (c websocketConn) end(why string) {
	if why == "" {
		_ = c.CloseNow() // it may be broken
		return
	}
	_ = c.Close(websocket.StatusServiceRestart, why) // the tab may be gone
}

// write writes the queue until end.
func (t *tab) write(c connection) {
	for range t.more {
		t.mu.Lock()
		messages, done, why := slices.Clone(t.queue), t.done, t.ended
		t.queue = t.queue[:0]
		t.mu.Unlock()
		for _, m := range messages {
			if err := c.message(m); err != nil {
				c.end("") // it is broken
				return
			}
		}
		if done {
			c.end(why)
			return
		}
	}
}
