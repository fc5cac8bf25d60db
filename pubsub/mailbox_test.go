package pubsub_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pubsubtest"
)

func TestHandler(t *testing.T) {
	t.Run("one that fails, panics or ends its goroutine touches nobody else and goes on", func(t *testing.T) {
		for name, wrong := range map[string]func() error{
			"fails":  func() error { return errRefused },
			"panics": func() error { panic("wrong") },
			"exits":  func() error { runtime.Goexit(); return nil },
		} {
			t.Run(name, func(t *testing.T) {
				withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
					var other, same inbox
					calls := 0
					must(t, h.SubscribeTopic(t.Context(), "1", "a", func(context.Context, pubsub.Message) error { calls++; return wrong() }))
					must(t, h.SubscribeTopic(t.Context(), "1", "b", same.handle))
					must(t, h.SubscribeTopic(t.Context(), "2", "a", other.handle))
					for _, topic := range []string{"a", "a", "b"} {
						must(t, h.Broadcast(t.Context(), topic, nil))
					}
					other.want(t, "a=", "a=")
					same.want(t, "b=")
					if got := h.Stats().HandlerErrors; calls != 2 || got != 2 {
						t.Errorf("got %d calls and %d errors, want 2 and 2", calls, got)
					}
					must(t, h.Err())
				})
			})
		}
	})
	t.Run("a slow one delays its own session only, and is told when its time is over", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var same, other inbox
			must(t, h.SubscribeTopic(t.Context(), "1", "slow", func(ctx context.Context, _ pubsub.Message) error {
				<-ctx.Done()
				return ctx.Err()
			}))
			must(t, h.SubscribeTopic(t.Context(), "1", "a", same.handle))
			must(t, h.SubscribeTopic(t.Context(), "2", "a", other.handle))
			must(t, h.Broadcast(t.Context(), "slow", nil))
			must(t, h.Broadcast(t.Context(), "a", nil))
			other.want(t, "a=")
			same.want(t)
			time.Sleep(10 * time.Second)
			same.want(t, "a=")
		})
	})
	t.Run("messages of a session come in order and one at a time", func(t *testing.T) {
		withHub(t, &pubsub.Options{Queue: 1000}, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var mu sync.Mutex
			var got []string
			handle := func(_ context.Context, m pubsub.Message) error {
				if !mu.TryLock() {
					t.Error("two calls at once")
					return nil
				}
				defer mu.Unlock()
				got = append(got, m.Topic+string(m.Payload))
				time.Sleep(time.Millisecond)
				return nil
			}
			var want []string
			for _, topic := range []string{"a", "b"} {
				must(t, h.SubscribeTopic(t.Context(), "s", topic, handle))
			}
			for i := range 300 {
				topic := string(rune('a' + i%2))
				must(t, h.Broadcast(t.Context(), topic, fmt.Append(nil, i)))
				want = append(want, fmt.Sprint(topic, i))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		})
	})
	t.Run("a session that comes back while its old handler runs waits for it", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var running sync.Mutex
			handle := func(context.Context, pubsub.Message) error {
				if !running.TryLock() {
					t.Error("two calls at once")
					return nil
				}
				time.Sleep(time.Second)
				running.Unlock()
				return nil
			}
			for range 3 {
				must(t, h.SubscribeTopic(t.Context(), "s", "a", handle))
				must(t, h.Broadcast(t.Context(), "a", nil))
				synctest.Wait()
				must(t, h.UnsubscribeAll(t.Context(), "s"))
			}
			time.Sleep(time.Minute)
			if n := h.Stats().Sessions; n != 0 {
				t.Errorf("%d sessions left", n)
			}
		})
	})
}

func TestOverflow(t *testing.T) {
	t.Run("a full queue is dropped for one gap for each topic", func(t *testing.T) {
		withHub(t, &pubsub.Options{Queue: 4}, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var box, other inbox
			release := make(chan struct{})
			must(t, h.SubscribeTopic(t.Context(), "1", "stop", func(context.Context, pubsub.Message) error { <-release; return nil }))
			for _, topic := range []string{"a", "b", "c"} {
				must(t, h.SubscribeTopic(t.Context(), "1", topic, box.handle))
				must(t, h.SubscribeTopic(t.Context(), "2", topic, other.handle))
			}
			must(t, h.Broadcast(t.Context(), "stop", nil))
			for _, m := range []string{"a1", "a2", "b3", "a4", "c5"} {
				must(t, h.Broadcast(t.Context(), m[:1], []byte(m[1:])))
				synctest.Wait()
			}
			close(release)
			box.want(t, "a gap", "b gap", "c=5")
			other.want(t, "a=1", "a=2", "b=3", "a=4", "c=5")
			if s := h.Stats(); s.Overflows != 1 || s.Gaps != 2 {
				t.Errorf("got %+v, want 1 overflow and 2 gaps", s)
			}
		})
	})
	t.Run("a session with more topics than places hears of all of them", func(t *testing.T) {
		withHub(t, &pubsub.Options{Queue: 2}, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			var box inbox
			release := make(chan struct{})
			must(t, h.SubscribeTopic(t.Context(), "s", "stop", func(context.Context, pubsub.Message) error { <-release; return nil }))
			topics := strings.Split("abcdefghij", "")
			for _, topic := range topics {
				must(t, h.SubscribeTopic(t.Context(), "s", topic, box.handle))
			}
			must(t, h.Broadcast(t.Context(), "stop", nil))
			for range 100 {
				for _, topic := range topics {
					must(t, h.Broadcast(t.Context(), topic, []byte("1")))
				}
				synctest.Wait()
			}
			close(release)
			synctest.Wait()
			for _, topic := range topics {
				if !slices.Contains(box.all(), topic+" gap") {
					t.Errorf("no gap for %s", topic)
				}
			}
			if n := len(box.all()); n > 2*len(topics) {
				t.Errorf("got %d messages, the queue is not bounded", n)
			}
		})
	})
}

func TestGap(t *testing.T) {
	t.Run("a gap of the broker reaches the handlers of its topic, without a topic all handlers", func(t *testing.T) {
		withHub(t, &pubsub.Options{Prefix: "x:"}, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var a, b inbox
			must(t, h.SubscribeTopic(t.Context(), "1", "a", a.handle))
			must(t, h.SubscribeTopic(t.Context(), "2", "b", b.handle))
			r.Deliver(driver.Message{Topic: "x:a", Gap: true})
			a.want(t, "a gap")
			b.want(t)
			r.Deliver(driver.Message{Gap: true})
			a.want(t, "a gap", "a gap")
			b.want(t, "b gap")
		})
	})
	t.Run("what is on no topic of ours reaches nobody", func(t *testing.T) {
		withHub(t, &pubsub.Options{Prefix: "x:"}, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var a inbox
			must(t, h.SubscribeTopic(t.Context(), "1", "a", a.handle))
			r.Deliver(driver.Message{Topic: "a"})
			r.Deliver(driver.Message{Topic: "y:a"})
			r.Deliver(driver.Message{Topic: "x:b"})
			a.want(t)
		})
	})
}
