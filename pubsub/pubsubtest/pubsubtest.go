// Package pubsubtest has a Recorder: a driver for tests that writes down what
// a hub asks of its broker, and breaks in the ways in which brokers break; and
// Faulty, which makes a broker of any driver that keeps few promises.
//
// It is for tests of hubs and of what is built on them. It does not test
// drivers: that is drivertest.
package pubsubtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// ErrDisconnected is what a connection returns after Disconnect.
var ErrDisconnected = errors.New("pubsubtest: disconnected")

// heartbeat marks the topics that hubs send to themselves on.
const heartbeat = "_hub:"

// Op is one operation of a driver or a connection.
type Op int

// The operations that are recorded, and that a test can make fail or stall.
const (
	Open Op = iota
	Publish
	Subscribe
	Unsubscribe
	Close
)

// String returns the operation's name.
func (op Op) String() string {
	return [...]string{"Open", "Publish", "Subscribe", "Unsubscribe", "Close"}[op]
}

// A Call is one call of an operation that has ended.
type Call struct {
	Op      Op
	Topic   string // of Publish, Subscribe and Unsubscribe
	Payload []byte // of Publish
	Err     error  // what the hub got
}

// A Recorder is a driver.Driver around another one. Its methods may be called
// concurrently. Several hubs may share one.
type Recorder struct {
	inner driver.Driver // set once

	mu      sync.Mutex // guards the rest
	changed chan struct{}
	calls   []Call
	conns   map[*conn]struct{} // those that work
	faults  map[fault]*failure
	stalls  map[Op]chan struct{} // closed by the release
	deaf    bool
}

// fault says which calls fail: all of an operation when topic is empty.
type fault struct {
	op    Op
	topic string
}

type failure struct {
	err  error
	left int // calls; negative: until Heal
}

// NewRecorder returns a Recorder around d. Nil is a broker in memory of its
// own.
func NewRecorder(d driver.Driver) *Recorder {
	if d == nil {
		d = mempubsub.NewBus()
	}
	return &Recorder{
		inner: d, changed: make(chan struct{}), conns: make(map[*conn]struct{}),
		faults: make(map[fault]*failure), stalls: make(map[Op]chan struct{}),
	}
}

// Name implements driver.Driver.
func (r *Recorder) Name() string { return r.inner.Name() }

// Unwrap implements driver.Unwrapper.
func (r *Recorder) Unwrap() driver.Driver { return r.inner }

// Open implements driver.Driver.
func (r *Recorder) Open(ctx context.Context) (driver.Conn, error) {
	var opened *conn
	err := r.do(ctx, Call{Op: Open}, func() error {
		inner, err := r.inner.Open(ctx)
		if err == nil {
			opened = newConn(r, inner)
			r.change(func() { r.conns[opened] = struct{}{} })
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Calls returns all calls in the order in which they ended, those for the
// heartbeat included.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Count returns how often an operation has been called, failures included,
// but not for the heartbeat.
func (r *Recorder) Count(op Op) int {
	n := 0
	for _, c := range r.Calls() {
		if c.Op == op && !strings.Contains(c.Topic, heartbeat) {
			n++
		}
	}
	return n
}

// Subscribes returns the topics that were subscribed with success, in order,
// without the heartbeat's.
func (r *Recorder) Subscribes() []string { return r.topics(Subscribe) }

// Unsubscribes returns the topics that were unsubscribed with success, in
// order, without the heartbeat's.
func (r *Recorder) Unsubscribes() []string { return r.topics(Unsubscribe) }

// Publishes returns what was published with success, in order, without
// heartbeats.
func (r *Recorder) Publishes() []driver.Message {
	var ms []driver.Message
	for _, c := range r.done(Publish) {
		ms = append(ms, driver.Message{Topic: c.Topic, Payload: slices.Clone(c.Payload)})
	}
	return ms
}

func (r *Recorder) topics(op Op) []string {
	var topics []string
	for _, c := range r.done(op) {
		topics = append(topics, c.Topic)
	}
	return topics
}

// done returns the successful calls of an operation, but for the heartbeat.
func (r *Recorder) done(op Op) []Call {
	return slices.DeleteFunc(r.Calls(), func(c Call) bool {
		return c.Op != op || c.Err != nil || strings.Contains(c.Topic, heartbeat)
	})
}

// Connected returns how many connections are open and not broken.
func (r *Recorder) Connected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Subscribed returns, sorted, the topics that the connections which work have
// subscribed, without the heartbeat's. A topic of two of them is there twice.
func (r *Recorder) Subscribed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var topics []string
	for c := range r.conns {
		for topic := range c.topics {
			if !strings.Contains(topic, heartbeat) {
				topics = append(topics, topic)
			}
		}
	}
	slices.Sort(topics)
	return topics
}

// patience is how often WaitFor asks cond when the Recorder has seen nothing new.
const patience = time.Millisecond

// WaitFor returns when cond holds, or with ctx's error. It asks at once, after
// each thing that the Recorder does or sees, and every millisecond, as cond
// may be about the hub or its handlers. cond may call the Recorder.
func (r *Recorder) WaitFor(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// change runs f under mu and wakes what waits.
func (r *Recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// do makes one call of an operation, or fails or stalls in its place.
func (r *Recorder) do(ctx context.Context, c Call, f func() error) error {
	err := r.stalled(ctx, c.Op)
	if err == nil {
		err = r.fault(c)
	}
	if err == nil {
		err = f()
	}
	c.Err = err
	r.change(func() { r.calls = append(r.calls, c) })
	return err
}
