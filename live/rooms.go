package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/htmx"
	"lockstep/pubsub"
)

// A Hub is what Rooms need of pubsub.Hub.
type Hub interface {
	Broadcast(ctx context.Context, topic string, payload []byte) error
	SubscribeTopic(ctx context.Context, session, topic string, h pubsub.Handler) error
	UnsubscribeAll(ctx context.Context, session string) error
}

// RoomsOptions describe one kind of room with states of type S. Functions may
// be called concurrently unless said otherwise.
type RoomsOptions[S any] struct {
	// Name sets this kind of room apart from others on the same hub. It is
	// needed with Encode, and equal on all replicas.
	Name string
	// Topic names the room of a key to the broker and to the tabs.
	Topic func(key string) string
	// Render returns what a tab in the room is shown: the CSS selector of the
	// element whose content is replaced, and the content.
	Render func(key string, s S) (target string, c Component)

	// Data returns a state as text, for tabs that render themselves: they are
	// sent it instead of what Render returns. Nil: they are sent HTML, as all are.
	// It needs Order.
	Data func(s S) ([]byte, error)

	// Order returns what states of a key are ordered by, first epoch and then
	// version. Nil: each state is newer than the one before, and the tabs are
	// sent no version; for states that live in this replica only.
	Order func(s S) (epoch, version uint64)
	// Load reads states from the store, in the order of keys, which are not
	// more than 256. Nil: there is no store.
	Load func(ctx context.Context, keys ...string) ([]S, error)
	// Encode and Decode carry a state through the broker. Nil Encode: states
	// are not broadcast and the rooms do not listen to the broker.
	Encode func(s S) ([]byte, error)
	Decode func(payload []byte) (S, error)

	// FrameInterval is as in Options, for what may be shown less often.
	// Default: that of the runtime.
	FrameInterval time.Duration
	// PerTab is added to it for each tab in the room, so that what matters
	// little does not cost more, the more tabs there are. Default 0.
	PerTab time.Duration
	// Refresh is the mean time between two reads of the store for all rooms
	// with tabs in them ("anti-entropy"): it repairs lost broadcasts. Each
	// pause is jittered by a quarter. Default 2 s.
	Refresh time.Duration
	// Digest is the mean time between two digests, by which replicas tell each
	// other which versions they have: one that is behind reads the store.
	// Default 1 s. Rooms without Order, Load or Encode have none.
	Digest time.Duration
	// IdleTTL is how long a room without tabs goes on listening, so that a
	// reload finds it warm. Default 30 s.
	IdleTTL time.Duration
}

// Rooms are all the rooms of one kind in a replica, one for each key that a
// tab shows. Methods may be called concurrently.
type Rooms[S any] struct {
	// set once
	opts      RoomsOptions[S]
	rt        *Runtime
	hub       Hub
	loader    *loader[S]    // nil without a store
	publisher *publisher[S] // nil without Encode
	serial    atomic.Uint64 // names rooms to the hub
	received  chan digest   // of size 1: digests for audit

	mu    sync.Mutex
	rooms map[string]*stateRoom[S]
}

// A stateRoom is a room with its state, which room.mu guards.
type stateRoom[S any] struct {
	room
	key    string
	handle string        // the room's session at the hub: unique for each life of a room
	ready  chan struct{} // closed when the first attempt to subscribe has ended
	state  S

	// guarded by room.mu
	listening bool      // subscribed at the hub
	changed   time.Time // when state was taken
	misses    int       // digests that had a newer version, since a broadcast was received
}

// NewRooms makes the rooms of one kind. rt must have been started; its end is
// the end of the rooms' goroutine. hub may be nil when opts.Encode is nil.
func NewRooms[S any](rt *Runtime, hub Hub, opts RoomsOptions[S]) *Rooms[S] {
	setDefault(&opts.FrameInterval, rt.opts.FrameInterval)
	setDefault(&opts.Refresh, 2*time.Second)
	setDefault(&opts.Digest, time.Second)
	setDefault(&opts.IdleTTL, 30*time.Second)
	rs := &Rooms[S]{opts: opts, rt: rt, hub: hub, rooms: make(map[string]*stateRoom[S]), received: make(chan digest, 1)}
	if opts.Load != nil {
		rs.loader = &loader[S]{rt: rt, load: opts.Load, waiting: make(map[string][]chan<- loaded[S])}
	}
	if opts.Encode != nil {
		rs.publisher = &publisher[S]{
			rt: rt, publish: rs.broadcast, newer: rs.newer, slots: make(chan struct{}, publishers),
			next: make(map[string]S), busy: make(map[string]struct{}),
		}
	}
	rt.spawn(rs.antiEntropy)
	if rs.digesting() {
		rt.spawn(rs.announce)
		rt.spawn(rs.audit)
	}
	return rs
}

// digesting reports whether the rooms take part in digests: they have versions
// to compare, others to compare with and a store to catch up from.
func (rs *Rooms[S]) digesting() bool {
	return rs.opts.Order != nil && rs.loader != nil && rs.publisher != nil
}

// Join shows the room of key in the tab of s, from now on. It first listens
// and then reads, so that the first frame is not older than the call and no
// change is missed. When the store or the broker can't be reached the tab is
// shown what is known, and the rest once it can: that is not an error. Joining
// twice is harmless.
func (rs *Rooms[S]) Join(ctx context.Context, s *Session, key string) error {
	r := rs.enter(s, key)
	if r == nil {
		return nil
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if rs.loader != nil {
		if state, err := rs.loader.get(ctx, key); err == nil {
			rs.update(r, state)
		}
	}
	r.mu.Lock()
	seq := r.seq
	r.mu.Unlock()
	s.releaseIn(&r.room, seq)
	return nil
}

// Read returns the state of key as the store has it after the call began, or
// a newer one. When the store can't be read it returns what this replica
// knows and the error; known is false when it knows nothing.
func (rs *Rooms[S]) Read(ctx context.Context, key string) (s S, known bool, err error) {
	if rs.loader != nil {
		s, err = rs.loader.get(ctx, key)
		known = err == nil
	}
	rs.mu.Lock()
	r := rs.rooms[key]
	rs.mu.Unlock()
	if r == nil {
		return s, known, err
	}
	if known {
		rs.update(r, s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.seq > 0, err
}

// Commit announces a state that the store has: this replica shows it at once,
// the others get it through the broker. It does not block. States older
// than what is known change nothing.
func (rs *Rooms[S]) Commit(key string, s S) {
	rs.mu.Lock()
	r := rs.rooms[key]
	rs.mu.Unlock()
	if r != nil {
		rs.update(r, s)
	}
	if rs.publisher != nil {
		rs.publisher.offer(key, s)
	}
}

// Ack acknowledges op to the tab of s in or after a frame that shows the
// newest state known now; call it after Commit.
func (rs *Rooms[S]) Ack(s *Session, key, op string) {
	rs.mu.Lock()
	r := rs.rooms[key]
	rs.mu.Unlock()
	if r == nil {
		s.Ack(op)
		return
	}
	r.mu.Lock()
	seq := r.seq
	r.mu.Unlock()
	s.ackIn(&r.room, seq, op)
}

// Len returns how many rooms there are, those without tabs included.
func (rs *Rooms[S]) Len() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.rooms)
}

// enter makes the session a member of the room of key, which it makes and
// subscribes when it is the first. It returns nil when the session is a
// member already or has ended.
func (rs *Rooms[S]) enter(s *Session, key string) *stateRoom[S] {
	rs.mu.Lock()
	r, warm := rs.rooms[key]
	if !warm {
		r = rs.newRoom(key)
		rs.rooms[key] = r
	}
	m, ok := s.join(&r.room)
	if ok {
		r.add(m)
	}
	rs.mu.Unlock()
	if !warm {
		rs.listen(r)
		close(r.ready)
	}
	if !ok {
		return nil
	}
	if s.ended() {
		r.remove(m) // it may have left before add
	}
	return r
}

func (rs *Rooms[S]) newRoom(key string) *stateRoom[S] {
	r := &stateRoom[S]{key: key, ready: make(chan struct{})}
	r.handle = "room:" + strconv.FormatUint(rs.serial.Add(1), 10) + ":" + key
	r.rt, r.topic, r.deserted = rs.rt, rs.opts.Topic(key), time.Now()
	r.versioned = rs.opts.Order != nil
	r.interval, r.perTab = rs.opts.FrameInterval, rs.opts.PerTab
	r.shards = make([]shard, len(rs.rt.writers))
	r.renderState = func() (*frame, error) { return rs.render(r) }
	return r
}

// listen subscribes the room at the hub. When that fails the room lives on
// reading the store, and antiEntropy tries again.
func (rs *Rooms[S]) listen(r *stateRoom[S]) {
	if rs.publisher == nil {
		return
	}
	err := rs.hub.SubscribeTopic(context.Background(), r.handle, r.topic, func(ctx context.Context, m pubsub.Message) error {
		return rs.receive(ctx, r, m)
	})
	rs.rt.Report("topic "+r.topic, err)
	r.mu.Lock()
	r.listening = err == nil
	r.mu.Unlock()
}

// receive handles a message from the broker.
func (rs *Rooms[S]) receive(ctx context.Context, r *stateRoom[S], m pubsub.Message) error {
	if m.Gap {
		return rs.reload(ctx, r)
	}
	s, err := rs.opts.Decode(m.Payload)
	if err != nil {
		return fmt.Errorf("live: a broadcast on %q: %w", r.topic, err)
	}
	r.mu.Lock()
	r.misses = 0
	r.mu.Unlock()
	if rs.doubtful(r, s) {
		return rs.reload(ctx, r)
	}
	rs.update(r, s)
	return nil
}

// reload takes the state that the store has.
func (rs *Rooms[S]) reload(ctx context.Context, r *stateRoom[S]) error {
	if rs.loader == nil {
		return nil
	}
	s, err := rs.loader.get(ctx, r.key)
	if err != nil {
		return fmt.Errorf("live: reload %q: %w", r.topic, err)
	}
	rs.update(r, s)
	return nil
}

// maxAhead is how many versions a broadcast may be ahead and still be believed.
const maxAhead = 1 << 20

// doubtful reports whether a broadcast should not be believed before the store
// has been asked: a false state of a later epoch, or of a version far ahead,
// would keep every true one from being shown. Both are rare.
func (rs *Rooms[S]) doubtful(r *stateRoom[S], s S) bool {
	if rs.loader == nil || rs.opts.Order == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, news := rs.revision(r.state), rs.revision(s)
	return r.seq > 0 && (news[0] > known[0] || news[0] == known[0] && news[1] > known[1]+maxAhead)
}

// update takes s as the room's state if it is newer, and reports whether it is.
func (rs *Rooms[S]) update(r *stateRoom[S], s S) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq > 0 && !rs.newer(s, r.state) {
		return false
	}
	r.state, r.changed = s, time.Now()
	r.accept()
	return true
}

func (rs *Rooms[S]) newer(a, b S) bool {
	if rs.opts.Order == nil {
		return true
	}
	return rs.revision(a).newer(rs.revision(b))
}

func (rs *Rooms[S]) render(r *stateRoom[S]) (*frame, error) {
	r.mu.Lock()
	s, seq := r.state, r.seq
	r.mu.Unlock()
	target, c := rs.opts.Render(r.key, s)
	var html bytes.Buffer
	if err := c.Render(context.Background(), &html); err != nil {
		return nil, err
	}
	part := htmx.Partial{Target: target, HTML: html.String()}
	if rs.opts.Order == nil {
		return &frame{seq: seq, message: htmx.Fragment(r.topic, part)}, nil
	}
	epoch, version := rs.opts.Order(s)
	f := &frame{seq: seq, message: htmx.State(r.topic, epoch, version, part)}
	if rs.opts.Data == nil {
		return f, nil
	}
	data, err := rs.opts.Data(s)
	if err != nil {
		return nil, err
	}
	f.data = htmx.Data(r.topic, epoch, version, string(data))
	return f, nil
}

func (rs *Rooms[S]) broadcast(ctx context.Context, key string, s S) error {
	payload, err := rs.opts.Encode(s)
	if err != nil {
		return err
	}
	return rs.hub.Broadcast(ctx, rs.opts.Topic(key), payload)
}

// antiEntropy maintains the rooms for ever: it reads the store for those with
// tabs, subscribes what could not be subscribed, and closes what nobody needs.
func (rs *Rooms[S]) antiEntropy() {
	for rs.rt.pause(jitter(rs.opts.Refresh)) {
		rs.closeEmpty()
		live := rs.open()
		for _, r := range live {
			r.mu.Lock()
			deaf := !r.listening
			r.mu.Unlock()
			if deaf {
				rs.listen(r)
			}
		}
		rs.refresh(live)
	}
}

// jitter returns d, more or less by up to a quarter, so that replicas that
// started together do not read together.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

func (rs *Rooms[S]) open() []*stateRoom[S] {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make([]*stateRoom[S], 0, len(rs.rooms))
	for _, r := range rs.rooms {
		all = append(all, r)
	}
	return all
}

// refresh reads the store for all rooms, in few round trips.
func (rs *Rooms[S]) refresh(all []*stateRoom[S]) {
	if rs.loader == nil {
		return
	}
	for len(all) > 0 {
		some := all[:min(len(all), loadBatch)]
		all = all[len(some):]
		keys := make([]string, len(some))
		for i, r := range some {
			keys[i] = r.key
		}
		states, err := rs.loader.read(keys)
		if err != nil {
			return // the next round comes soon
		}
		for i, r := range some {
			if rs.update(r, states[i]) {
				rs.rt.stats.repairs.Add(1)
			}
		}
	}
}

// closeEmpty forgets the rooms that nobody has been in for a while.
func (rs *Rooms[S]) closeEmpty() {
	var closed []*stateRoom[S]
	rs.mu.Lock()
	for key, r := range rs.rooms {
		if r.empty(rs.opts.IdleTTL) {
			delete(rs.rooms, key)
			closed = append(closed, r)
		}
	}
	rs.mu.Unlock()
	if rs.publisher == nil {
		return
	}
	for _, r := range closed {
		rs.leave(r)
		rs.rt.Report("topic "+r.topic, nil)
	}
}

// leave unsubscribes a room at the hub.
func (rs *Rooms[S]) leave(r *stateRoom[S]) {
	err := rs.hub.UnsubscribeAll(context.Background(), r.handle)
	if err != nil && !errors.Is(err, pubsub.ErrNotConnected) {
		rs.rt.log.Debug("unsubscribe", "topic", r.topic, "err", err)
	}
}
