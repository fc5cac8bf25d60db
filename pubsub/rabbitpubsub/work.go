package rabbitpubsub

import (
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"lockstep/pubsub/driver"
)

// errRefused is what a broker says that can't keep a message in memory, nor on its disk.
var errRefused = errors.New("rabbitpubsub: the broker could not take the message (basic.nack)")

// publish sends what gathers while its last round trip is under way, in the order of the calls.
func (c *conn) publish() {
	for {
		select {
		case first := <-c.publishes:
			c.publishAll(driver.Gather(first, c.publishes, batch))
		case <-c.Ended():
			return
		}
	}
}

// publishAll sends messages, and then waits until the broker has confirmed them all.
func (c *conn) publishAll(rs []request) {
	sent := make([]*amqp.DeferredConfirmation, len(rs))
	for i, r := range rs {
		var err error
		if sent[i], err = c.send(r); err != nil {
			c.failed(err)
			return
		}
	}
	for i, r := range rs {
		select {
		case <-sent[i].Done():
		case <-c.Ended():
			return
		}
		switch {
		case sent[i].Acked():
			r.done <- nil
		case c.out.IsClosed(): // amqp091 then says of all that they were refused
			<-c.Ended() // watch is about to say why
			return
		default:
			r.done <- errRefused
		}
	}
}

// send writes a message, or a notice where it is too large.
func (c *conn) send(r request) (*amqp.DeferredConfirmation, error) {
	m := amqp.Publishing{DeliveryMode: amqp.Transient, Body: r.payload}
	if len(r.payload) > maxPayload {
		m.Body, m.Headers = nil, amqp.Table{gapHeader: "too large"}
	}
	return c.out.PublishWithDeferredConfirm(c.exchange, r.key, false, false, m)
}

// bind serves what gathers while its last round trip is under way.
func (c *conn) bind() {
	for {
		select {
		case first := <-c.bindings:
			c.bindAll(driver.Gather(first, c.bindings, batch))
		case <-c.Ended():
			return
		}
	}
}

// bindAll binds and unbinds. The server deals with what is said on a channel in its order: so its
// answer to the last one is one to all. It answers nothing to what it refuses; it closes the
// channel.
func (c *conn) bindAll(rs []request) {
	for i, r := range rs {
		var err error
		if r.forget {
			c.forget(r.key)
			err = c.in.QueueUnbind(c.queue, r.key, c.exchange, nil)
		} else {
			c.remember(r)
			err = c.in.QueueBind(c.queue, r.key, c.exchange, i < len(rs)-1, nil)
		}
		if err != nil {
			c.failed(err)
			return
		}
	}
	for _, r := range rs {
		r.done <- nil
	}
}

func (c *conn) remember(r request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[r.key] = r.topic // before its first message
}

func (c *conn) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, key)
}

// failed ends the conn because something could not be sent. Where it was closed before, watch is
// about to say why.
func (c *conn) failed(err error) {
	if errors.Is(err, amqp.ErrClosed) {
		<-c.Ended()
		return
	}
	c.lost(err)
}

// pump passes messages on to Receive.
func (c *conn) pump() {
	for more := true; more; {
		select {
		case d, open := <-c.arrivals:
			more = open && c.passAll(d)
		case d, open := <-c.drops:
			more = open && c.passGap(d)
		case <-c.Ended():
			return
		}
	}
}

// passAll passes a message on, and those that are there when it has been taken, and then tells the
// server of all at once that there is room for others. None is left untold: a server closes the
// channel on which one is for half an hour.
func (c *conn) passAll(d amqp.Delivery) bool {
	for range ahead / 4 {
		if m, ok := c.read(d); ok && !c.Put(m) {
			return false
		}
		select {
		case next, open := <-c.arrivals:
			if !open {
				return false
			}
			d = next
			continue
		default:
		}
		return c.taken(d)
	}
	return c.taken(d)
}

// passGap says that the queue has dropped some. The server may say so again as soon as it is told
// that this one is taken, so that comes first.
func (c *conn) passGap(d amqp.Delivery) bool {
	return c.taken(d) && c.Put(driver.Message{Gap: true})
}

// taken acknowledges a message and all before it.
func (c *conn) taken(d amqp.Delivery) bool {
	if err := d.Ack(true); err != nil {
		c.failed(err)
		return false
	}
	return true
}

// read returns what a message says. What is larger than this driver sends is another one's, and
// would be too much if there were many.
func (c *conn) read(d amqp.Delivery) (driver.Message, bool) {
	c.mu.Lock()
	topic, ok := c.topics[d.RoutingKey]
	c.mu.Unlock()
	_, gap := d.Headers[gapHeader]
	if gap || len(d.Body) > maxPayload {
		return driver.Message{Topic: topic, Gap: true}, ok
	}
	return driver.Message{Topic: topic, Payload: d.Body}, ok
}
