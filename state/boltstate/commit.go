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

// A change is a transaction that may write.
type change struct {
	tables
	epoch uint64
	ages  ages
	made  int // lanes
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
		c := change{tables: tablesOf(tx), epoch: s.epoch}
		was, err := c.tables.ages()
		if err != nil {
			return err
		}
		c.ages = was.at(s.now(), s.lifetime)
		if err := f(&c); err != nil {
			return err
		}
		switch {
		case !c.wrote:
			return errNothing
		case c.ages == was:
			return nil
		}
		return c.putAges(c.ages)
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

// step does a step, or finds that it conflicts.
func (c *change) step(step *state.Step) (state.Outcome, error) {
	top, err := c.topic(step.Topic)
	if err != nil {
		return state.Outcome{}, err
	}
	now := state.Record{Epoch: c.epoch, Version: top.version}
	same := step.Base.Same(now)
	lanes, made := make([]state.Lane, len(step.Moves)), make([]bool, len(step.Moves))
	holds := same
	for i := range step.Moves {
		m := &step.Moves[i]
		lane, known, err := c.known(laneKey(top.id, m.Client), c.ages)
		if err != nil {
			return state.Outcome{}, err
		}
		lane.Refused = bytes.Clone(lane.Refused)
		lanes[i], made[i] = lane, !known
		holds = holds && m.Holds(lane)
	}
	switch {
	case holds:
		now.Version++
		return state.Outcome{Record: now, Made: made}, c.do(step, top, lanes, made)
	case !same:
		now.Data = bytes.Clone(top.data)
	}
	return state.Outcome{Err: state.ErrConflict, Record: now, Lanes: lanes}, nil
}

// do does a step that holds. lanes are those of its moves, and made says which
// of them are new.
func (c *change) do(step *state.Step, top topic, lanes []state.Lane, made []bool) (err error) {
	if top.id == 0 {
		if top.id, err = c.topics.NextSequence(); err != nil {
			return err
		}
	}
	for i := range step.Moves {
		m := &step.Moves[i]
		if err := c.putLane(laneKey(top.id, m.Client), m.Moved(lanes[i]), c.ages.moved()); err != nil {
			return err
		}
		if made[i] {
			c.made++
		}
	}
	if err := c.append(&top, step.Log, uint64(step.Keep)); err != nil {
		return err
	}
	if step.Data != nil {
		top.data = step.Data
	}
	top.version++
	c.wrote = true
	return c.putTopic(step.Topic, top)
}

// finish marks a lane as done, if it is known and has not gone on.
func (c *change) finish(m *state.Mark) error {
	top, err := c.topic(m.Topic)
	if err != nil {
		return err
	}
	key := laneKey(top.id, m.Client)
	lane, known, err := c.known(key, c.ages)
	if err != nil || !known || lane.Last > m.UpTo {
		return err
	}
	c.wrote = true
	return c.putLane(key, lane, c.ages.ended())
}
