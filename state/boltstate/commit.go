package boltstate

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"lockstep/state"
)

// errNothing ends a transaction that changes nothing: it is rolled back, and
// waits for no disk.
var errNothing = errors.New("nothing to write")

// A change is a transaction that writes.
type change struct {
	tables
	s     *Store
	was   ages // in the file
	ages  ages // now
	made  int  // lanes
	wrote bool
}

// Commit implements state.Store: one transaction for all steps, on disk when it
// returns. It is rolled back when no step holds.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	outcomes := make([]state.Outcome, len(steps))
	err := s.change(ctx, func(c *change) (err error) {
		for i := range steps {
			if outcomes[i], err = c.step(&steps[i]); err != nil {
				return err
			}
		}
		if !c.wrote {
			return nil
		}
		return c.sweep(c.ages, c.made)
	})
	if err != nil {
		return state.Failed(len(steps), err)
	}
	return outcomes
}

// Finish implements state.Store.
func (s *Store) Finish(ctx context.Context, marks ...state.Mark) error {
	topics := make([]string, len(marks))
	for i := range marks {
		topics[i] = marks[i].Topic
	}
	if err := state.CheckRead(topics...); err != nil {
		return err
	}
	return s.change(ctx, func(c *change) error {
		for i := range marks {
			if err := c.finish(&marks[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// change runs a transaction that may write.
func (s *Store) change(ctx context.Context, f func(c *change) error) error {
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		c := change{tables: tablesOf(tx), s: s}
		var err error
		if c.was, err = c.tables.ages(); err != nil {
			return err
		}
		c.ages = c.was.at(s.now(), s.lifetime)
		if err := f(&c); err != nil {
			return err
		}
		return c.end()
	})
	switch {
	case errors.Is(err, errNothing):
		return nil
	case err != nil:
		return wrap(err)
	}
	s.maybeCompact()
	return nil
}

func (c *change) end() error {
	if !c.wrote {
		return errNothing
	}
	if c.ages == c.was {
		return nil
	}
	return c.putAges(c.ages)
}

// step does one step, or finds that it conflicts.
func (c *change) step(step *state.Step) (state.Outcome, error) {
	top, err := c.topic(step.Topic)
	if err != nil {
		return state.Outcome{}, err
	}
	now := c.s.record(top, false)
	holds := step.Base.Same(now)
	lanes := make([]state.Lane, len(step.Moves))
	made := make([]bool, len(step.Moves))
	for i := range step.Moves {
		l, known, err := c.known(laneKey(top.id, step.Moves[i].Client))
		if err != nil {
			return state.Outcome{}, err
		}
		lanes[i], made[i] = l, !known
		holds = holds && step.Moves[i].Holds(l)
	}
	if holds {
		now, err := c.do(step, top, lanes, made)
		return state.Outcome{Record: now, Made: made}, err
	}
	for i := range lanes {
		lanes[i].Refused = bytes.Clone(lanes[i].Refused)
	}
	return state.Outcome{
		Err:    state.ErrConflict,
		Record: c.s.record(top, !step.Base.Same(now)),
		Lanes:  lanes,
	}, nil
}

// known returns a lane of the file; the zero one if it is not there, or due.
func (c *change) known(key []byte) (state.Lane, bool, error) {
	l, err := c.lane(key)
	if err != nil || !c.ages.knows(l.mark) {
		return state.Lane{}, false, err
	}
	return l.Lane, true, nil
}

// do does a step that holds. lanes are those of its moves, and made says which
// of them are new.
func (c *change) do(step *state.Step, top topic, lanes []state.Lane, made []bool) (state.Record, error) {
	if top.id == 0 {
		var err error
		if top.id, err = c.topics.NextSequence(); err != nil {
			return state.Record{}, err
		}
	}
	for i := range step.Moves {
		m := &step.Moves[i]
		if err := c.putLane(laneKey(top.id, m.Client), lane{m.Moved(lanes[i]), c.ages.moved()}); err != nil {
			return state.Record{}, err
		}
		if made[i] {
			c.made++
		}
	}
	if err := c.append(&top, step.Log, step.Keep); err != nil {
		return state.Record{}, err
	}
	if step.Data != nil {
		top.data = step.Data
	}
	top.version++
	c.wrote = true
	return c.s.record(top, false), c.putTopic(step.Topic, top)
}

// finish marks a lane as done, if it is known and has not gone on.
func (c *change) finish(m *state.Mark) error {
	top, err := c.topic(m.Topic)
	if err != nil {
		return err
	}
	key := laneKey(top.id, m.Client)
	l, err := c.lane(key)
	if err != nil || !c.ages.knows(l.mark) || l.Last > m.UpTo || l.mark == c.ages.ended() {
		return err
	}
	l.mark = c.ages.ended()
	c.wrote = true
	return c.putLane(key, l)
}

// record returns a topic as others see it, with its data or without.
func (s *Store) record(t topic, data bool) state.Record {
	r := state.Record{Epoch: s.epoch, Version: t.version}
	if data {
		r.Data = bytes.Clone(t.data)
	}
	return r
}
