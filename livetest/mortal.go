package livetest

import (
	"context"
	"errors"
	"sync"

	"lockstep/pubsub/driver"
	"lockstep/state"
)

// errDead is what a replica that was killed hears of its broker and its store.
var errDead = errors.New("livetest: the replica was killed")

// A life is that of one run of a replica. Its methods may be called concurrently.
type life struct {
	end func() // set once; it is called once

	mu     sync.Mutex // guards the rest
	over   bool
	fatal  bool // the next commit is the last thing
	broken []func()
}

// err returns errDead once the life is over.
func (l *life) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return errDead
	}
	return nil
}

func (l *life) die() {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	l.over = true
	broken := l.broken
	l.mu.Unlock()
	for _, f := range broken {
		f()
	}
	l.end()
}

func (l *life) dieAfterCommit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = true
}

// committed reports what a caller of the store is to hear after a commit.
func (l *life) committed(done bool) error {
	l.mu.Lock()
	fatal := l.fatal && done
	l.mu.Unlock()
	if fatal {
		l.die()
	}
	return l.err()
}

// onDeath calls f when the life is over.
func (l *life) onDeath(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = append(l.broken, f)
}

// A mortalDriver is that of a replica: its connections break when it dies.
type mortalDriver struct {
	driver.Driver
	life *life
}

// Open implements driver.Driver.
func (d mortalDriver) Open(ctx context.Context) (driver.Conn, error) {
	if err := d.life.err(); err != nil {
		return nil, err
	}
	c, err := d.Driver.Open(ctx)
	if err != nil {
		return nil, err
	}
	d.life.onDeath(func() { _ = c.Close() }) // it is over all the same
	return mortalConn{c, d.life}, nil
}

type mortalConn struct {
	driver.Conn
	life *life
}

// Publish implements driver.Conn.
func (c mortalConn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.life.err(); err != nil {
		return err
	}
	return c.Conn.Publish(ctx, topic, payload)
}

// A mortalStore is that of a replica: nothing reaches it when the replica is dead.
type mortalStore struct {
	state.Store
	life *life
}

// Commit implements state.Store.
func (s mortalStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := s.life.err(); err != nil {
		return state.Failed(len(steps), err)
	}
	all := s.Store.Commit(ctx, steps...)
	done := false
	for _, o := range all {
		done = done || o.Err == nil
	}
	if err := s.life.committed(done); err != nil {
		return state.Failed(len(steps), err)
	}
	return all
}

// Read implements state.Store.
func (s mortalStore) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := s.life.err(); err != nil {
		return nil, err
	}
	return s.Store.Read(ctx, topics...)
}

// Entries implements state.Store.
func (s mortalStore) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	if err := s.life.err(); err != nil {
		return 0, nil, err
	}
	return s.Store.Entries(ctx, topic, after, most)
}

// Finish implements state.Store.
func (s mortalStore) Finish(ctx context.Context, marks ...state.Mark) error {
	if err := s.life.err(); err != nil {
		return err
	}
	return s.Store.Finish(ctx, marks...)
}

// Close implements state.Store: the store is not the replica's.
func (mortalStore) Close() error { return nil }
