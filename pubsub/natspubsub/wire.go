package natspubsub

import (
	"context"
	"net"
)

const (
	// ahead is how many messages, and behind how many bytes, are read before
	// Receive has taken them: then nothing more is read, and a receiver that is
	// too slow is the server's to notice.
	ahead  = 1024
	behind = 16 << 20
	// oneRead is more messages than nats.go finds in what it reads at once, 32 KB,
	// so that it never drops one.
	oneRead = 4096
)

// A dialer is a nats.CustomDialer.
type dialer struct {
	dial func(network, addr string) (net.Conn, error)
	tls  bool // what it makes has TLS already
}

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, addr string) (net.Conn, error) { return d.dial(network, addr) }

// SkipTLSHandshake is what nats.go asks of diallers that have it.
func (d dialer) SkipTLSHandshake() bool { return d.tls }

// A dialFunc makes a connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dial returns a dialler whose connections end with life, and at once every call
// on them: nats.go waits for a write, its Close included, and knows no context.
func (c *conn) dial(life context.Context, at place) dialer {
	return dialer{tls: at.tls, dial: func(network, addr string) (net.Conn, error) {
		raw, err := at.dial(life, network, addr)
		if err != nil {
			c.unreachable = err
			return nil, err
		}
		c.addr = addr                                       // the last one that is dialled is the one
		context.AfterFunc(life, func() { _ = raw.Close() }) // it has ended: nobody can act on its error
		return &gate{Conn: raw, c: c}, nil
	}}
}

// A gate reads no faster than Receive takes. It is read by one goroutine at a
// time.
type gate struct {
	net.Conn
	c *conn

	read int // bytes since nothing was waiting; owned by who reads
}

// Read implements net.Conn.
func (g *gate) Read(b []byte) (int, error) {
	for g.full() {
		select {
		case <-g.c.room:
		case <-g.c.Ended():
			return 0, net.ErrClosed
		}
	}
	n, err := g.Conn.Read(b)
	g.read += n
	return n, err
}

// full reports whether enough is waiting.
func (g *gate) full() bool {
	waiting := len(g.c.arrivals)
	if waiting == 0 {
		g.read = 0
	}
	return waiting >= ahead || waiting > 0 && g.read >= behind
}
