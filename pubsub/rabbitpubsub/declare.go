package rabbitpubsub

import (
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// ahead is how many messages the server sends before they are taken.
	ahead = 256
	// maxQueue and maxQueueBytes are what a queue holds behind them. Then the oldest are dropped.
	maxQueue      = 8192
	maxQueueBytes = 16 << 20
)

// declare makes what a connection needs at the server: the exchange, the queue, and beside it
// another one of a single message, which gets what the first one drops. Each has a channel of its
// own: an acknowledgement is of all messages of a channel, and what is refused closes it.
func (c *conn) declare() (err error) {
	if c.in, err = c.channel(); err != nil {
		return err
	}
	if err := c.declareExchange(); err != nil {
		return err
	}
	if err := c.declareDrops(); err != nil {
		return err
	}
	err = declareQueue(c.in, c.queue, amqp.Table{
		"x-max-length": int32(maxQueue), "x-max-length-bytes": int64(maxQueueBytes), "x-overflow": "drop-head",
		"x-dead-letter-exchange": c.exchange, "x-dead-letter-routing-key": lostKey(c.queue),
	})
	if err != nil {
		return err
	}
	if c.arrivals, err = consume(c.in, c.queue, ahead); err != nil {
		return err
	}
	if c.out, err = c.channel(); err != nil {
		return err
	}
	return c.out.Confirm(false)
}

// declareDrops makes the queue of what the other one drops. One message in it says enough.
func (c *conn) declareDrops() error {
	ch, err := c.channel()
	if err != nil {
		return err
	}
	name := c.queue + ".lost"
	if err := declareQueue(ch, name, amqp.Table{"x-max-length": int32(1)}); err != nil {
		return err
	}
	if err := ch.QueueBind(name, lostKey(c.queue), c.exchange, false, nil); err != nil {
		return err
	}
	c.drops, err = consume(ch, name, 1)
	return err
}

// channel opens a channel whose end is the end of the conn.
func (c *conn) channel() (*amqp.Channel, error) {
	ch, err := c.amqp.Channel()
	if err != nil {
		return nil, err
	}
	c.watchChannel(ch)
	return ch, nil
}

// declareExchange makes the exchange where there is none. A user who may not make it can use one
// that is there.
func (c *conn) declareExchange() error {
	// The server closes the channel with its answer that there is none.
	try, err := c.amqp.Channel()
	if err != nil {
		return err
	}
	err = try.ExchangeDeclarePassive(c.exchange, amqp.ExchangeDirect, true, false, false, false, nil)
	if err == nil {
		return try.Close()
	}
	if e, ok := errors.AsType[*amqp.Error](err); !ok || e.Code != amqp.NotFound {
		return err
	}
	return c.in.ExchangeDeclare(c.exchange, amqp.ExchangeDirect, true, false, false, false, nil)
}

// declareQueue makes a queue that is this connection's own and ends with it.
func declareQueue(ch *amqp.Channel, name string, args amqp.Table) error {
	_, err := ch.QueueDeclare(name, false, true, true, false, args)
	return err
}

// consume begins to receive from a queue. The server sends prefetch messages before they are taken;
// that is a limit of this consumer, not of the channel.
func consume(ch *amqp.Channel, queue string, prefetch int) (<-chan amqp.Delivery, error) {
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, err
	}
	return ch.Consume(queue, queue, false, true, false, false, nil)
}
