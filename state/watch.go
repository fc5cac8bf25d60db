package state

import (
	"sync/atomic"
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

// A watch is what others see of a worker: Go can't end an action that takes longer
// than its limit, so a run is given up, and another worker takes the place of its
// own. One timer looks at all of them, as often as the shortest limit of all kinds
// and only while a worker is at work: a run costs two stores.
type watch struct {
	run atomic.Pointer[run] // that the worker computes; nil: it does something else
}

// computes runs a run in this goroutine. It returns false, if it ever does, when
// the run was given up: then the goroutine must end.
func (w *watch) computes(r *run) bool {
	w.run.Store(r)
	r.reduce()
	w.run.Store(nil)
	return r.stage.CompareAndSwap(running, ended)
}

// startWatch returns the watch of a worker. The caller holds mu.
func (b *Batcher) startWatch() *watch {
	w := new(watch)
	b.watches[w] = struct{}{}
	return w
}

// lookOut has look called as long as a worker is at work. The caller holds mu.
func (b *Batcher) lookOut() {
	if !b.patrols {
		b.patrols = true
		b.looks.Reset(b.patrol)
	}
}

// look gives up the runs whose action takes too long.
func (b *Batcher) look() {
	for r, op := range b.overdue() {
		b.giveUp(r, op)
	}
}

// overdue returns the runs that are to be given up, each with the number of the
// op whose action takes too long.
func (b *Batcher) overdue() map[*run]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all map[*run]int
	for w := range b.watches {
		r := w.run.Load()
		if r == nil {
			continue
		}
		if op, late := r.late(); late && r.stage.CompareAndSwap(running, givenUp) {
			delete(b.watches, w)
			if all == nil {
				all = make(map[*run]int)
			}
			all[r] = op
		}
	}
	if b.patrols = len(b.watches) > b.idle; b.patrols {
		b.looks.Reset(b.patrol)
	}
	return all
}

// late reports whether an action runs for longer than its limit, and of which op.
func (r *run) late() (op int, yes bool) {
	op = int(r.at.Load()) - 1
	return op, op >= 0 && time.Since(r.b.began)-time.Duration(r.since.Load()) >= r.kind.limit()
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
