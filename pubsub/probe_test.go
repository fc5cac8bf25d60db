package pubsub_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// An address is a driver that leads to another one, which can change.
type address struct {
	mu sync.Mutex
	to driver.Driver // guarded by mu
}

func (a *address) lead(to driver.Driver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = to
}

func (a *address) Name() string { return "address" }

func (a *address) Open(ctx context.Context) (driver.Conn, error) {
	a.mu.Lock()
	to := a.to
	a.mu.Unlock()
	return to.Open(ctx)
}

// nobody is a broker that can't be reached.
type nobody struct{}

func (nobody) Name() string { return "nobody" }

func (nobody) Open(context.Context) (driver.Conn, error) { return nil, errors.New("refused") }

// deaf is a broker that takes everything and delivers nothing.
type deaf struct{ driver.Driver }

func (d deaf) Open(ctx context.Context) (driver.Conn, error) {
	c, err := d.Driver.Open(ctx)
	return deafConn{c}, err
}

type deafConn struct{ driver.Conn }

func (deafConn) Publish(context.Context, string, []byte) error { return nil }

func startHub(t *testing.T, d driver.Driver, opts *pubsub.Options) *pubsub.Hub {
	t.Helper()
	h := pubsub.NewHub(d, opts)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func stopHub(t *testing.T, h *pubsub.Hub) {
	t.Helper()
	if err := h.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestAHubFollowsAnAddressThatLeadsElsewhere although the broker that it is
// connected to goes on delivering: what it sends itself comes back there.
func TestAHubFollowsAnAddressThatLeadsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := mempubsub.NewBus(), mempubsub.NewBus()
		place := &address{to: old}
		left := startHub(t, place, nil)
		defer stopHub(t, left)
		heard := make(chan string, 16)
		err := left.SubscribeTopic(t.Context(), "s", "x", func(_ context.Context, m pubsub.Message) error {
			heard <- string(m.Payload)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		place.lead(next)
		other := startHub(t, place, nil)
		defer stopHub(t, other)
		time.Sleep(25 * time.Second)
		if n := left.Stats().Reconnects; n != 1 {
			t.Errorf("got %d reconnections, want 1", n)
		}
		if m := <-heard; m != "" {
			t.Errorf("got %q, want a gap", m)
		}
		if err := other.Broadcast(t.Context(), "x", []byte("here")); err != nil {
			t.Fatal(err)
		}
		if m := <-heard; m != "here" {
			t.Errorf("got %q", m)
		}
	})
}

// TestAProbeThatProvesNothingChangesNothing: a connection is replaced only for
// one that works and leads elsewhere.
func TestAProbeThatProvesNothingChangesNothing(t *testing.T) {
	for name, to := range map[string]driver.Driver{"the same broker": nil, "none": nobody{}, "a deaf one": deaf{mempubsub.NewBus()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				place := &address{to: mempubsub.NewBus()}
				if to == nil {
					to = place.to
				}
				h := startHub(t, place, nil)
				defer stopHub(t, h)
				place.lead(to)
				time.Sleep(time.Hour)
				if n := h.Stats().Reconnects; n != 0 {
					t.Errorf("got %d reconnections in an hour", n)
				}
				if err := h.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAHubThatDoesNotProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := &address{to: mempubsub.NewBus()}
		h := startHub(t, place, &pubsub.Options{ProbeInterval: -1})
		defer stopHub(t, h)
		place.lead(mempubsub.NewBus())
		time.Sleep(time.Hour)
		if n := h.Stats().Reconnects; n != 0 {
			t.Errorf("got %d reconnections", n)
		}
	})
}

// A patient driver's calls wait until somebody receives, as the contract lets them.
type patient struct{ driver.Driver }

func (d patient) Open(ctx context.Context) (driver.Conn, error) {
	c, err := d.Driver.Open(ctx)
	return &patientConn{Conn: c, received: make(chan struct{})}, err
}

type patientConn struct {
	driver.Conn
	once     sync.Once
	received chan struct{}
}

func (c *patientConn) Receive(ctx context.Context) (driver.Message, error) {
	c.once.Do(func() { close(c.received) })
	return c.Conn.Receive(ctx)
}

func (c *patientConn) Subscribe(ctx context.Context, topic string) error {
	select {
	case <-c.received:
		return c.Conn.Subscribe(ctx, topic)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestAProbeReceivesFromTheBeginning, as the contract promises to drivers.
func TestAProbeReceivesFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := &address{to: patient{mempubsub.NewBus()}}
		h := startHub(t, place, nil)
		defer stopHub(t, h)
		place.lead(patient{mempubsub.NewBus()})
		time.Sleep(25 * time.Second)
		if n := h.Stats().Reconnects; n != 1 {
			t.Errorf("got %d reconnections, want 1: the probe has not seen that the address leads elsewhere", n)
		}
	})
}
