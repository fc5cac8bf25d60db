package pubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"lockstep/pubsub/driver"
)

// Options of a Hub. Zero values are the defaults.
type Options struct {
	// Prefix is put before each topic at the broker, so that applications can
	// share one. Handlers never see it.
	Prefix string
	Logger *slog.Logger // nil: discard

	// HeartbeatInterval is the time between two messages that the hub sends
	// to itself through the broker. Default 1 s.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is how long one may take to come back before the
	// connection is taken for deaf and replaced. Default 3 s.
	HeartbeatTimeout time.Duration
	// OpTimeout bounds each call of the broker. Default 3 s.
	OpTimeout time.Duration
	// HandlerTimeout is when the context of a handler's call ends. Default 10 s.
	HandlerTimeout time.Duration
	// Queue is how many messages wait for the handlers of one session. When
	// it is full they are dropped and a Gap for each of their topics takes
	// their place. Default 256.
	Queue int
	// MinBackoff and MaxBackoff bound the pause before a connection is tried
	// again: it doubles with each failure, with full jitter. Default 50 ms
	// and 5 s.
	MinBackoff, MaxBackoff time.Duration

	// OnStatus is called when Err changes, in order and from one goroutine.
	// It must not block, nor call Stop.
	OnStatus func(err error)
	// OnRoundTrip is called with the time each heartbeat took through the
	// broker. It must not block.
	OnRoundTrip func(d time.Duration)
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&o.HeartbeatInterval, time.Second}, {&o.HeartbeatTimeout, 3 * time.Second}, {&o.OpTimeout, 3 * time.Second},
		{&o.HandlerTimeout, 10 * time.Second}, {&o.MinBackoff, 50 * time.Millisecond}, {&o.MaxBackoff, 5 * time.Second},
	} {
		if *d.p <= 0 {
			*d.p = d.def
		}
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnStatus == nil {
		o.OnStatus = func(error) {}
	}
	if o.OnRoundTrip == nil {
		o.OnRoundTrip = func(time.Duration) {}
	}
}

// A Hub is one replica's connection to the broker, and the registry of its
// handlers. It outlives connections: it notices a dead or deaf one, makes a
// new one, subscribes again and tells every handler with a Gap. Its methods
// may be called concurrently.
type Hub struct {
	// set once
	driver driver.Driver
	opts   Options
	log    *slog.Logger
	self   string // topic of the heartbeat, at the broker
	stop   chan struct{}
	// base is the context of handlers and of Receive: it ends with Stop.
	base   context.Context
	cancel context.CancelFunc

	stats counters
	wg    sync.WaitGroup // every goroutine; Add only under mu while running

	mu     sync.Mutex // guards the rest
	phase  phase
	err    error // why degraded; nil: healthy
	link   *link // the connection in use; nil: none
	topics map[string]*topic
	boxes  map[string]*mailbox // by session
}

// phase is where a hub is in its life; it only grows.
type phase int

const (
	idle phase = iota
	running
	stopped
)

// NewHub returns a hub that Start connects. Nil options are the defaults.
func NewHub(d driver.Driver, opts *Options) *Hub {
	h := &Hub{driver: d, stop: make(chan struct{}), topics: make(map[string]*topic), boxes: make(map[string]*mailbox)}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.setDefaults()
	h.log = h.opts.Logger.With("broker", d.Name())
	h.self = h.opts.Prefix + "_hub:" + rand.Text()
	h.base, h.cancel = context.WithCancel(context.Background())
	return h
}

// Start connects to the broker and returns when a message to itself has come
// back, or with the reason why not. From then on the hub keeps itself
// connected until Stop; ctx bounds the call only. A hub starts once.
func (h *Hub) Start(ctx context.Context) error {
	h.mu.Lock()
	if h.phase != idle {
		h.mu.Unlock()
		return ErrStopped
	}
	h.phase = running
	h.mu.Unlock()

	l, err := h.connect(ctx)
	if err != nil {
		_ = h.Stop(context.WithoutCancel(ctx)) // nothing was started that could fail to stop
		return fmt.Errorf("pubsub: connect to %s: %w", h.driver.Name(), err)
	}
	if !h.spawn(func() { h.run(l) }) {
		l.close(ErrStopped)
		return ErrStopped
	}
	return nil
}

// Stop ends the hub: no handler is called any more, and every goroutine has
// ended when it returns nil. It returns ctx's error when that takes longer,
// e.g. because a handler does not return. Stopping twice is harmless; a
// stopped hub stays stopped.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	if h.phase != stopped {
		h.phase = stopped
		h.err = ErrStopped
		close(h.stop)
		h.cancel()
	}
	h.mu.Unlock()

	ended := make(chan struct{})
	go func() { h.wg.Wait(); close(ended) }() // ends with the last goroutine
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Err returns nil while the hub is healthy: connected, with all topics
// subscribed, and its heartbeat comes back. Otherwise it says why not.
func (h *Hub) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != running {
		return ErrStopped
	}
	return h.err
}

// Broadcast sends payload to every subscriber of topic on every replica, this
// one included, through the broker. Nil means that the broker has taken it. It
// is not repeated: an error means that some may not have got it. Without a
// connection it returns ErrNotConnected at once.
func (h *Hub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	if err := h.checkTopic(topic); err != nil {
		return err
	}
	l, err := h.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.OpTimeout)
	defer cancel()
	if err := l.conn.Publish(ctx, h.opts.Prefix+topic, payload); err != nil {
		return fmt.Errorf("pubsub: broadcast on %q: %w", topic, err)
	}
	h.stats.published.Add(1)
	return nil
}

// current returns the connection in use.
func (h *Hub) current() (*link, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.phase != running:
		return nil, ErrStopped
	case h.link == nil:
		return nil, ErrNotConnected
	}
	return h.link, nil
}

func (h *Hub) checkTopic(topic string) error {
	if topic == "" || len(h.opts.Prefix)+len(topic) > driver.MaxTopic || !utf8.ValidString(topic) || strings.ContainsRune(topic, 0) {
		return ErrBadTopic
	}
	return nil
}

// spawn runs f in a goroutine that Stop waits for. It reports false, and does
// not run f, when the hub is not running.
func (h *Hub) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.spawnLocked(f)
}

// spawnLocked is spawn for a caller who holds mu.
func (h *Hub) spawnLocked(f func()) bool {
	if h.phase != running {
		return false
	}
	h.wg.Go(f)
	return true
}

// setErr records the status and tells it if it has changed. Only run, and
// Start before it, may call it: so OnStatus is called in order.
func (h *Hub) setErr(err error) {
	h.mu.Lock()
	changed := h.phase == running && (h.err == nil) != (err == nil)
	if h.phase == running {
		h.err = err
	}
	h.mu.Unlock()
	if changed {
		h.opts.OnStatus(err)
	}
}

// Stats is a snapshot of what a hub has done since it was made.
type Stats struct {
	Published     uint64        // broadcasts that the broker has taken
	Received      uint64        // messages from the broker, heartbeats not counted
	HandlerErrors uint64        // calls of handlers that failed or panicked
	Overflows     uint64        // full queues of sessions
	Gaps          uint64        // Gap messages to handlers
	Reconnects    uint64        // connections after the first
	RoundTrip     time.Duration // of the last heartbeat that came back
	Topics        int           // with handlers now
	Sessions      int           // with handlers now
}

type counters struct {
	published, received, handlerErrors, overflows, gaps, reconnects atomic.Uint64
	roundTrip                                                       atomic.Int64
}

// Stats returns a snapshot of the hub's counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	topics, sessions := len(h.topics), len(h.boxes)
	h.mu.Unlock()
	return Stats{
		Published: h.stats.published.Load(), Received: h.stats.received.Load(), HandlerErrors: h.stats.handlerErrors.Load(),
		Overflows: h.stats.overflows.Load(), Gaps: h.stats.gaps.Load(), Reconnects: h.stats.reconnects.Load(),
		RoundTrip: time.Duration(h.stats.roundTrip.Load()), Topics: topics, Sessions: sessions,
	}
}

var errDeaf = errors.New("pubsub: the broker does not deliver")
