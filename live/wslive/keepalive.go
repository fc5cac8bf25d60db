package wslive

import (
	"cmp"
	"time"

	"lockstep/live"
)

// How dead peers are found.
//
// A peer whose network has gone says nothing, not even that. So one that is
// quiet is sent a ping, which its browser answers. No connection has a timer for
// that: keepalive, one goroutine, goes through them all once in an interval, one
// part after the other. As tabs are spread over the parts by their number,
// pings never come in a burst, not even if all tabs came in one.

// parts is how many parts the connections are looked after in.
const parts = 64

// pingFrame is a ping without payload (RFC 6455 §5.5.2).
const pingFrame = 0x80 | 0x9

// atMostADay makes a time one that stamps can measure; 0 stands for byDefault.
func atMostADay(d, byDefault time.Duration) time.Duration {
	return min(cmp.Or(d, byDefault), 24*time.Hour)
}

// stamp is the time since the handler was made, in milliseconds, and never 0.
// It begins anew after 49 days: two of them have a difference, not an order.
func (h *Handler) stamp() uint32 {
	return max(1, uint32(time.Since(h.made)/time.Millisecond))
}

// keepalive pings the connections until the handler is closed.
func (h *Handler) keepalive() {
	pause := max(h.opts.PingInterval/parts, 1)
	t := time.NewTicker(pause)
	defer t.Stop()
	late := uint64(max(h.opts.PongTimeout, 0)/pause) + 1 // how many parts behind the pings the check for answers is
	var cs []*conn
	for n := late; ; n++ {
		select {
		case <-t.C:
		case <-h.ctx.Done():
			return
		}
		if h.opts.PongTimeout > 0 {
			cs = h.part((n-late)%parts, cs)
			for _, c := range cs {
				c.missPong()
			}
		}
		cs = h.part(n%parts, cs)
		for _, c := range cs {
			c.ping()
		}
		clear(cs)
	}
}

// part returns the connections of a part, in place of what cs holds.
func (h *Handler) part(n uint64, cs []*conn) []*conn {
	clear(cs)
	cs = cs[:0]
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns[n] {
		cs = append(cs, c)
	}
	return cs
}

// ping sends a ping if nothing has come for half of the interval, unless the
// answer to an earlier one may still come. Only keepalive calls it.
func (c *conn) ping() {
	if c.pinged != 0 && !c.answered() && c.h.opts.PongTimeout > 0 {
		return
	}
	now, quiet := c.h.stamp(), c.quiet.Load()
	c.pinged = 0
	if quiet == 0 || time.Duration(now-quiet)*time.Millisecond < c.h.opts.PingInterval/2 {
		return
	}
	c.pinged = now
	_, _ = c.sendControl([]byte{pingFrame, 0}) // it fails when the peer does not read, which ends the connection elsewhere
}

// missPong cuts the connection off if it was sent a ping long ago and
// nothing has come since. Only keepalive calls it.
func (c *conn) missPong() {
	if c.pinged == 0 || c.answered() || time.Duration(c.h.stamp()-c.pinged)*time.Millisecond < c.h.opts.PongTimeout {
		return
	}
	c.h.silent.Add(1)
	_ = c.fault(live.ReasonKeepalive) // in case that somebody is there
	c.h.spawn(c.cut)
}

// answered reports whether something has come after the ping.
func (c *conn) answered() bool {
	quiet := c.quiet.Load()
	return quiet == 0 || int32(quiet-c.pinged) >= 0
}
