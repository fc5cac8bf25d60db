// Package dualpubsub is two brokers at once: a driver around two others, which sends what it
// publishes on both and receives from both. It is for moving from one broker to another under load,
// and for going on when one of two dies.
//
// Most messages arrive twice, and may overtake each other when one of the brokers has lost some:
// versions make both harmless to what uses a hub. The package does not choose a better broker, and
// does not carry over from one to the other what is sent by replicas that have only one of them:
// two replicas must have one broker in common.
package dualpubsub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/precondition"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
)

const (
	// Each broker has a hub, which is quicker than the one above it: a call that
	// waits for a broker that does not answer ends before those of that.
	heartbeatInterval = 500 * time.Millisecond
	heartbeatTimeout  = 2 * time.Second

	// openPatience is how long Open waits for the second broker when the first
	// has answered.
	openPatience = time.Second
	// publishPatience is how long Publish waits for the second broker when the
	// first has taken a message: so that messages keep their order on both, and
	// one that is slow does not make the other one slow.
	publishPatience = 50 * time.Millisecond
	// maxBehind is how many publications may be under way at one broker.
	maxBehind = 1024
	// maxMessages is how many messages of one broker wait to be received.
	maxMessages = 1024
)

// Options of a Driver. Zero values are the defaults.
type Options struct {
	// Prefix is what all topics begin with: that of the hub. The driver sends
	// messages to itself below it, by which it sees that both brokers deliver.
	// Empty: there is none.
	Prefix string
	// First and Second are what the brokers are called where people see it, such
	// as their addresses. Default: the names of their drivers.
	First, Second string
	// Preconditions is told which of the brokers is away. Nil: nobody is.
	Preconditions *precondition.Part
}

// A Driver is a driver.Driver over two brokers. It may be used concurrently.
type Driver struct {
	inner [2]driver.Driver
	names [2]string
	opts  Options
}

// NewDriver returns a driver over two brokers; either of them is enough for it
// to work. Nil options are the defaults.
func NewDriver(first, second driver.Driver, opts *Options) *Driver {
	d := &Driver{inner: [2]driver.Driver{first, second}}
	if opts != nil {
		d.opts = *opts
	}
	d.names = [2]string{d.opts.First, d.opts.Second}
	for i := range d.names {
		if d.names[i] == "" {
			d.names[i] = d.inner[i].Name()
		}
	}
	return d
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return d.inner[0].Name() + "+" + d.inner[1].Name() }

// Open implements driver.Driver. It fails, with an *OpenError, when neither broker answers. Of one
// that does not answer now the connection takes notice when it does.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := d.newConn()
	for _, s := range c.sides {
		if err := s.hub.Start(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.awaitOne(ctx); err != nil {
		_ = c.Close() // why it can't be opened is said already
		return nil, err
	}
	return c, nil
}

// An OpenError says why neither of two brokers could be used.
type OpenError struct{ First, Second error }

// Error implements error.
func (e *OpenError) Error() string {
	return fmt.Sprintf("dualpubsub: neither broker is there: %v; %v", e.First, e.Second)
}

// Unwrap returns both causes.
func (e *OpenError) Unwrap() []error { return []error{e.First, e.Second} }

// saw notes whether a broker is away.
func (d *Driver) saw(n int, err error) {
	if err == nil {
		d.opts.Preconditions.Saw(d.names[n], "")
		return
	}
	unmet := precondition.Unmet{Name: "first_broker_away"}
	if n == 1 {
		unmet = precondition.Unmet{Name: "second_broker_away"}
	}
	unmet.Text = fmt.Sprintf("%s is away or does not serve all topics: until it does, %s alone carries what replicas say to each other, and there is none to take its place",
		d.names[n], d.names[1-n])
	d.opts.Preconditions.Saw(d.names[n], "", unmet)
}

// away reports whether a hub's status says that it has no connection.
func away(status error) bool { return errors.Is(status, pubsub.ErrNotConnected) }
