package state_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"lockstep/state"
)

// A mapStore is the least that a store can be: it forgets nothing, and can be
// made to fail.
type mapStore struct {
	delay  time.Duration
	faults bool // see call

	mu     sync.Mutex // guards the rest
	topics map[string]*mapTopic
}

type mapTopic struct {
	record state.Record
	lanes  map[state.Client]state.Lane
	log    [][]byte // that of the first entry is gone + 1
	gone   uint64
}

func newMapStore() *mapStore { return &mapStore{topics: make(map[string]*mapTopic)} }

func (s *mapStore) topic(name string) *mapTopic {
	t := s.topics[name]
	if t == nil {
		t = &mapTopic{record: state.Record{Epoch: 7}, lanes: make(map[state.Client]state.Lane)}
		s.topics[name] = t
	}
	return t
}

var errLost = errors.New("the store's answer is lost")

// Commit implements state.Store.
func (s *mapStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	time.Sleep(s.delay)
	if !s.faults {
		return s.commit(steps)
	}
	switch rand.N(10) {
	case 0:
		return state.Failed(len(steps), errLost)
	case 1:
		s.commit(steps)
		return state.Failed(len(steps), errLost)
	case 2:
		time.AfterFunc(rand.N(100*time.Millisecond), func() { s.commit(steps) })
		return state.Failed(len(steps), errLost)
	case 3:
		time.AfterFunc(rand.N(100*time.Millisecond), func() { s.commit(steps) })
	case 4:
		<-ctx.Done()
		return state.Failed(len(steps), ctx.Err())
	}
	return s.commit(steps)
}

func (s *mapStore) commit(steps []state.Step) (all []state.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, step := range steps {
		all = append(all, s.topic(step.Topic).commit(step))
	}
	return all
}

func (t *mapTopic) commit(step state.Step) (o state.Outcome) {
	fits := t.record.Same(step.Base)
	ok := fits
	for _, m := range step.Moves {
		l := t.lanes[m.Client]
		ok = ok && m.Holds(l)
		o.Lanes, o.Made = append(o.Lanes, l), append(o.Made, l.Last == 0)
	}
	if !ok {
		o.Made, o.Record, o.Err = nil, t.record, state.ErrConflict
		if fits {
			o.Record.Data = nil
		}
		return o
	}
	for i, m := range step.Moves {
		t.lanes[m.Client] = m.Moved(o.Lanes[i])
	}
	t.record.Version++
	if step.Data != nil {
		t.record.Data = step.Data
	}
	t.log = append(t.log, step.Log...)
	if over := len(t.log) - step.Keep; step.Keep > 0 && over > 0 {
		t.log, t.gone = t.log[over:], t.gone+uint64(over)
	}
	o.Lanes, o.Record = nil, state.Record{Epoch: t.record.Epoch, Version: t.record.Version}
	return o
}

// Read implements state.Store.
func (s *mapStore) Read(_ context.Context, topics ...string) (all []state.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range topics {
		all = append(all, s.topic(name).record)
	}
	return all, nil
}

// Entries implements state.Store.
func (s *mapStore) Entries(_ context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(topic)
	if after = max(after, t.gone); most < 1 || after >= t.gone+uint64(len(t.log)) {
		return after + 1, nil, nil
	}
	entries := t.log[after-t.gone:]
	return after + 1, entries[:min(most, len(entries))], nil
}

// Finish implements state.Store.
func (s *mapStore) Finish(context.Context, ...state.Mark) error { return nil }

// Close implements state.Store.
func (s *mapStore) Close() error { return nil }
