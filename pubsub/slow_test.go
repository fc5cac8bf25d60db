package pubsub_test

import (
	"context"
	"time"

	"lockstep/pubsub/driver"
)

// slow is a broker whose messages take their time. Many can be on their way.
type slow struct {
	driver.Driver
	delay time.Duration
}

func (s slow) Open(ctx context.Context) (driver.Conn, error) {
	c, err := s.Driver.Open(ctx)
	return &slowConn{Conn: c, delay: s.delay, due: make(chan arrival, 100), quit: make(chan struct{})}, err
}

type slowConn struct {
	driver.Conn
	delay time.Duration
	due   chan arrival
	quit  chan struct{}
	begun bool // owned by Receive
}

type arrival struct {
	at  time.Time
	m   driver.Message
	err error
}

func (c *slowConn) Receive(ctx context.Context) (driver.Message, error) {
	if !c.begun {
		c.begun = true
		go c.pull() // ends with Close
	}
	select {
	case a := <-c.due:
		time.Sleep(time.Until(a.at))
		return a.m, a.err
	case <-ctx.Done():
		return driver.Message{}, ctx.Err()
	}
}

func (c *slowConn) pull() {
	for {
		m, err := c.Conn.Receive(context.Background())
		select {
		case c.due <- arrival{time.Now().Add(c.delay), m, err}:
		case <-c.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

func (c *slowConn) Close() error {
	close(c.quit)
	return c.Conn.Close()
}
