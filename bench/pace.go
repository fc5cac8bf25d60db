package main

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// patience is how long a round may take to leave before the run ends.
const patience = 30 * time.Second

// A pacer counts deliveries that a subject makes in goroutines of its own, and
// holds the sender back until they are made: no queue grows, nothing is
// dropped. One goroutine may call ask and wait, any number leave.
type pacer struct {
	left atomic.Int64
	due  atomic.Int64
	done chan struct{} // of size 1: left has reached due
}

func newPacer() *pacer { return &pacer{done: make(chan struct{}, 1)} }

// ask says that n deliveries will be made; it is called before the first.
func (p *pacer) ask(n int) { p.due.Add(int64(n)) }

// leave says that n deliveries have been made.
func (p *pacer) leave(n int) {
	if p.left.Add(int64(n)) != p.due.Load() {
		return
	}
	select {
	case p.done <- struct{}{}:
	default:
	}
}

// sent implements subject.
func (p *pacer) sent() int64 { return p.left.Load() }

// wait implements subject: it returns when all that was asked for has left.
func (p *pacer) wait() error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for p.left.Load() < p.due.Load() {
		select {
		case <-p.done:
		case <-late.C:
			return fmt.Errorf("%d of %d deliveries have not left in %v", p.due.Load()-p.left.Load(), p.due.Load(), patience)
		}
	}
	return nil
}

// A countingListener counts the messages written to its connections, for
// libraries that don't say when they have written. It takes one frame for each
// Write.
type countingListener struct {
	net.Listener
	pacer *pacer
}

// Accept implements net.Listener.
func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l.pacer}, nil
}

type countingConn struct {
	net.Conn
	pacer *pacer
}

// textFrame is the first byte of a frame that is a whole text message. No
// answer to an upgrade begins with it.
const textFrame = 0x81

// Write implements net.Conn.
func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil && n > 0 && p[0] == textFrame {
		c.pacer.leave(1)
	}
	return n, err
}
