package drivertest

import (
	"context"
	"crypto/rand"
	"strings"

	"lockstep/pubsub/driver"
)

// apart is a driver whose topics nobody else uses: what an earlier case, or
// another test at the same broker, has under way does not arrive. A broker of
// several nodes may deliver it late.
type apart struct {
	driver.Driver
	prefix string
}

func newApart(d driver.Driver) apart { return apart{d, rand.Text()[:8] + "/"} }

// Open implements driver.Driver.
func (a apart) Open(ctx context.Context) (driver.Conn, error) {
	c, err := a.Driver.Open(ctx)
	if err != nil {
		return nil, err
	}
	return apartConn{c, a.prefix}, nil
}

// apartConn is a connection of apart.
type apartConn struct {
	driver.Conn
	prefix string
}

// Publish implements driver.Conn.
func (c apartConn) Publish(ctx context.Context, topic string, payload []byte) error {
	return c.Conn.Publish(ctx, c.prefix+topic, payload)
}

// Subscribe implements driver.Conn.
func (c apartConn) Subscribe(ctx context.Context, topic string) error {
	return c.Conn.Subscribe(ctx, c.prefix+topic)
}

// Unsubscribe implements driver.Conn.
func (c apartConn) Unsubscribe(ctx context.Context, topic string) error {
	return c.Conn.Unsubscribe(ctx, c.prefix+topic)
}

// Receive implements driver.Conn.
func (c apartConn) Receive(ctx context.Context) (driver.Message, error) {
	m, err := c.Conn.Receive(ctx)
	m.Topic = strings.TrimPrefix(m.Topic, c.prefix)
	return m, err
}
