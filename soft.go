package lockstep

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/time/rate"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/pubsub/driver"
	"lockstep/soft"
	"lockstep/state"
)

// A Soft is a kind of what is shown for a moment: who types, where somebody's cursor is. A value is
// its owner's; it is forgotten when its owner has gone, or has not set it again for a while. It is
// never in a store, and may be lost.
type Soft[V any] struct {
	app   *App
	board *board
	opts  SoftOptions[V]
	casts map[string]func(in Fields, raw json.RawMessage, c Call) (v V, ok bool, err error)
	byTab []string // of the casts, those that need a tab

	shared *shownRaw           // set by open
	feeds  *live.Feeds         // likewise, without Look
	rooms  *live.Rooms[loaded] // likewise, with Look: of []V
}

// shownRaw shares values as they are told. Those of all kinds, and of the roster, have this one
// type, so that the program for browsers has the code once (ADR 34).
type shownRaw = soft.Soft[json.RawMessage]

// SoftOptions say what is shown for a moment, and how. Zero values are the defaults.
type SoftOptions[V any] struct {
	Name string // of the kind: topics begin with it
	// TTL is how long a value is shown that its owner does not set again. Default 10 s.
	TTL time.Duration
	// Valid reports whether a value may be shown. One that may not takes back what its owner has
	// set. Nil: all may.
	Valid func(v V) bool
	// Look is how the values of all owners look, in the order of their owners: the CSS selector of the
	// element whose content it is, and the content. Nil: tabs are sent the values themselves, and a
	// script of the page shows them; see Soft in package htmx.
	Look func(topic string, values []V) (target string, c Component)
	// Interval is the shortest time between two frames, to which PerTab is added for each tab: a
	// topic with very many tabs costs no more than others. Defaults 50 ms and 50 µs.
	Interval, PerTab time.Duration
	// MaxFrame is about how many bytes a frame has at most, without Look. Default 4 KB.
	MaxFrame int
	// MaxValue is how many bytes a value may have as JSON. Default 256; about 2,000 is the most
	// that every broker carries.
	MaxValue int
	// Watched is called when the number of tabs has changed that show the topic of a key, those of
	// all replicas together, with what it was when this replica heard of it: so that a program
	// shares what nobody has to look at only while somebody looks. It is called by one goroutine,
	// and must not block. Nil: it is not called.
	Watched func(key string, tabs int)
	// ValidKey reports whether there may be a topic of a key. Nil: ValidKey.
	ValidKey func(key string) bool
}

// What a tab may cast: an honest one does ten times a second. What is beyond is lost.
const (
	castRate  = 25 // a second
	castBurst = 50
)

// maxSoftValue is the largest MaxValue: so that two fit into a message that every broker carries.
const maxSoftValue = (driver.MaxPayload - 128) / 2

// ownerPrefix is how much of a person's name is in that of an owner, which is in each value
// that is shown. Names of persons are hashes: nobody finds another with the same 48 bits.
const ownerPrefix = 8

// How often a topic is shown at most: a full one costs 20,000 deliveries a second.
const (
	softInterval = 50 * time.Millisecond
	softPerTab   = 50 * time.Microsecond
)

// Present adds a kind of what is shown for a moment, and forgotten after ttl; 0: after 10 s. view
// shows what all owners have set; it is a pure function. OnSoft adds what sets it.
func Present[V any](a *App, name string, ttl time.Duration, view func(values []V) templ.Component) *Soft[V] {
	a.needs(view != nil, name, "view")
	return PresentWith(a, SoftOptions[V]{Name: name, TTL: ttl, Look: func(topic string, values []V) (string, Component) {
		return "#" + roomID(topic), view(values)
	}})
}

// PresentWith is Present with options.
func PresentWith[V any](a *App, o SoftOptions[V]) *Soft[V] {
	if o.Interval == 0 {
		o.Interval = softInterval
	}
	if o.PerTab == 0 {
		o.PerTab = softPerTab
	}
	s := &Soft[V]{app: a, opts: o, casts: make(map[string]func(Fields, json.RawMessage, Call) (V, bool, error))}
	s.board = &board{name: o.Name, valid: o.ValidKey, open: s.open, sit: s.sit, render: s.render, stats: s.Stats, watched: o.Watched}
	if o.TTL < 0 || o.Interval < 0 || o.PerTab < 0 || o.MaxFrame < 0 || o.MaxValue < 0 || o.MaxValue > maxSoftValue {
		a.fault(fmt.Errorf("lockstep: an option of %s is negative or too large, and 0 is the default", o.Name))
	}
	if err := state.Problem(state.Kind[struct{}]{Name: o.Name}); err != nil {
		a.fault(err)
	}
	if a.free(o.Name) {
		a.boards[o.Name] = s.board
	}
	return s
}

// OnSoft adds a cast: f returns what the person's value becomes; false takes it back. In is a
// struct whose fields are those of the form; see state.Do. Values are by person: the tabs of one
// have one together, but where the cast has a field "tab", of 1 to 12 of [a-z0-9], by which they
// are told apart.
func OnSoft[V, In any](s *Soft[V], cast string, f func(in In, c Call) (v V, ok bool)) {
	s.app.needs(f != nil, s.opts.Name, fmt.Sprintf("cast %q", cast))
	read, err := made(state.Read[In])
	if err != nil {
		s.app.fault(fmt.Errorf("lockstep: the cast %q of %s: %w", cast, s.opts.Name, err))
		return
	}
	s.add(cast, func(fields Fields, _ json.RawMessage, c Call) (v V, ok bool, err error) {
		in, err := read(fields)
		if err == nil {
			v, ok = f(in, c)
		}
		return v, ok, err
	})
}

// OnValue adds a cast that has the value itself, as JSON, and beside it "tab", which it needs. See
// OnSoft.
func OnValue[V any](s *Soft[V], cast string) {
	s.byTab = append(s.byTab, cast)
	s.add(cast, func(_ Fields, raw json.RawMessage, _ Call) (v V, ok bool, err error) {
		err = json.Unmarshal(raw, &v)
		return v, true, err
	})
}

func (s *Soft[V]) add(cast string, f func(in Fields, raw json.RawMessage, c Call) (V, bool, error)) {
	switch {
	case s.app.hub != nil:
		panic(errStarted)
	case cast == "" || s.casts[cast] != nil:
		s.app.fault(fmt.Errorf("lockstep: %s can't have another cast of the name %q", s.opts.Name, cast))
	default:
		s.casts[cast] = f
	}
}

// At returns the room of a key.
func (s *Soft[V]) At(key string) Room { return s.app.room(s.Topic(key)) }

// Topic returns the topic of a key.
func (s *Soft[V]) Topic(key string) string { return s.opts.Name + ":" + key }

// Stats are what this replica has shared. Before the start it is nothing.
func (s *Soft[V]) Stats() soft.Stats {
	if s.shared == nil {
		return soft.Stats{}
	}
	return s.shared.Stats()
}

// Watch takes part in the topic of a key until leave is called, as a tab that shows it does: this
// replica hears what is shared there, and may Set something. Before the start it panics.
func (s *Soft[V]) Watch(key string) (leave func()) { return s.started().Watch(s.Topic(key)) }

// Set shares what the program itself has in the topic of a key, which is watched here, by a tab or
// by Watch. owner is 1 to 64 of [A-Za-z0-9_.-]; whoever sets the same owner elsewhere takes it
// over. It is forgotten after TTL. The error is one of package soft's.
func (s *Soft[V]) Set(key, owner string, v V) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return soft.ErrValue
	}
	return s.started().Set(s.Topic(key), owner, raw)
}

// Drop takes back what Set has shared here.
func (s *Soft[V]) Drop(key, owner string) { s.started().Drop(s.Topic(key), owner) }

// Values returns what all owners have in the topic of a key, which is watched here, in no order.
func (s *Soft[V]) Values(key string) iter.Seq2[string, V] {
	all := s.started().Values(s.Topic(key))
	return func(yield func(string, V) bool) {
		for owner, raw := range all {
			var v V
			if json.Unmarshal(raw, &v) == nil && !yield(owner, v) { // as it was when it was found valid
				return
			}
		}
	}
}

// Look counts as one more tab that shows the topic of a key, until end is called, which is to be
// called once: see SoftOptions.Watched. It is for a page without a tab.
func (s *Soft[V]) Look(key string) (end func()) {
	topic, p := s.Topic(key), s.app.presence
	p.Enter(topic)
	return sync.OnceFunc(func() { p.Leave(topic) })
}

// started returns what the topics share, once there is such a thing.
func (s *Soft[V]) started() *shownRaw {
	if s.shared == nil {
		panic(ErrNotStarted)
	}
	return s.shared
}

// open makes what the topics share; the runtime has been started.
func (s *Soft[V]) open() {
	a, o := s.app, &s.opts
	s.shared = soft.New(a.hub, a.wireName(), &soft.Options[json.RawMessage]{
		Logger: a.opts.Logger, TTL: o.TTL, Valid: s.isValidRaw, MaxFrame: o.MaxFrame, MaxValue: o.MaxValue, Changed: s.changed,
	})
	s.board.start, s.board.stop = s.shared.Start, s.shared.Stop
	if o.Look == nil {
		s.feeds = live.NewFeeds(a.rt, live.FeedsOptions{
			Topic: func(topic string) string { return topic }, Next: s.shared.Next, Whole: s.shared.Whole,
			FrameInterval: o.Interval, PerTab: o.PerTab,
		})
		return
	}
	s.rooms = live.NewRooms(a.rt, nil, live.RoomsOptions[loaded]{
		Topic: func(topic string) string { return topic },
		Render: func(topic string, l loaded) (string, live.Component) {
			values, _ := l.state.([]V)
			return o.Look(topic, values)
		},
		FrameInterval: o.Interval, PerTab: o.PerTab,
	})
}

// changed has a topic shown again.
func (s *Soft[V]) changed(topic string) {
	if s.feeds != nil {
		s.feeds.Kick(topic)
		return
	}
	s.shared.Next(topic) // what it says is in the values
	s.rooms.Commit(topic, loaded{state: s.values(topic)})
}

// values are what all owners have, in the order of their names.
func (s *Soft[V]) values(topic string) []V {
	_, key, _ := strings.Cut(topic, ":")
	all := maps.Collect(s.Values(key))
	values := make([]V, 0, len(all))
	for _, owner := range slices.Sorted(maps.Keys(all)) {
		values = append(values, all[owner])
	}
	return values
}

// render renders what there is now, for a page.
func (s *Soft[V]) render(topic string) (Component, bool) {
	if s.opts.Look == nil {
		return nil, false
	}
	var values []V
	if s.shared != nil {
		values = s.values(topic)
	}
	_, c := s.opts.Look(topic, values)
	return c, true
}

// A board is a Soft, whatever its values.
type board struct {
	name        string
	valid       func(key string) bool // nil: ValidKey
	open        func()
	start, stop func() // set by open
	sit         func(ctx context.Context, s *live.Session, topic string, who Visitor) (*seat, error)
	render      func(topic string) (Component, bool)
	stats       func() soft.Stats
	watched     func(key string, tabs int) // nil: nobody asks
}

// board returns what a topic is of, or nil.
func (a *App) board(topic string) *board {
	kind, key, _ := strings.Cut(topic, ":")
	b := a.boards[kind]
	if b == nil || !a.guard.validKey(b.valid, key) {
		return nil
	}
	return b
}

// watched tells the kind of a topic how many tabs show it.
func (a *App) watched(topic string, tabs int) {
	b := a.board(topic)
	if b == nil || b.watched == nil {
		return
	}
	_, key, _ := strings.Cut(topic, ":")
	_ = a.guard.Call("Watched", func() { b.watched(key, tabs) }) // it has been logged
}

// Moments are what this replica has shared of what is shown for a moment, of all kinds together.
func (a *App) Moments() (all soft.Stats) {
	for _, b := range a.boards {
		s := b.stats()
		all.Topics, all.Values = all.Topics+s.Topics, all.Values+s.Values
		all.Sets, all.Refused, all.Broadcasts = all.Sets+s.Sets, all.Refused+s.Refused, all.Broadcasts+s.Broadcasts
		all.Told, all.Frames, all.Shown = all.Told+s.Told, all.Frames+s.Frames, all.Shown+s.Shown
	}
	return all
}

// A seat is a tab's place in a topic of values that are shown for a moment. Its methods may be
// called concurrently.
type seat struct {
	// set once
	topic    string
	user     string // as owners begin
	userName string
	share    any  // of the visitor, as at the store; nil: nobody's in particular
	passing  bool // the tab has another session, or will have
	knows    func(cast, tab string) bool
	read     func(st *seat, e htmx.Event, at time.Time) (set func(owner string), valid bool, err error)
	drop     func(topic, owner string)
	out      func() // ends what the topic costs here

	mu     sync.Mutex    // guards the rest
	bucket *rate.Limiter // nil until the first cast
	owner  string        // of what may be there; "": nothing is
	left   bool
}

// sit shows a topic in a tab, which takes part in it.
func (s *Soft[V]) sit(ctx context.Context, sess *live.Session, topic string, who Visitor) (*seat, error) {
	user, passing := who.User, sess.Passing()
	if user == "" && !passing {
		user = "-" + strconv.FormatUint(rand.Uint64(), 36) // nobody can be told by that
	}
	st := &seat{topic: topic, user: user, userName: who.UserName, passing: passing, knows: s.knows, read: s.read, drop: s.shared.Drop}
	if who.Sender != nil {
		st.share = who.Sender.Share()
	}
	unwatch := s.shared.Watch(topic)
	quit, err := s.join(ctx, sess, topic)
	if err != nil {
		unwatch()
		return nil, err
	}
	st.out = func() { quit(); unwatch() }
	return st, nil
}

// join shows a topic in a tab, until quit is called.
func (s *Soft[V]) join(ctx context.Context, sess *live.Session, topic string) (quit func(), err error) {
	if s.feeds != nil {
		return s.feeds.Join(sess, topic)
	}
	s.rooms.Commit(topic, loaded{state: s.values(topic)})
	return func() { s.rooms.Leave(sess, topic) }, s.rooms.Join(ctx, sess, topic)
}

// knows reports whether there is a cast, of a tab that is called so.
func (s *Soft[V]) knows(cast, tab string) bool {
	return s.casts[cast] != nil && (validTab(tab) || tab == "" && !slices.Contains(s.byTab, cast))
}

// read returns what an owner's value becomes of what was cast; not valid: it is to be taken back.
// An error is that nothing can be told of it.
func (s *Soft[V]) read(st *seat, e htmx.Event, at time.Time) (set func(owner string), valid bool, err error) {
	var in Fields
	_ = json.Unmarshal(e.In, &in) // not all are fields
	_, key, _ := strings.Cut(st.topic, ":")
	v, ok, err := s.callCast(e, in, Call{Topic: st.topic, Key: key, User: st.user, UserName: st.userName, At: at})
	if err != nil {
		return nil, false, err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, false, err
	}
	set = func(owner string) { _ = s.shared.SetFrom(st.topic, owner, raw, st.share) } // what there is no room for is lost
	return set, ok && s.isValid(v), nil
}

// callCast calls what was added for a cast.
func (s *Soft[V]) callCast(e htmx.Event, in Fields, c Call) (v V, ok bool, err error) {
	defer s.app.guard.Caught("a cast", &err)
	return s.casts[e.Do](in, e.In, c)
}

// isValidRaw reports whether a value may be shown that was told.
func (s *Soft[V]) isValidRaw(raw json.RawMessage) bool {
	var v V
	return json.Unmarshal(raw, &v) == nil && s.isValid(v)
}

// isValid reports whether a value may be shown.
func (s *Soft[V]) isValid(v V) (ok bool) {
	if s.opts.Valid == nil {
		return true
	}
	defer s.app.guard.Caught("Valid", nil)
	return s.opts.Valid(v)
}

// cast takes in what the tab has cast. What is wrong, or too much, is lost.
func (st *seat) cast(e htmx.Event, at time.Time) {
	var in struct {
		Tab string `json:"tab"` // tells the tabs of a person apart
	}
	if st.user == "" || json.Unmarshal(e.In, &in) != nil || !st.knows(e.Do, in.Tab) {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.bucket == nil {
		st.bucket = rate.NewLimiter(castRate, castBurst)
	}
	if st.left || !st.bucket.Allow() {
		return
	}
	set, valid, err := st.read(st, e, at)
	if err != nil {
		return
	}
	owner := st.user[:min(len(st.user), ownerPrefix)] + "." + in.Tab
	if st.owner != owner {
		st.takeBack()
	}
	if st.owner = owner; !valid { // a session that is passing may not have set it
		st.takeBack()
		return
	}
	set(owner)
}

// validTab reports whether a tab may be called that: 1 to 12 of [a-z0-9].
func validTab(tab string) bool {
	return len(tab) >= 1 && len(tab) <= 12 && strings.Trim(tab, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// takeBack takes back what was set. The caller holds mu.
func (st *seat) takeBack() {
	if st.owner != "" {
		st.drop(st.topic, st.owner)
		st.owner = ""
	}
}

// leave is the end of the tab's session. One that is passing leaves what it has set, until
// the tab comes again or its time is over.
func (st *seat) leave() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.left = true
	if !st.passing {
		st.takeBack()
	}
}
