// Package lockstep keeps every open browser tab in step with shared state: what one person does,
// every tab on every replica shows at once, and each action counts exactly once, whatever is
// killed, retried or sent again.
//
//	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
//	hits := lockstep.Share(app, "hits", number)
//	lockstep.On(hits, "hit", func(h Hits, _ struct{}, _ lockstep.Call) (Hits, error) {
//		h.N++
//		return h, nil
//	})
//
// Share, Listing, Logging and Present are the kinds of state: a whole value, a list of items, a log
// of entries, and what is shown for a moment. At returns the room of a key, which is a component:
// it renders the newest state into a page, and keeps it in step from then on. Room.Form has a
// person act on it.
//
// The package is free of transports, and compiles for browsers. Package serve puts an App on HTTP;
// package backends opens brokers and stores by their URLs.
package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/htmx"
	"lockstep/internal/callback"
	"lockstep/internal/pause"
	"lockstep/live"
	"lockstep/presence"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// Options of an App. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Prefix sets this application apart from others on the same broker.
	Prefix string
	// Replica is the name shown on the page.
	Replica string
	// Refresh and Digest are how often states are compared with the store and
	// with other replicas; see live.RoomsOptions.
	Refresh, Digest time.Duration
	// Fresh is how old what tabs are shown may be, at most, before the replica calls itself
	// degraded; see live.RoomsOptions. 0: nothing is promised.
	Fresh time.Duration
	// OpLifetime is how old an op may be; see state.BatcherOptions.
	OpLifetime time.Duration
	// OpLifetimeDiffers is called when another replica is heard that has another
	// OpLifetime, every few seconds: lanes are forgotten by the shorter one, and ops
	// taken by the longer. It must not block. Nil: it is not called.
	OpLifetimeDiffers func()
	// Rebalance is how many movable tabs this replica sends to others in a
	// second, at most, while it has more than they have; see live.Movable. 0 or
	// less: none, and the others send it none.
	Rebalance float64
	// Tabs shows how many tabs show a topic, on all replicas, in each of them: the CSS selector of
	// the element, and its content. Nil: nothing is shown of that.
	Tabs func(topic string, n int) (target string, c Component)
	// Replicas, People and Acts show, in the same way, which replicas there are, who is at a topic,
	// and what was done there last, the newest first: see package roster, which bounds all three.
	// Nil: nothing is shown of that.
	Replicas func(all []Member) (target string, c Component)
	People   func(topic string, p People) (target string, c Component)
	Acts     func(topic string, last []Act) (target string, c Component)
	// Around reports whether a tab that shows a topic is shown the above of it: a page of several
	// rooms may be about one of them. It must not block. Nil: of all topics.
	Around func(topic string) bool
	// See decides whether a user may see a topic, and Act whether they may do an action, or a cast,
	// there: nil, or why not, in words for the person. They are asked when a page is made, when a tab
	// joins a room, and for each action; see also Recheck. They may be called concurrently. One that
	// panics has decided nothing, and is asked again. Nil: everybody may.
	See func(ctx context.Context, u User, topic string) error
	Act func(ctx context.Context, u User, topic, action string) error
	// Hooks are told how far ops have come, and the changes that they make. Nil: nobody is.
	Hooks Hooks
	// Live and Hub are passed on; what App sets in them itself is ignored.
	Live live.Options
	Hub  pubsub.Options
}

// A Component renders HTML: those of templ do.
type Component = live.Component

// An App is one replica of an application. Its kinds of state are added between New and Start.
// From Start on its methods may be called concurrently.
type App struct {
	// set once
	opts   Options
	id     string // of this replica, on the broker; no other's
	driver driver.Driver
	store  *timedStore
	rt     *live.Runtime
	writes *writes
	// followers are of readers that are no tabs.
	followers *followers
	known     folded // for Render
	watching  *live.Wire
	guard     guard

	// added until Start
	families map[string]*family      // by the name of their kind
	boards   map[string]*board       // likewise: of what is shown for a moment
	problems []error                 // of what was added
	works    []func(context.Context) // what runs from Start to Stop; each returns at once

	// set by Start
	hub        *pubsub.Hub
	batcher    *state.Batcher
	presence   *presence.Tracker
	tabs       *live.Rooms[loaded] // of ints
	beside     *beside             // nil: nothing is
	endBalance context.CancelFunc  // nil: this replica takes no part
	balancing  sync.WaitGroup      // balance
	endWork    context.CancelFunc
	working    sync.WaitGroup // what works have begun

	mu    sync.Mutex                    // guards the rest
	views map[*view]struct{}            // of tabs that are connected
	ends  []func(context.Context) error // what OnStop has added
}

// New returns an application over a broker and a store. It does not take ownership of the store.
// What is wrong with what it is given, and with what is added to it, Start says.
func New(d driver.Driver, store state.Store, opts *Options) *App {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OpLifetimeDiffers == nil {
		o.OpLifetimeDiffers = func() {}
	}
	// Two replicas may have the same name: their ids differ all the same.
	a := &App{
		opts: o, id: strconv.FormatUint(rand.Uint64(), 36), driver: d, store: &timedStore{Store: store}, followers: newFollowers(),
		watching: &live.Wire{Encode: func(m []byte) []byte { return m }}, guard: guard{callback.Guard{Log: o.Logger, Package: "lockstep"}},
		families: make(map[string]*family), boards: make(map[string]*board), views: make(map[*view]struct{}),
	}
	o.Live.Logger, o.Live.Welcome = o.Logger, a.welcome
	if o.Hooks != nil {
		o.Live.Hooks = o.Hooks
	}
	a.rt = live.NewRuntime(&o.Live)
	a.writes = newWrites(a.rt)
	return a
}

// How often the number of tabs is shown at most. While thousands come, each is
// news for all that are there: it may cost 2,000 deliveries a second, and is
// five seconds late among ten thousand.
const (
	tabsInterval = 250 * time.Millisecond
	tabsPerTab   = 500 * time.Microsecond
)

// Errors of an application that is set up wrongly.
var (
	errNoDriver = errors.New("lockstep: New was given no driver of a broker: mempubsub.NewBus() is one for this process")
	errNoStore  = errors.New("lockstep: New was given no store: memstate.New(nil) is one for this process")
	errStarted  = errors.New("lockstep: the application has been started: what it has is added before")
)

// ErrNotStarted means that Start was not called yet, or has failed.
var ErrNotStarted = errors.New("lockstep: the application has not been started")

// fault takes note of what is wrong with what was added.
func (a *App) fault(err error) {
	if a.hub != nil {
		panic(errStarted) // nobody asks for the problems any more
	}
	a.problems = append(a.problems, err)
}

// needs takes note of a kind that was added without a function that it can't do without.
func (a *App) needs(given bool, kind, what string) {
	if !given {
		a.fault(fmt.Errorf("lockstep: %s was given no function for its %s", kind, what))
	}
}

// addFamily adds a kind of state.
func (a *App) addFamily(f *family) {
	name := f.name()
	f.guard = &a.guard
	if a.free(name) {
		a.families[name] = f
	}
}

// free reports whether a name can be that of another kind.
func (a *App) free(name string) bool {
	if a.hub != nil {
		panic(errStarted)
	}
	if a.families[name] == nil && a.boards[name] == nil {
		return true
	}
	a.fault(fmt.Errorf("lockstep: there are two kinds of the name %q", name))
	return false
}

// family returns what a topic is of, and its key; false: there is no such topic.
func (a *App) family(topic string) (f *family, key string, ok bool) {
	kind, key, _ := strings.Cut(topic, ":")
	f = a.families[kind]
	return f, key, f != nil && f.validKey(key)
}

// ValidKey reports whether a key is 1 to 64 of [A-Za-z0-9_-]. So are those of kinds that say
// nothing else.
func ValidKey(key string) bool {
	return len(key) >= 1 && len(key) <= 64 &&
		strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// committed shows what was committed, and tells the other replicas.
func (a *App) committed(c state.Commit) {
	if f, key, ok := a.family(c.Topic); ok {
		f.commit(key, c)
	}
	a.followers.changed(c.Topic)
}

// check returns what is wrong with the application, or nil.
func (a *App) check() error {
	problems := slices.Clone(a.problems)
	switch {
	case a.hub != nil:
		problems = append(problems, errStarted)
	case a.driver == nil:
		problems = append(problems, errNoDriver)
	case a.store.Store == nil:
		problems = append(problems, errNoStore)
	}
	for _, f := range a.families {
		problems = append(problems, state.Problem(f.kind.reducer()))
	}
	return errors.Join(problems...)
}

// Start connects to the broker and lets tabs in. An error means that the application is set up
// wrongly, or that the broker can't be reached. It is called once.
func (a *App) Start(ctx context.Context) error {
	if err := a.check(); err != nil {
		return err
	}
	a.connect()
	a.rt.Start()
	for _, f := range a.families {
		f.start(a)
	}
	if a.opts.Tabs != nil {
		a.tabs = live.NewRooms(a.rt, nil, live.RoomsOptions[loaded]{
			Topic:  func(topic string) string { return "tabs:" + topic },
			Render: a.renderTabs,

			FrameInterval: tabsInterval,
			PerTab:        tabsPerTab,
		})
	}
	a.beside = a.newBeside()
	for _, b := range a.boards {
		b.open()
	}
	if err := a.hub.Start(ctx); err != nil {
		a.rt.Stop()
		return err
	}
	if err := a.listen(ctx); err != nil {
		return errors.Join(err, a.Stop(ctx, 0))
	}
	if err := a.presence.Start(ctx); err != nil {
		return errors.Join(err, a.Stop(ctx, 0))
	}
	for _, b := range a.boards {
		b.start()
	}
	if a.beside != nil {
		a.beside.roster.Start()
	}
	a.startBalancing()
	var work context.Context
	work, a.endWork = context.WithCancel(context.Background())
	for _, f := range a.works {
		f(work)
	}
	return nil
}

// listen hears what other replicas want done to tabs.
func (a *App) listen(ctx context.Context) error {
	return errors.Join(
		a.hub.SubscribeTopic(ctx, a.id, recheckTopic, func(ctx context.Context, m pubsub.Message) error {
			a.recheck(ctx, string(m.Payload)) // whoever says it, it is only asked again; after a gap, of all
			return nil
		}),
		a.hub.SubscribeTopic(ctx, a.id, tellTopic, func(_ context.Context, m pubsub.Message) error {
			if m.Trusted && !m.Gap {
				a.heardTell(m.Payload)
			}
			return nil
		}))
}

// connect makes what needs all kinds.
func (a *App) connect() {
	o := a.opts
	o.Hub.Logger, o.Hub.Prefix = o.Logger, o.Prefix
	if o.Hub.MaxBackoff == 0 {
		o.Hub.MaxBackoff = time.Second // tabs are in step 2 s after a broker's return
	}
	o.Hub.OnStatus = func(err error) { a.rt.Report("broker", err) }
	a.hub = pubsub.NewHub(a.driver, &o.Hub)
	var kinds []state.Reducer
	for _, f := range a.families {
		kinds = append(kinds, f.kind.reducer())
	}
	a.batcher = state.NewBatcher(a.store, &state.BatcherOptions{
		Logger: o.Logger, Clock: a.rt.Clock, Health: a.writes.report, OpLifetime: o.OpLifetime, Committed: a.committed,
	}, kinds...)
	a.presence = presence.NewTracker(a.hub, a.wireName(), &presence.Options{
		Logger: o.Logger,
		Changed: func(topic string, n int) {
			a.watched(topic, n)
			if a.tabs != nil {
				a.tabs.Commit(topic, loaded{state: n})
			}
		},
		Setting: cmp.Or(o.OpLifetime, state.OpLifetime).String(),
		Differs: func(string) { a.opts.OpLifetimeDiffers() },
	})
}

// wireName is what other replicas call this one: text, and of limited length.
func (a *App) wireName() string {
	name := a.opts.Replica
	return strings.ToValidUTF8(name[:min(len(name), 256)], "") + "#" + a.id
}

// renderTabs is how many tabs show a topic, as they are told.
func (a *App) renderTabs(topic string, l loaded) (string, live.Component) {
	n, _ := l.state.(int)
	return a.opts.Tabs(topic, n)
}

// Drain sends every tab away, spread over at most the given time, and finishes
// what they had sent. Pages and forms are still served, and should be until
// nobody asks any more; then comes Stop.
func (a *App) Drain(ctx context.Context, over time.Duration) error {
	a.stopBalancing()
	a.followers.stop() // those that read find another replica, as tabs do
	return a.rt.Drain(ctx, over)
}

// Stop is Drain, then ends all goroutines, and calls at last what OnStop has added. ctx bounds the
// whole. Before Start there is nothing else to end.
func (a *App) Stop(ctx context.Context, drain time.Duration) error {
	var err error
	if a.hub != nil {
		err = a.end(ctx, drain)
	}
	return errors.Join(err, a.runEnds(ctx))
}

// OnStop has Stop call f at its end, when nothing of the application runs any more: it is for what
// was opened for the application, such as its store. What was added last is called first, each
// once, with the context of Stop, and also when that has ended. Their errors, and a panic of one,
// are those of Stop. What is added after Stop is called by the next one. It may be called
// concurrently.
func (a *App) OnStop(f func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends = append(a.ends, f)
}

// runEnds calls what OnStop has added, the last first.
func (a *App) runEnds(ctx context.Context) error {
	a.mu.Lock()
	ends := a.ends
	a.ends = nil
	a.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(ends) {
		errs = append(errs, runEnd(ctx, f))
	}
	return errors.Join(errs...)
}

// runEnd calls one. Its panic is an error: the others are called all the same.
func runEnd(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("lockstep: panic in what OnStop has added: %v", p)
		}
	}()
	return f(ctx)
}

// end is Stop of what Start has begun.
func (a *App) end(ctx context.Context, drain time.Duration) error {
	err := errors.Join(a.endWorks(ctx), a.Drain(ctx, drain))
	a.presence.Stop()
	for _, b := range a.boards {
		b.stop()
	}
	if a.beside != nil {
		a.beside.roster.Stop()
	}
	err = errors.Join(err, a.batcher.Close(ctx))
	a.writes.stop()
	a.rt.Stop()
	return errors.Join(err, a.hub.Stop(ctx))
}

// Runtime is what a transport connects tabs to.
func (a *App) Runtime() *live.Runtime { return a.rt }

// Hub is the replica's connection to the broker; nil before Start.
func (a *App) Hub() *pubsub.Hub { return a.hub }

// Store is where the application's state is.
func (a *App) Store() state.Store { return a.store.Store }

// Others is how many other replicas are heard on the broker, and believed: a
// replica without a tab is heard only if it takes part in the balance of tabs. 0 before Start.
func (a *App) Others() int {
	if a.presence == nil {
		return 0
	}
	return a.presence.Others()
}

// Tabs is how many tabs show a topic, on all replicas together, as far as this one has heard.
func (a *App) Tabs(topic string) int {
	if a.presence == nil {
		return 0
	}
	return a.presence.Count(topic)
}

// Writes is what this replica has asked of the store, for ops.
func (a *App) Writes() state.Stats {
	if a.batcher == nil {
		return state.Stats{}
	}
	return a.batcher.Stats()
}

// Replica is the name shown on the page.
func (a *App) Replica() string { return a.opts.Replica }

// Kinds returns the names of all kinds, in their order: topics begin with them.
func (a *App) Kinds() (names []string) {
	for name := range a.families {
		names = append(names, name)
	}
	for name := range a.boards {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// HasTopic reports whether there is such a topic: its kind is known, and its key can be one.
func (a *App) HasTopic(topic string) bool {
	_, _, ok := a.family(topic)
	return ok || a.board(topic) != nil
}

// HasState reports whether there is a state of a topic in the store, or may be: of what is shown
// for a moment there is none.
func (a *App) HasState(topic string) bool {
	_, _, ok := a.family(topic)
	return ok
}

// Ready returns nil when this replica can be trusted with tabs: the broker
// delivers, the store answers and it is not shutting down. The error names what
// is not well, a line each, and may be shown in public: it has no addresses.
// The causes are in the log and on the admin page.
func (a *App) Ready(ctx context.Context) error {
	if a.hub == nil {
		return ErrNotStarted
	}
	var errs []error
	if errors.Is(a.rt.Err(), live.ErrDraining) {
		errs = append(errs, live.ErrDraining)
	}
	degraded := a.rt.Degraded()
	if !slices.Contains(degraded, "store") && !a.canRead(ctx) {
		degraded = append(degraded, "store")
	}
	for _, part := range degraded {
		errs = append(errs, errors.New(part+": "+trouble(part)))
	}
	return errors.Join(errs...)
}

// readRetry is the time between a read of the store that has failed and the next,
// which says whether it is away.
const readRetry = 200 * time.Millisecond

// canRead reports whether the store can be read: one failure is none.
func (a *App) canRead(ctx context.Context) bool {
	if a.tryRead(ctx) == nil {
		return true
	}
	return pause.For(ctx, readRetry) && a.tryRead(ctx) == nil
}

// probed is the topic that is read to see whether the store can be.
const probed = "ready"

// tryRead reads the store once. Its panic is an error.
func (a *App) tryRead(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("lockstep: panic in Store.Read: %v", p)
		}
	}()
	_, err = a.store.Read(ctx, probed)
	return err
}

// trouble says what is wrong when a part is not well.
func trouble(part string) string {
	switch part {
	case "store":
		return "it can't be read"
	case "writes":
		return "changes can't be saved"
	case "broker":
		return "it does not deliver"
	}
	return "the broker refuses it"
}

// welcome is what a tab is shown when it connects: the replica that serves it.
func (a *App) welcome() []htmx.Partial {
	return []htmx.Partial{{Target: "#replica", HTML: html.EscapeString(a.opts.Replica)}}
}

// Status says how this replica is, as tabs are told.
func (a *App) Status() htmx.Status { return a.rt.Status() }
