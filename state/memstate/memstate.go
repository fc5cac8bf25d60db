// Package memstate keeps states in memory: for tests, for demos that may
// forget, and inside a browser. Nothing of it survives the process.
package memstate

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"lockstep/state"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Lifetime is how long a lane is known at least after its last move.
	// Default state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish. Default
	// state.DoneLifetime.
	DoneLifetime time.Duration
	// Now is the store's clock. It may jump. Default time.Now.
	Now func() time.Time
}

// A Store is a state.Store in memory. What it returns is its own: callers must
// not change the bytes.
type Store struct {
	epoch uint64
	now   func() time.Time

	mu     sync.Mutex // guards the rest
	closed bool
	topics map[string]*topic
	moved  lanes // by the time of their last move
	done   lanes // by the time of Finish; no lane is in both
}

type topic struct {
	version uint64
	data    []byte
	trimmed uint64 // how many entries there were before those of log
	log     [][]byte
}

var errClosed = errors.New("memstate: the store is closed")

// New returns an empty store. Its epoch is the time, so that tabs that knew an
// earlier store follow it. Nil options are the zero Options.
func New(opts *Options) *Store {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Lifetime <= 0 {
		o.Lifetime = state.Lifetime
	}
	if o.DoneLifetime <= 0 {
		o.DoneLifetime = state.DoneLifetime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{
		epoch: uint64(time.Now().UnixMilli()), now: o.Now, topics: make(map[string]*topic),
		moved: newLanes(o.Lifetime, o.Now()), done: newLanes(o.DoneLifetime, o.Now()),
	}
}

// Commit implements state.Store.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	if err := s.begin(ctx); err != nil {
		return state.Failed(len(steps), err)
	}
	defer s.mu.Unlock()
	now := s.now()
	s.moved.forget(now)
	s.done.forget(now)
	outcomes := make([]state.Outcome, len(steps))
	for i := range steps {
		outcomes[i] = s.step(&steps[i])
	}
	return outcomes
}

// begin locks the store for a call, or returns why there can be none.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

// step does one step. The caller holds mu.
func (s *Store) step(step *state.Step) state.Outcome {
	t := s.topics[step.Topic]
	if t == nil {
		t = &topic{}
	}
	newest := state.Record{Epoch: s.epoch, Version: t.version, Data: t.data}
	lanes := make([]state.Lane, len(step.Moves))
	made := make([]bool, len(step.Moves))
	holds := step.Base.Same(newest)
	for i := range step.Moves {
		move := &step.Moves[i]
		lane, known := s.lane(key{step.Topic, move.Client})
		lanes[i], made[i] = lane, !known
		holds = holds && move.Holds(lane)
	}
	if !holds {
		if step.Base.Same(newest) {
			newest.Data = nil
		}
		return state.Outcome{Err: state.ErrConflict, Record: newest, Lanes: lanes}
	}
	for i := range step.Moves {
		lane := step.Moves[i].Moved(lanes[i])
		lane.Refused = bytes.Clone(lane.Refused)
		k := key{step.Topic, step.Moves[i].Client}
		s.done.drop(k)
		s.moved.put(k, lane)
	}
	t.apply(step)
	s.topics[step.Topic] = t
	return state.Outcome{Record: state.Record{Epoch: s.epoch, Version: t.version}, Made: made}
}

// lane returns what is known of a client, and whether anything is.
func (s *Store) lane(k key) (state.Lane, bool) {
	if lane, ok := s.moved.get(k); ok {
		return lane, true
	}
	return s.done.get(k)
}

// apply does what a step says of a topic. The bytes are copied: they are the
// caller's.
func (t *topic) apply(step *state.Step) {
	t.version++
	if step.Data != nil {
		t.data = bytes.Clone(step.Data)
	}
	for _, entry := range step.Log {
		t.log = append(t.log, append([]byte{}, entry...))
	}
	if over := len(t.log) - step.Keep; step.Keep > 0 && over > 0 {
		clear(t.log[:over])
		t.log, t.trimmed = t.log[over:], t.trimmed+uint64(over)
	}
}

// Read implements state.Store.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	records := make([]state.Record, len(topics))
	for i, name := range topics {
		records[i].Epoch = s.epoch
		if t := s.topics[name]; t != nil {
			records[i].Version, records[i].Data = t.version, t.data
		}
	}
	return records, nil
}

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, name string, after uint64, most int) (uint64, [][]byte, error) {
	if err := state.CheckTopic(name); err != nil {
		return 0, nil, err
	}
	if err := s.begin(ctx); err != nil {
		return 0, nil, err
	}
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil || most < 1 || after >= t.trimmed+uint64(len(t.log)) {
		return after + 1, nil, nil
	}
	after = max(after, t.trimmed)
	entries := t.log[after-t.trimmed:]
	return after + 1, append([][]byte(nil), entries[:min(len(entries), most)]...), nil
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
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, mark := range marks {
		k := key{mark.Topic, mark.Client}
		if lane, ok := s.lane(k); ok && lane.Last <= mark.UpTo {
			s.moved.drop(k)
			s.done.put(k, lane)
		}
	}
	return nil
}

// Close implements state.Store. Calls after it fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
