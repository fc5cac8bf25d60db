// Package presence counts the tabs that show a topic, on all replicas together.
//
// It is soft state over pubsub and nothing else. Each replica announces what
// it has, on change and every Interval; what a replica has not repeated for
// TTL is forgotten, so a killed one leaves no ghosts. It is an estimate that
// is right within seconds, not a store, and not for decisions.
package presence

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"lockstep/internal/callback"
	"lockstep/pubsub"
)

const (
	// throttle is the shortest time between two announcements: a join storm
	// costs a few.
	throttle = 100 * time.Millisecond
	// chunk is how many topics one announcement carries at most, so that it
	// fits any broker.
	chunk = 32
	// eagerness is the shortest time between two questions to the others, and
	// between two answers to theirs: whoever floods the broker costs no more.
	eagerness = 300 * time.Millisecond
)

// A Hub is what a Tracker needs of pubsub.Hub.
type Hub interface {
	pubsub.Broadcaster
	pubsub.Subscriber
}

// Options of a Tracker. Zero values are the defaults.
type Options struct {
	Logger   *slog.Logger  // nil: slog.Default()
	Interval time.Duration // between two announcements of everything; 2 s
	TTL      time.Duration // how long an announcement is valid; 7 s
	// Changed is called with a topic whose count has changed, and the count,
	// in order, from one goroutine. One that panics is logged, once in ten
	// seconds, and called again with the next change. Nil: it is not called.
	Changed func(topic string, n int)
	// Unsigned counts also what is not known to come from a replica (see
	// pubsub.Message.Trusted): on a broker without signatures there is nothing
	// else. Whoever may publish there can then have any number shown.
	Unsigned bool
	// Setting is what all replicas must have alike, 512 bytes at most; it is part of
	// each announcement. Differs is called with each announcement of a replica that is
	// counted and has another one, which is not empty. It must not block. Nil: it is
	// not called.
	Setting string
	Differs func(setting string)
}

// none is announced of a topic in which a replica takes no part (any more), where
// 0 says that it does and has no tab yet.
const none = -1

// An announcement is what one replica broadcasts to all.
type announcement struct {
	Replica string `json:"r"`
	// Number grows with each announcement of a replica, so that one that comes
	// again, or late, is known. 0: a version that does not number them.
	Number uint64         `json:"n,omitempty"`
	Counts map[string]int `json:"c,omitempty"` // none: forget what was announced before
	// Ask is set by a replica that has just come: the others answer.
	Ask bool `json:"ask,omitempty"`
	// Setting is that of the replica. Empty: a version that does not say it.
	Setting string `json:"s,omitempty"`
}

// A Tracker counts for one replica. Its methods may be called concurrently.
type Tracker struct {
	// set once
	hub     Hub
	replica string
	opts    Options
	topic   pubsub.Topic[announcement]
	kick    chan struct{} // of size 1: there is something to do
	stop    chan struct{}
	done    sync.WaitGroup

	stopOnce sync.Once
	strange  sync.Once // what nobody has signed has been logged

	guard callback.Guard // of callbacks, and of the hub

	// owned by run, and then by Stop
	number   uint64    // of the last announcement
	asked    time.Time // the others
	answered time.Time // them

	mu       sync.Mutex // guards the rest
	here     map[string]int
	part     map[string]bool     // topics of Participate: true, and of Withdraw: false
	there    peers               // what the other replicas have announced
	announce map[string]struct{} // topics whose own count is to be announced
	changed  map[string]struct{} // topics whose total may have changed
	ask      bool                // the others are to be asked
	answer   bool                // another has asked
}

// NewTracker returns a tracker for the replica of that name, which must be
// unique among those that share the broker. It panics without a hub or a name, and
// with negative durations.
func NewTracker(hub Hub, replica string, opts *Options) *Tracker {
	t := &Tracker{
		hub: hub, replica: replica, topic: pubsub.NewTopic[announcement]("presence"),
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
		here: make(map[string]int), part: make(map[string]bool), there: peers{},
		announce: make(map[string]struct{}), changed: make(map[string]struct{}), ask: true,
	}
	if opts != nil {
		t.opts = *opts
	}
	switch {
	case hub == nil:
		panic("presence: NewTracker needs a Hub")
	case replica == "" || len(replica) > maxName:
		panic(fmt.Sprintf("presence: the name of a replica has 1 to %d bytes, and all have another", maxName))
	case len(t.opts.Setting) > maxName:
		panic(fmt.Sprintf("presence: Options.Setting has more than %d bytes", maxName))
	case t.opts.Interval < 0 || t.opts.TTL < 0:
		panic("presence: Options.Interval and TTL can't be negative, and 0 is the default")
	}
	// A replica of the same name that comes later begins above.
	t.number = uint64(max(time.Now().UnixMicro(), 0))
	if t.opts.Logger == nil {
		t.opts.Logger = slog.Default()
	}
	t.guard.Log, t.guard.Package = t.opts.Logger, "presence"
	if t.opts.Interval <= 0 {
		t.opts.Interval = 2 * time.Second
	}
	if t.opts.TTL <= 0 {
		t.opts.TTL = 7 * time.Second
	}
	if t.opts.Changed == nil {
		t.opts.Changed = func(string, int) {}
	}
	if t.opts.Differs == nil {
		t.opts.Differs = func(string) {}
	}
	return t
}

// Start subscribes to the announcements of the other replicas and asks for
// theirs. The hub must be running.
func (t *Tracker) Start(ctx context.Context) error {
	if err := t.topic.Subscribe(ctx, t.hub, "presence", t.receive); err != nil {
		return err
	}
	t.done.Go(t.run)
	t.wake()
	return nil
}

// Stop announces that this replica has no tabs any more, and ends the tracker.
// It waits for its goroutine. Stopping twice is harmless.
func (t *Tracker) Stop() {
	t.stopOnce.Do(func() { close(t.stop) })
	t.done.Wait()
}

// Enter counts one more of topic here.
func (t *Tracker) Enter(topic string) { t.add(topic, 1) }

// Leave takes back one Enter.
func (t *Tracker) Leave(topic string) { t.add(topic, -1) }

// Count returns how many of topic there are on all replicas.
func (t *Tracker) Count(topic string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.here[topic] + t.there.count(topic)
}

// Participate makes this replica take part in topic also while it has none of it:
// the others then see it in ByReplica, with 0.
func (t *Tracker) Participate(topic string) { t.setPart(topic, true) }

// Withdraw takes this replica out of topic for good: nothing is counted here any
// more, whatever comes.
func (t *Tracker) Withdraw(topic string) { t.setPart(topic, false) }

// ByReplica returns how many of topic there are here, and on each of the other
// replicas that take part in it: those that have some and those that called
// Participate, except those that called Withdraw, have stopped, or have announced
// nothing for TTL.
func (t *Tracker) ByReplica(topic string) (here int, there []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.here[topic], t.there.each(topic)
}

// Others returns how many other replicas have announced something lately, within
// TTL.
func (t *Tracker) Others() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.there.since(time.Now().Add(-t.opts.TTL))
}

func (t *Tracker) setPart(topic string, yes bool) {
	t.mu.Lock()
	t.part[topic] = yes
	t.mu.Unlock()
	t.add(topic, 0)
}

func (t *Tracker) add(topic string, d int) {
	t.mu.Lock()
	takesPart, special := t.part[topic]
	t.here[topic] = max(t.here[topic]+d, 0)
	if special && !takesPart || !special && t.here[topic] == 0 {
		delete(t.here, topic)
	}
	t.announce[topic] = struct{}{}
	t.changed[topic] = struct{}{}
	t.mu.Unlock()
	t.wake()
}

func (t *Tracker) wake() {
	select {
	case t.kick <- struct{}{}:
	default: // it is awake
	}
}

// run announces and reports until Stop.
func (t *Tracker) run() {
	every := time.NewTicker(t.opts.Interval)
	defer every.Stop()
	for {
		select {
		case <-t.stop:
			t.leave()
			return
		case <-every.C:
			t.refresh(time.Now())
			// Replicas that started together do not announce together.
			every.Reset(t.opts.Interval*3/4 + rand.N(t.opts.Interval/2))
		case <-t.kick:
		}
		t.report()
		if t.announceChanges() {
			t.wake() // for what is too early yet
		}
		select {
		case <-t.stop:
			t.leave()
			return
		case <-time.After(throttle):
		}
	}
}

// refresh marks all of here to be announced again, and forgets what the others
// have not repeated.
func (t *Tracker) refresh(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic := range t.here {
		t.announce[topic] = struct{}{}
	}
	for _, topic := range t.there.expire(now) {
		t.changed[topic] = struct{}{}
	}
}

// report calls Changed for what may have changed.
func (t *Tracker) report() {
	t.mu.Lock()
	changed := t.changed
	t.changed = make(map[string]struct{})
	t.mu.Unlock()
	for topic := range changed {
		t.tell(topic, t.Count(topic))
	}
}

// tell calls Changed, and survives it.
func (t *Tracker) tell(topic string, n int) {
	defer t.guard.Caught("Changed", nil)
	t.opts.Changed(topic, n)
}

// announceChanges broadcasts the counts in announce. It reports whether a question
// or an answer has to wait.
func (t *Tracker) announceChanges() (waits bool) {
	now := time.Now()
	t.mu.Lock()
	if t.answer && now.Sub(t.answered) >= eagerness {
		t.answer, t.answered = false, now
		for topic := range t.here {
			t.announce[topic] = struct{}{}
		}
	}
	counts := make(map[string]int, len(t.announce))
	for topic := range t.announce {
		n, ok := t.here[topic]
		if !ok {
			n = none
		}
		counts[topic] = n
	}
	ask := t.ask && now.Sub(t.asked) >= eagerness
	if ask {
		t.ask, t.asked = false, now
	}
	t.announce, waits = make(map[string]struct{}), t.ask || t.answer
	t.mu.Unlock()

	part := make(map[string]int, chunk)
	for topic, n := range counts {
		part[topic] = n
		if len(part) == chunk {
			t.broadcast(announcement{Counts: part, Ask: ask})
			part, ask = make(map[string]int, chunk), false
		}
	}
	if len(part) > 0 || ask {
		t.broadcast(announcement{Counts: part, Ask: ask})
	}
	return waits
}

func (t *Tracker) leave() {
	t.mu.Lock()
	for topic := range t.here {
		t.announce[topic] = struct{}{}
	}
	t.here = make(map[string]int)
	t.mu.Unlock()
	t.announceChanges()
}

func (t *Tracker) broadcast(a announcement) {
	defer t.guard.Caught("Hub.Broadcast", nil)
	t.number++
	a.Replica, a.Number, a.Setting = t.replica, t.number, t.opts.Setting
	// The hub bounds the call. What is lost is announced again after Interval.
	if err := t.topic.Broadcast(context.Background(), t.hub, a); err != nil {
		t.opts.Logger.Debug("presence not announced", "err", err)
	}
}

// receive handles what a replica announces.
func (t *Tracker) receive(_ context.Context, e pubsub.Event[announcement]) error {
	a := e.Value
	switch {
	case e.Gap:
		a = announcement{Ask: true} // who has missed something may have missed a question
	case a.Replica == t.replica:
		return nil
	case !e.Trusted && !t.opts.Unsigned:
		t.strange.Do(func() {
			t.opts.Logger.Warn("tabs of other replicas are not counted: what is announced on this broker is not signed")
		})
		return nil
	case !a.valid():
		return errAnnouncement
	case a.Setting != "" && a.Setting != t.opts.Setting:
		t.opts.Differs(a.Setting) // its panic is the hub's: the announcement comes again
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !e.Gap && !t.there.hear(a.Replica, a.Number, time.Now()) {
		return nil // it has come before
	}
	defer t.wake()
	t.ask, t.answer = t.ask || e.Gap, t.answer || a.Ask
	for topic, n := range a.Counts {
		if t.there.claim(a.Replica, topic, n, time.Now().Add(t.opts.TTL)) {
			t.changed[topic] = struct{}{}
		}
	}
	return nil
}
