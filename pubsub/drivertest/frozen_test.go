package drivertest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// ice is a broker that can be frozen. The zero value is thawed.
type ice struct {
	mu     sync.Mutex
	thawed chan struct{} // nil: not frozen; closed by thaw
}

func (i *ice) freeze(testing.TB, driver.Driver) (thaw func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.thawed = make(chan struct{})
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		close(i.thawed)
		i.thawed = nil
	}
}

// An iced driver has its calls answered when the ice has thawed. What ends
// them before is its defect: ctx ends with the context, close with Close.
type iced struct {
	*ice
	ctx, close, closes bool
}

// answer waits for the broker.
func (i iced) answer(ctx context.Context, closed <-chan struct{}) error {
	i.mu.Lock()
	thawed := i.thawed
	i.mu.Unlock()
	if thawed == nil {
		return nil
	}
	var ended <-chan struct{}
	if i.ctx {
		ended = ctx.Done()
	}
	if !i.close {
		closed = nil
	}
	select {
	case <-thawed:
		return nil
	case <-ended:
		return ctx.Err()
	case <-closed:
		return driver.ErrClosed
	}
}

// of returns the driver over b.
func (i iced) of(b *mempubsub.Bus) driver.Driver {
	return defect{
		open: func(ctx context.Context, d driver.Driver) (driver.Conn, error) {
			if err := i.answer(ctx, nil); err != nil {
				return nil, err
			}
			return d.Open(ctx)
		},
		publish: func(ctx context.Context, c *conn, topic string, payload []byte) error {
			if err := i.answer(ctx, c.ended); err != nil {
				return err
			}
			return c.Conn.Publish(ctx, topic, payload)
		},
		close: func(c *conn) error {
			if !i.closes {
				_ = i.answer(context.Background(), nil) // nothing ends it
			}
			return c.Conn.Close()
		},
	}.of(b)
}

func TestTheSuiteWantsCallsToEndWithoutAnAnswer(t *testing.T) {
	const ctx, closing = "a call without an answer ends with its context", "Close ends calls without an answer"
	for name, c := range map[string]struct {
		broker iced
		want   []string
	}{
		"nothing wrong":                 {iced{ctx: true, close: true, closes: true}, nil},
		"ignores the context":           {iced{close: true, closes: true}, []string{ctx}},
		"calls go on after Close":       {iced{ctx: true, closes: true}, []string{closing}},
		"Close waits for the answer":    {iced{ctx: true, close: true}, []string{closing}},
		"answers although it is frozen": {iced{ctx: true, close: true, closes: true}, []string{ctx, closing}},
	} {
		t.Run(name, func(t *testing.T) {
			c.broker.ice = new(ice)
			h := Harness{Driver: func(testing.TB) driver.Driver { return c.broker.of(mempubsub.NewBus()) }, Freeze: c.broker.freeze}
			if name == "answers although it is frozen" {
				h.Freeze = func(testing.TB, driver.Driver) func() { return func() {} }
			}
			if got := failuresOf(t, h, frozenCases()); !slices.Equal(got, c.want) {
				t.Errorf("got %q failing, want %q", got, c.want)
			}
		})
	}
}

// failuresOf returns which of some cases fail.
func failuresOf(t *testing.T, h Harness, cases []testCase) []string {
	var names []string
	for _, c := range cases {
		if c.missing(h) != "" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			if err := h.try(t, c); err != nil {
				t.Logf("%s: %v", c.name, err)
				names = append(names, c.name)
			}
		})
	}
	return names
}
