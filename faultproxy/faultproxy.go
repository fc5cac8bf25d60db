// Package faultproxy stands between a client and a server in a test and does to their connections
// what a network does: it cuts, refuses, stalls and delays them. With it the author of a driver or
// a store has the cases of drivertest in which the broker is lost, or does not answer. It is for
// tests only, and understands nothing of what passes.
package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Proxy passes connections on to a server and does to them what a network
// does. Its methods may be called concurrently and act at once, on the
// connections there are and on those to come.
type Proxy struct {
	Addr string // where it listens: host:port, or the path of a Unix socket

	l       net.Listener
	running sync.WaitGroup

	mu      sync.Mutex // guards the rest
	change  *sync.Cond // broadcast when a fault begins or ends, or a connection
	targets []string
	open    map[net.Conn]struct{}
	dead    map[net.Conn]struct{} // of these, those that Hole has been done to
	refuse  bool
	stalled [2]bool // by direction
	delay   time.Duration
	closed  bool
}

// The directions of a connection.
const (
	question = iota // to the server
	answer          // from it
)

// New starts a proxy to the first of the addresses that takes a connection, until
// the test ends. An address is host:port, or the path of a Unix socket, with a
// slash in it; the proxy then listens on a Unix socket, too. One address at least
// is needed.
func New(t testing.TB, to ...string) *Proxy {
	t.Helper()
	l, err := listen(t, to)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), l: l, targets: to, open: make(map[net.Conn]struct{}), dead: make(map[net.Conn]struct{})}
	p.change = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.change.Broadcast()
		p.mu.Unlock()
		_ = l.Close() // accept ends
		p.Cut()
		p.running.Wait()
	})
	return p
}

// listen listens in the network that the server is in.
func listen(t testing.TB, to []string) (net.Listener, error) {
	if len(to) == 0 || network(to[0]) == "tcp" {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	// Not in t.TempDir: the path of a socket has 100 bytes or so.
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left of it is in a folder for such
	return net.Listen("unix", filepath.Join(dir, "socket"))
}

// network returns that of an address.
func network(addr string) string {
	if strings.Contains(addr, "/") {
		return "unix"
	}
	return "tcp"
}

// Rewrite returns a URL with the proxy's address in it.
func (p *Proxy) Rewrite(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Host = p.Addr
	return u.String()
}

// Target changes where new connections go.
func (p *Proxy) Target(to ...string) { p.set(func() { p.targets = to }) }

// Cut ends all connections, those over TCP with a reset. New ones work.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // or it is an orderly end
		}
		_ = c.Close() // that is what it is for
		delete(p.open, c)
		delete(p.dead, c)
	}
	p.change.Broadcast()
}

// Refuse cuts all connections and takes no new ones, until Refuse(false).
func (p *Proxy) Refuse(refuse bool) {
	p.set(func() { p.refuse = refuse })
	if refuse {
		p.Cut()
	}
}

// Stall lets nothing pass in either direction, until Stall(false): packets
// dropped and no reset, as on a half-open connection. Nor does either side
// learn that the other has gone. Connections are still accepted. What was held
// back then passes, unless it was cut.
func (p *Proxy) Stall(stall bool) { p.set(func() { p.stalled = [2]bool{stall, stall} }) }

// Hole is Stall for ever, of the connections that there are: nothing passes, and nobody learns of
// it, as when a middlebox has forgotten them. New ones work.
func (p *Proxy) Hole() { p.set(func() { maps.Copy(p.dead, p.open) }) }

// StallAnswers is Stall for what comes from the server.
func (p *Proxy) StallAnswers(stall bool) { p.set(func() { p.stalled[answer] = stall }) }

// Delay makes everything late by d, in its order: connecting, what comes, the
// end. What is on its way already keeps its delay.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

func (p *Proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.change.Broadcast()
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(c) })
	}
}

// serve passes one connection on until either side or the proxy ends it.
func (p *Proxy) serve(in net.Conn) {
	if !p.keep(in) {
		return
	}
	defer p.drop(in)
	if !p.wait(question, in, p.due()) {
		return
	}
	out := p.dial()
	if out == nil {
		p.wait(answer, in, p.due()) // a refusal is one
		return
	}
	if !p.keep(out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(question, out, in) })
	p.pass(answer, in, out)
	both.Wait()
	p.drop(out)
}

// dial connects to the first target that answers.
func (p *Proxy) dial() net.Conn {
	p.mu.Lock()
	targets := p.targets
	p.mu.Unlock()
	for _, addr := range targets {
		if c, err := net.DialTimeout(network(addr), addr, 5*time.Second); err == nil {
			return c
		}
	}
	return nil
}

// keep makes a connection known to Cut. It reports false, and has closed it,
// when there are to be none.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		_ = c.Close() // nothing has passed
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	delete(p.dead, c)
	p.change.Broadcast()
	_ = c.Close() // it is over in any case
}

// A late is what has come, and when it may go on.
type late struct {
	b   []byte
	err error // what came after b, io.EOF at the end
	due time.Time
}

// maxLate is how many reads wait of what is delayed or stalled; then it waits in the buffers of the
// kernel.
const maxLate = 1024

// pass copies one direction until its end. What is late stays in a line, so that more may follow it
// at any rate: a delay is not a limit of the rate, too.
func (p *Proxy) pass(direction int, to, from net.Conn) {
	line := make(chan late, maxLate)
	var reading sync.WaitGroup
	reading.Go(func() { p.take(from, line) })
	defer reading.Wait()
	p.hand(direction, to, from, line)
	for range line { // its end comes with the end of from
	}
}

// take puts what comes into the line.
func (p *Proxy) take(from net.Conn, line chan<- late) {
	defer close(line)
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		line <- late{bytes.Clone(buffer[:n]), err, p.due()}
		if err != nil {
			return
		}
	}
}

// hand writes what is in the line, until its end, which it tells the other side.
func (p *Proxy) hand(direction int, to, from net.Conn, line <-chan late) {
	for l := range line {
		if !p.wait(direction, from, l.due) {
			p.drop(to)
			return
		}
		if len(l.b) > 0 && !written(to, l.b) {
			p.wait(1-direction, from, p.due()) // the news goes the other way
			p.drop(from)
			return
		}
		if errors.Is(l.err, io.EOF) {
			if half, ok := to.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite() // the other direction may go on
			}
			return
		}
		if l.err != nil {
			p.drop(to)
			return
		}
	}
}

// due is when what comes now may go on.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

func written(to net.Conn, b []byte) bool {
	_, err := to.Write(b)
	return err == nil
}

// wait waits until something is due, and while its direction is stalled. It reports false when the
// connection has been cut.
func (p *Proxy) wait(direction int, c net.Conn, due time.Time) bool {
	time.Sleep(time.Until(due))
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if _, open := p.open[c]; !open || p.closed {
			return false
		}
		if _, dead := p.dead[c]; !dead && !p.stalled[direction] {
			return true
		}
		p.change.Wait()
	}
}
