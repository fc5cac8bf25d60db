package pubsubtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

func TestFaultyWithoutFaultsConforms(t *testing.T) {
	var r *pubsubtest.Recorder // of the case that runs
	disconnect := func(testing.TB, driver.Driver) { r.Disconnect() }
	drivertest.Run(t, drivertest.Harness{
		Driver: func(testing.TB) driver.Driver {
			r = pubsubtest.NewRecorder(nil)
			return pubsubtest.Faulty(r, pubsubtest.Faults{})
		},
		Break:   disconnect,
		Restart: disconnect,
	})
}

// faulty is one connection of a faulty driver that has "a" subscribed.
type faulty struct {
	*pubsubtest.FaultyDriver
	conn   driver.Conn
	broker *pubsubtest.Recorder // below
}

// withFaulty runs f in a bubble, which fails when a goroutine is left.
func withFaulty(t *testing.T, faults pubsubtest.Faults, f func(t *testing.T, d *faulty)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newFaulty(t)
		d.SetFaults(faults)
		f(t, d)
		must(t, d.conn.Close())
	})
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	r := pubsubtest.NewRecorder(nil)
	d := &faulty{FaultyDriver: pubsubtest.Faulty(r, pubsubtest.Faults{}), broker: r}
	c, err := d.Open(t.Context())
	must(t, err)
	must(t, c.Subscribe(t.Context(), "a"))
	d.conn = c
	return d
}

// publish sends numbers on "a".
func (d *faulty) publish(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		must(t, d.conn.Publish(t.Context(), "a", []byte(strconv.Itoa(i))))
	}
}

// drain returns what is received until nothing more comes.
func drain(t *testing.T, c driver.Conn) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var got []string
	for {
		m, err := c.Receive(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return got
		case err != nil:
			t.Fatal(err)
		case m.Gap:
			got = append(got, "gap")
		default:
			got = append(got, string(m.Payload))
		}
	}
}

// numbers returns 0 to n-1, each as often as times.
func numbers(n, times int) []string {
	var s []string
	for i := range n {
		s = append(s, slices.Repeat([]string{strconv.Itoa(i)}, times)...)
	}
	return s
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b string) int { return number(a) - number(b) })
	return s
}

// number reads a payload of publish.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func TestFaultyDelivery(t *testing.T) {
	const n = 50
	for _, c := range []struct {
		name   string
		faults pubsubtest.Faults
		check  func(got []string, s pubsubtest.FaultStats) bool
	}{
		{"nothing happens without faults", pubsubtest.Faults{}, func(got []string, s pubsubtest.FaultStats) bool {
			return slices.Equal(got, numbers(n, 1)) && s == pubsubtest.FaultStats{Delivered: n}
		}},
		{"all are dropped at 1", pubsubtest.Faults{Drop: 1}, func(got []string, s pubsubtest.FaultStats) bool {
			return len(got) == 0 && s == pubsubtest.FaultStats{Dropped: n}
		}},
		{"some are dropped in between, and the rest is in order", pubsubtest.Faults{Drop: 0.5}, func(got []string, s pubsubtest.FaultStats) bool {
			return s.Dropped > n/4 && s.Dropped < n*3/4 && len(got) == n-int(s.Dropped) && slices.Equal(got, sorted(got))
		}},
		{"all come twice at 1", pubsubtest.Faults{Duplicate: 1}, func(got []string, s pubsubtest.FaultStats) bool {
			return slices.Equal(got, numbers(n, 2)) && s == pubsubtest.FaultStats{Delivered: 2 * n, Duplicated: n}
		}},
		{"some come twice in between", pubsubtest.Faults{Duplicate: 0.5}, func(got []string, s pubsubtest.FaultStats) bool {
			return s.Duplicated > n/4 && s.Duplicated < n*3/4 && len(got) == n+int(s.Duplicated) && slices.Equal(slices.Compact(got), numbers(n, 1))
		}},
		{"some are reordered, and none is lost", pubsubtest.Faults{Reorder: 0.3}, func(got []string, s pubsubtest.FaultStats) bool {
			return s.Reordered > n/10 && !slices.Equal(got, numbers(n, 1)) && slices.Equal(sorted(got), numbers(n, 1))
		}},
		{"all may be reordered", pubsubtest.Faults{Reorder: 1}, func(got []string, s pubsubtest.FaultStats) bool {
			return s.Reordered > 0 && !slices.Equal(got, numbers(n, 1)) && slices.Equal(sorted(got), numbers(n, 1))
		}},
		{"a copy comes late, the first in its turn", pubsubtest.Faults{Duplicate: 1, Reorder: 0.3}, func(got []string, s pubsubtest.FaultStats) bool {
			seen := make(map[string]bool)
			var firsts []string
			for _, p := range got {
				if !seen[p] {
					seen[p] = true
					firsts = append(firsts, p)
				}
			}
			return s.Reordered > 0 && slices.Equal(firsts, numbers(n, 1)) && slices.Equal(sorted(got), numbers(n, 2)) &&
				!slices.Equal(got, numbers(n, 2))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			withFaulty(t, c.faults, func(t *testing.T, d *faulty) {
				d.publish(t, n)
				if got := drain(t, d.conn); !c.check(got, d.Stats()) {
					t.Errorf("got %q, %+v", got, d.Stats())
				}
			})
		})
	}
}

func TestReorder(t *testing.T) {
	t.Run("a message lets at most three pass, and those that let any are counted", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Reorder: 0.2}, func(t *testing.T, d *faulty) {
			d.publish(t, 500)
			got := drain(t, d.conn)
			reordered := uint64(0)
			for i, p := range got {
				passed := 0
				for _, before := range got[:i] {
					if number(before) > number(p) {
						passed++
					}
				}
				if passed > 3 {
					t.Errorf("%d have overtaken %s", passed, p)
				}
				reordered += uint64(min(passed, 1))
			}
			if n := d.Stats().Reordered; n != reordered {
				t.Errorf("got %d reordered, want %d", n, reordered)
			}
		})
	})
	t.Run("a message that nothing overtakes comes within 100 ms, and does not count", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Reorder: 1}, func(t *testing.T, d *faulty) {
			d.publish(t, 1)
			begin := time.Now()
			_, err := d.conn.Receive(t.Context())
			must(t, err)
			if late := time.Since(begin); late <= 0 || late > 100*time.Millisecond {
				t.Errorf("it was late by %v", late)
			}
			if n := d.Stats().Reordered; n != 0 {
				t.Errorf("got %d reordered, want none", n)
			}
		})
	})
	t.Run("a message that waits holds up no other", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Reorder: 1}, func(t *testing.T, d *faulty) {
			received := make(chan driver.Message)
			go func() {
				m, _ := d.conn.Receive(t.Context()) // an error shows as an empty message
				received <- m
			}()
			must(t, d.conn.Publish(t.Context(), "a", []byte("first")))
			synctest.Wait()
			d.SetFaults(pubsubtest.Faults{Delay: time.Nanosecond})
			must(t, d.conn.Publish(t.Context(), "a", []byte("second")))
			if m := <-received; string(m.Payload) != "second" || d.Stats().Reordered != 1 {
				t.Errorf("got %q, %+v; want the second", m.Payload, d.Stats())
			}
			if got := drain(t, d.conn); !slices.Equal(got, []string{"first"}) {
				t.Errorf("got %q, want the first", got)
			}
		})
	})
	t.Run("the messages of other topics do not count", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{}, func(t *testing.T, d *faulty) {
			must(t, d.conn.Subscribe(t.Context(), "b"))
			d.SetFaults(pubsubtest.Faults{Reorder: 1})
			must(t, d.conn.Publish(t.Context(), "a", []byte("1")))
			must(t, d.conn.Publish(t.Context(), "b", []byte("2")))
			if got := drain(t, d.conn); len(got) != 2 || d.Stats().Reordered != 0 {
				t.Errorf("got %q, %+v", got, d.Stats())
			}
		})
	})
}

func TestDelay(t *testing.T) {
	t.Run("each delivery is late, by different times, and in order", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Delay: time.Second, Jitter: time.Second}, func(t *testing.T, d *faulty) {
			times := make(map[time.Duration]bool)
			for i := range 20 {
				begin := time.Now()
				must(t, d.conn.Publish(t.Context(), "a", []byte(strconv.Itoa(i))))
				m, err := d.conn.Receive(t.Context())
				must(t, err)
				late := time.Since(begin)
				if late < time.Second || late > 2*time.Second || string(m.Payload) != strconv.Itoa(i) {
					t.Errorf("got %s after %v, want %d after 1 to 2 s", m.Payload, late, i)
				}
				times[late] = true
			}
			if len(times) < 10 {
				t.Errorf("got %d different times, want jitter", len(times))
			}
			d.publish(t, 20)
			if got := drain(t, d.conn); !slices.Equal(got, numbers(20, 1)) {
				t.Errorf("got %q, want them in order", got)
			}
		})
	})
	t.Run("a Receive whose context ends loses nothing that is held back", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Delay: time.Second}, func(t *testing.T, d *faulty) {
			d.publish(t, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := d.conn.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
			}
			if got := drain(t, d.conn); !slices.Equal(got, numbers(1, 1)) {
				t.Errorf("got %q, want 0", got)
			}
		})
	})
	t.Run("an ended context gets nothing, even of what is ready, and each copy is the receiver's own", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Duplicate: 1}, func(t *testing.T, d *faulty) {
			d.publish(t, 1)
			m, err := d.conn.Receive(t.Context())
			must(t, err)
			m.Payload[0] = 'x'
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := d.conn.Receive(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
			if got := drain(t, d.conn); !slices.Equal(got, numbers(1, 1)) {
				t.Errorf("got %q, want 0", got)
			}
		})
	})
	t.Run("what is held back is not received after Close", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Duplicate: 1}, func(t *testing.T, d *faulty) {
			d.publish(t, 1)
			_, err := d.conn.Receive(t.Context())
			must(t, err)
			must(t, d.conn.Close())
			if m, err := d.conn.Receive(t.Context()); err == nil {
				t.Errorf("got %+v, want an error", m)
			}
		})
	})
}

func TestReject(t *testing.T) {
	t.Run("at 1 nothing reaches the broker", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Reject: 1}, func(t *testing.T, d *faulty) {
			before := len(d.broker.Calls())
			for _, err := range []error{d.conn.Publish(t.Context(), "a", nil), d.conn.Subscribe(t.Context(), "b")} {
				if !errors.Is(err, pubsubtest.ErrRejected) {
					t.Errorf("got %v, want %v", err, pubsubtest.ErrRejected)
				}
			}
			if got := d.Stats().Rejected; got != 2 || len(d.broker.Calls()) != before {
				t.Errorf("got %d rejected and %v", got, d.broker.Calls()[before:])
			}
		})
	})
	t.Run("in between some are rejected, and the others arrive", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Reject: 0.5}, func(t *testing.T, d *faulty) {
			rejected := 0
			for range 50 {
				if d.conn.Publish(t.Context(), "a", nil) != nil {
					rejected++
				}
			}
			if got := len(drain(t, d.conn)); rejected < 10 || rejected > 40 || got != 50-rejected || d.Stats().Rejected != uint64(rejected) {
				t.Errorf("got %d of 50, %d rejected, %+v", got, rejected, d.Stats())
			}
		})
	})
}

func TestSlow(t *testing.T) {
	withFaulty(t, pubsubtest.Faults{Slow: time.Second}, func(t *testing.T, d *faulty) {
		begin := time.Now()
		d.publish(t, 3)
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("three calls took %v, want 3 s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.conn.Publish(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		published := make(chan error)
		go func() { published <- d.conn.Publish(t.Context(), "a", nil) }()
		synctest.Wait()
		must(t, d.conn.Close())
		if err := <-published; !errors.Is(err, driver.ErrClosed) {
			t.Errorf("got %v, want %v", err, driver.ErrClosed)
		}
		if n := d.broker.Count(pubsubtest.Publish); n != 3 {
			t.Errorf("got %d messages at the broker, want 3", n)
		}
	})
}

func TestSpare(t *testing.T) {
	spare := func(topic string) bool { return strings.HasPrefix(topic, "_") }
	withFaulty(t, pubsubtest.Faults{Drop: 1, Reject: 0.5, Spare: spare}, func(t *testing.T, d *faulty) {
		must(t, d.conn.Subscribe(t.Context(), "_"))
		for range 50 {
			_ = d.conn.Publish(t.Context(), "a", []byte("a")) // it may be rejected
			must(t, d.conn.Publish(t.Context(), "_", []byte("_")))
		}
		if got := drain(t, d.conn); len(got) != 50 || slices.Contains(got, "a") || d.Stats().Rejected == 0 {
			t.Errorf("got %q, %+v; want 50 of the spared topic only", got, d.Stats())
		}
	})
}

func TestDeaf(t *testing.T) {
	t.Run("Deafen is about connections that are open, SetDeaf about all", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{}, func(t *testing.T, d *faulty) {
			d.Deafen()
			fresh, err := d.Open(t.Context())
			must(t, err)
			defer fresh.Close()
			must(t, fresh.Subscribe(t.Context(), "a"))
			d.publish(t, 1)
			if old, got := drain(t, d.conn), drain(t, fresh); len(old) != 0 || len(got) != 1 {
				t.Errorf("got %q and %q, want nothing and 0", old, got)
			}
			d.SetDeaf(true)
			d.publish(t, 1)
			if got := drain(t, fresh); len(got) != 0 {
				t.Errorf("got %q, want nothing", got)
			}
			d.SetDeaf(false)
			d.publish(t, 1)
			if old, got := drain(t, d.conn), drain(t, fresh); len(old) != 0 || len(got) != 1 {
				t.Errorf("got %q and %q, want nothing and 0", old, got)
			}
			if got := d.Stats().Dropped; got != 4 {
				t.Errorf("got %d dropped, want 4", got)
			}
		})
	})
	t.Run("a Gap is never lost, not even by the deaf, who get it when they hear again", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Drop: 1}, func(t *testing.T, d *faulty) {
			d.broker.Deliver(driver.Message{Gap: true})
			d.broker.Deliver(driver.Message{Topic: "a", Gap: true})
			if got := drain(t, d.conn); len(got) != 2 {
				t.Errorf("got %q, want two gaps", got)
			}
			d.SetDeaf(true)
			d.broker.Deliver(driver.Message{Gap: true})
			if got := drain(t, d.conn); len(got) != 0 {
				t.Errorf("got %q, want nothing", got)
			}
			d.SetDeaf(false)
			if got := drain(t, d.conn); len(got) != 1 {
				t.Errorf("got %q, want a gap", got)
			}
		})
	})
}

func TestHeal(t *testing.T) {
	faults := pubsubtest.Faults{Reorder: 0.5, Duplicate: 1, Delay: time.Hour, Jitter: time.Hour}
	withFaulty(t, faults, func(t *testing.T, d *faulty) {
		d.publish(t, 10)
		d.broker.Deliver(driver.Message{Gap: true})
		var got []string
		received := make(chan struct{})
		go func() {
			defer close(received)
			got = drain(t, d.conn) // blocks
		}()
		synctest.Wait()
		d.Deafen()
		begin := time.Now()
		d.Heal()
		synctest.Wait()
		if n := d.Stats().Delivered; n != 22 || !time.Now().Equal(begin) {
			t.Errorf("got %d messages after %v, want 22 at once", n, time.Since(begin))
		}
		must(t, d.conn.Publish(t.Context(), "a", []byte("after")))
		<-received
		if len(got) != 23 || got[22] != "after" {
			t.Errorf("got %q, want 10 twice, two gaps and what came after", got)
		}
	})
}

// decisions returns what happens to 100 messages on "a", with others between
// them.
func decisions(t *testing.T, seed uint64, others int) (got []string) {
	t.Helper()
	withFaulty(t, pubsubtest.Faults{}, func(t *testing.T, d *faulty) {
		must(t, d.conn.Subscribe(t.Context(), "b"))
		d.SetFaults(pubsubtest.Faults{Seed: seed, Drop: 0.3, Duplicate: 0.3, Reorder: 0.3, Jitter: time.Minute, Reject: 0.2})
		begin := time.Now()
		for i := range 100 {
			got = append(got, fmt.Sprint(d.conn.Publish(t.Context(), "a", []byte(strconv.Itoa(i)))))
			for range others {
				_ = d.conn.Publish(t.Context(), "b", nil) // it may be rejected
			}
			for {
				ctx, cancel := context.WithDeadline(t.Context(), begin.Add(time.Duration(i+1)*time.Hour))
				m, err := d.conn.Receive(ctx)
				cancel()
				if err != nil {
					break
				}
				if m.Topic == "a" {
					got = append(got, string(m.Payload))
				}
			}
		}
	})
	return got
}

func TestSeed(t *testing.T) {
	first := decisions(t, 7, 0)
	t.Run("equal seeds decide equally on equal messages", func(t *testing.T) {
		if got := decisions(t, 7, 0); !slices.Equal(got, first) {
			t.Errorf("got %q, want %q", got, first)
		}
	})
	t.Run("whatever other topics carry", func(t *testing.T) {
		if got := decisions(t, 7, 3); !slices.Equal(got, first) {
			t.Errorf("got %q, want %q", got, first)
		}
	})
	t.Run("other seeds decide differently", func(t *testing.T) {
		if got := decisions(t, 8, 0); slices.Equal(got, first) {
			t.Errorf("got %q twice", got)
		}
	})
	t.Run("none is seed 1", func(t *testing.T) {
		if got, want := decisions(t, 0, 0), decisions(t, 1, 0); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("another connection has decisions of its own, and SetFaults begins anew", func(t *testing.T) {
		withFaulty(t, pubsubtest.Faults{Drop: 0.5}, func(t *testing.T, d *faulty) {
			second, err := d.Open(t.Context())
			must(t, err)
			defer second.Close()
			must(t, second.Subscribe(t.Context(), "a"))
			d.publish(t, 100)
			once, other := drain(t, d.conn), drain(t, second)
			d.SetFaults(pubsubtest.Faults{Drop: 0.5})
			d.publish(t, 100)
			if again := drain(t, d.conn); slices.Equal(once, other) || !slices.Equal(once, again) {
				t.Errorf("got %q, %q by the other and %q again", once, other, again)
			}
		})
	})
}

func TestFaultyIsSafeForConcurrentUse(t *testing.T) {
	faults := pubsubtest.Faults{Drop: 0.1, Duplicate: 0.1, Reorder: 0.1, Jitter: time.Millisecond, Reject: 0.1, Slow: time.Microsecond}
	withFaulty(t, faults, func(t *testing.T, d *faulty) {
		var users, receiver sync.WaitGroup
		receiver.Go(func() {
			for {
				if _, err := d.conn.Receive(t.Context()); err != nil {
					return
				}
			}
		})
		for _, use := range []func(i int){
			func(int) { _ = d.conn.Publish(t.Context(), "a", nil) },
			func(i int) { _ = d.conn.Subscribe(t.Context(), strconv.Itoa(i)) },
			func(i int) { _ = d.conn.Unsubscribe(t.Context(), strconv.Itoa(i)) },
			func(i int) { d.SetDeaf(i%2 == 0); d.Stats() },
			func(i int) {
				if i%2 == 0 {
					d.Heal()
				} else {
					d.SetFaults(faults)
				}
			},
		} {
			users.Go(func() {
				for i := range 100 {
					use(i)
				}
			})
		}
		users.Wait()
		must(t, d.conn.Close())
		receiver.Wait()
	})
}

// withFaultyHub runs f in a bubble with a hub of the defaults, and what its
// handler of "prices" gets.
func withFaultyHub(t *testing.T, f func(t *testing.T, d *pubsubtest.FaultyDriver, h *pubsub.Hub, got <-chan pubsub.Message)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := pubsubtest.Faulty(mempubsub.NewBus(), pubsubtest.Faults{})
		h := pubsub.NewHub(d, nil)
		must(t, h.Start(t.Context()))
		got := make(chan pubsub.Message, 10)
		must(t, h.SubscribeTopic(t.Context(), "session-7", "prices", func(_ context.Context, m pubsub.Message) error {
			got <- m
			return nil
		}))
		f(t, d, h, got)
		must(t, h.Stop(context.WithoutCancel(t.Context())))
	})
}

// healthy waits until h is, for at most d.
func healthy(t *testing.T, h *pubsub.Hub, d time.Duration) {
	t.Helper()
	for begin := time.Now(); h.Err() != nil; time.Sleep(10 * time.Millisecond) { // virtual
		if time.Since(begin) > d {
			t.Fatalf("the hub is not healthy after %v: %v", d, h.Err())
		}
	}
}

func TestHubOverFaulty(t *testing.T) {
	t.Run("a hub says within 3 s that it is deaf, and is healthy again after Heal", func(t *testing.T) {
		withFaultyHub(t, func(t *testing.T, d *pubsubtest.FaultyDriver, h *pubsub.Hub, got <-chan pubsub.Message) {
			d.SetDeaf(true)
			time.Sleep(3 * time.Second) // virtual
			synctest.Wait()
			if h.Err() == nil {
				t.Error("a deaf hub says that it is healthy")
			}
			time.Sleep(time.Minute) // new connections are deaf too
			if h.Err() == nil {
				t.Error("a hub that stays deaf says that it is healthy")
			}
			d.Heal()
			healthy(t, h, 10*time.Second)
			if m := <-got; !m.Gap || m.Topic != "prices" {
				t.Errorf("got %+v, want a gap", m)
			}
			must(t, h.Broadcast(t.Context(), "prices", []byte("41")))
			if m := <-got; string(m.Payload) != "41" {
				t.Errorf("got %+v, want 41", m)
			}
		})
	})
	t.Run("after Deafen a hub makes a new connection by itself, and handlers get a Gap", func(t *testing.T) {
		withFaultyHub(t, func(t *testing.T, d *pubsubtest.FaultyDriver, h *pubsub.Hub, got <-chan pubsub.Message) {
			d.Deafen()
			must(t, h.Broadcast(t.Context(), "prices", []byte("41"))) // nobody hears it
			if m := <-got; !m.Gap {
				t.Errorf("got %+v, want a gap", m)
			}
			healthy(t, h, time.Second)
			if n := h.Stats().Reconnects; n != 1 {
				t.Errorf("got %d reconnects, want 1", n)
			}
			if n := d.Stats().Dropped; n == 0 {
				t.Error("nothing was dropped")
			}
		})
	})
}

func ExampleFaulty() {
	ctx := context.Background()
	broker := pubsubtest.Faulty(mempubsub.NewBus(), pubsubtest.Faults{Seed: 42, Duplicate: 1})
	hub := pubsub.NewHub(broker, nil)
	if err := hub.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer hub.Stop(ctx)
	got := make(chan string)
	err := hub.SubscribeTopic(ctx, "session-7", "prices", func(_ context.Context, m pubsub.Message) error {
		got <- string(m.Payload)
		return nil
	})
	fmt.Println(err, hub.Broadcast(ctx, "prices", []byte("41")))
	fmt.Println(<-got, <-got)
	fmt.Println(broker.Stats().Duplicated > 0) // demand that it has happened
	// Output:
	// <nil> <nil>
	// 41 41
	// true
}
