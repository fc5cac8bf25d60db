package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/limit"
)

// refusalTimeout bounds the writing of a refusal: it fits into the empty
// buffer of a new connection, so this is for the unforeseen.
const refusalTimeout = 100 * time.Millisecond

// A connLimiter bounds how many connections a process has, below its limit of open files: beyond
// that it could accept nothing any more, not even to refuse it, nor reach a broker again.
//
// It counts connections while they are http.Server's. A websocket is not, from its upgrade on, but
// its replica knows how many there are and is asked. So the sum is exact, whatever the mixture of
// both. The share of tabs is bounded below that (TabsOf): there is always room for requests.
type connLimiter struct {
	// set once
	max int // descriptors; 0: no limit

	refusedAll, refusedAddr atomic.Uint64

	mu        sync.Mutex         // guards the rest
	listeners []*listenerLimiter // only appended to
}

// A listenerLimiter counts the connections of one listener, for its connLimiter.
type listenerLimiter struct {
	// set once
	all   *connLimiter
	cost  int           // descriptors of one connection
	tabs  func() int    // its websockets
	addrs *limit.Counts // of what http.Server has

	open atomic.Int64 // connections that http.Server has

	mu    sync.Mutex // guards the rest
	conns map[net.Conn]netip.Addr
}

func newConnLimiter(max int) *connLimiter { return &connLimiter{max: max} }

// listener adds a listener, of whose connections each costs a number of descriptors. tabs returns
// how many websockets there are, and may be called at any time. An address may have perAddr
// connections, 0 is no limit, unless it is one of free.
func (c *connLimiter) listener(cost, perAddr int, free []netip.Prefix, tabs func() int) *listenerLimiter {
	l := &listenerLimiter{all: c, cost: cost, tabs: tabs, addrs: limit.NewCounts(0, perAddr, free), conns: make(map[net.Conn]netip.Addr)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, l)
	return l
}

// used returns how many descriptors the connections take.
func (c *connLimiter) used() (n int) {
	c.mu.Lock()
	listeners := c.listeners
	c.mu.Unlock()
	for _, l := range listeners {
		n += l.cost * (int(l.open.Load()) + l.tabs())
	}
	return n
}

// TabsOf is how many of a number of connections tabs may take. The rest is for requests, those of
// probes among them.
func TabsOf(conns int) int { return conns - conns/10 }

// admitTab reports whether there may be another tab, and counts the refusal of one.
func (c *connLimiter) admitTab() bool {
	if c.max > 0 && c.used() > TabsOf(c.max) {
		c.refusedAll.Add(1)
		return false
	}
	return true
}

// refused returns how many connections were refused because there were too many in all, and of one
// address.
func (c *connLimiter) refused() (total, perAddr uint64) {
	return c.refusedAll.Load(), c.refusedAddr.Load()
}

// count is http.Server.ConnState. The goroutine that accepts calls it, and that of the connection.
func (l *listenerLimiter) count(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		l.enter(c)
	case http.StateHijacked, http.StateClosed:
		l.leave(c)
	}
}

// enter counts a new connection, or refuses and closes it.
func (l *listenerLimiter) enter(c net.Conn) {
	if l.all.max > 0 && l.all.used()+l.cost > l.all.max {
		l.all.refusedAll.Add(1)
		turnAway(c, http.StatusServiceUnavailable, "this server has as many connections as it may have")
		return
	}
	ap, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // not valid: not an Internet address
	if err := l.addrs.Add(ap.Addr()); errors.Is(err, limit.ErrAddr) {
		l.all.refusedAddr.Add(1)
		turnAway(c, http.StatusTooManyRequests, "there are as many connections from your address as this server allows")
		return
	}
	l.open.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = ap.Addr()
}

// leave takes back enter. A connection that was refused has not entered.
func (l *listenerLimiter) leave(c net.Conn) {
	l.mu.Lock()
	addr, entered := l.conns[c]
	delete(l.conns, c)
	l.mu.Unlock()
	if !entered {
		return
	}
	l.addrs.Done(addr)
	l.open.Add(-1)
}

// turnAway answers a connection from which nothing has been read, and closes it: http.Server would
// keep it until its request is there. With TLS the client would understand no answer.
func turnAway(c net.Conn, status int, why string) {
	if encrypted, ok := c.(*tls.Conn); ok {
		_ = encrypted.NetConn().Close() // nothing was served on it
		return
	}
	_ = c.SetWriteDeadline(time.Now().Add(refusalTimeout)) // the write fails too
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n",
		status, http.StatusText(status), len(why)+1, why)
	_ = c.Close() // nothing was served on it
}

// withRoom refuses a tab where there is only room for requests. It is for a listener whose server
// has no limit of its own.
func (c *connLimiter) withRoom(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isTab(r) || c.admitTab() {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close")
		http.Error(w, "this server has as many tabs as it may have", http.StatusServiceUnavailable)
	})
}
