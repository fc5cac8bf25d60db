package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/signedpubsub"
)

// costly is a driver whose connections take five seconds.
type costly struct {
	driver.Driver
	opened int // owned by the one goroutine that opens
}

func (c *costly) OpenTimeout() time.Duration { return 6 * time.Second }

func (c *costly) Open(ctx context.Context) (driver.Conn, error) {
	c.opened++
	select {
	case <-time.After(5 * time.Second):
		return c.Driver.Open(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestACostlyConnectionIsWaitedForAndIsTheOnlyOne: also with a driver around it that
// signs.
func TestACostlyConnectionIsWaitedForAndIsTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &costly{Driver: mempubsub.NewBus()}
		signed, err := signedpubsub.NewDriver(c, [][]byte{[]byte("a secret")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := startHub(t, signed, &pubsub.Options{OpTimeout: time.Second, ProbeInterval: time.Second})
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := errors.Join(h.Err(), h.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		if c.opened != 1 {
			t.Errorf("%d connections were opened, want 1", c.opened)
		}
	})
}
