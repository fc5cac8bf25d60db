package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/signedpubsub"
	"lockstep/state/memstate"
)

const (
	oldSecret = "an old secret of thirty-two bytes"
	newSecret = "a new secret of thirty-two bytes!"
)

// foreign is a broker that others reach too: nothing on it is trusted.
type foreign struct{ driver.Driver }

func (f foreign) Open(ctx context.Context) (driver.Conn, error) {
	c, err := f.Driver.Open(ctx)
	return foreignConn{c}, err
}

type foreignConn struct{ driver.Conn }

func (c foreignConn) Receive(ctx context.Context) (driver.Message, error) {
	m, err := c.Conn.Receive(ctx)
	m.Trusted = false
	return m, err
}

// signing returns the driver of a replica with these keys.
func signing(t *testing.T, d driver.Driver, unsigned bool, secrets ...string) driver.Driver {
	t.Helper()
	var keys [][]byte
	for _, s := range secrets {
		keys = append(keys, []byte(s))
	}
	s, err := signedpubsub.NewDriver(d, keys, &signedpubsub.Options{Unsigned: unsigned})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A deploy has replicas of two kinds side by side, and each shows what the other
// has counted.
func TestReplicasOfADeployAreInStep(t *testing.T) {
	const soon = 50 * time.Millisecond // by a message, and not by anti-entropy
	type kind func(t *testing.T, d driver.Driver) driver.Driver
	with := func(unsigned bool, secrets ...string) kind {
		return func(t *testing.T, d driver.Driver) driver.Driver { return signing(t, d, unsigned, secrets...) }
	}
	before := func(_ *testing.T, d driver.Driver) driver.Driver { return d } // it has no signatures
	for name, c := range map[string]struct {
		one, two kind
		within   time.Duration
		forged   bool // some messages are dropped
	}{
		"with one key":                           {with(false, newSecret), with(false, newSecret), soon, false},
		"a new key, second":                      {with(false, oldSecret), with(false, oldSecret, newSecret), soon, false},
		"a new key, first":                       {with(false, oldSecret, newSecret), with(false, newSecret, oldSecret), soon, false},
		"the old key dropped":                    {with(false, newSecret, oldSecret), with(false, newSecret), soon, false},
		"signatures, first step":                 {before, with(true, newSecret), soon, false},
		"signatures, second step":                {with(true, newSecret), with(false, newSecret), soon, true},
		"signatures in one step":                 {before, with(false, newSecret), 2600 * time.Millisecond, true},
		"another key in one step":                {with(false, oldSecret), with(false, newSecret), soon, true},
		"without signatures on a foreign broker": {before, before, soon, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, store := foreign{mempubsub.NewBus()}, memstate.New(nil)
				one, two := startWith(t, c.one(t, bus), store, &app.Options{Replica: "one"}), startWith(t, c.two(t, bus), store, &app.Options{Replica: "two"})
				a, b := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x")), livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
				time.Sleep(3 * time.Second)
				for n := 1; n <= 10; n += 2 {
					for i, from := range []*livetest.Tab{a, b} {
						to := []*livetest.Tab{b, a}[i]
						began := time.Now()
						from.Click("counter:x", "increment")
						to.Until("the other's click", count(to, "x", n+i))
						if d := time.Since(began); d > c.within {
							t.Errorf("click %d was shown after %v, want %v", n+i, d, c.within)
						}
						time.Sleep(time.Second)
					}
				}
				if got := one.Hub().Stats().Forged + two.Hub().Stats().Forged; (got > 0) != c.forged {
					t.Errorf("got %d messages dropped, want that there are any: %t", got, c.forged)
				}
				for _, a := range []*app.App{one, two} {
					if err := a.Ready(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// Somebody who may publish on the broker, with signatures and without, says
// what a replica would, and repeats what replicas have said.
func TestANeighbourOnTheBrokerChangesNothing(t *testing.T) {
	for name, signed := range map[string]bool{"signed": true, "not signed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, store := foreign{mempubsub.NewBus()}, memstate.New(nil)
				var d driver.Driver = bus
				if signed {
					d = signing(t, bus, false, newSecret)
				}
				a := startWith(t, d, store, &app.Options{Replica: "one"})
				tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
				vandal := openWire(t, bus, "counter:x", "presence", "_digest:counter")
				heard := hearAll(t, vandal)
				for n := range 3 {
					tab.Click("counter:x", "increment")
					tab.Until("a click", count(tab, "x", n+1))
					time.Sleep(time.Second)
				}
				time.Sleep(5 * time.Second)
				v := recordOf(t, store, "counter:x")
				for i := range 300 {
					for topic, payload := range map[string]string{
						"counter:x":       fmt.Sprintf(`{"e":%d,"v":%d,"s":"1 666"}`, v.Epoch, int(v.Version)+1+i),
						"presence":        fmt.Sprintf(`{"r":"x%d","n":7,"c":{"counter:x":666,"movable":0},"ask":true}`, i),
						"_digest:counter": fmt.Sprintf(`{"x":[%d,%d]}`, v.Epoch, int(v.Version)+1+i),
					} {
						if err := vandal.Publish(t.Context(), topic, []byte(payload)); err != nil {
							t.Fatal(err)
						}
					}
					for _, m := range heard()[:3] {
						if err := vandal.Publish(t.Context(), m.Topic, m.Payload); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(10 * time.Millisecond)
				}
				tab.Click("counter:x", "increment")
				tab.Until("the next click", count(tab, "x", 4))
				time.Sleep(10 * time.Second)
				for _, m := range tab.Messages() {
					if strings.Contains(m, `\"666\"`) || strings.Contains(m, ">666<") { // an identity may have it, too
						t.Errorf("a tab was sent %s", m)
					}
				}
				p, _, err := a.Page(t.Context(), "counter:x", nil)
				if err != nil || p.Sum != "4" || p.Tabs > 2 || a.Runtime().Err() != nil {
					t.Errorf("a page says %s, %d tabs and %v, %v, want 4, 2 and no error", p.Sum, p.Tabs, err, a.Runtime().Err())
				}
				if s := a.Hub().Stats(); signed != (s.Forged >= 900) {
					t.Errorf("got %d messages dropped", s.Forged)
				}
				if s := a.Runtime().Stats(); s.Corrections != 0 {
					t.Errorf("got %d corrections, want that nothing false was shown", s.Corrections)
				}
			})
		})
	}
}

// openWire is a connection of somebody else.
func openWire(t *testing.T, d driver.Driver, topics ...string) driver.Conn {
	t.Helper()
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // of a broker in memory
	for _, topic := range topics {
		if err := c.Subscribe(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// hearAll returns what has been heard so far, the oldest first.
func hearAll(t *testing.T, c driver.Conn) func() []driver.Message {
	t.Helper()
	var all []driver.Message
	return func() []driver.Message {
		for {
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
			m, err := c.Receive(ctx)
			cancel()
			if err != nil {
				return all
			}
			all = append(all, m)
		}
	}
}
