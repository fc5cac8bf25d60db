package natsstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/state"
)

// maxBatch is the most messages of a batch that a server takes.
const maxBatch = 1000

// alone is the try from which each step has a batch of its own: another step of the
// batch may be one that others change all the time.
const alone = 2

// A view is what a step is compared with.
type view struct {
	epoch  uint64
	record record
	lanes  []lane // of the step's moves
}

// An attempt is a step until there is an outcome of it.
type attempt struct {
	step    *state.Step
	outcome *state.Outcome
	view    view
	viewed  bool // view is what was remembered, or read, and was not found to be wrong
	over    bool // outcome is known
}

func (a *attempt) end(o state.Outcome) { *a.outcome, a.over = o, true }

func (a *attempt) fail(err error) {
	a.end(state.Outcome{Err: fmt.Errorf("natsstate: commit: %w", err)})
}

// commit does steps. What is stored is compared here, and the stream compares that it
// is still so: each record, and each lane, is where it was seen. Steps go together
// into one batch, for a batch costs as much as many messages; when it is rejected,
// what is stored is read again, so that steps which conflict are left out of the next.
func (s *Store) commit(ctx context.Context, all []*attempt) {
	if err := s.busy.take(ctx, all); err != nil {
		for _, a := range all {
			a.fail(err)
		}
		return
	}
	defer s.busy.leave(slices.Clone(all))
	for _, a := range all {
		a.view, a.viewed = s.recall(a.step)
	}
	for try := range tries {
		if all = slices.DeleteFunc(all, func(a *attempt) bool { return a.over }); len(all) == 0 {
			return
		}
		if !later(ctx, try) {
			break
		}
		if err := s.try(ctx, all, try); err != nil {
			for _, a := range all {
				a.fail(err)
			}
			return
		}
	}
	for _, a := range all {
		switch {
		case a.over:
		case ctx.Err() != nil:
			a.fail(ctx.Err())
		default:
			a.fail(errContended)
		}
	}
}

var errContended = errors.New("others were faster each time")

// try tries to do steps once. An error is one of all of them, of which none was done.
func (s *Store) try(ctx context.Context, all []*attempt, number int) error {
	l, now, err := s.ready(ctx)
	if err != nil {
		return err
	}
	old, err := s.aged(ctx, l, &now)
	if err != nil {
		return err
	}
	s.readViews(ctx, all, old)
	var wg sync.WaitGroup
	for batch := range batches(all, now.epoch, number >= alone) {
		wg.Go(func() { s.store(ctx, l, batch, old) })
	}
	wg.Wait()
	return nil
}

// readViews reads what is not remembered, or does not fit, and ends steps that can't be
// done.
func (s *Store) readViews(ctx context.Context, all []*attempt, old ages) {
	var wg sync.WaitGroup
	for _, a := range all {
		if a.viewed && a.view.holds(a.step, old) {
			continue
		}
		wg.Go(func() {
			v, err := s.view(ctx, a.step)
			switch {
			case err != nil:
				a.fail(err)
			case !v.holds(a.step, old):
				a.end(v.conflict(a.step, old))
			default:
				a.view, a.viewed = v, true
			}
		})
	}
	wg.Wait()
}

// batches returns which steps go together. Those of another epoch wait: the link is
// to a life that has ended.
func batches(all []*attempt, epoch uint64, alone bool) iter.Seq[[]*attempt] {
	return func(yield func([]*attempt) bool) {
		var batch []*attempt
		size := 0
		for _, a := range all {
			if a.over || a.view.epoch != epoch {
				continue
			}
			n := 1 + len(a.step.Log) + len(a.step.Moves)
			if len(batch) > 0 && (alone || size+n > maxBatch) {
				if !yield(batch) {
					return
				}
				batch, size = nil, 0
			}
			batch, size = append(batch, a), size+n
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}

// view reads what a step is compared with.
func (s *Store) view(ctx context.Context, step *state.Step) (v view, err error) {
	subjects := make([]string, 0, 1+len(step.Moves))
	subjects = append(subjects, s.subjects.record(step.Topic))
	prefix := s.subjects.lanes(step.Topic)
	for i := range step.Moves {
		subjects = append(subjects, prefix+step.Moves[i].Client.String())
	}
	seen, err := s.look(ctx, subjects)
	if err != nil {
		return v, err
	}
	v = view{epoch: seen.epoch, lanes: make([]lane, len(step.Moves))}
	if v.record, err = readRecord(seen.messages[subjects[0]]); err != nil {
		return v, fmt.Errorf("%s: %w", subjects[0], err)
	}
	s.learn(step.Topic, v.epoch, &v.record)
	for i := range v.lanes {
		if v.lanes[i], err = readLane(seen.messages[subjects[1+i]]); err != nil {
			return v, fmt.Errorf("%s: %w", subjects[1+i], err)
		}
	}
	return v, nil
}

// known returns a lane as the caller knows it: nothing where it is forgotten.
func (l *lane) known(old ages) state.Lane {
	if l.seq == 0 || !l.age(old).Knows(l.mark) {
		return state.Lane{}
	}
	return l.Lane
}

// age returns the age that a lane was marked with.
func (l *lane) age(old ages) state.Age {
	if l.done {
		return old.done
	}
	return old.lanes
}

// holds reports whether a step can be done.
func (v *view) holds(step *state.Step, old ages) bool {
	if step.Base.Epoch != v.epoch || step.Base.Version != v.record.version {
		return false
	}
	for i := range step.Moves {
		if !step.Moves[i].Holds(v.lanes[i].known(old)) {
			return false
		}
	}
	return true
}

// conflict is the outcome of a step that can't be done.
func (v *view) conflict(step *state.Step, old ages) state.Outcome {
	o := state.Outcome{
		Err: state.ErrConflict, Record: state.Record{Epoch: v.epoch, Version: v.record.version, Data: v.record.data},
		Lanes: make([]state.Lane, len(v.lanes)),
	}
	if o.Record.Same(step.Base) {
		o.Record.Data = nil
	}
	for i := range v.lanes {
		o.Lanes[i] = v.lanes[i].known(old)
	}
	return o
}

// A change is what a step makes of a view.
type change struct {
	record record
	lanes  []lane
	made   []bool
	at     int // which of a batch's messages is the first; the lanes are the last
	end    int
}

// store has steps stored that hold, all or none.
func (s *Store) store(ctx context.Context, l *link, batch []*attempt, old ages) {
	changes := make([]change, len(batch))
	var messages []*nats.Msg
	for i, a := range batch {
		messages, changes[i] = s.appendStep(messages, a, old)
	}
	first, err := l.publish(ctx, messages)
	switch {
	case err == nil:
		s.rise(first + uint64(len(messages)) - 1)
		for i, a := range batch {
			a.end(s.stored(a, &changes[i], first))
		}
		return
	case rejected(err):
	case errors.Is(err, errNobody): // the stream has gone: nothing was stored
		s.doubt()
	default:
		s.doubt()
		for _, a := range batch {
			a.fail(err)
		}
		return
	}
	for _, a := range batch {
		s.forget(a.step)
		a.viewed = false
	}
}

// appendStep appends the messages of a step.
func (s *Store) appendStep(messages []*nats.Msg, a *attempt, old ages) ([]*nats.Msg, change) {
	step, v := a.step, &a.view
	c := change{record: v.record.after(step), lanes: make([]lane, len(step.Moves)), made: make([]bool, len(step.Moves)), at: len(messages)}
	m := put(s.subjects.record(step.Topic), v.record.version, c.record.bytes())
	m.Header.Set(streamHeader, s.subjects.stream)
	messages = s.appendLog(append(messages, m), step, &v.record, &c.record)
	prefix := s.subjects.lanes(step.Topic)
	for i := range step.Moves {
		before := v.lanes[i].known(old)
		c.made[i] = before.Last == 0
		c.lanes[i] = lane{mark: old.lanes.N, Lane: step.Moves[i].Moved(before)}
		m := put(prefix+step.Moves[i].Client.String(), v.lanes[i].seq, c.lanes[i].bytes())
		messages = append(messages, expires(m, kept(s.lifetime)))
	}
	c.end = len(messages)
	return messages, c
}

// stored is the outcome of a step that was stored, in a batch that begins with first.
func (s *Store) stored(a *attempt, c *change, first uint64) state.Outcome {
	topic, epoch := a.step.Topic, a.view.epoch
	c.record.version = first + uint64(c.at)
	c.record.data = bytes.Clone(c.record.data) // it is the caller's
	s.learn(topic, epoch, &c.record)
	for i := range c.lanes {
		c.lanes[i].seq = first + uint64(c.end-len(c.lanes)+i)
		c.lanes[i].Refused = bytes.Clone(c.lanes[i].Refused)
		s.learnLane(topic, a.step.Moves[i].Client, epoch, &c.lanes[i])
	}
	s.sweep(topic, a.view.record.first, c.record.first)
	return state.Outcome{Record: state.Record{Epoch: epoch, Version: c.record.version}, Made: c.made}
}

// kept is how long a lane stays that nobody asks for: it is not known any more long
// before, unless the clock jumps ahead by that much.
func kept(lifetime time.Duration) time.Duration { return 3*lifetime + time.Hour }

// rise takes in how far the stream has come.
func (s *Store) rise(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.high = max(s.high, seq)
}

// after returns what a record is after a step, but for the version.
func (r *record) after(step *state.Step) record {
	next := record{first: r.first, next: r.next + uint64(len(step.Log)), data: r.data}
	if step.Data != nil {
		next.data = step.Data
	}
	if keep := uint64(step.Keep); keep > 0 && next.next-next.first > keep {
		next.first = next.next - keep
	}
	return next
}

// appendLog appends those entries of a step that stay.
func (s *Store) appendLog(messages []*nats.Msg, step *state.Step, before, next *record) []*nats.Msg {
	prefix := s.subjects.log(step.Topic)
	for i, entry := range step.Log {
		if n := before.next + uint64(i); n >= next.first {
			m := nats.NewMsg(prefix + strconv.FormatUint(n, 10))
			m.Data = entry
			messages = append(messages, m)
		}
	}
	return messages
}
