// Package natsstate keeps states in a stream of NATS JetStream (2.12 or later), for
// all replicas that share it. Each step of a Commit is one atomic batch: all of its
// messages are stored, or none.
//
// The promise is as strong as the servers' settings. By default a NATS server
// acknowledges what it has written, and has it brought to the disk within two
// minutes: then an op survives a crash of the process, and not one of the machine.
// With sync_interval: always it survives both. A stream of three replicas on machines
// that do not fail together survives the loss of one. Servers don't tell clients
// their sync_interval; what they do tell is checked: see Options.Preconditions.
//
// A loss is noticed when a server was started anew, or the stream has got another
// leader, or another stream or nothing is in its place: the epoch grows, and tabs
// follow the older state instead of keeping the newer. Where the stream is on one
// server it is noticed before the next commit, and in a cluster within a second. The
// clock of the server makes the new epoch: it must not have been set back. A backup
// that is restored into a server that goes on running is noticed only by the
// replicas that have seen more than is in it.
//
// Lanes of which nobody speaks are forgotten by the server itself, three lifetimes
// and an hour after they were written, by its clock. So when that jumps ahead by more
// than 13/7 of a lifetime and an hour, lanes are forgotten before their time.
package natsstate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/natsclient"
	"lockstep/precondition"
	"lockstep/state"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Prefix sets applications apart that share an account of NATS. Default
	// "lockstep:"; its stream is lockstep-state, and its subjects are below
	// lockstep.%state, where no broadcast of package natspubsub is.
	Prefix string
	// Lifetime is how long a lane is known at least after its last move.
	// Default state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish. Default
	// state.DoneLifetime.
	DoneLifetime time.Duration
	// Replicas is how many servers keep a stream that is made, 1 to 5, where no URL says it. Zero: 3
	// in a cluster, and else 1.
	Replicas int
	// Synced says that the servers have sync_interval: always, where no URL says it: they don't tell.
	Synced bool
	// Preconditions is told what the servers do not meet; nil: nobody.
	Preconditions *precondition.Part
}

// A Store is a state.Store in NATS JetStream. It has one connection, and opens
// another one with the next call when that is lost.
type Store struct {
	// set once
	where          func() (natsclient.Config, error) // with secrets; asked for each connection
	replicas       int                               // of the stream, if it is made; 0: what makes sense
	synced         bool                              // the servers have sync_interval: always
	subjects       subjects
	lifetime, done time.Duration
	unmet          *precondition.Part
	ahead          atomic.Int64  // ns; what tests add to the server's clock
	turn           chan struct{} // of size 1: held by who connects, or looks at the stream
	base           context.Context
	cut            context.CancelFunc // ends base, and sweeps
	busy           topics
	sweeps         sync.WaitGroup // Add only under mu while not closed

	mu       sync.Mutex // guards the rest
	closed   bool
	sweeping bool
	link     *link  // the last one; nil: there was none
	life     life   // what was found there
	high     uint64 // how far the stream has come in this life, at least
	top      uint64 // the greatest epoch that was seen
	ages     ages
	memory   memory
}

var errClosed = errors.New("natsstate: the store is closed")

// Open connects to one of the servers of a nats:// or tls:// URL, as package
// natsclient reads it, and makes the stream if there is none: of as many replicas as
// the URL says, or 3 in a cluster and else 1. A stream that is there stays as it is.
// Its errors do not contain the URL.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	return open(ctx, func() (natsclient.Config, error) { return natsclient.Parse(url) }, opts)
}

// OpenLike is Open where a connection of the program leads: to its servers, with its TLS, user,
// dialler and proxy. The store has a connection of its own, and never uses or closes the program's,
// which may be closed at any time. A CustomDialer must return by itself, since it knows no context.
// Nil is an error.
func OpenLike(ctx context.Context, nc *nats.Conn, opts *Options) (*Store, error) {
	like, err := natsclient.Like(nc)
	return open(ctx, func() (natsclient.Config, error) { return like, err }, opts)
}

func open(ctx context.Context, where func() (natsclient.Config, error), opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	config, err := where()
	if err != nil {
		return nil, fmt.Errorf("natsstate: %w", err)
	}
	s := newStore(&o)
	s.where, s.replicas, s.synced = where, cmp.Or(config.Replicas, o.Replicas), config.Synced || o.Synced
	if _, _, err := s.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("natsstate: %w", err), s.Close())
	}
	return s, nil
}

// newStore returns a store that has not connected yet.
func newStore(o *Options) *Store {
	s := &Store{
		subjects: newSubjects(cmp.Or(o.Prefix, "lockstep:")),
		lifetime: state.Lifetime, done: state.DoneLifetime, unmet: o.Preconditions,
		turn: make(chan struct{}, 1), busy: newTopics(), memory: newMemory(),
	}
	if o.Lifetime > 0 {
		s.lifetime = o.Lifetime
	}
	if o.DoneLifetime > 0 {
		s.done = o.DoneLifetime
	}
	s.base, s.cut = context.WithCancel(context.Background())
	return s
}

// Commit implements state.Store. Steps whose lanes are known here take one round trip;
// others a second one, to read them, and in a cluster a third.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	outcomes := make([]state.Outcome, len(steps))
	attempts := make([]*attempt, len(steps))
	for i := range steps {
		attempts[i] = &attempt{step: &steps[i], outcome: &outcomes[i]}
	}
	s.commit(ctx, attempts)
	return outcomes
}

// Read implements state.Store.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		return nil, ctx.Err()
	}
	subjects := make([]string, len(topics))
	for i, topic := range topics {
		subjects[i] = s.subjects.record(topic)
	}
	seen, err := s.look(ctx, subjects)
	if err != nil {
		return nil, fmt.Errorf("natsstate: read: %w", err)
	}
	records := make([]state.Record, len(topics))
	for i, topic := range topics {
		r, err := readRecord(seen.messages[subjects[i]])
		if err != nil {
			return nil, fmt.Errorf("natsstate: read %q: %w", topic, err)
		}
		s.learn(topic, seen.epoch, &r)
		records[i] = state.Record{Epoch: seen.epoch, Version: r.version, Data: r.data}
	}
	return records, nil
}

// Close implements state.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	l := s.link
	s.mu.Unlock()
	s.cut()
	if l != nil {
		l.close()
	}
	s.sweeps.Wait()
	return nil
}
