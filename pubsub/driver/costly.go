package driver

import "time"

// A Costly driver is one whose connections are made of things at the broker, such as
// queues: Open takes more than a round trip, and costs. A hub gives it OpenTimeout, and
// opens no connection only to see where the broker's address leads: such a broker is
// known by a name.
type Costly interface {
	Driver
	// OpenTimeout is how long Open may take.
	OpenTimeout() time.Duration
}

// Unwrapper is what a driver around another one implements, so that AsCostly finds that.
type Unwrapper interface {
	// Unwrap returns the driver inside.
	Unwrap() Driver
}

// AsCostly returns the first of a driver and those inside it that is Costly; false: none
// is.
func AsCostly(d Driver) (Costly, bool) {
	for {
		if c, is := d.(Costly); is {
			return c, true
		}
		u, is := d.(Unwrapper)
		if !is {
			return nil, false
		}
		d = u.Unwrap()
	}
}
