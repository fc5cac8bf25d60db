package pubsub

import (
	"fmt"
	"log/slog"
	"time"
)

// Options of a Hub. Zero values are the defaults.
type Options struct {
	// Prefix is put before each topic at the broker, so that applications can
	// share one. Handlers never see it. It counts towards the longest topic.
	Prefix string
	Logger *slog.Logger // nil: slog.Default()

	// HeartbeatInterval is the time between two messages that the hub sends
	// to itself through the broker. Default 1 s.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is how long after the last heartbeat that came back
	// the connection is taken for deaf and replaced. Default 3 s, and at
	// least twice the interval: one that is late by the difference is lost.
	HeartbeatTimeout time.Duration
	// ProbeInterval is the time between two looks at where the broker's
	// address leads: a second connection is made for a moment, and if the two
	// do not meet at one broker the first is replaced. Default 15 s, each a
	// quarter more or less; negative: never. With a driver.Costly it never is, whose Open may
	// also take longer than OpTimeout.
	ProbeInterval time.Duration
	// OpTimeout bounds each call of the broker. Default 3 s.
	OpTimeout time.Duration
	// HandlerTimeout is when the context of a handler's call ends. Default 10 s.
	HandlerTimeout time.Duration
	// Queue is how many messages wait for the handlers of one session. When
	// it is full they are dropped and a Gap for each of their topics takes
	// their place. Default 256.
	Queue int
	// MinBackoff and MaxBackoff bound the pause before a connection is tried
	// again: a random time below a bound that doubles with each failure
	// ("full jitter"). Default 50 ms and 5 s.
	MinBackoff, MaxBackoff time.Duration

	// ConnectLater makes Start return at once, and nil: the hub then connects as
	// it does after a loss, and Err says ErrNotConnected until it has. It is for
	// who can do without this broker for a while.
	ConnectLater bool

	// OnStatus is called with what Err returns, when it changes: in order, one call after the other.
	// The first comes before Start returns, unless that is later, and says nil as a rule; none comes
	// for Stop. It must not block, nor call Stop. A panic in it is logged, once in ten seconds; in the
	// others too.
	OnStatus func(err error)
	// OnRoundTrip is called with the time each heartbeat took through the
	// broker, from the goroutine that receives. It must not block.
	OnRoundTrip func(d time.Duration)
	// OnForged is called with the topic of each message that was dropped because
	// it has no valid signature, from the goroutine that receives. Anybody who may
	// publish can cause it, as often as they like: it must be cheap, and not
	// block.
	OnForged func(topic string)
}

// check returns what is wrong with the options, or nil.
func (o *Options) check() error {
	for _, c := range []struct {
		name string
		d    time.Duration
	}{
		{"HeartbeatInterval", o.HeartbeatInterval}, {"HeartbeatTimeout", o.HeartbeatTimeout}, {"OpTimeout", o.OpTimeout},
		{"HandlerTimeout", o.HandlerTimeout}, {"MinBackoff", o.MinBackoff}, {"MaxBackoff", o.MaxBackoff},
		{"Queue", time.Duration(o.Queue)},
	} {
		if c.d < 0 {
			return fmt.Errorf("option %s is negative, and 0 is the default", c.name)
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&o.HeartbeatInterval, time.Second}, {&o.HeartbeatTimeout, 3 * time.Second}, {&o.OpTimeout, 3 * time.Second},
		{&o.HandlerTimeout, 10 * time.Second}, {&o.MinBackoff, 50 * time.Millisecond}, {&o.MaxBackoff, 5 * time.Second},
	} {
		if *d.p <= 0 {
			*d.p = d.def
		}
	}
	if o.ProbeInterval == 0 {
		o.ProbeInterval = 15 * time.Second
	}
	o.HeartbeatTimeout = max(o.HeartbeatTimeout, 2*o.HeartbeatInterval)
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OnStatus == nil {
		o.OnStatus = func(error) {}
	}
	if o.OnRoundTrip == nil {
		o.OnRoundTrip = func(time.Duration) {}
	}
	if o.OnForged == nil {
		o.OnForged = func(string) {}
	}
}
