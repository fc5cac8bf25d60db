//go:build js

// Package idbstate keeps states in the browser, with IndexedDB (W3C Indexed
// Database API 3.0). All tabs of an origin share them, and they are there when
// the browser starts again, as long as neither the person nor the browser clears
// the site's data; then they begin anew, in a later epoch.
//
// A Commit is one transaction, which the browser keeps apart from those of other
// tabs: no lock is needed beside it.
package idbstate

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall/js"
	"time"

	"lockstep/state"
)

var (
	errClosed  = errors.New("idbstate: the store is closed")
	errForeign = errors.New("the database is of another program or damaged")
	errLater   = errors.New("the database was made by a later version of this program, which alone can read it")
	errFormer  = errors.New("the database holds the counters of an earlier version of this program, and nothing says what becomes of them: set Options.Counter, or clear the site's data to begin anew")
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Lifetime is how long a lane is known at least after its last move. Default
	// state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish. Default
	// state.DoneLifetime.
	DoneLifetime time.Duration
	// Counter says what becomes of a counter that an earlier version of this program
	// has left, which held counters only: the topic and the data of its record. It is
	// called once for each, when the database is opened, and must not block. Nil: such
	// a database is an error of each call.
	Counter func(name string, n int64) (topic string, data []byte)
}

// A Store is a state.Store in the browser's database of one name.
type Store struct {
	// set once
	name           string
	lifetime, done time.Duration
	counter        func(name string, n int64) (topic string, data []byte)
	now            func() time.Time // may jump

	// The latest epoch that a call has met: a database that is made anew begins a
	// later one, even if the clock has been set back.
	epoch atomic.Uint64

	// A call takes what is in the channel, and puts it back: a lock whose wait
	// ends with the call's context.
	conn chan connection
}

// New returns a store in the database called name, which the first call opens,
// and makes if it does not exist. Calls fail where the browser has no IndexedDB
// or does not let this page use it.
func New(name string, opts *Options) *Store {
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
	s := &Store{name: name, lifetime: o.Lifetime, done: o.DoneLifetime, counter: o.Counter, now: time.Now, conn: make(chan connection, 1)}
	s.conn <- connection{}
	return s
}

// Commit implements state.Store: one transaction for all steps, on disk when it
// returns as far as the browser can tell.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	outcomes := make([]state.Outcome, len(steps))
	err := s.transact(ctx, "readwrite", func(tx js.Value) (phase, []js.Value) {
		c := s.begin(tx)
		found := make([]lookup, len(steps))
		for i := range steps {
			found[i] = c.look(steps[i].Topic, len(steps[i].Moves), func(j int) state.Client { return steps[i].Moves[j].Client })
		}
		return func() (phase, []js.Value, error) {
			if err := c.read(); err != nil {
				return nil, nil, err
			}
			for i := range steps {
				var err error
				if outcomes[i], err = c.step(&steps[i], &found[i]); err != nil {
					return nil, nil, err
				}
			}
			return c.finished()
		}, c.requests
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
	return s.transact(ctx, "readwrite", func(tx js.Value) (phase, []js.Value) {
		c := s.begin(tx)
		found := make([]lookup, len(marks))
		for i := range marks {
			found[i] = c.look(marks[i].Topic, 1, func(int) state.Client { return marks[i].Client })
		}
		return func() (phase, []js.Value, error) {
			if err := c.read(); err != nil {
				return nil, nil, err
			}
			for i := range marks {
				if err := c.finish(&marks[i], &found[i]); err != nil {
					return nil, nil, err
				}
			}
			return c.finished()
		}, c.requests
	})
}

// Read implements state.Store.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	records := make([]state.Record, len(topics))
	err := s.transact(ctx, "readonly", func(tx js.Value) (phase, []js.Value) {
		c := s.begin(tx)
		for _, topic := range topics {
			c.look(topic, 0, nil)
		}
		return func() (phase, []js.Value, error) {
			if err := c.read(); err != nil {
				return nil, nil, err
			}
			for i, request := range c.requests[metaRequests:] {
				t, err := topicOf(request)
				if err != nil {
					return nil, nil, err
				}
				records[i] = state.Record{Epoch: c.epoch, Version: t.version, Data: t.data}
			}
			return nil, nil, nil
		}, c.requests
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	err = s.transact(ctx, "readonly", func(tx js.Value) (phase, []js.Value) {
		c := s.begin(tx)
		found := c.look(topic, 0, nil)
		return func() (phase, []js.Value, error) {
			t, err := topicOf(found.topic)
			first = after + 1
			if err != nil || most < 1 || after >= t.entries {
				return nil, nil, err
			}
			first = max(after, t.trimmed) + 1
			request := tx.Call("objectStore", logs).Call("getAll", logRange(topic, first, t.entries), min(most, int(t.entries-first+1)))
			return func() (phase, []js.Value, error) {
				entries, err = entriesOf(request)
				return nil, nil, err
			}, []js.Value{request}, nil
		}, c.requests
	})
	if err != nil {
		return 0, nil, err
	}
	return first, entries, nil
}

// Close implements state.Store.
func (s *Store) Close() error {
	c := <-s.conn
	c.end()
	s.conn <- connection{closed: true}
	return nil
}

// met remembers the latest epoch.
func (s *Store) met(epoch uint64) {
	for {
		latest := s.epoch.Load()
		if epoch <= latest || s.epoch.CompareAndSwap(latest, epoch) {
			return
		}
	}
}
