package state

import (
	"time"
)

// Stages of a run.
const (
	running int32 = iota
	ended
	givenUp
)

// A shift is what a worker has taken.
type shift struct{ tries []*try }

// watched runs a run in this goroutine. When an action takes longer than its
// limit, the run is given up, for Go can't end it: watched returns false, if it
// ever does, and the goroutine must end. Another worker is in its place.
func (b *Batcher) watched(r *run) bool {
	look := time.AfterFunc(r.kind.limit(), func() { b.look(r) })
	r.reduce()
	look.Stop()
	return r.stage.CompareAndSwap(running, ended)
}

// look gives a run up whose action takes too long.
func (b *Batcher) look(r *run) {
	limit := r.kind.limit()
	i := int(r.at.Load()) - 1
	spent := time.Since(b.began) - time.Duration(r.since.Load())
	switch {
	case r.stage.Load() != running:
	case i < 0:
		time.AfterFunc(limit, func() { b.look(r) })
	case spent < limit:
		time.AfterFunc(limit-spent, func() { b.look(r) })
	case r.stage.CompareAndSwap(running, givenUp):
		b.giveUp(r, i)
	}
}

// giveUp takes from a worker what it has, and puts another into its place.
func (b *Batcher) giveUp(r *run, i int) {
	t, op := r.t, &r.ops[i].op
	n := b.tookTooLong(t.topic, op)
	b.opts.Logger.Error("an action takes too long", "topic", t.topic, "action", op.Do, "limit", t.kind.limit(), "try", n, "of", tries)
	b.warm.drop(t.topic) // the action may go on changing the state
	t.state = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range t.shift.tries {
		b.queue.back(t.turn)
		if !t.ended {
			b.again = append(b.again, t)
		}
	}
	b.working--
	b.hire()
	b.wg.Done() // for the worker
}

// tookTooLong counts how often the action of an op has taken too long.
func (b *Batcher) tookTooLong(topic string, op *Op) (n int) {
	b.failed.change(laneKey{topic, op.Client, op.Seq}, func(before int, _ bool) (int, bool) {
		n = before + 1
		return n, true
	})
	return n
}

// hasFailed has an op refused whose action has failed too often, without that it
// is run again: when the op is sent again, or another replica was faster.
func (b *Batcher) hasFailed(topic string, op *Op) {
	b.failed.put(laneKey{topic, op.Client, op.Seq}, tries)
}

// isFailed reports whether the action of an op has failed, or taken too long, too
// often.
func (b *Batcher) isFailed(topic string, op *Op) bool {
	n, _ := b.failed.get(laneKey{topic, op.Client, op.Seq})
	return n >= tries
}
