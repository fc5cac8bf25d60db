package pubsub_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pubsubtest"
)

func TestSubscribeTopic(t *testing.T) {
	t.Run("the first handler subscribes at the broker, the last one to leave unsubscribes", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			for _, s := range []string{"1", "2", "3"} {
				must(t, h.SubscribeTopic(t.Context(), s, "a", new(inbox).handle))
			}
			must(t, h.UnsubscribeTopic(t.Context(), "1", "a"))
			must(t, h.UnsubscribeTopic(t.Context(), "1", "a"))
			must(t, h.UnsubscribeTopic(t.Context(), "2", "a"))
			if s, u := r.Count(pubsubtest.Subscribe), r.Count(pubsubtest.Unsubscribe); s != 1 || u != 0 {
				t.Errorf("got %d subscribes and %d unsubscribes, want 1 and 0", s, u)
			}
			must(t, h.UnsubscribeTopic(t.Context(), "3", "a"))
			if got := r.Unsubscribes(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("unsubscribed %q, want a once", got)
			}
			must(t, h.SubscribeTopic(t.Context(), "4", "a", new(inbox).handle))
			if got := r.Subscribed(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("subscribed %q, want a", got)
			}
		})
	})
	t.Run("two first handlers at once subscribe once", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			release := r.Stall(pubsubtest.Subscribe)
			errs := make(chan error)
			for _, s := range []string{"1", "2"} {
				go func() { errs <- h.SubscribeTopic(t.Context(), s, "a", new(inbox).handle) }()
			}
			synctest.Wait()
			release()
			must(t, errors.Join(<-errs, <-errs))
			if n := r.Count(pubsubtest.Subscribe); n != 1 {
				t.Errorf("got %d subscribes, want 1", n)
			}
		})
	})
	t.Run("a second handler of a session replaces the first", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var first, second inbox
			must(t, h.SubscribeTopic(t.Context(), "s", "a", first.handle))
			must(t, h.SubscribeTopic(t.Context(), "s", "a", second.handle))
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			first.want(t)
			second.want(t, "a=1")
			must(t, h.UnsubscribeTopic(t.Context(), "s", "a"))
			if got := r.Subscribed(); len(got) != 0 {
				t.Errorf("subscribed %q, want nothing", got)
			}
		})
	})
	t.Run("a subscription that the broker refuses is not recorded", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			synctest.Wait()
			r.FailTopic(pubsubtest.Subscribe, "a", 1, errRefused)
			if err := h.SubscribeTopic(t.Context(), "s", "a", box.handle); !errors.Is(err, errRefused) {
				t.Fatalf("got %v, want the broker's error", err)
			}
			if s := h.Stats(); s.Topics != 0 || s.Sessions != 0 || s.Subscriptions != 0 {
				t.Errorf("got %+v, want nothing recorded", s)
			}
			must(t, h.Err())
			// It is unknown whether the broker has recorded it: make it certain.
			synctest.Wait()
			if got := r.Unsubscribes(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("unsubscribed %q, want a", got)
			}
			r.Disconnect()
			time.Sleep(time.Minute)
			must(t, h.Broadcast(t.Context(), "a", nil))
			box.want(t)
			if n := r.Count(pubsubtest.Subscribe); n != 1 {
				t.Errorf("got %d subscribes, want no more than the refused one", n)
			}
		})
	})
	t.Run("when the broker refuses, the handler that was to be replaced stays", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var first, second inbox
			refuseAfterReconnection(t, h, r, "a", first.handle)
			if err := h.SubscribeTopic(t.Context(), "s", "a", second.handle); !errors.Is(err, errRefused) {
				t.Fatalf("got %v, want the broker's error", err)
			}
			r.Heal()
			time.Sleep(time.Second)
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			first.want(t, "a gap", "a=1")
			second.want(t)
		})
	})
	t.Run("a broker that does not confirm in time, or a caller who gives up, is an error", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			release := r.Stall(pubsubtest.Subscribe)
			begin := time.Now()
			err := h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle)
			if d := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || d != 3*time.Second {
				t.Errorf("got %v after %s", err, d)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := h.SubscribeTopic(ctx, "s", "a", new(inbox).handle); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			release()
			must(t, h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle))
		})
	})
	t.Run("one who waits for another's call of the same topic can give up, and other topics go on", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			must(t, h.SubscribeTopic(t.Context(), "s", "b", new(inbox).handle))
			release := r.Stall(pubsubtest.Subscribe)
			first := make(chan error)
			go func() { first <- h.SubscribeTopic(t.Context(), "1", "a", new(inbox).handle) }()
			synctest.Wait()
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := h.SubscribeTopic(ctx, "2", "a", new(inbox).handle); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			must(t, h.UnsubscribeTopic(t.Context(), "s", "b"))
			if d := time.Since(begin); d != time.Second {
				t.Errorf("it took %s", d)
			}
			release()
			must(t, <-first)
		})
	})
	t.Run("without a connection it is recorded, and gets a gap when confirmed", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			r.Fail(pubsubtest.Open, -1, errRefused)
			r.Disconnect()
			synctest.Wait()
			must(t, h.SubscribeTopic(t.Context(), "s", "a", box.handle))
			box.want(t)
			r.Heal()
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			box.want(t, "a gap")
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			box.want(t, "a gap", "a=1")
		})
	})
	t.Run("when the connection is lost meanwhile it stays for the next one", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			release := r.Stall(pubsubtest.Subscribe)
			result := make(chan error)
			go func() { result <- h.SubscribeTopic(t.Context(), "s", "a", box.handle) }()
			synctest.Wait()
			r.Disconnect()
			synctest.Wait()
			release()
			must(t, <-result)
			time.Sleep(time.Minute)
			must(t, h.Err())
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			box.want(t, "a gap", "a=1")
		})
	})
}

func TestUnsubscribeTopic(t *testing.T) {
	t.Run("what waits is not handed over any more, and a handler may end itself", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			calls := 0
			must(t, h.SubscribeTopic(t.Context(), "s", "a", func(ctx context.Context, _ pubsub.Message) error {
				calls++
				time.Sleep(time.Second)
				return h.UnsubscribeTopic(ctx, "s", "a")
			}))
			for range 3 {
				must(t, h.Broadcast(t.Context(), "a", nil))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if calls != 1 || h.Stats().HandlerErrors != 0 || len(r.Subscribed()) != 0 {
				t.Errorf("got %d calls, %+v, %q", calls, h.Stats(), r.Subscribed())
			}
		})
	})
	t.Run("it ends a subscription that is still under way, and the one that it was to replace", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var second inbox
			calls, free := 0, make(chan struct{})
			first := func(context.Context, pubsub.Message) error { calls++; <-free; return nil }
			refuseAfterReconnection(t, h, r, "a", first)
			for range 2 { // one is under way, one waits
				r.Deliver(driver.Message{Topic: "a"})
			}
			synctest.Wait()
			release := r.Stall(pubsubtest.Subscribe)
			result := make(chan error)
			go func() { result <- h.SubscribeTopic(t.Context(), "s", "a", second.handle) }()
			synctest.Wait()
			go func() { result <- h.UnsubscribeTopic(t.Context(), "s", "a") }()
			synctest.Wait()
			close(free)
			release()
			_, _ = <-result, <-result // whichever comes first
			r.Heal()
			time.Sleep(time.Minute)
			must(t, h.Broadcast(t.Context(), "a", nil))
			second.want(t)
			if n := h.Stats().Subscriptions; calls != 1 || n != 0 {
				t.Errorf("got %d calls of the first, %d subscriptions, want 1 and 0", calls, n)
			}
		})
	})
	t.Run("what the broker does not unsubscribe is tried again, without being degraded", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			must(t, h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle))
			r.Fail(pubsubtest.Unsubscribe, 3, errRefused)
			if err := h.UnsubscribeTopic(t.Context(), "s", "a"); !errors.Is(err, errRefused) {
				t.Errorf("got %v", err)
			}
			time.Sleep(2500 * time.Millisecond)
			must(t, h.Err())
			time.Sleep(time.Second)
			if got := r.Subscribed(); len(got) != 0 {
				t.Errorf("still subscribed: %q", got)
			}
		})
	})
	t.Run("a caller who has gone does not keep it from cleaning up", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			must(t, h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			must(t, h.UnsubscribeTopic(ctx, "s", "a"))
			if got := r.Subscribed(); len(got) != 0 {
				t.Errorf("still subscribed: %q", got)
			}
		})
	})
	t.Run("one who leaves late does not end the subscription of one who has come since", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			must(t, h.SubscribeTopic(t.Context(), "2", "a", box.handle))
			refuseAfterReconnection(t, h, r, "a", box.handle)
			r.Heal()
			r.FailTopic(pubsubtest.Subscribe, "a", 1, errRefused)
			release := r.Stall(pubsubtest.Subscribe)
			errs := make(chan error, 4)
			var late inbox
			for _, call := range []func() error{ // they wait for each other in this order
				func() error { return h.SubscribeTopic(t.Context(), "3", "a", box.handle) },
				func() error { return h.UnsubscribeTopic(t.Context(), "s", "a") },
				func() error { return h.SubscribeTopic(t.Context(), "4", "a", late.handle) },
				func() error { return h.UnsubscribeTopic(t.Context(), "2", "a") },
			} {
				go func() { errs <- call() }()
				synctest.Wait()
			}
			release()
			for range 4 {
				if err := <-errs; err != nil && !errors.Is(err, errRefused) {
					t.Error(err)
				}
			}
			must(t, h.Broadcast(t.Context(), "a", []byte("1")))
			synctest.Wait()
			if got := late.all(); !slices.Contains(got, "a=1") {
				t.Errorf("got %q, want a=1 among them", got)
			}
			if n := r.Count(pubsubtest.Unsubscribe); n > 1 {
				t.Errorf("got %d unsubscribes, want 1 at most", n)
			}
		})
	})
}

// refuseAfterReconnection makes a subscription of session s that the broker
// no longer accepts, until Heal.
func refuseAfterReconnection(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder, topic string, handler pubsub.Handler) {
	t.Helper()
	must(t, h.SubscribeTopic(t.Context(), "s", topic, handler))
	r.FailTopic(pubsubtest.Subscribe, topic, -1, errRefused)
	r.Disconnect()
	must(t, r.WaitFor(t.Context(), func() bool { return errors.Is(h.Err(), errRefused) }))
}

func TestUnsubscribeAll(t *testing.T) {
	t.Run("it ends what the session has and no more", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var gone, stays inbox
			for _, topic := range []string{"a", "b", "c"} {
				must(t, h.SubscribeTopic(t.Context(), "1", topic, gone.handle))
			}
			must(t, h.SubscribeTopic(t.Context(), "2", "b", stays.handle))
			must(t, h.UnsubscribeAll(t.Context(), "1"))
			must(t, h.UnsubscribeAll(t.Context(), "nobody"))
			for _, topic := range []string{"a", "b", "c"} {
				must(t, h.Broadcast(t.Context(), topic, nil))
			}
			gone.want(t)
			stays.want(t, "b=")
			if got := r.Subscribed(); !slices.Equal(got, []string{"b"}) {
				t.Errorf("subscribed %q, want b", got)
			}
		})
	})
}
