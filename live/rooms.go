package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/htmx"
	"lockstep/internal/callback"
	"lockstep/pubsub"
)

// A Hub is what Rooms need of pubsub.Hub.
type Hub interface {
	Broadcast(ctx context.Context, topic string, payload []byte) error
	SubscribeTopic(ctx context.Context, session, topic string, h pubsub.Handler) error
	UnsubscribeAll(ctx context.Context, session string) error
}

// RoomsOptions describe one kind of room with states of type S. Functions may
// be called concurrently, and are never called under a lock. One that panics
// fails for what it was called for, and for nothing else; that is logged once in
// ten seconds and counted in Stats.Failures.
type RoomsOptions[S any] struct {
	// Name sets this kind of room apart from others on the same hub. It is
	// needed with Encode, and equal on all replicas.
	Name string
	// Topic names the room of a key to the broker and to the tabs: always by the
	// same name, which is not empty and no other room's.
	Topic func(key string) string
	// Render returns what a tab in the room is shown: the CSS selector of the
	// element whose content is replaced, and the content.
	Render func(key string, s S) (target string, c Component)

	// Items returns a state as items, of which tabs are sent what has changed; false: it is shown as
	// Render says. Nil: all are. It needs Order and Load.
	Items func(key string, s S) (Items, bool)

	// Data returns a state as text, for tabs that render themselves: they are
	// sent it instead of what Render returns. Nil: they are sent HTML, as all are.
	// It needs Order.
	Data func(s S) ([]byte, error)
	// Change returns what leads from one state of items to another as text, for these tabs; false:
	// they are sent the whole state. Nil: always.
	Change func(before, after S) ([]byte, bool)

	// Order returns what states of a key are ordered by, first epoch and then
	// version. Nil: each state is newer than the one before, and the tabs are
	// sent no version; for states that live in this replica only.
	Order func(s S) (epoch, version uint64)
	// Load reads states from the store, in the order of keys, which are not
	// more than 256: as many states as keys, or an error, which is the store's.
	// Nil: there is no store, and what a broadcast says is believed.
	Load func(ctx context.Context, keys ...string) ([]S, error)
	// Encode and Decode carry a state through the broker. Nil Encode: states
	// are not broadcast and the rooms do not listen to the broker.
	Encode func(s S) ([]byte, error)
	Decode func(payload []byte) (S, error)
	// Apply returns the state that a change leads to, where Decode has returned one, or Commit was
	// called with one: a state of which no more is known than its order and what has changed. known
	// is what the room has; zero: nothing. What is a state already it returns as it is. False: known
	// is not what the change leads from, and the store is to be read. Nil: all are states. It must
	// not change known.
	Apply func(known, change S) (S, bool)
	// Equal reports whether two states of the same version are the same. Nil: if Encode returns the
	// same of both.
	Equal func(a, b S) bool
	// Merge returns what is broadcast in place of two states, of which the first was not sent. Nil:
	// the second.
	Merge func(older, newer S) S
	// Heard is called with each state that a broadcast of a replica has brought (see
	// pubsub.Message.Trusted), also when it is no news, when only its order is known,
	// and when this replica has sent it: in the order in which they came, for each
	// key. What it does delays the tabs of the room. Nil: it is not called.
	Heard func(key string, s S)

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
	// Fresh is how old what tabs are shown may be, at most: see Runtime.Age. When it is older the
	// replica is degraded, as when the store is away. It should be some times Refresh. Default 0:
	// nothing is promised.
	Fresh time.Duration
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
	clock     clock
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

	// guarded by room.mu
	known     known[S]      // the newest state; nothing while seq is 0
	before    []accepted[S] // that flush has not seen, if they are items; at most maxAccepted, with known
	hearsay   hearsay       // where known is from, if the store has not said it
	peak      revision      // the newest that tabs were shown and the store never had
	listening bool          // subscribed at the hub
	changed   time.Time     // when known was taken
	asked     time.Time     // when the newest read of the store began that has answered, or the room
	misses    int           // digests that were right to have a newer version, since a broadcast was received
	search    search        // reads that broadcasts have caused
	early     []early[S]    // at most maxEarly
	owed      revision      // the newest that this replica has committed and the room could not show
	debts     []debt        // of owed; as many as ops may be without an answer

	book  book      // of items; see there
	drawn *known[S] // what tabs that render themselves were sent last; owned by flush
}

// An accepted is a state that a room has shown, or will.
type accepted[S any] struct {
	known[S]
	seq uint64
}

// maxAccepted bounds the states that wait to be shown. Of more, some are forgotten.
const maxAccepted = 64

// NewRooms makes the rooms of one kind. rt must have been started; its end is
// the end of the rooms' goroutine. hub may be nil when opts.Encode is nil. It
// panics when the options can't work: a callback that is needed is nil, a
// duration negative, or two kinds of rooms have one name.
func NewRooms[S any](rt *Runtime, hub Hub, opts RoomsOptions[S]) *Rooms[S] {
	mustBe(opts.check(rt, hub))
	mustBe(rt.claimKind(opts.Name))
	setDefault(&opts.FrameInterval, rt.opts.FrameInterval)
	setDefault(&opts.Refresh, 2*time.Second)
	setDefault(&opts.Digest, time.Second)
	setDefault(&opts.IdleTTL, 30*time.Second)
	rs := &Rooms[S]{opts: opts, rt: rt, hub: guardedHub{hub, rt}, rooms: make(map[string]*stateRoom[S]), received: make(chan digest, 1)}
	if opts.Load != nil {
		rs.loader = &loader[S]{
			rt: rt, name: opts.Name, load: opts.Load, clock: &rs.clock, doubt: make(chan struct{}, 1),
			waiting: make(map[string][]chan<- loaded[S]),
		}
	}
	if opts.Encode != nil {
		rs.publisher = newPublisher(rt, opts.Merge != nil, rs.broadcast)
	}
	if rs.loader != nil {
		rt.addAge(rs.age)
	}
	rs.watchPaints()
	if rs.loader != nil && opts.Fresh > 0 {
		rt.spawn(rs.watchAge)
	}
	rt.addRooms(rs.plain)
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
	r, err := rs.enter(s, key)
	if r == nil {
		return err
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if rs.loader != nil {
		if got := rs.loader.get(ctx, key); got.err == nil {
			rs.confirm(r, got)
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
	var got loaded[S]
	if rs.loader != nil {
		got = rs.loader.get(ctx, key)
		known = got.err == nil
	}
	r := rs.room(key)
	if r == nil {
		return got.state, known, got.err
	}
	if known {
		rs.confirm(r, got)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq == 0 {
		return got.state, known, got.err
	}
	return r.known.state, true, got.err
}

// room returns the room of key, or nil.
func (rs *Rooms[S]) room(key string) *stateRoom[S] {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.rooms[key]
}

// Commit announces a state that the store has: this replica shows it at once,
// the others get it through the broker. It does not block. States older
// than what is known change nothing.
//
// from is on whose behalf the state was changed, if that is known: values that
// tell people apart, and can be compared. While the broker is slow, broadcasts
// take turns between them, and it delays nobody else that one of them changes
// very many topics.
func (rs *Rooms[S]) Commit(key string, s S, from ...any) {
	k, err := rs.order(s)
	if err != nil {
		return // it has been logged
	}
	if r := rs.room(key); r != nil {
		rs.committed(r, k)
	}
	if rs.publisher != nil {
		rs.publisher.offer(key, k, from)
	}
}

// committed takes what the own replica has committed.
func (rs *Rooms[S]) committed(r *stateRoom[S], k known[S]) {
	made, provisional, ok := rs.apply(r, k)
	switch {
	case !ok:
		rs.owe(r, k)
		return
	case provisional:
		rs.hear(r, made, hearsay{rs.clock.now()})
	default:
		rs.settle(r, made, 0)
	}
	rs.advance(r)
}

// Ack acknowledges op to the tab of s in or after a frame that shows the
// newest state known now; call it after Commit.
func (rs *Rooms[S]) Ack(s *Session, key string, op htmx.Op) { rs.AckIn(s, key, htmx.Applied{Op: op}) }

// AckIn is Ack where it is known which state has the op first: a tab that renders itself shows a
// state that comes before the answer as soon as it has that.
func (rs *Rooms[S]) AckIn(s *Session, key string, is htmx.Applied) {
	op, at := is.Op, revision{is.Epoch, is.Version}
	r := rs.room(key)
	if r == nil {
		s.Ack(op)
		return
	}
	if rs.ackOwed(r, s, op, at) {
		return
	}
	r.mu.Lock()
	seq := r.seq
	r.mu.Unlock()
	s.ackIn(&r.room, seq, op, at)
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
func (rs *Rooms[S]) enter(s *Session, key string) (*stateRoom[S], error) {
	r, m, fresh, err := rs.findRoom(s, key)
	if err != nil {
		return nil, err
	}
	if fresh {
		rs.listen(r)
		close(r.ready)
	}
	if m == nil {
		return nil, nil
	}
	if s.ended() {
		r.remove(m) // it may have left before add
	}
	return r, nil
}

// findRoom makes the session a member of the room of key, which may be fresh.
func (rs *Rooms[S]) findRoom(s *Session, key string) (r *stateRoom[S], m *member, fresh bool, err error) {
	for r == nil && err == nil { // again when the room was closed meanwhile
		var made *stateRoom[S]
		if rs.room(key) == nil {
			if made, err = rs.newRoom(key); err != nil { // calls the application: not under mu
				break
			}
		}
		r, m, err = rs.place(s, key, made)
		fresh = r != nil && r == made
	}
	return r, m, fresh, err
}

// place makes the session a member of the room of key, which is fresh if there
// is none; nil: without one there is nothing to do. m is nil when the session is a
// member already or has ended.
func (rs *Rooms[S]) place(s *Session, key string, fresh *stateRoom[S]) (r *stateRoom[S], m *member, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r = rs.rooms[key]; r == nil {
		if fresh == nil {
			return nil, nil, nil
		}
		if !rs.rt.claimTopic(fresh.topic) {
			return nil, nil, fmt.Errorf("live: %w: Topic returned %q for two rooms", callback.ErrFailed, fresh.topic)
		}
		r = fresh
		rs.rooms[key] = r
	}
	m, ok := s.join(&r.room)
	if !ok {
		return r, nil, nil
	}
	r.add(m)
	return r, m, nil
}

func (rs *Rooms[S]) newRoom(key string) (*stateRoom[S], error) {
	topic, err := rs.topicOf(key)
	if err != nil {
		return nil, err
	}
	r := &stateRoom[S]{key: key, ready: make(chan struct{})}
	r.handle = "room:" + strconv.FormatUint(rs.serial.Add(1), 10) + ":" + key
	r.rt, r.topic, r.deserted, r.asked = rs.rt, topic, time.Now(), time.Now()
	r.versioned = rs.opts.Order != nil
	r.interval, r.perTab = rs.opts.FrameInterval, rs.opts.PerTab
	r.shards = make([]shard, len(rs.rt.writers))
	r.renderState = func() (*frame, error) { return rs.render(r, false) }
	if r.versioned && rs.loader != nil {
		r.claimed = func(m *member, at revision) bool { return rs.claimed(r, m, at) }
	}
	if r.book.topic = topic; rs.opts.Items != nil {
		r.locate = func(at revision) (uint64, bool, bool) { return rs.locate(r, at) }
	}
	return r, nil
}

// topicOf asks the application for the topic of a key.
func (rs *Rooms[S]) topicOf(key string) (topic string, err error) {
	defer rs.rt.guard.Caught("Topic", &err)
	if topic = rs.opts.Topic(key); topic == "" {
		return "", rs.rt.guard.Broken("Topic", "returned nothing")
	}
	return topic, nil
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

// render returns the newest state as tabs are sent it. With back it takes them
// back, as it does without while tabs may show what the room has taken back.
func (rs *Rooms[S]) render(r *stateRoom[S], back bool) (*frame, error) {
	r.mu.Lock()
	k, seq, taken := r.known, r.seq, r.changed
	alone, again := back, r.again == seq // alone: for one tab
	back = back || r.peak.newer(k.at)
	var before []accepted[S]
	if !alone {
		before = slices.Clone(r.before)
	}
	r.mu.Unlock()
	var parts []htmx.Partial
	it, items := rs.items(r.key, k.state)
	var err error
	switch {
	case items && !alone:
		f, err := rs.renderItems(r, k, page{seq: seq, at: k.at, again: again}, back, before, it)
		if err != nil {
			return nil, err
		}
		f.at, f.taken = k.at, taken // which others who have it from the book do not read
		return f, nil
	case items:
		parts, err = rs.wholeItems(it)
	default:
		if rs.opts.Items != nil && !alone {
			r.book.reset()
		}
		parts, err = rs.renderWhole(r.key, k.state)
	}
	if err != nil {
		return nil, err
	}
	if !k.order {
		return &frame{seq: seq, message: htmx.Fragment(r.topic, parts...)}, nil
	}
	message, states := htmx.State, htmx.Data
	if back {
		message, states = htmx.Correction, htmx.DataCorrection
	}
	f := &frame{seq: seq, at: k.at, taken: taken, message: message(r.topic, k.at[0], k.at[1], parts...)}
	if data, ok := rs.data(k.state); ok {
		f.data = states(r.topic, k.at[0], k.at[1], string(data))
	}
	return f, nil
}

// renderWhole calls Render.
func (rs *Rooms[S]) renderWhole(key string, s S) ([]htmx.Partial, error) {
	target, c := rs.opts.Render(key, s)
	html, err := htmlOf(c)
	return []htmx.Partial{{Target: target, HTML: string(html)}}, err
}

// locate returns the seq of the state that a tab says that it shows. Ahead: it is newer than what
// is known.
func (rs *Rooms[S]) locate(r *stateRoom[S], at revision) (seq uint64, ok, ahead bool) {
	r.mu.Lock()
	ahead = at.newer(r.known.at)
	if at == r.known.at && r.seq > 0 {
		seq, ok = r.seq, true
	}
	for i := len(r.before) - 1; i >= 0 && !ok; i-- {
		seq, ok = r.before[i].seq, r.before[i].at == at
	}
	r.mu.Unlock()
	if !ok && !ahead {
		seq, ok = r.book.lookup(at)
	}
	return seq, ok, ahead
}

// data returns a state for tabs that render themselves. When it can't, they are
// sent the HTML, which they drop: the others go on.
func (rs *Rooms[S]) data(s S) (data []byte, ok bool) {
	if rs.opts.Data == nil {
		return nil, false
	}
	var failed error
	err := rs.rt.guard.Call("Data", func() { data, failed = rs.opts.Data(s) })
	if failed != nil {
		rs.rt.guard.Report("Data", failed, nil)
	}
	return data, err == nil && failed == nil
}

// broadcast sends the last of states, which none of was sent.
func (rs *Rooms[S]) broadcast(ctx context.Context, key string, states []S) error {
	s := states[0]
	for _, newer := range states[1:] {
		older := s
		if err := rs.rt.guard.Call("Merge", func() { s = rs.opts.Merge(older, newer) }); err != nil {
			s = newer // and it has been logged
		}
	}
	payload, err := rs.encode(s)
	if err != nil {
		return err
	}
	topic, err := rs.topicOf(key)
	if err != nil {
		return err
	}
	published := rs.rt.follow(topic, Published)
	if err := rs.hub.Broadcast(ctx, topic, payload); err != nil {
		return err
	}
	if k, err := rs.order(s); err == nil {
		published(k.at)
	}
	return nil
}

// antiEntropy maintains the rooms for ever: it reads the store for those with
// tabs, subscribes what could not be subscribed, and closes what nobody needs.
// After a read that failed it soon tries again: one failure is not yet a fault.
func (rs *Rooms[S]) antiEntropy() {
	for rs.rt.pauseUnless(jitter(rs.opts.Refresh), rs.doubt()) {
		if rs.doubted() && !rs.rt.pause(jitter(min(retryRead, rs.opts.Refresh))) {
			return
		}
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
		rs.probe(live)
	}
}

// retryRead is the mean time between a read that failed and the next try: less
// than healthPatience, so that one failed read is no fault.
const retryRead = 200 * time.Millisecond

// doubt returns what wakes antiEntropy when a read has failed.
func (rs *Rooms[S]) doubt() <-chan struct{} {
	if rs.loader == nil {
		return nil
	}
	return rs.loader.doubt
}

func (rs *Rooms[S]) doubted() bool {
	if rs.loader == nil {
		return false
	}
	_, yes := rs.loader.suspect()
	return yes
}

// probe reads the store when nobody else does and the last read has failed: a
// replica that is not ready gets no tabs, and would never learn that it is.
func (rs *Rooms[S]) probe(live []*stateRoom[S]) {
	if rs.loader == nil || len(live) > 0 {
		return
	}
	if key, ok := rs.loader.suspect(); ok {
		rs.loader.read([]string{key})
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

// plain is open for what does not know the type of the states.
func (rs *Rooms[S]) plain() (all []*room) {
	for _, r := range rs.open() {
		all = append(all, &r.room)
	}
	return all
}

// refresh reads the store for all rooms, in few round trips. It returns those
// that had missed something.
func (rs *Rooms[S]) refresh(all []*stateRoom[S]) (missed []*stateRoom[S]) {
	if rs.loader == nil {
		return nil
	}
	for some := range slices.Chunk(all, loadBatch) {
		keys := make([]string, len(some))
		for i, r := range some {
			keys[i] = r.key
		}
		for i, got := range rs.loader.read(keys) {
			if got.err == nil && rs.confirm(some[i], got) {
				rs.rt.stats.repairs.Add(1)
				missed = append(missed, some[i])
			}
		}
		if rs.doubted() {
			return missed // the next round comes soon
		}
	}
	return missed
}

// closeEmpty forgets the rooms that nobody has been in for a while.
func (rs *Rooms[S]) closeEmpty() {
	var closed []*stateRoom[S]
	rs.mu.Lock()
	for key, r := range rs.rooms {
		if r.empty(rs.opts.IdleTTL) {
			delete(rs.rooms, key)
			rs.rt.releaseTopic(r.topic)
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
