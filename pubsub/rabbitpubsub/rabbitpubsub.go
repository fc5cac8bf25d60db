// Package rabbitpubsub is a driver over RabbitMQ (AMQP 0-9-1): one direct exchange, which lasts,
// and for each connection an exclusive queue, which ends with it and is bound to the topics that
// are subscribed. So only replicas that show a topic get its messages. It stores nothing.
//
// What can't be carried is never made good in silence. A lost connection is the end of it, after
// which the hub reloads, and so are a channel that is closed, a queue that is deleted and a broker
// that takes no messages because its memory or disk is used up. When a queue is full because its
// replica reads too slowly, the oldest messages are dropped and a Gap says so.
//
// Messages of one connection arrive in their order. Those of several may come to subscribers in
// different orders: each queue takes in what connections give it as it comes.
//
// In a cluster of RabbitMQ nodes Subscribe returns when the node that it is connected to has the
// binding. What another one routes in that moment may be missed, and is found by the versions of
// what comes next.
package rabbitpubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"lockstep/pubsub/driver"
)

// DefaultExchange is Options.Exchange where there is none.
const DefaultExchange = "lockstep"

// openTimeout is how long one server may take until it is connected, and again until it has
// answered. RabbitMQ says nothing for 3 s to a wrong password, and a hub waits no longer than that.
const openTimeout = 2 * time.Second

// maxExchange is how long the exchange's name may be, in bytes: names of queues begin with it, and
// have 255 at most.
const maxExchange = 200

// Options of a Driver. Zero values are the defaults.
type Options struct {
	// Exchange is the exchange's name, at most 200 bytes; the queues' begin with it and a dot.
	// Replicas with the same one hear each other. It is made when it is not there. Default
	// DefaultExchange.
	Exchange string
}

// A Driver opens connections to one RabbitMQ, or to one of several nodes of a cluster. It is safe
// for concurrent use.
type Driver struct {
	url      string // with its secrets
	exchange string
}

// NewDriver returns a driver for a URL. It does not connect. Nil options are the defaults. The
// error is about the URL, and does not contain it, or about the options.
//
//	amqp://user:password@host:5672/vhost   the port is 5672 by default, the virtual host "/"
//	amqp://user:password@a,b               one of these nodes
//	amqp://host                            the user guest, for RabbitMQ's own machine only
//	amqps://a?sslrootcert=FILE             TLS, port 5671; sslmode, sslcert, sslkey as for PostgreSQL
//
// Files are read again for each connection, so that they can be replaced.
func NewDriver(url string, opts *Options) (*Driver, error) {
	if _, err := parse(url); err != nil {
		return nil, fmt.Errorf("rabbitpubsub: %w", err)
	}
	d := &Driver{url: url, exchange: DefaultExchange}
	if opts != nil && opts.Exchange != "" {
		d.exchange = opts.Exchange
	}
	if strings.HasPrefix(d.exchange, "amq.") || len(d.exchange) > maxExchange {
		return nil, fmt.Errorf("rabbitpubsub: the exchange %q: names that begin with amq. are RabbitMQ's own, and %d bytes are the most", d.exchange, maxExchange)
	}
	return d, nil
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "rabbitmq" }

// Open implements driver.Driver: it connects to one of the servers, any of them, makes the exchange
// if it is not there, and the queue.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	p, err := parse(d.url)
	if err != nil {
		return nil, fmt.Errorf("rabbitpubsub: %w", err)
	}
	first, err := rand.Int(rand.Reader, big.NewInt(int64(len(p.addrs))))
	if err != nil {
		return nil, fmt.Errorf("rabbitpubsub: %w", err)
	}
	var errs []error
	for i := range p.addrs {
		addr := p.addrs[(int(first.Int64())+i)%len(p.addrs)]
		c, err := d.openAt(ctx, p, addr)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("rabbitpubsub: %s: %w", addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// openAt connects to one server.
func (d *Driver) openAt(ctx context.Context, p place, addr string) (*conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := newConn(addr, d.exchange, end)
	err := c.connect(life, p)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err != nil {
		c.End(err)
		end()
		c.running.Wait()
		return nil, err
	}
	c.start()
	return c, nil
}
