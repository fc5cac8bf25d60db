package faults

import (
	"context"
	"net"
	"sync"
)

// Listener returns a listener that stands for the replica's address whatever becomes of the
// replica, until it is closed. It is called once. Its connections are no *net.TCPConn: what is
// frozen must not be read past it.
func (r *Replica) Listener(l net.Listener) net.Listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listen = &listener{r: r, addr: l.Addr(), inner: l, changed: make(chan struct{})}
	return r.listen
}

// A listener is that of a replica's address.
type listener struct {
	r    *Replica
	addr net.Addr

	mu      sync.Mutex    // guards the rest
	inner   net.Listener  // nil: the address refuses
	changed chan struct{} // closed by the next change
	closed  bool
}

// Accept implements net.Listener. While the address refuses it waits.
func (l *listener) Accept() (net.Conn, error) {
	for {
		inner, changed, closed := l.now()
		if closed {
			return nil, net.ErrClosed
		}
		if inner == nil {
			<-changed // by up or Close
			continue
		}
		c, err := inner.Accept()
		if again, _, _ := l.now(); err != nil && again != inner {
			continue // it was closed by down or Close
		}
		if err != nil {
			return nil, err
		}
		if own := l.r.take(c); own != nil {
			return own, nil
		}
	}
}

func (l *listener) now() (inner net.Listener, changed chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inner, l.changed, l.closed
}

// change makes a change, and tells Accept of it. The caller holds mu.
func (l *listener) change(inner net.Listener) {
	l.inner = inner
	close(l.changed)
	l.changed = make(chan struct{})
}

// down has the address refuse connections.
func (l *listener) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil {
		_ = l.inner.Close() // it is over in any case
		l.change(nil)
	}
}

// up has the address take connections again.
func (l *listener) up(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.inner != nil {
		return nil
	}
	inner, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr.String())
	if err == nil {
		l.change(inner)
	}
	return err
}

// Close implements net.Listener.
func (l *listener) Close() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if l.closed = true; l.inner != nil {
		err = l.inner.Close()
	}
	l.change(nil)
	return err
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// take makes a connection one of the replica; nil: it was killed, and the connection is reset.
func (r *Replica) take(c net.Conn) net.Conn {
	own := &conn{Conn: c, r: r, gone: make(chan struct{})}
	r.mu.Lock()
	own.life = r.life
	dead := own.life.isOver()
	if !dead {
		r.conns[own] = struct{}{}
	}
	r.mu.Unlock()
	if dead {
		own.reset()
		return nil
	}
	return own
}

// A conn is a connection of a replica.
type conn struct {
	net.Conn // set once, and so are r, life and gone
	r        *Replica
	life     *life
	gone     chan struct{} // closed by Close
	once     sync.Once
}

// Read implements net.Conn. What arrives while the replica is frozen waits.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wait()
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.wait()
	return c.Conn.Write(b)
}

// wait waits while the replica is frozen, and the connection open.
func (c *conn) wait() {
	_ = c.r.thawed(c.gone, c.life) // whatever it is, the connection says it
}

// SetWriteBuffer is that of *net.TCPConn.
func (c *conn) SetWriteBuffer(bytes int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetWriteBuffer(bytes)
	}
	return nil
}

// reset ends the connection as the end of its process does that has not read all: at once.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // so that it is reset
	}
	_ = c.Close() // it is over in any case
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.r.mu.Lock()
		delete(c.r.conns, c)
		c.r.mu.Unlock()
		close(c.gone)
	})
	return c.Conn.Close()
}
