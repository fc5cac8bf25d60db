package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"lockstep/internal/callback"
	"lockstep/internal/repeats"
	"lockstep/pubsub/driver"
)

// errStarted is a programmer's mistake, not a state to react to.
var errStarted = errors.New("pubsub: the hub has been started before")

// A Hub is one replica's connection to the broker, and the registry of its
// handlers. It outlives connections: it notices a dead or deaf one, makes a
// new one, subscribes again and tells every handler with a Gap. Its methods
// may be called concurrently, and by handlers, except that a handler that
// calls Stop waits for itself.
type Hub struct {
	// set once
	driver driver.Driver
	opts   Options
	log    *slog.Logger
	self   string // topic of the heartbeat, at the broker
	// base ends with Stop: it is the context of all that the hub does by
	// itself. ErrStopped is its cause.
	base   context.Context
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed after Stop, with the last goroutine

	stats counters
	times times
	guard callback.Guard // of the application's callbacks, and of the driver
	sent  atomic.Uint64  // heartbeats
	// wg counts every goroutine, and the calls that may start one: after
	// Stop it never grows from zero.
	wg sync.WaitGroup

	forgeries repeats.Counter // messages
	reported  error           // the last argument of OnStatus; owned by run

	mu     sync.Mutex // guards the rest, and what says so in topic and mailbox
	phase  phase
	err    error       // why degraded; nil: healthy
	conn   *connection // in use; nil: none
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

// NewHub returns a hub that Start connects. Nil options are the defaults. It
// panics without a driver, and with negative options.
func NewHub(d driver.Driver, opts *Options) *Hub {
	h := &Hub{
		driver: d, ended: make(chan struct{}), reported: ErrNotConnected, err: ErrNotConnected,
		topics: make(map[string]*topic), boxes: make(map[string]*mailbox),
	}
	if opts != nil {
		h.opts = *opts
	}
	if d == nil {
		panic("pubsub: NewHub needs a driver")
	}
	if err := h.opts.check(); err != nil {
		panic("pubsub: " + err.Error())
	}
	h.opts.setDefaults()
	h.guardCallbacks()
	h.log = h.opts.Logger.With("broker", d.Name())
	h.guard.Log, h.guard.Package, h.guard.Failed = h.log, "pubsub", func() { h.stats.handlerErrors.Add(1) }
	h.self = h.opts.Prefix + "_hub:" + strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
	h.base, h.cancel = context.WithCancelCause(context.Background())
	return h
}

// Start connects to the broker and returns when a message to itself has come
// back, or with the reason why not. From then on the hub keeps itself
// connected until Stop; ctx bounds the call only. A hub starts once: after an
// error it is stopped.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.begin(); err != nil {
		return err
	}
	err := h.startUp(ctx)
	h.wg.Done()
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.opts.OpTimeout)
	defer cancel()
	_ = h.Stop(ctx) // what hangs in the driver must not hide why it failed
	return fmt.Errorf("pubsub: connect to %s: %w", h.driver.Name(), err)
}

// begin makes an idle hub run. The caller is counted in wg.
func (h *Hub) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.phase {
	case stopped:
		return ErrStopped
	case running:
		return errStarted
	}
	h.phase = running
	h.wg.Add(1)
	return nil
}

// startUp makes the first connection and leaves it to run.
func (h *Hub) startUp(ctx context.Context) error {
	if !carries(h.self) {
		return fmt.Errorf("prefix %q: %w", h.opts.Prefix, ErrBadTopic)
	}
	if h.opts.ConnectLater {
		h.wg.Go(func() {
			c, _ := h.reconnect(0)
			h.run(c)
		})
		return nil
	}
	c, err := h.connect(ctx)
	if err != nil {
		return err
	}
	h.attach(c)
	h.report(h.reconcile(c)) // run has not begun
	h.wg.Go(func() { h.run(c) })
	return nil
}

// Stop ends the hub: no call of a handler begins any more, messages that wait
// are dropped, and every goroutine has ended when it returns nil. It returns
// ctx's error when that takes longer, because a handler or the driver's Close
// does not return; what is left ends by itself with them. Stopping twice is
// harmless; a stopped hub stays stopped.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	if h.phase != stopped {
		h.phase = stopped
		h.err = ErrStopped
		go func() { h.wg.Wait(); close(h.ended) }() // ends with the last goroutine of the hub
	}
	h.mu.Unlock()
	h.cancel(ErrStopped)
	select {
	case <-h.ended:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-h.ended: // it had ended all the same
		return nil
	default:
		return ctx.Err()
	}
}

// enter counts a call that may start goroutines, until wg.Done.
func (h *Hub) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != running {
		return ErrStopped
	}
	h.wg.Add(1)
	return nil
}

// bound limits a call of the broker: it ends with ctx, after OpTimeout, or
// with the hub.
func (h *Hub) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return h.boundBy(ctx, h.opts.OpTimeout)
}

// boundBy is bound with another limit.
func (h *Hub) boundBy(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, most)
	unlink := context.AfterFunc(h.base, cancel)
	return ctx, func() { unlink(); cancel() }
}

// Err returns nil while the hub is healthy: connected, a heartbeat has come
// back on this connection and none is overdue, and every topic is subscribed.
// Otherwise it says why not: it wraps ErrNotConnected without a connection, and
// is ErrStopped before Start and after Stop.
func (h *Hub) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != running {
		return ErrStopped
	}
	return h.err
}

// setErr records the status and reports whether the hub is running.
func (h *Hub) setErr(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != running {
		return false
	}
	h.err = err
	return true
}

// report records the status and tells it if it has changed. Only run may call
// it, and startUp before that: so OnStatus is called in order.
func (h *Hub) report(err error) {
	if !h.setErr(err) || same(h.reported, err) {
		return
	}
	switch {
	case err == nil:
		h.log.Info("the hub is healthy")
	case h.reported == nil:
		h.log.Warn("the hub is degraded", "err", err)
	default:
		h.log.Debug("the hub is still degraded", "err", err)
	}
	h.reported = err
	h.opts.OnStatus(err)
}

// same reports whether two errors say the same.
func same(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Error() == b.Error()
}

// Broadcast sends payload to every subscriber of topic on every replica, this
// one included, through the broker. Nil means that the broker has taken it. It
// is not repeated: an error means that some may not have got it. Without a
// connection it returns ErrNotConnected at once.
func (h *Hub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	if err := h.checkTopic(topic); err != nil {
		return err
	}
	c, err := h.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.OpTimeout)
	defer cancel()
	began := time.Now()
	if err := c.conn.Publish(ctx, h.opts.Prefix+topic, payload); err != nil {
		return fmt.Errorf("pubsub: broadcast on %q: %w", topic, c.explain(err))
	}
	h.times.publishing.Since(began)
	h.stats.published.Add(1)
	return nil
}

// current returns the connection in use.
func (h *Hub) current() (*connection, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.phase != running:
		return nil, ErrStopped
	case h.conn == nil:
		return nil, ErrNotConnected
	}
	return h.conn, nil
}

func (h *Hub) checkTopic(topic string) error {
	if topic == "" || !carries(h.opts.Prefix+topic) {
		return ErrBadTopic
	}
	return nil
}

// carries reports whether every driver can carry a topic, given with its
// prefix.
func carries(topic string) bool {
	return len(topic) <= driver.MaxTopic && utf8.ValidString(topic) && !strings.ContainsRune(topic, 0)
}
