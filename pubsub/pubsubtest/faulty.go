package pubsubtest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lockstep/pubsub/driver"
)

// ErrRejected is what a call returns that Faults.Reject has met.
var ErrRejected = errors.New("pubsubtest: rejected")

// A reordered message lets this many later ones pass, or waits this long, at
// most.
const (
	overtakers = 3
	overtaking = 100 * time.Millisecond
)

// Faults says which promises of a broker are broken, and how often. The zero
// value breaks none. A probability is 0 for never and 1 for always.
type Faults struct {
	// Seed of all decisions; 0 means 1. A decision depends on it, on how many
	// connections were opened before this one, on the topic, and on how many
	// messages or calls of the topic this connection has seen: equal
	// sequences meet equal faults, whatever other topics carry.
	Seed uint64
	// Drop, Duplicate and Reorder are for each message that a connection
	// receives. A reordered one comes after one to three later ones of its
	// topic, or within 100 ms; of a duplicated one it is the second copy.
	Drop, Duplicate, Reorder float64
	// Delay and a random part of Jitter is how late each message comes. None
	// overtakes another by it.
	Delay, Jitter time.Duration
	// Reject is for each Publish and Subscribe: it returns ErrRejected without
	// reaching the broker.
	Reject float64
	Slow   time.Duration // before Publish reaches the broker
	// Spare reports topics, as the broker sees them, whose messages are not
	// dropped and whose calls are not rejected: heartbeats, say. Nil: none.
	Spare func(topic string) bool
}

func (f Faults) spares(topic string) bool { return f.Spare != nil && f.Spare(topic) }

// FaultStats counts what a FaultyDriver has done.
type FaultStats struct {
	Delivered  uint64 // messages that Receive has returned, copies included
	Dropped    uint64 // messages lost, those of deaf connections included
	Duplicated uint64 // messages of which there is a copy
	Reordered  uint64 // messages that a later one of their topic has overtaken
	Rejected   uint64 // calls
}

// A FaultyDriver is a driver.Driver around another one that breaks the
// promises of a broker on purpose, and reproducibly. A Gap is never lost: a
// broker that drops and says so keeps its promise. Its methods may be called
// concurrently.
type FaultyDriver struct {
	inner driver.Driver // set once

	mu     sync.Mutex // guards the rest
	faults Faults
	deaf   bool
	stats  FaultStats
	opened int
	conns  map[*faultyConn]struct{} // those that are open
}

// Faulty returns a FaultyDriver around d.
func Faulty(d driver.Driver, f Faults) *FaultyDriver {
	return &FaultyDriver{inner: d, faults: f, conns: make(map[*faultyConn]struct{})}
}

// Name implements driver.Driver.
func (f *FaultyDriver) Name() string { return f.inner.Name() }

// Unwrap implements driver.Unwrapper.
func (f *FaultyDriver) Unwrap() driver.Driver { return f.inner }

// Open implements driver.Driver.
func (f *FaultyDriver) Open(ctx context.Context) (driver.Conn, error) {
	inner, err := f.inner.Open(ctx)
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: inner, f: f, closed: make(chan struct{}), streams: make(map[string]*rand.Rand), interrupt: func() {}}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.number = f.opened
	f.opened++
	f.conns[c] = struct{}{}
	return c, nil
}

// SetFaults replaces the faults, on open connections too, and begins the
// sequences anew. What is held back or slow already stays so.
func (f *FaultyDriver) SetFaults(faults Faults) {
	f.change(func() { f.faults = faults }, func(c *faultyConn) { clear(c.streams) })
}

// Deafen makes the connections that are open now deliver nothing any more. They
// look healthy in all other ways. New ones deliver.
func (f *FaultyDriver) Deafen() { f.change(func() {}, func(c *faultyConn) { c.deaf = true }) }

// SetDeaf makes every connection, also a new one, deliver nothing, or no longer:
// then Gaps, and what was held back before, come after all.
func (f *FaultyDriver) SetDeaf(deaf bool) { f.change(func() { f.deaf = deaf }, func(*faultyConn) {}) }

// Heal ends all faults, deafness included, and delivers what is held back. A
// Publish that is slow already stays so.
func (f *FaultyDriver) Heal() {
	f.change(func() { f.faults, f.deaf = Faults{}, false }, func(c *faultyConn) {
		c.deaf = false
		for i, h := range c.held {
			c.held[i] = held{m: h.m}
		}
	})
}

// Stats returns what has happened so far.
func (f *FaultyDriver) Stats() FaultStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// change makes a change, also to each connection, and has Receive look again.
func (f *FaultyDriver) change(all func(), each func(*faultyConn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all()
	for c := range f.conns {
		each(c)
		c.interrupt()
	}
}

func (f *FaultyDriver) current() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults
}

// faultyConn is one connection. Messages are held back within Receive, so it
// needs no goroutine.
type faultyConn struct {
	driver.Conn // set once, and so are f and closed
	f           *FaultyDriver
	closed      chan struct{}

	// guarded by f.mu
	number    int // of connections opened before
	deaf      bool
	streams   map[string]*rand.Rand // of decisions
	held      []held                // as they arrived
	interrupt context.CancelFunc    // of the Receive under way
}

// held is a message that is held back.
type held struct {
	m         driver.Message
	until     time.Time
	lets      int // how many later ones pass until then; 0: none, nor of other topics
	overtaken bool
}

// Publish implements driver.Conn.
func (c *faultyConn) Publish(ctx context.Context, topic string, payload []byte) error {
	if slow := c.f.current().Slow; slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closed:
			return driver.ErrClosed
		}
	}
	if c.rejects("publish", topic) {
		return ErrRejected
	}
	return c.Conn.Publish(ctx, topic, payload)
}

// Subscribe implements driver.Conn.
func (c *faultyConn) Subscribe(ctx context.Context, topic string) error {
	if c.rejects("subscribe", topic) {
		return ErrRejected
	}
	return c.Conn.Subscribe(ctx, topic)
}

func (c *faultyConn) rejects(call, topic string) bool {
	spared := c.f.current().spares(topic)
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.stream(call, topic).Float64() >= c.f.faults.Reject || spared {
		return false
	}
	c.f.stats.Rejected++
	return true
}

// Receive implements driver.Conn.
func (c *faultyConn) Receive(ctx context.Context) (m driver.Message, err error) {
	for ok := false; !ok && err == nil; {
		m, ok, err = c.step(ctx)
	}
	return m, err
}

// step returns a message that is ready. Without one it takes in one of the
// broker, or returns when it is time to look again: to end the inner Receive
// loses nothing, by the contract of a Conn.
func (c *faultyConn) step(ctx context.Context) (m driver.Message, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return m, false, err
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	m, next, ok := c.take(cancel)
	if ok {
		return m, true, nil
	}
	if !next.IsZero() {
		// Not a deadline: a client may see it pass before the context does.
		defer time.AfterFunc(time.Until(next), cancel).Stop()
	}
	if m, err = c.Conn.Receive(wait); err == nil {
		c.arrive(m)
	} else if wait.Err() != nil {
		err = nil // the next step sees whether it was ctx
	}
	return m, false, err
}

// take returns a message that is ready, or when the next one will be; the zero
// time: none is held. A change calls interrupt.
func (c *faultyConn) take(interrupt context.CancelFunc) (m driver.Message, next time.Time, ok bool) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.interrupt = interrupt
	if _, open := c.f.conns[c]; !open || c.deaf || c.f.deaf {
		return m, next, false
	}
	now := time.Now()
	for i, h := range c.held {
		if !h.until.After(now) {
			return c.deliver(i), next, true
		}
		if next.IsZero() || h.until.Before(next) {
			next = h.until
		}
		if h.lets == 0 {
			break
		}
	}
	return m, next, false
}

// deliver lets a message overtake those before it. The caller holds mu.
func (c *faultyConn) deliver(i int) driver.Message {
	m := c.held[i].m
	for j := range c.held[:i] {
		h := &c.held[j]
		if h.m.Topic != m.Topic {
			continue
		}
		if h.lets--; h.lets == 0 {
			h.until = time.Time{}
		}
		if !h.overtaken {
			h.overtaken = true
			c.f.stats.Reordered++
		}
	}
	c.held = slices.Delete(c.held, i, i+1)
	c.f.stats.Delivered++
	return m
}

// arrive decides what becomes of a message.
func (c *faultyConn) arrive(m driver.Message) {
	spared := m.Gap || c.f.current().spares(m.Topic)
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	f, r := c.f.faults, c.stream("deliver", m.Topic)
	drop, twice, late := r.Float64() < f.Drop, r.Float64() < f.Duplicate, r.Float64() < f.Reorder
	if drop && !spared || (c.deaf || c.f.deaf) && !m.Gap {
		c.f.stats.Dropped++
		return
	}
	h := held{m: m, until: time.Now().Add(f.Delay + upTo(r, f.Jitter))}
	if twice {
		c.held = append(c.held, h)
		h.m.Payload = slices.Clone(m.Payload) // each copy is the receiver's own
		c.f.stats.Duplicated++
	}
	if late {
		h.lets, h.until = 1+r.IntN(overtakers), h.until.Add(upTo(r, overtaking))
	}
	c.held = append(c.held, h)
}

// upTo returns a random time of at most d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(max(d, 0)) + 1))
}

// stream is where the decisions on a topic come from. The caller holds mu.
func (c *faultyConn) stream(what, topic string) *rand.Rand {
	key := what + " " + topic
	if c.streams[key] == nil {
		seed := fmt.Appendf(nil, "%d %d %s", cmp.Or(c.f.faults.Seed, 1), c.number, key)
		c.streams[key] = rand.New(rand.NewChaCha8(sha256.Sum256(seed)))
	}
	return c.streams[key]
}

// Close implements driver.Conn.
func (c *faultyConn) Close() error {
	c.f.mu.Lock()
	if _, open := c.f.conns[c]; open {
		delete(c.f.conns, c)
		close(c.closed)
	}
	c.f.mu.Unlock()
	return c.Conn.Close()
}
