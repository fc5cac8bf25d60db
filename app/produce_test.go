package app_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A crowd is replicas of which each may go.
type crowd struct {
	all  []*app.App
	gone []atomic.Bool
}

// pick returns a replica that is there, the nth or a later one.
func (c *crowd) pick(n int) *app.App {
	for ; ; n++ {
		if i := n % len(c.all); !c.gone[i].Load() {
			return c.all[i]
		}
	}
}

// kill ends a replica at once: what it has under way is not waited for.
func (c *crowd) kill(i int) {
	c.gone[i].Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.all[i].Stop(ctx, 0) // ctx's error
}

// follow reads the log from a place until it has a number of entries.
func (c *crowd) follow(t *testing.T, n int, at app.Place, has []string, most int) []string {
	for len(has) < most {
		p, err := c.pick(n).Entries(t.Context(), "log:x", at, 64, 20*time.Second)
		switch {
		case err != nil:
			n++ // its replica has gone
		case p.Gap:
			t.Errorf("reader %d: a gap behind %+v", n, at)
			return has
		default:
			has, at = append(has, textsOf(t, p)...), p.Next()
		}
	}
	return has
}

// TestAllReadersOfAProducerEndWithTheSame: 200 entries a second, by a producer that is killed and
// started again twice; one of three replicas is killed, too. Of twelve readers two begin anew,
// one is away for 20 s, and one comes late.
func TestAllReadersOfAProducerEndWithTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const entries, lives = 6000, 3
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		c := &crowd{gone: make([]atomic.Bool, 3)}
		for i := range c.gone {
			c.all = append(c.all, start(t, bus, store, fmt.Sprint(i)))
		}
		var readers sync.WaitGroup
		got := make([][]string, 12)
		for i := range got {
			readers.Go(func() {
				switch i {
				case 0, 1: // begins anew
					c.follow(t, i, app.Place{}, nil, entries/2)
					got[i] = c.follow(t, i, app.Place{}, nil, entries)
				case 2:
					first := c.follow(t, i, app.Place{}, nil, entries/4)
					time.Sleep(20 * time.Second)
					got[i] = c.follow(t, i, app.Place{N: uint64(len(first))}, first, entries)
				case 3:
					time.Sleep(25 * time.Second)
					fallthrough
				default:
					got[i] = c.follow(t, i, app.Place{}, nil, entries)
				}
			})
		}
		client := state.ProducerClient([]byte("0123456789abcdef"), "model")
		for life := range lives {
			produce(t, c, client, life, entries*(life+1)/lives)
			if life == 1 {
				c.kill(1)
			}
		}
		readers.Wait()
		for i, texts := range got {
			if !slices.Equal(texts, got[11]) || len(texts) != entries {
				t.Errorf("reader %d has %d entries, and the last one has %d", i, len(texts), len(got[11]))
			}
		}
		for n, text := range got[11] {
			if text != fmt.Sprintf("%d token %d", n+1, n) {
				t.Fatalf("entry %d is %q", n+1, text)
			}
		}
	})
}

// produce is a life of the producer: it goes on from where the last one was killed, to a number of
// entries; then it is killed, or is done.
func produce(t *testing.T, c *crowd, client state.Client, life, to int) {
	p, err := c.pick(life).Producer("log:x", client, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := p.Resume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for ; n < uint64(to); n++ {
		if err := p.Send(t.Context(), "say", state.Fields{"text": {fmt.Sprint("token ", n)}}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if cancel(); life == 2 {
		ctx = t.Context()
	}
	_ = p.Close(ctx) // killed, or done
}
