package state

import (
	"maps"
	"slices"
	"time"
)

// A try is what waits for one topic, on its way into the store.
type try struct {
	basis
	ops     []submitted
	turn    *share // in whose turn it is
	allowed bool   // a sender may make the topic
	open    bool   // what waits for the topic may join it

	conflicts, failures int
	run                 *run
	shift               *shift // that it is in
	ended               bool   // all ops are answered
}

// A basis is what a run is computed from. A run has a copy: one that is given up
// goes on beside the next.
type basis struct {
	topic, key string
	kind       Reducer

	known   bool // record is what a store has said, or a replica that is believed
	record  Record
	bare    bool                 // record is without its Data: state says them
	state   any                  // what record says; nil: it has not been read
	lanes   map[Client]*saidLane // at record; the map is never changed
	careful bool                 // each op is looked at for the size of what comes of it
}

// A saidLane is a lane as the store has said it.
type saidLane struct {
	Lane
	asked time.Time // before the call
}

// A warmth is what is known of a topic between two calls.
type warmth struct {
	record Record
	bare   bool   // record is without its Data: state says them
	state  any    // nil: it has not been read
	told   Record // without Data: the last that Committed was called with
	// took is how long a commit takes, smoothed; others are the replicas that were
	// heard to commit to the topic, and when.
	took   time.Duration
	others map[string]time.Time
	row    *row // the pause after the last commit; nil: there is none
}

func (b *Batcher) newTry(topic string, ops []submitted, turn *share) *try {
	kind, key := keyOf(topic)
	t := &try{ops: ops, turn: turn}
	t.topic, t.key, t.kind = topic, key, b.kinds[kind]
	if w, ok := b.warm.get(topic); ok && w.record.Epoch > 0 {
		t.known, t.record, t.bare, t.state = true, w.record, w.bare, w.state
	}
	return t
}

// learn takes in the store's answer to a step that conflicts, of a call that
// began at a time. What the store has said of other lanes is true as long as the
// record is the same. It returns whether that is so.
func (t *try) learn(o Outcome, began time.Time) (same bool) {
	r := o.Record
	lanes := make(map[Client]*saidLane, len(t.run.step.Moves))
	if same = t.known && r.Same(t.record); same {
		r.Data = t.record.Data
		maps.Copy(lanes, t.lanes)
	} else {
		t.state = nil
	}
	for i, m := range t.run.step.Moves {
		lanes[m.Client] = &saidLane{o.Lanes[i], began}
	}
	t.known, t.record, t.lanes = true, r, lanes
	return same
}

// compute makes the step of a try. open is false when it needs none: its ops
// are answered. ok is false when the worker was given up, because an action took
// too long.
func (b *Batcher) compute(w *watch, t *try) (open, ok bool) {
	if err := b.away.away(); err != nil && b.opts.Clock().Sub(newest(t.ops)) > b.opts.Patience {
		// Each would be one more call that fails, and all behind it would wait.
		b.putOff(t, Answer{Reason: ReasonAway, Err: err})
		return false, true
	}
	if t.known && t.record.Version == 0 && !t.allowed && !b.admit(t) {
		return false, true
	}
	b.dress(t)
	for {
		t.run = newRun(b, t)
		if !w.computes(t.run) {
			return false, false
		}
		if t.run.fouled {
			b.discard(t)
		}
		if !t.run.recheck {
			break
		}
		t.careful = true
	}
	if len(t.run.step.Moves) > 0 {
		return true, true
	}
	b.tell(t)
	b.answer(t, nil)
	b.end(t, nil)
	return false, true
}

// tell calls Committed with the record that acknowledges ops of a try without a
// commit, unless it was called with that or a later one: the answer of their
// commit was lost, or it was another replica's.
func (b *Batcher) tell(t *try) {
	if !slices.ContainsFunc(t.run.answers, func(a Answer) bool { return a.Verdict == Ack }) {
		return
	}
	fresh := false
	b.warm.change(t.topic, func(w warmth, _ bool) (warmth, bool) {
		if fresh = t.record.Newer(w.told); fresh {
			w.told = Record{Epoch: t.record.Epoch, Version: t.record.Version}
		}
		return w, fresh
	})
	if !fresh {
		return
	}
	b.opts.Committed(Commit{
		Topic: t.topic, Record: t.record, State: b.toShow(t.kind, t.run.begun(), t.record), From: shares(t.ops),
	})
}

// dress gives a try the data of the state that it is computed from, when a broadcast has brought
// nothing but what has changed. If it can't, the store is asked.
func (b *Batcher) dress(t *try) {
	if !t.bare {
		return
	}
	var err error
	t.bare = false
	if t.record.Data, err = b.guard.write(t.kind, t.state); err != nil {
		t.known, t.record, t.state = false, Record{}, nil
	}
}

// toShow returns the state of a record, for others. state is what is known of it, or nil. It is nil
// when the data can't be read.
func (b *Batcher) toShow(kind Reducer, state any, r Record) any {
	if state != nil && kind.shares() {
		return state
	}
	s, err := b.guard.read(kind, r.Data)
	if err != nil {
		return nil // who is told finds out why
	}
	return s
}

// discard drops the state that a try was computed from, here and where it came
// from: an action that failed may have changed it. Its record is as it was.
func (b *Batcher) discard(t *try) {
	t.state = nil
	b.warm.change(t.topic, func(w warmth, known bool) (warmth, bool) {
		if w.state = nil; w.bare {
			w.record, w.bare = Record{}, false // it was known from the state alone
		}
		return w, known
	})
}

// admit puts off the ops of a try whose senders may not make the topic that they
// would make. Who is the first that may makes it for all behind. It reports
// false when none may.
func (b *Batcher) admit(t *try) bool {
	refused := make(map[any]error) // each sender is asked once
	for i := range t.ops {
		s := &t.ops[i]
		err := b.mayMake(s, refused)
		if err == nil {
			t.ops, t.allowed = t.ops[i:], true
			return true
		}
		b.returnLane(s)
		s.done(Answer{Reason: ReasonNewTopic, Err: err})
	}
	b.end(t, nil)
	return false
}

// mayMake asks the sender of an op whether it may make a topic, unless it has
// refused.
func (b *Batcher) mayMake(s *submitted, refused map[any]error) error {
	if s.from == nil {
		return nil
	}
	if err := refused[s.share]; err != nil {
		return err
	}
	err := b.guard.newTopic(s.from)
	refused[s.share] = err
	return err
}

// shares returns on whose behalf the ops of a batch are, each at least once.
func shares(batch []submitted) []any {
	all := make([]any, 0, 1)
	for i := range batch {
		if i == 0 || batch[i].share != batch[i-1].share {
			all = append(all, batch[i].share)
		}
	}
	return all
}

// done takes in that a try's step was done.
func (b *Batcher) done(t *try, o Outcome, began time.Time) {
	r := t.run
	left := t.ops[r.left:]
	t.ops = t.ops[:r.left]
	record := Record{Epoch: o.Record.Epoch, Version: o.Record.Version, Data: t.record.Data}
	if r.step.Data != nil {
		record.Data = r.step.Data
	}
	var pause *row
	now := b.opts.Clock()
	b.warm.change(t.topic, func(w warmth, _ bool) (warmth, bool) {
		if record.Newer(w.record) {
			w.record, w.bare, w.state = record, false, r.result()
		}
		w.told = Record{Epoch: record.Epoch, Version: record.Version}
		w.learn(now.Sub(began))
		w.row = w.turn(now)
		pause = w.row
		return w, true
	})
	t.trace(record, began, now)
	t.run.applied(record)
	b.opts.Committed(b.commitOf(t, record))
	for i := range r.step.Moves {
		b.lanes.put(laneKey{t.topic, r.step.Moves[i].Client, 0}, struct{}{})
	}
	b.counts.ops.Add(uint64(r.fresh))
	b.charge(t)
	b.answer(t, t.made(o))
	if len(left) > 0 {
		b.goOn(t, left, record)
		return
	}
	b.end(t, pause)
}

// trace fills in the traces of a try's ops, whose step has made a record in a call.
func (t *try) trace(made Record, began, ended time.Time) {
	for i := range t.ops {
		if tr := t.ops[i].op.Trace; tr != nil {
			*tr = Trace{
				Queued: t.ops[i].at, Called: began, Ended: ended, Calls: 1 + t.conflicts + t.failures,
				Topics: len(t.shift.tries), Epoch: made.Epoch, Version: made.Version,
			}
		}
	}
}

// commitOf is what Committed is told of a try's step, which was done.
func (b *Batcher) commitOf(t *try, record Record) Commit {
	r := t.run
	c := Commit{
		Topic: t.topic, Record: record, State: b.toShow(t.kind, r.result(), record), From: shares(t.ops),
		Base: Record{Epoch: t.record.Epoch, Version: t.record.Version},
	}
	if len(r.step.Log) > 0 {
		c.First, c.Entries = r.log.first(), r.step.Log
	}
	base := r.begun()
	if !r.kind.shares() || base == nil || c.State == nil {
		return c
	}
	change, err := b.guard.diff(t.kind, base, c.State)
	if err != nil {
		b.opts.Logger.Error("a kind's Diff fails", "topic", t.topic, "err", err)
	}
	if err == nil && len(change) < len(record.Data) {
		c.Change, c.Before = change, base
	}
	return c
}

// goOn makes the next step of a try, of ops that the last one had no room for.
func (b *Batcher) goOn(t *try, left []submitted, record Record) {
	t.ops, t.record, t.state, t.lanes = left, record, t.run.result(), nil
	t.careful, t.open, t.conflicts, t.failures = false, false, 0, 0
	b.repeat(t)
}

// charge settles with the senders of a try what the lanes that it moved take more
// or less than before. The last to move a lane pays for it.
func (b *Batcher) charge(t *try) {
	for _, l := range t.run.moved {
		n := l.grown()
		from := t.mover(l.client)
		if n == 0 || from == nil {
			continue
		}
		if n > 0 {
			b.guard.oweLanes(from, n)
		}
		for ; n < 0; n++ {
			b.guard.returnLane(from)
		}
	}
}

// mover returns the sender of the last op of a client in a try.
func (t *try) mover(c Client) (from Sender) {
	for i := range t.ops {
		if t.ops[i].op.Client == c {
			from = t.ops[i].from
		}
	}
	return from
}

// made returns the clients for which a step has made a lane, if anybody pays for
// lanes.
func (t *try) made(o Outcome) map[Client]bool {
	paid := false
	for i := range t.ops {
		paid = paid || t.ops[i].lane
	}
	if !paid {
		return nil
	}
	made := make(map[Client]bool, len(o.Made))
	for i, m := range t.run.step.Moves {
		made[m.Client] = o.Made[i]
	}
	return made
}

// answer answers the ops of a try as its run says. made are the clients for
// which it has made a lane.
func (b *Batcher) answer(t *try, made map[Client]bool) {
	for i := range t.ops {
		s := &t.ops[i]
		if made[s.op.Client] && s.lane {
			made[s.op.Client] = false // the sender pays for one
		} else {
			b.returnLane(s)
		}
		s.done(t.run.answers[i])
	}
}

// end ends a try; the next of its topic comes after a pause.
func (b *Batcher) end(t *try, pause *row) {
	t.ended = true
	if pause == nil {
		b.release(t.topic)
		return
	}
	b.wg.Go(func() { // ends after the pause
		b.pause(pause.most, pause.over)
		b.release(t.topic)
	})
}

// learn takes in how long a commit took: what is quicker counts at once, what is
// slower bit by bit.
func (w *warmth) learn(took time.Duration) {
	if w.took == 0 || took < w.took {
		w.took = took
		return
	}
	w.took += min(took-w.took, w.took) / 8
}

// Two replicas that commit to one topic lose to each other: the one that has won
// is the first to know, and would win again. So it lets each of the others go
// first that were heard to commit within othersAge, or two rounds of all of them.
const (
	othersAge  = 20 * time.Millisecond
	maxOthers  = 16
	maxReplica = 64                     // bytes of the name of one
	longestRow = 100 * time.Millisecond // of one pause
)

// A row is a pause after a commit, in which others go first. It ends when each of
// them was heard.
type row struct {
	since time.Time
	most  time.Duration // the longest time that it takes
	left  int           // others that were not heard since
	over  chan struct{} // closed when there are none left
}

// turn returns who goes first, or nil. Half as much time as they need is for what
// they say to get here.
func (w *warmth) turn(now time.Time) *row {
	rounds := time.Duration(2*(len(w.others)+1)) * w.took
	for replica, at := range w.others {
		if now.Sub(at) > max(othersAge, rounds) {
			delete(w.others, replica)
		}
	}
	n := len(w.others)
	if n == 0 {
		return nil
	}
	return &row{now, min(time.Duration(n)*w.took*3/2, longestRow), n, make(chan struct{})}
}

// Heard takes in that another replica has committed to a topic, and made a
// record: this replica lets it go first when both have much to commit, and
// computes its next op from the record. It is for what is known to come from a
// replica, as by a signature: the store confirms which record an op is computed
// from, and not what is in it. r.Data is nil when only the order is known. r
// must not be changed afterwards.
//
// Nothing is taken in of topics of which the store has said nothing to this
// replica lately, and no record of another epoch than it has said: that is of
// another store, or of one that has lost data.
func (b *Batcher) Heard(topic, replica string, r Record) { b.HeardState(topic, replica, r, nil) }

// HeardState is Heard, with the state of the record if the caller knows it: s is what
// Kind.Read or Kind.Apply has returned, which is not changed afterwards, or nil. With it
// r.Data may be nil. It is looked at only for kinds whose actions never change the
// state that they are given (see Kind.Diff).
func (b *Batcher) HeardState(topic, replica string, r Record, s any) {
	if replica == "" || len(replica) > maxReplica {
		return
	}
	s = b.shared(topic, s)
	now := b.opts.Clock()
	b.warm.change(topic, func(w warmth, _ bool) (warmth, bool) {
		if w.record.Epoch == 0 || r.Epoch != w.record.Epoch {
			return w, false
		}
		w.note(replica, now)
		if (r.Data != nil || s != nil) && r.Newer(w.record) {
			w.record, w.bare, w.state = r, r.Data == nil, s
		}
		return w, true
	})
}

// note notes that a replica has committed.
func (w *warmth) note(replica string, now time.Time) {
	last, known := w.others[replica]
	if !known && len(w.others) >= maxOthers {
		return // turn forgets those that are silent
	}
	if w.others == nil {
		w.others = make(map[string]time.Time)
	}
	w.others[replica] = now
	if w.row == nil || !known || last.After(w.row.since) {
		return
	}
	if w.row.left--; w.row.left == 0 {
		close(w.row.over)
		w.row = nil
	}
}
