// Package drivertest is the definition of a correct driver as a test suite:
// each backend runs it against a real server. It is not for applications.
package drivertest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"lockstep/pubsub/driver"
)

// patience is when a case fails. What is correct takes a fraction of it.
const patience = 30 * time.Second

// grace is how long a case may take to end after that.
const grace = 5 * time.Second

// prompt is how long a call may take that the contract wants to return at
// once: more than any scheduler needs, less than a client's own timeouts.
const prompt = 2 * time.Second

// mostHung is how many cases may hang before the others are left out: the test program would be
// ended by its own timeout, and say nothing of what it has found.
const mostHung = 2

// mostGaps is how often a case is tried again in which a connection that heals has announced a gap:
// that is right on a machine that is too busy to answer in time, and wrong each time.
const mostGaps = 3

// Harness is what the suite needs of a backend.
type Harness struct {
	// Driver returns a driver: its connections receive each other's messages. Those of two
	// drivers need not be kept apart by anything but their topics.
	Driver func(t testing.TB) driver.Driver
	// Break cuts all live connections of d at the server. Nil: those cases
	// are skipped.
	Break func(t testing.TB, d driver.Driver)
	// Restart stops the broker and returns when it runs again. Nil: those
	// cases are skipped.
	Restart func(t testing.TB, d driver.Driver)
	// Freeze leaves the broker's connections open but has nothing answered on
	// them, nor new ones, until thaw is called. Nil: those cases are skipped.
	Freeze func(t testing.TB, d driver.Driver) (thaw func())

	// The rest declares what is weaker than the contract. Versions make it harmless to what uses
	// a hub; whoever writes a driver says it in its documentation, too.

	// Duplicates says that a message may arrive more than once.
	Duplicates bool
	// Unordered says that messages of a topic may overtake each other.
	Unordered bool
	// PublishersApart says that subscribers may see messages of different connections in different
	// orders. Those of each are in order.
	PublishersApart bool
	// Heals says that a connection may survive the loss of its broker: it then subscribes again by
	// itself, and sends a Gap for each topic, or for all of them, when it has done so. Else a lost
	// connection must end.
	Heals bool
}

// A testCase is one sentence of the contract. It reports an error instead of
// failing a test, so that the suite can be tested itself.
type testCase struct {
	name string
	run  func(e *env) error
	// exact cases need their topics as they are, and use them once.
	exact bool
	// lacks says what of the harness is missing for the case. Nil: nothing.
	lacks func(h Harness) string
}

// Run runs the suite. It takes seconds with a server on the same machine. It
// counts goroutines, so no other test may run at the same time.
//
// On each connection a goroutine calls Receive all the time, as in a hub. A case that hangs fails
// after half a minute, and says which call hung and what to look at; after two of these the rest is
// not tried.
func Run(t *testing.T, h Harness) {
	hung := 0
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if missing := c.missing(h); missing != "" {
				t.Skip(missing)
			}
			if hung >= mostHung {
				t.Skip("not tried: other cases have hung")
			}
			began := time.Now()
			err := h.try(t, c)
			for again := 0; errors.Is(err, errGap) && again < mostGaps; again++ {
				t.Logf("tried again: %v", err)
				err = h.try(t, c)
			}
			if err != nil {
				if time.Since(began) >= patience {
					hung++
				}
				t.Fatal(err)
			}
		})
	}
}

// cases returns the whole suite.
func cases() []testCase {
	return slices.Concat(deliveryCases(), payloadCases(), lifeCases(), frozenCases())
}

func (c testCase) missing(h Harness) string {
	if c.lacks == nil {
		return ""
	}
	return c.lacks(h)
}

// try runs one case with a fresh driver and closes what it has opened.
func (h Harness) try(t testing.TB, c testCase) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := &env{t: t, ctx: ctx, harness: h, made: h.Driver(t), calls: make(map[*doing]struct{})}
	e.driver = e.made
	if !c.exact {
		e.driver = newApart(e.made)
	}
	ended := make(chan error, 1)
	go func() { // ends with its connections
		defer close(ended) // the harness may end it with t.Fatal
		ended <- c.run(e)
	}()
	select {
	case err := <-ended:
		if err == nil {
			err = e.leftOver()
		}
		return errors.Join(err, e.close())
	case <-time.After(patience + grace):
	}
	stuck := e.stuck()
	stuck = errors.Join(stuck, e.close())
	select {
	case err := <-ended:
		return errors.Join(stuck, err)
	case <-time.After(grace):
		return errors.Join(stuck, errors.New("and Close has not ended it either"))
	}
}
