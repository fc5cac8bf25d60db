// Package soft shares what is worth showing for a moment: who types, where the cursors
// are, what somebody has selected. A value belongs to an owner in a topic; values of all
// replicas are merged by owner, the newest wins, and what its owner does not renew is
// forgotten.
//
// It is soft state over pubsub and nothing else: at most once, conflated, never in a
// store. What matters is an op; see package state.
package soft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/callback"
	"lockstep/pubsub"
)

// Errors of Set. The value is not shared, and nothing else happens.
var (
	ErrOwner   = errors.New("soft: an owner has 1 to 64 of [A-Za-z0-9_.-]")
	ErrValue   = errors.New("soft: the value is too long, not valid, or has no JSON")
	ErrFull    = errors.New("soft: the topic has as many owners as it may have, or as many of one origin")
	ErrUnknown = errors.New("soft: nobody watches the topic here")
)

// maxName is how many bytes the name of a topic or of a replica may have.
const maxName = 512

// maxOwner is how many bytes the name of an owner may have.
const maxOwner = 64

// A Hub is what a Soft needs of pubsub.Hub.
type Hub interface {
	pubsub.Broadcaster
	pubsub.Subscriber
	UnsubscribeAll(ctx context.Context, session string) error
}

// Options of a Soft. Zero values are the defaults.
type Options[V any] struct {
	Logger *slog.Logger // nil: slog.Default()
	// TTL is how long a value is shared that its owner does not set again; equal on all
	// replicas. Default 10 s.
	TTL time.Duration
	// Interval is the shortest time between two broadcasts of a topic, and between two
	// calls of Changed with it; what happens in between is conflated. The first change
	// after a pause is told at once. Default 50 ms.
	Interval time.Duration
	// MaxOwners is how many owners a topic may have, those of all replicas together.
	// Default 1,024.
	MaxOwners int
	// MaxFrom is how many of them may be set by this replica on behalf of one origin: see SetFrom.
	// Default a quarter of MaxOwners.
	MaxFrom int
	// MaxValue is how many bytes a value may have as JSON. Default 256.
	MaxValue int
	// MaxFrame is about how many bytes Next returns at most: it ends with the value that
	// goes beyond. What does not fit comes with the next call. Default 4,096.
	MaxFrame int
	// Valid says whether a value may be shared. It must not block; it is called under no
	// lock. Nil: all may.
	Valid func(v V) bool
	// Changed is called with a topic of which Next has something new, from one goroutine.
	// A panic in it is logged, once in ten seconds. Nil: it is not called.
	Changed func(topic string)
	// Unsigned takes also what is not known to come from a replica; see
	// pubsub.Message.Trusted. Whoever may publish at the broker can then show anything
	// that is Valid, in anybody's name.
	Unsigned bool
}

// check returns what is wrong with the options, or nil.
func (o *Options[V]) check() error {
	for name, n := range map[string]int64{
		"TTL": int64(o.TTL), "Interval": int64(o.Interval), "MaxOwners": int64(o.MaxOwners), "MaxFrom": int64(o.MaxFrom),
		"MaxValue": int64(o.MaxValue), "MaxFrame": int64(o.MaxFrame),
	} {
		if n < 0 {
			return fmt.Errorf("option %s is negative, and 0 is the default", name)
		}
	}
	if o.MaxValue > maxBatch/2 {
		return fmt.Errorf("option MaxValue is more than %d bytes, which not every broker carries", maxBatch/2)
	}
	return nil
}

func (o *Options[V]) setDefaults() {
	setDefault(&o.TTL, 10*time.Second)
	setDefault(&o.Interval, 50*time.Millisecond)
	setDefault(&o.MaxOwners, 1024)
	setDefault(&o.MaxFrom, max(o.MaxOwners/4, 1))
	setDefault(&o.MaxValue, 256)
	setDefault(&o.MaxFrame, 4096)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Valid == nil {
		o.Valid = func(V) bool { return true }
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
}

func setDefault[N int | time.Duration](n *N, to N) {
	if *n == 0 {
		*n = to
	}
}

// A Soft shares values of type V, which have a form as JSON. Its methods may be called
// concurrently, except Start; Changed may call all but Stop.
type Soft[V any] struct {
	// set once
	hub     Hub
	replica string
	opts    Options[V]
	tell    chan struct{} // of size 1: broadcasting has something to do
	show    chan struct{} // of size 1: reporting has
	stop    chan struct{}
	done    sync.WaitGroup

	stopOnce sync.Once
	strange  sync.Once // what nobody has signed has been logged
	stats    counters
	guard    callback.Guard // of callbacks, and of the hub

	number atomic.Uint64 // of the last broadcast

	mu     sync.Mutex // guards the rest, and all topics
	topics map[string]*topic[V]
	serial uint64                 // names subscriptions to the hub
	loud   map[*topic[V]]struct{} // have something for the broker
	fresh  map[*topic[V]]struct{} // have something for Changed
}

// New returns a Soft for the replica of that name, which must be unique among those that
// share the broker. It panics without a hub or a name, and with options that can't work.
func New[V any](hub Hub, replica string, opts *Options[V]) *Soft[V] {
	s := &Soft[V]{
		hub: hub, replica: replica, tell: make(chan struct{}, 1), show: make(chan struct{}, 1), stop: make(chan struct{}),
		topics: make(map[string]*topic[V]), loud: make(map[*topic[V]]struct{}), fresh: make(map[*topic[V]]struct{}),
	}
	if opts != nil {
		s.opts = *opts
	}
	switch err := s.opts.check(); {
	case hub == nil:
		panic("soft: New needs a Hub")
	case replica == "" || len(replica) > maxName:
		panic(fmt.Sprintf("soft: the name of a replica has 1 to %d bytes, and all have another", maxName))
	case err != nil:
		panic("soft: " + err.Error())
	}
	s.opts.setDefaults()
	s.guard.Log, s.guard.Package = s.opts.Logger, "soft"
	// A replica of the same name that comes later begins above.
	s.number.Store(uint64(max(time.Now().UnixMicro(), 0)))
	return s
}

// Start begins to share. What was set before is told then. It is called once.
func (s *Soft[V]) Start() {
	s.done.Go(s.broadcast)
	s.done.Go(s.report)
}

// Stop tells the other replicas that the values of this one are gone, and ends all
// goroutines. Nothing is shared any more. Stopping twice is harmless.
func (s *Soft[V]) Stop() {
	s.stopOnce.Do(func() { close(s.stop) })
	s.done.Wait()
}

// Watch takes part in a topic until leave is called: this replica listens to the others,
// asks them what they have, and calls Changed. It does not wait for the broker. leave is
// to be called once; calling it again is harmless. A topic that nobody watches any more is
// forgotten after TTL.
func (s *Soft[V]) Watch(name string) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		t = newTopic[V](name, s.serial)
		s.serial++
		s.topics[name] = t
		s.wakeTell(t)
	}
	t.watchers++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.watchers--; t.watchers == 0 {
			t.deserted = time.Now()
		}
	})
}

// Set shares v as what owner has in a topic that is watched here, for TTL. Setting the
// same again renews it. Whoever sets a value that another replica has shared takes it
// over. The error is one of this package's.
func (s *Soft[V]) Set(topic, owner string, v V) error { return s.SetFrom(topic, owner, v, nil) }

// SetFrom is Set on behalf of an origin, an address say, which may have MaxFrom owners in a topic:
// so that nobody who has very many names keeps others out. Origins can be compared. Nil: none,
// which has no bound of its own.
func (s *Soft[V]) SetFrom(topic, owner string, v V, origin any) error {
	raw, err := s.encode(owner, v)
	if err == nil && origin != nil && !reflect.ValueOf(origin).Comparable() {
		err = ErrOwner
	}
	if err != nil {
		s.stats.refused.Add(1)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topic]
	if t == nil {
		return ErrUnknown
	}
	e := t.values[owner]
	if e == nil && len(t.values) >= s.opts.MaxOwners || (e == nil || e.origin != origin) && origin != nil && t.origins[origin] >= s.opts.MaxFrom {
		s.stats.refused.Add(1)
		return ErrFull
	}
	if e == nil {
		e = &value[V]{owner: owner}
		t.values[owner] = e
	}
	t.count(e, origin)
	s.stats.sets.Add(1)
	e.v, e.raw, e.from, e.set, e.gone = v, raw, "", time.Now(), false
	s.queueTell(t, e)
	s.queueShow(t, e)
	return nil
}

// encode returns a value as JSON, if it may be shared.
func (s *Soft[V]) encode(owner string, v V) ([]byte, error) {
	if !validOwner(owner) {
		return nil, ErrOwner
	}
	raw, err := json.Marshal(v)
	if err != nil || len(raw) > s.opts.MaxValue || !s.opts.Valid(v) {
		return nil, ErrValue
	}
	return raw, nil
}

func validOwner(owner string) bool {
	return len(owner) >= 1 && len(owner) <= maxOwner &&
		strings.Trim(owner, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// Drop forgets what owner has in a topic, if it was last set here: its session has ended.
func (s *Soft[V]) Drop(topic, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topic]
	if t == nil {
		return
	}
	if e := t.values[owner]; e != nil && e.from == "" && !e.gone {
		s.remove(t, e)
		s.queueTell(t, e)
	}
}

// Values returns what all owners have in a topic now, in no order. It is a snapshot.
func (s *Soft[V]) Values(topic string) iter.Seq2[string, V] {
	type pair struct {
		owner string
		v     V
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []pair
	if t := s.topics[topic]; t != nil {
		for owner, e := range t.values {
			if !e.gone {
				all = append(all, pair{owner, e.v})
			}
		}
	}
	return func(yield func(string, V) bool) {
		for _, p := range all {
			if !yield(p.owner, p.v) {
				return
			}
		}
	}
}

// Stats is a snapshot of what a Soft has done since it was made, and of what it has.
type Stats struct {
	Topics, Values int    // known now
	Sets           uint64 // values set here
	Refused        uint64 // values that were not shared
	Broadcasts     uint64 // sent
	Told           uint64 // values in them
	Frames         uint64 // that Next has returned
	Shown          uint64 // values in them
}

type counters struct{ sets, refused, broadcasts, told, frames, shown atomic.Uint64 }

// Stats returns a snapshot.
func (s *Soft[V]) Stats() Stats {
	all := Stats{
		Sets: s.stats.sets.Load(), Refused: s.stats.refused.Load(), Broadcasts: s.stats.broadcasts.Load(),
		Told: s.stats.told.Load(), Frames: s.stats.frames.Load(), Shown: s.stats.shown.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all.Topics = len(s.topics)
	for _, t := range s.topics {
		all.Values += len(t.values)
	}
	return all
}
