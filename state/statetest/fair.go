package statetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/state"
)

// BenchmarkShares measures how long an address waits for its clicks, alone and
// while another address has clicks waiting for each of 900 topics all the time, as
// a batcher has them take turns at the store. It reports the medians, and how
// many times the one is the other.
func BenchmarkShares(b *testing.B, s state.Store) {
	alone, flooded, rate := waits(b, s, max(200, b.N))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(alone.Seconds()*1000, "ms-alone")
	b.ReportMetric(flooded.Seconds()*1000, "ms-flooded")
	b.ReportMetric(float64(flooded)/float64(alone), "times")
	b.ReportMetric(rate, "steps/s")
}

// waits returns the medians of how long n clicks of an address take, alone and
// while another floods the store, and how many steps a second are done then.
func waits(t testing.TB, s state.Store, n int) (alone, flooded time.Duration, rate float64) {
	t.Helper()
	r := (&env{TB: t, ctx: t.Context()}).replica()
	batcher := state.NewBatcher(s, nil, r.kind)
	defer func() {
		if err := batcher.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	mine := &clicks{batcher: batcher, from: sender("mine"), topic: "n:" + freshTopic(), client: freshClient()}
	alone = mine.median(t, n)
	stop := flood(batcher, 900)
	before, began := batcher.Stats(), time.Now()
	flooded = mine.median(t, n)
	rate = float64(batcher.Stats().Commits-before.Commits) / time.Since(began).Seconds()
	stop()
	return alone, flooded, rate
}

// A sender is an address by its name.
type sender string

// Share implements state.Sender.
func (s sender) Share() any { return s }

// NewTopic implements state.Sender.
func (sender) NewTopic() bool { return true }

// TakeLane implements state.Sender.
func (sender) TakeLane() bool { return true }

// OweLanes implements state.Sender.
func (sender) OweLanes(int) {}

// ReturnLane implements state.Sender.
func (sender) ReturnLane() {}

// clicks are those of one client on one topic.
type clicks struct {
	batcher *state.Batcher
	from    sender
	topic   string
	client  state.Client
	seq     uint64
}

func (c *clicks) next() state.Op {
	c.seq++
	return state.Op{Client: c.client, Seq: c.seq, From: c.seq, Do: "add"}
}

// median clicks n times, and returns how long one click took.
func (c *clicks) median(t testing.TB, n int) time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		if a, err := c.batcher.Apply(t.Context(), c.from, c.topic, c.next()); err != nil || a.Verdict != state.Ack {
			t.Fatalf("got %v %s, %v, %v", a.Verdict, a.Reason, a.Err, err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[n/2]
}

// flood keeps two clicks waiting for each of n topics until it is stopped.
func flood(batcher *state.Batcher, n int) (stop func()) {
	ended := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		c := &clicks{batcher: batcher, from: "flood", topic: "n:" + freshTopic(), client: freshClient()}
		all.Go(func() {
			answers := make(chan state.Answer, 2)
			submit := func() { batcher.Submit(c.from, c.topic, c.next(), func(a state.Answer) { answers <- a }) }
			submit()
			submit()
			for waiting := 2; waiting > 0; waiting-- {
				<-answers
				select {
				case <-ended:
				default:
					submit()
					waiting++
				}
			}
		})
	}
	return func() {
		close(ended)
		all.Wait()
	}
}
