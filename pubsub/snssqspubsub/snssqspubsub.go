// Package snssqspubsub is a driver over Amazon SNS and SQS: one SNS topic for an
// installation, and for each connection an SQS queue that is subscribed to it. The
// queue is made by Open and removed by Close; those of replicas that have died are
// removed by the others. It is for who runs on AWS and wants no server of their own.
//
// AWS delivers at least once and in no order, within tens of milliseconds as a rule.
// Versions, and the identities of ops, make that harmless; who uses package pubsub
// alone has to know it. Every message of an installation comes to every replica,
// which drops what it is not subscribed to.
//
// It was tested with goaws, an emulator, and not with AWS.
package snssqspubsub

import (
	"context"
	"time"

	"lockstep/pubsub/driver"
)

const (
	// openTimeout is how long Open may take: it is half a dozen requests, and AWS
	// wants a second until a new queue can be used.
	openTimeout = 10 * time.Second
	// defaultSignEvery is Options.SignEvery where there is none.
	defaultSignEvery = time.Minute
)

// Options of a driver. Zero values are the defaults.
type Options struct {
	// Name is that of the installation where the URL has none: only replicas with
	// the same one hear each other. It is the SNS topic's, and begins those of
	// queues. What AWS can't have in a name is replaced; see URLs. Default
	// "lockstep".
	Name string
	// SignEvery is the time between two signs of life of a queue, the same for all
	// replicas. A queue that six of them are missing of is removed, by any replica
	// that hears itself. Default 1 minute.
	SignEvery time.Duration
}

// A Driver opens connections to one installation. It is safe for concurrent use.
type Driver struct {
	place     place
	signEvery time.Duration
}

// NewDriver returns a driver for a URL. It does not connect. The error is about the
// URL and does not contain it. Nil options are the defaults.
//
//	snssqs://eu-central-1                    a region; credentials as all programs of AWS find them
//	snssqs://eu-central-1/shop               a name: it takes the place of Options.Name
//	snssqs://KEY:SECRET@eu-central-1         an access key; for tests and emulators
//	snssqs://eu-central-1?endpoint=URL       an emulator, or the endpoint of a VPC; http:// or https://
//	snssqs://eu-central-1?endpoint=https://host&sslrootcert=FILE   with an authority of one's own;
//	                                         sslmode, sslcert and sslkey as for PostgreSQL
//
// Credentials are looked for by Open, anew for each connection: in the environment,
// in files, in what a container or a machine is given.
func NewDriver(url string, opts *Options) (*Driver, error) {
	if opts == nil {
		opts = &Options{}
	}
	p, err := parse(url, opts.Name)
	if err != nil {
		return nil, ofPackage(err)
	}
	d := &Driver{place: p, signEvery: opts.SignEvery}
	if d.signEvery <= 0 {
		d.signEvery = defaultSignEvery
	}
	return d, nil
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "snssqs" }

// OpenTimeout implements driver.Costly.
func (d *Driver) OpenTimeout() time.Duration { return openTimeout }

// Open implements driver.Driver: it makes a queue, subscribes it to the topic, which
// it makes if there is none, and returns when a message has come that way.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s, err := d.place.services(ctx)
	if err != nil {
		end()
		return nil, ofPackage(err)
	}
	c := newConn(life, end, s, d.place.name)
	err = c.create(ctx)
	if err == nil {
		c.start(d.signEvery)
		err = c.proven(ctx)
	}
	if err == nil {
		return c, nil
	}
	c.End(err)
	_ = c.Close() // removes what has been made
	return nil, ofPackage(err)
}
