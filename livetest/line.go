package livetest

import (
	"context"
	"net"
	"sync"
)

// A line is the network in front of a replica, in memory: a net.Listener, and what connects to it.
// It may be used concurrently.
type line struct {
	// set once
	calls  chan *lineConn
	closed chan struct{}

	mu   sync.Mutex // guards the rest
	open map[*lineConn]struct{}
	down bool
}

func newLine() *line {
	return &line{calls: make(chan *lineConn), closed: make(chan struct{}), open: make(map[*lineConn]struct{})}
}

// A lineConn is a replica's end of a connection.
type lineConn struct {
	net.Conn
	line *line
}

// RemoteAddr implements net.Conn: everybody is on this machine.
func (*lineConn) RemoteAddr() net.Addr { return loopback() }

// Close implements net.Conn.
func (c *lineConn) Close() error {
	c.line.mu.Lock()
	delete(c.line.open, c)
	c.line.mu.Unlock()
	return c.Conn.Close()
}

func loopback() *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// dial connects to the replica.
func (l *line) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.calls <- &lineConn{theirs, l}:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		if err := l.enter(c); err != nil {
			return nil, err
		}
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// enter counts a connection; one that comes to a line that was cut is closed.
func (l *line) enter(c *lineConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		_ = c.Conn.Close() // nobody has used it
		return net.ErrClosed
	}
	l.open[c] = struct{}{}
	return nil
}

// Close implements net.Listener.
func (l *line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (l *line) Addr() net.Addr { return loopback() }

// cut breaks all connections, and lets no more in.
func (l *line) cut() {
	_ = l.Close() // it has no error
	l.mu.Lock()
	l.down = true
	open := l.open
	l.open = make(map[*lineConn]struct{})
	l.mu.Unlock()
	for c := range open {
		_ = c.Conn.Close() // it is to be broken
	}
}
