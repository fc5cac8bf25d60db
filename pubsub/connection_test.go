package pubsub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

func TestReconnection(t *testing.T) {
	t.Run("every topic is subscribed again and every handler gets a gap", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			const n = 50
			boxes := make([]inbox, n)
			var topics []string
			for i := range boxes {
				topics = append(topics, fmt.Sprintf("t%02d", i))
				must(t, h.SubscribeTopic(t.Context(), "s", topics[i], boxes[i].handle))
			}
			r.Disconnect()
			synctest.Wait()
			if err := h.Err(); !errors.Is(err, pubsub.ErrNotConnected) || !errors.Is(err, pubsubtest.ErrDisconnected) {
				t.Errorf("got %v", err)
			}
			if err := h.Broadcast(t.Context(), "t00", nil); !errors.Is(err, pubsub.ErrNotConnected) {
				t.Errorf("Broadcast: got %v", err)
			}
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			for i := range boxes {
				must(t, h.Broadcast(t.Context(), topics[i], []byte("1")))
				boxes[i].want(t, topics[i]+" gap", topics[i]+"=1")
			}
			if got := r.Subscribed(); !slices.Equal(got, topics) {
				t.Errorf("subscribed %q", got)
			}
			if got := h.Stats().Reconnects; got != 1 {
				t.Errorf("got %d reconnects", got)
			}
		})
	})
	t.Run("a topic that the broker refuses takes no other down and is tried again", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var a, b inbox
			must(t, h.SubscribeTopic(t.Context(), "s", "a", a.handle))
			must(t, h.SubscribeTopic(t.Context(), "s", "b", b.handle))
			r.FailTopic(pubsubtest.Subscribe, "a", -1, errRefused)
			r.Disconnect()
			time.Sleep(10 * time.Second)
			must(t, h.Broadcast(t.Context(), "b", []byte("1")))
			b.want(t, "b gap", "b=1")
			a.want(t)
			if err := h.Err(); !errors.Is(err, errRefused) || errors.Is(err, pubsub.ErrNotConnected) {
				t.Errorf("got %v, want why the topic is refused", err)
			}
			if err := h.SubscribeTopic(t.Context(), "2", "a", a.handle); !errors.Is(err, errRefused) {
				t.Errorf("another handler: got %v", err)
			}
			r.Heal()
			time.Sleep(time.Second)
			synctest.Wait()
			must(t, h.Err())
			a.want(t, "a gap")
			if got := h.Stats().Subscriptions; got != 2 {
				t.Errorf("got %d subscriptions, want 2", got)
			}
		})
	})
	t.Run("it backs off, with one dial at a time, and never gives up", func(t *testing.T) {
		var statuses []error
		opts := &pubsub.Options{OnStatus: func(err error) { statuses = append(statuses, err) }}
		withHub(t, opts, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			synctest.Wait()
			r.Fail(pubsubtest.Open, -1, errRefused)
			r.Disconnect()
			time.Sleep(time.Hour)
			// Pauses between 0 and 5 s: 2.5 s on average.
			if n := r.Count(pubsubtest.Open); n < 1200 || n > 1800 {
				t.Errorf("got %d attempts in an hour, want about 1440", n)
			}
			r.Heal()
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			synctest.Wait()
			if len(statuses) != 4 || statuses[0] != nil || !errors.Is(statuses[1], pubsubtest.ErrDisconnected) ||
				!errors.Is(statuses[2], errRefused) || statuses[3] != nil {
				t.Errorf("got statuses %v, want healthy, disconnected, refused, healthy", statuses)
			}
		})
	})
	t.Run("a broken connection is found at once, and the first pause is short", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			begin := time.Now()
			r.Disconnect()
			synctest.Wait()
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			if d := time.Since(begin); d > 51*time.Millisecond {
				t.Errorf("it took %s", d)
			}
		})
	})
	t.Run("connections that never live long are not made in a rush", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			for begin := time.Now(); time.Since(begin) < time.Minute; {
				r.Disconnect()
				synctest.Wait()
				must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			}
			if n := r.Count(pubsubtest.Open); n > 60 {
				t.Errorf("got %d connections in a minute", n)
			}
		})
	})
	t.Run("a Close that hangs does not keep it from a new connection", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			release := r.Stall(pubsubtest.Close)
			r.Disconnect()
			time.Sleep(10 * time.Second)
			must(t, h.Err())
			release()
		})
	})
}

func TestHeartbeat(t *testing.T) {
	t.Run("its time through the broker is measured", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var trips []time.Duration
			d := slow{mempubsub.NewBus(), 1700 * time.Millisecond}
			h := pubsub.NewHub(d, &pubsub.Options{OnRoundTrip: func(d time.Duration) { trips = append(trips, d) }})
			must(t, h.Start(t.Context()))
			time.Sleep(time.Minute)
			must(t, h.Err())
			must(t, h.Stop(t.Context()))
			synctest.Wait()
			// A way that takes longer than the interval counts too.
			if got := h.Times().RoundTrips; got.Count != uint64(len(trips)) || got.Sum != d.delay*time.Duration(len(trips)) {
				t.Errorf("got %d round trips of %s in all, want %d", got.Count, got.Sum, len(trips))
			}
			if n := len(trips); n < 55 || trips[n-1] != d.delay || h.Stats().RoundTrip != d.delay || h.Stats().Reconnects > 0 {
				t.Errorf("got %d round trips, the last %v; %+v", n, trips[n-1:], h.Stats())
			}
		})
	})
	t.Run("a connection that delivers nothing is replaced within the timeout", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			var box inbox
			must(t, h.SubscribeTopic(t.Context(), "s", "a", box.handle))
			time.Sleep(1500 * time.Millisecond)
			r.Deafen()
			begin := time.Now()
			must(t, h.Err())
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() != nil }))
			if d := time.Since(begin); d > 3*time.Second+time.Millisecond {
				t.Errorf("found after %s", d)
			}
			if err := h.Err(); !strings.Contains(err.Error(), "does not deliver") {
				t.Errorf("got %v", err)
			}
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
			box.want(t, "a gap")
		})
	})
	t.Run("while the broker stays deaf the hub stays degraded", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			r.SetDeaf(true)
			time.Sleep(4 * time.Second)
			for range 100 {
				time.Sleep(100 * time.Millisecond)
				if err := h.Err(); !errors.Is(err, pubsub.ErrNotConnected) {
					t.Fatalf("got %v", err)
				}
			}
			r.SetDeaf(false)
			time.Sleep(10 * time.Second)
			must(t, h.Err())
		})
	})
	t.Run("a broker that takes nothing is found as fast", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			release := r.Stall(pubsubtest.Publish)
			begin := time.Now()
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() != nil }))
			if d := time.Since(begin); d > 3*time.Second+time.Millisecond {
				t.Errorf("found after %s", d)
			}
			release()
			must(t, r.WaitFor(t.Context(), func() bool { return h.Err() == nil }))
		})
	})
	t.Run("it goes on while the subscriptions of a reconnection stall", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			must(t, h.SubscribeTopic(t.Context(), "s", "a", new(inbox).handle))
			r.Disconnect()
			must(t, r.WaitFor(t.Context(), func() bool { return r.Connected() == 1 }))
			release := r.Stall(pubsubtest.Subscribe)
			defer release()
			r.Deafen()
			time.Sleep(3100 * time.Millisecond)
			if n := r.Count(pubsubtest.Open); n < 3 {
				t.Errorf("got %d connections: the deaf one was not noticed", n)
			}
		})
	})
	t.Run("an interval beyond the timeout is no reason to reconnect", func(t *testing.T) {
		withHub(t, &pubsub.Options{HeartbeatInterval: time.Minute}, func(t *testing.T, h *pubsub.Hub, _ *pubsubtest.Recorder) {
			time.Sleep(time.Hour)
			if n := h.Stats().Reconnects; n > 0 {
				t.Errorf("got %d reconnects", n)
			}
		})
	})
	t.Run("what is not a heartbeat of ours proves nothing", func(t *testing.T) {
		withHub(t, nil, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
			self := r.Calls()[1].Topic
			r.Stall(pubsubtest.Publish) // no heartbeat comes back
			for range 40 {
				for _, payload := range []string{"", "x", "1", "99999"} {
					r.Deliver(driver.Message{Topic: self, Payload: []byte(payload)})
				}
				time.Sleep(100 * time.Millisecond)
			}
			if h.Err() == nil {
				t.Error("healthy")
			}
			r.Heal()
		})
	})
}

// TestAHubThatConnectsLater starts without a broker, and has what it needs of it when it is there.
func TestAHubThatConnectsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		place := &address{to: nobody{}}
		var said []string
		h := pubsub.NewHub(place, &pubsub.Options{ConnectLater: true, OnStatus: func(err error) {
			if err == nil {
				said = append(said, "healthy")
			} else {
				said = append(said, err.Error())
			}
		}})
		must(t, h.Start(t.Context()))
		defer stopHub(t, h)
		if err := h.Err(); !errors.Is(err, pubsub.ErrNotConnected) {
			t.Errorf("got %v, want that there is no connection", err)
		}
		var got inbox
		must(t, h.SubscribeTopic(t.Context(), "s", "x", got.handle))
		if err := h.Broadcast(t.Context(), "x", nil); !errors.Is(err, pubsub.ErrNotConnected) {
			t.Errorf("got %v of a broadcast", err)
		}
		time.Sleep(time.Second)
		place.lead(bus)
		time.Sleep(6 * time.Second)
		must(t, h.Err())
		must(t, h.Broadcast(t.Context(), "x", []byte("here")))
		synctest.Wait()
		if want := []string{"x gap", "x=here"}; !slices.Equal(got.all(), want) {
			t.Errorf("got %q, want %q", got.all(), want)
		}
		if want := []string{"pubsub: not connected to the broker: refused", "healthy"}; !slices.Equal(said, want) {
			t.Errorf("it has said %q, want %q", said, want)
		}
		if n := h.Stats().Reconnects; n != 0 {
			t.Errorf("got %d reconnections: the first connection is none", n)
		}
	})
}

// TestAHubThatConnectsLaterStops although there has never been a broker.
func TestAHubThatConnectsLaterStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := pubsub.NewHub(nobody{}, &pubsub.Options{ConnectLater: true})
		must(t, h.Start(t.Context()))
		time.Sleep(time.Minute)
		stopHub(t, h)
	})
}
