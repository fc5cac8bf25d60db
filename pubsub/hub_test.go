package pubsub_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

var errRefused = errors.New("the broker refuses")

// withHub runs f in a bubble with a started hub over a Recorder. The bubble
// fails when a goroutine is left after Stop.
func withHub(t *testing.T, opts *pubsub.Options, f func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := pubsubtest.NewRecorder(nil)
		h := pubsub.NewHub(r, opts)
		must(t, h.Start(t.Context()))
		f(t, h, r)
		must(t, h.Stop(context.WithoutCancel(t.Context())))
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inbox is a handler that keeps what it gets.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (b *inbox) handle(_ context.Context, m pubsub.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := m.Topic + "=" + string(m.Payload)
	if m.Gap {
		s = m.Topic + " gap"
	}
	b.got = append(b.got, s)
	return nil
}

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// want waits until everything has come to rest and compares.
func (b *inbox) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := b.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHub(t *testing.T) {
	t.Run("a broadcast reaches every subscriber on every replica, the own one included", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := mempubsub.NewBus()
			var boxes [3]inbox
			for i := range boxes {
				h := pubsub.NewHub(bus, nil)
				must(t, h.Start(t.Context()))
				defer h.Stop(context.WithoutCancel(t.Context()))
				must(t, h.SubscribeTopic(t.Context(), "s", "a", boxes[i].handle))
				if i == 2 {
					must(t, h.Broadcast(t.Context(), "a", []byte("1")))
				}
			}
			for i := range boxes {
				boxes[i].want(t, "a=1")
			}
		})
	})
	t.Run("the own replica hears its broadcasts through the broker only", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			must(t, h.SubscribeTopic(t.Context(), "s", "a", box.handle))
			r.Deafen()
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			box.want(t)
		})
	})
	t.Run("the prefix is at the broker only, and keeps applications apart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := pubsubtest.NewRecorder(nil)
			var boxes [2]inbox
			var hubs [2]*pubsub.Hub
			for i, prefix := range []string{"x:", "y:"} {
				hubs[i] = pubsub.NewHub(r, &pubsub.Options{Prefix: prefix})
				must(t, hubs[i].Start(t.Context()))
				defer hubs[i].Stop(context.WithoutCancel(t.Context()))
				must(t, hubs[i].SubscribeTopic(t.Context(), "s", "a", boxes[i].handle))
			}
			must(t, hubs[0].Broadcast(t.Context(), "a", []byte("1")))
			boxes[0].want(t, "a=1")
			boxes[1].want(t)
			if got, want := r.Subscribes(), []string{"x:a", "y:a"}; !slices.Equal(got, want) {
				t.Errorf("subscribed %q, want %q", got, want)
			}
		})
	})
	t.Run("a topic that drivers cannot carry is refused before the broker sees it", func(t *testing.T) {
		withHub(t, &pubsub.Options{Prefix: "12345"}, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			for _, topic := range []string{"", "a\x00b", "a\xff", strings.Repeat("x", driver.MaxTopic-4)} {
				if err := h.Broadcast(t.Context(), topic, nil); !errors.Is(err, pubsub.ErrBadTopic) {
					t.Errorf("Broadcast on %.10q: got %v", topic, err)
				}
				if err := h.SubscribeTopic(t.Context(), "s", topic, new(inbox).handle); !errors.Is(err, pubsub.ErrBadTopic) {
					t.Errorf("SubscribeTopic %.10q: got %v", topic, err)
				}
			}
			must(t, h.SubscribeTopic(t.Context(), "s", strings.Repeat("x", driver.MaxTopic-5), new(inbox).handle))
		})
	})
	t.Run("a prefix that drivers cannot carry fails Start", func(t *testing.T) {
		h := pubsub.NewHub(mempubsub.NewBus(), &pubsub.Options{Prefix: strings.Repeat("x", driver.MaxTopic)})
		if err := h.Start(t.Context()); !errors.Is(err, pubsub.ErrBadTopic) {
			t.Errorf("got %v, want ErrBadTopic", err)
		}
	})
	t.Run("stats count what has happened", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var box inbox
			for _, s := range []string{"1", "2"} {
				must(t, h.SubscribeTopic(t.Context(), s, "a", box.handle))
			}
			must(t, h.SubscribeTopic(t.Context(), "1", "b", func(context.Context, pubsub.Message) error { return errRefused }))
			must(t, h.Broadcast(t.Context(), "a", nil))
			must(t, h.Broadcast(t.Context(), "b", nil))
			synctest.Wait()
			want := pubsub.Stats{Published: 2, Received: 2, HandlerErrors: 1, Topics: 2, Sessions: 2, Subscriptions: 3}
			if got := h.Stats(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got := h.Times(); got.Publishing.Count != 2 || got.Handling.Count != 3 {
				t.Errorf("got %d times of publishing and %d of handlers, want 2 and 3", got.Publishing.Count, got.Handling.Count)
			}
		})
	})
}

func TestStart(t *testing.T) {
	t.Run("a broker that refuses, does not confirm or does not deliver fails it, and leaves nothing behind", func(t *testing.T) {
		for name, fault := range map[string]func(*pubsubtest.Recorder){
			"open":      func(r *pubsubtest.Recorder) { r.Fail(pubsubtest.Open, 1, errRefused) },
			"subscribe": func(r *pubsubtest.Recorder) { r.Fail(pubsubtest.Subscribe, 1, errRefused) },
			"publish":   func(r *pubsubtest.Recorder) { r.Fail(pubsubtest.Publish, 1, errRefused) },
			"stalled":   func(r *pubsubtest.Recorder) { r.Stall(pubsubtest.Subscribe) },
			"no answer": func(r *pubsubtest.Recorder) { r.Stall(pubsubtest.Open) },
			"deaf":      func(r *pubsubtest.Recorder) { r.SetDeaf(true) },
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := pubsubtest.NewRecorder(nil)
					fault(r)
					h := pubsub.NewHub(r, nil)
					begin := time.Now()
					err := h.Start(t.Context())
					if err == nil || !strings.HasPrefix(err.Error(), "pubsub: connect to mem: ") {
						t.Errorf("got error %v", err)
					}
					if d := time.Since(begin); d > 3*time.Second {
						t.Errorf("it took %s", d)
					}
					if n := r.Connected(); n != 0 {
						t.Errorf("%d connections left", n)
					}
					if err := h.Start(t.Context()); !errors.Is(err, pubsub.ErrStopped) {
						t.Errorf("again: got %v, want ErrStopped", err)
					}
				})
			})
		}
	})
	t.Run("a started hub is healthy at once and tells so", func(t *testing.T) {
		var told []error
		opts := &pubsub.Options{OnStatus: func(err error) { told = append(told, err) }}
		withHub(t, opts, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			must(t, h.Err())
			must(t, h.Broadcast(t.Context(), "a", nil))
			time.Sleep(time.Minute)
			synctest.Wait()
			if len(told) != 1 || told[0] != nil {
				t.Errorf("told %v, want nil once", told)
			}
			if err := h.Start(t.Context()); err == nil {
				t.Error("a second Start succeeded")
			}
			must(t, h.Err())
		})
	})
	t.Run("the end of its context ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := pubsubtest.NewRecorder(nil)
			r.Stall(pubsubtest.Open)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			h := pubsub.NewHub(r, nil)
			if err := h.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("Stop ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := pubsubtest.NewRecorder(nil)
			r.Stall(pubsubtest.Open)
			h := pubsub.NewHub(r, nil)
			result := make(chan error)
			go func() { result <- h.Start(t.Context()) }()
			synctest.Wait()
			begin := time.Now()
			must(t, h.Stop(t.Context()))
			if err := <-result; err == nil || time.Since(begin) > 0 {
				t.Errorf("got %v after %s", err, time.Since(begin))
			}
		})
	})
}

func TestStop(t *testing.T) {
	t.Run("every method but unsubscribing says ErrStopped before Start and after Stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := pubsub.NewHub(mempubsub.NewBus(), nil)
			check := func() {
				t.Helper()
				for name, err := range map[string]error{
					"Err":            h.Err(),
					"Broadcast":      h.Broadcast(t.Context(), "a", nil),
					"SubscribeTopic": h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle),
				} {
					if !errors.Is(err, pubsub.ErrStopped) {
						t.Errorf("%s: got %v", name, err)
					}
				}
				must(t, h.UnsubscribeTopic(t.Context(), "s", "a"))
				must(t, h.UnsubscribeAll(t.Context(), "s"))
			}
			check()
			must(t, h.Start(t.Context()))
			must(t, h.Stop(t.Context()))
			must(t, h.Stop(t.Context()))
			check()
		})
	})
	t.Run("it closes the connection and drops what waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := pubsubtest.NewRecorder(nil)
			h := pubsub.NewHub(r, nil)
			must(t, h.Start(t.Context()))
			calls := 0
			must(t, h.SubscribeTopic(t.Context(), "s", "a", func(ctx context.Context, _ pubsub.Message) error {
				calls++
				<-ctx.Done()
				return ctx.Err()
			}))
			for range 5 {
				must(t, h.Broadcast(t.Context(), "a", nil))
			}
			synctest.Wait()
			must(t, h.Stop(t.Context()))
			synctest.Wait()
			if calls != 1 || r.Connected() != 0 {
				t.Errorf("got %d calls and %d connections, want 1 and 0", calls, r.Connected())
			}
		})
	})
	t.Run("a Close that hangs, or a handler that does not return, holds it up only as long as its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := pubsubtest.NewRecorder(nil)
			release := r.Stall(pubsubtest.Close)
			h := pubsub.NewHub(r, nil)
			must(t, h.Start(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := h.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			release()
			must(t, h.Stop(t.Context()))
		})
	})
	t.Run("it ends a hub that can't reach its broker", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			r.Stall(pubsubtest.Open)
			r.Disconnect()
			time.Sleep(time.Minute)
		})
	})
}
