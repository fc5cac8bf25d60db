package main

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

// A gate bounds how many connections a process has, below its limit of open
// files: beyond that nothing could be accepted any more, not even what would be
// told so, nor could a broker be reached again.
//
// It counts connections while they are http.Server's. A websocket is not, from
// its upgrade on, but its replica knows how many there are and is asked. So the
// sum is exact, whatever the mixture of both. The share of tabs is bounded
// below that (tabsOf): there is always room for requests.
type gate struct {
	// set once
	max int // descriptors; 0: no limit

	refusedAll, refusedAddr atomic.Uint64

	mu    sync.Mutex // guards the rest
	doors []*door    // only appended to
}

// A door is the gate of one listener.
type door struct {
	// set once
	gate  *gate
	cost  int           // descriptors of one connection
	tabs  func() int    // its websockets
	addrs *limit.Counts // of what http.Server has

	open atomic.Int64 // connections that http.Server has

	mu    sync.Mutex // guards the rest
	conns map[net.Conn]netip.Addr
}

func newGate(max int) *gate { return &gate{max: max} }

// door adds a listener, of whose connections each costs a number of
// descriptors. tabs returns how many websockets there are, and may be called
// at any time. An address may have perAddr connections, 0 is no limit, unless
// it is one of free.
func (g *gate) door(cost, perAddr int, free []netip.Prefix, tabs func() int) *door {
	d := &door{gate: g, cost: cost, tabs: tabs, addrs: limit.NewCounts(0, perAddr, free), conns: make(map[net.Conn]netip.Addr)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doors = append(g.doors, d)
	return d
}

// used returns how many descriptors the connections take.
func (g *gate) used() (n int) {
	g.mu.Lock()
	doors := g.doors
	g.mu.Unlock()
	for _, d := range doors {
		n += d.cost * (int(d.open.Load()) + d.tabs())
	}
	return n
}

// refused returns how many connections were refused because there were too
// many in all, and of one address.
func (g *gate) refused() (total, perAddr uint64) { return g.refusedAll.Load(), g.refusedAddr.Load() }

// watch is http.Server.ConnState. It is called by the goroutine that accepts,
// and by that of the connection.
func (d *door) watch(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		d.enter(c)
	case http.StateHijacked, http.StateClosed:
		d.leave(c)
	}
}

// enter counts a new connection, or refuses and closes it.
func (d *door) enter(c net.Conn) {
	if d.gate.max > 0 && d.gate.used()+d.cost > d.gate.max {
		d.gate.refusedAll.Add(1)
		turnAway(c, http.StatusServiceUnavailable, "this server has as many connections as it may have")
		return
	}
	ap, _ := netip.ParseAddrPort(c.RemoteAddr().String()) // not valid: not an Internet address
	if err := d.addrs.Add(ap.Addr()); errors.Is(err, limit.ErrAddr) {
		d.gate.refusedAddr.Add(1)
		turnAway(c, http.StatusTooManyRequests, "there are as many connections from your address as this server allows")
		return
	}
	d.open.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[c] = ap.Addr()
}

// leave takes back enter. One that was refused has not entered.
func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	addr, entered := d.conns[c]
	delete(d.conns, c)
	d.mu.Unlock()
	if !entered {
		return
	}
	d.addrs.Done(addr)
	d.open.Add(-1)
}

// turnAway answers a connection from which nothing has been read, and closes
// it: http.Server would keep it until its request is there. With TLS nothing
// can be said that would be understood.
func turnAway(c net.Conn, status int, why string) {
	if encrypted, ok := c.(*tls.Conn); ok {
		_ = encrypted.NetConn().Close() // it is given up
		return
	}
	_ = c.SetWriteDeadline(time.Now().Add(refusalTimeout)) // the write fails too
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n",
		status, http.StatusText(status), len(why)+1, why)
	_ = c.Close() // it is given up
}
