package rabbitpubsub

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// errClosed is why a connection ends of which nobody has said why.
var errClosed = errors.New("the connection was closed")

// errBlocked is why a connection ends that the server does not read any more.
var errBlocked = errors.New("the broker takes no messages (connection.blocked)")

// errCancelled is why a connection ends whose queue is gone.
var errCancelled = errors.New("the queue was deleted, or its node has gone (basic.cancel)")

// watch has the conn end with what amqp091 says of the connection. It closes these channels at the
// end, and until then waits for whoever does not take what it says.
func (c *conn) watch() {
	closed := c.amqp.NotifyClose(make(chan *amqp.Error, 1))
	blocked := c.amqp.NotifyBlocked(make(chan amqp.Blocking, 1))
	c.running.Go(func() {
		for b := range blocked {
			if b.Active {
				c.lost(fmt.Errorf("%w: %s", errBlocked, b.Reason))
			}
		}
	})
	c.running.Go(func() { c.lostBy(closed) })
}

// lostBy has the conn end with why amqp091 has closed something.
func (c *conn) lostBy(closed <-chan *amqp.Error) {
	for err := range closed {
		c.lost(err)
	}
	c.lost(errClosed) // if nobody has said why
}

// watchChannel has the conn end with a channel, or with a consumer on it.
func (c *conn) watchChannel(ch *amqp.Channel) {
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 1)) // the consumer's, once
	c.running.Go(func() { c.lostBy(closed) })
	c.running.Go(func() {
		for range cancelled {
			c.lost(errCancelled)
		}
	})
}
