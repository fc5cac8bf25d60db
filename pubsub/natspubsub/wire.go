package natspubsub

import "net"

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

// made takes in how an attempt to reach a server has ended.
func (c *conn) made(addr string, raw net.Conn, err error) (net.Conn, error) {
	if err != nil {
		c.unreachable = err
		return nil, err
	}
	c.addr = addr // the last one that is dialled is the one
	return &gate{Conn: raw, c: c}, nil
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
