// Package app is the demo application: counters, polls, banks, lists, logs and sign-ups that every
// tab on every replica shows in step, and boards where people see each other's cursors. It is free
// of transports, so the same code serves a websocket and runs inside a browser. It chooses no
// backends: it is given a broker's driver and a store.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/components"
	"lockstep/htmx"
	"lockstep/internal/pause"
	"lockstep/live"
	"lockstep/presence"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/soft"
	"lockstep/state"
)

// Options of an App. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: discard
	// Prefix sets this application apart from others on the same broker.
	Prefix string
	// Replica is the name shown on the page.
	Replica string
	// Refresh and Digest are how often states are compared with the store and
	// with other replicas; see live.RoomsOptions.
	Refresh, Digest time.Duration
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
	// Live and Hub are passed on; what App sets in them itself is ignored.
	Live live.Options
	Hub  pubsub.Options
}

// An App is one replica of the application. Its methods may be called
// concurrently, except Start and Stop.
type App struct {
	// set once
	opts     Options
	id       string // of this replica, on the broker; no other's
	store    state.Store
	families map[string]*family // by the name of their kind
	rt       *live.Runtime
	hub      *pubsub.Hub
	batcher  *state.Batcher
	presence *presence.Tracker
	soft     *soft.Soft[Spot]
	writes   *writes
	// followers are of readers that are no tabs.
	followers *followers

	// set by Start
	tabs       *live.Rooms[loaded] // of ints
	feeds      *live.Feeds         // of boards, by topic
	endBalance context.CancelFunc  // nil: this replica takes no part
	balancing  sync.WaitGroup      // balance
}

// New returns an application over a broker and a store. It does not take
// ownership of the store. It panics without either, and with negative
// options, as Start does.
func New(d driver.Driver, store state.Store, opts *Options) *App {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OpLifetimeDiffers == nil {
		o.OpLifetimeDiffers = func() {}
	}
	switch {
	case d == nil:
		panic("app: New needs a driver of a broker: mempubsub.NewBus() for one in this process")
	case store == nil:
		panic("app: New needs a store: memstate.New(nil) for one in this process")
	}
	// Two replicas may have the same name: their ids differ all the same.
	a := &App{opts: o, id: strconv.FormatUint(rand.Uint64(), 36), store: store, families: families(), followers: newFollowers()}
	o.Live.Logger, o.Live.Welcome = o.Logger, a.welcome
	a.rt = live.NewRuntime(&o.Live)
	o.Hub.Logger, o.Hub.Prefix = o.Logger, o.Prefix
	if o.Hub.MaxBackoff == 0 {
		o.Hub.MaxBackoff = time.Second // tabs are in step 2 s after a broker's return
	}
	o.Hub.OnStatus = func(err error) { a.rt.Report("broker", err) }
	a.hub = pubsub.NewHub(d, &o.Hub)
	a.writes = newWrites(a.rt)
	var kinds []state.Reducer
	for _, f := range a.families {
		kinds = append(kinds, f.kind.reducer())
	}
	a.batcher = state.NewBatcher(store, &state.BatcherOptions{
		Logger: o.Logger, Clock: a.rt.Clock, Health: a.writes.report, OpLifetime: o.OpLifetime, Committed: a.committed,
	}, kinds...)
	// On the wire names are text, and of limited length.
	name := strings.ToValidUTF8(o.Replica[:min(len(o.Replica), 256)], "") + "#" + a.id
	a.presence = presence.NewTracker(a.hub, name, &presence.Options{
		Logger:  o.Logger,
		Changed: func(topic string, n int) { a.tabs.Commit(topic, loaded{state: n}) },
		Setting: cmp.Or(o.OpLifetime, state.OpLifetime).String(),
		Differs: func(string) { a.opts.OpLifetimeDiffers() },
	})
	a.soft = a.newSoft(name)
	return a
}

// How often the number of tabs is shown at most. While thousands come, each is
// news for all that are there: it may cost 2,000 deliveries a second, and is
// five seconds late among ten thousand.
const (
	tabsInterval = 250 * time.Millisecond
	tabsPerTab   = 500 * time.Microsecond
)

// families returns all kinds of state that the application has, without rooms.
func families() map[string]*family {
	all := make(map[string]*family)
	for _, f := range []*family{
		{kind: &shared[Count]{Counters(), lookOfCounter, pageOfCounter}, does: []string{"increment", "decrement", "reset"}},
		{kind: &shared[Poll]{Polls(), lookOfPoll, pageOfPoll}, does: []string{"vote"}},
		{kind: &shared[Bank]{Banks(), lookOfBank, pageOfBank}, does: []string{"transfer"}},
		{kind: &itemized[Todos]{&shared[Todos]{Lists(), lookOfList, pageOfList}, itemsOfList, nil}, does: []string{"add", "toggle", "rename", "up", "down", "remove", "clear"}},
		{kind: &itemized[Talk]{&shared[Talk]{Logs(), lookOfLog, pageOfLog}, itemsOfLog, func(l Talk) uint64 { return l.N }}, does: []string{"say"}},
		{kind: signups(), does: []string{"signup"}},
	} {
		all[f.name()] = f
	}
	return all
}

// KindNames returns what topics begin with: the names of all kinds, and that of boards, which
// have no state.
func KindNames() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(families())), softKind)))
}

// Forms returns the actions that the page of a topic has forms for, in their order.
func (a *App) Forms(topic string) []string {
	f, _, ok := a.family(topic)
	if !ok {
		return nil
	}
	return f.does
}

// family returns what a topic is of, and its key; false: there is no such topic.
func (a *App) family(topic string) (f *family, key string, ok bool) {
	return familyOf(a.families, topic)
}

func familyOf(all map[string]*family, topic string) (f *family, key string, ok bool) {
	kind, key, _ := strings.Cut(topic, ":")
	f = all[kind]
	return f, key, f != nil && ValidName(key)
}

// ValidName reports whether a name is 1 to 64 of [a-z0-9-]: so are all keys.
func ValidName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// committed shows what was committed, and tells the other replicas.
func (a *App) committed(c state.Commit) {
	if f, key, ok := a.family(c.Topic); ok {
		f.commit(key, c)
	}
	a.followers.changed(c.Topic)
}

// Start connects to the broker and lets tabs in. An error means that the
// broker can't be reached. It is called once.
func (a *App) Start(ctx context.Context) error {
	a.rt.Start()
	for _, f := range a.families {
		f.start(a)
	}
	a.tabs = live.NewRooms(a.rt, nil, live.RoomsOptions[loaded]{
		Topic:  func(topic string) string { return "tabs:" + topic },
		Render: renderTabs,

		FrameInterval: tabsInterval,
		PerTab:        tabsPerTab,
	})
	a.feeds = a.newFeeds()
	if err := a.hub.Start(ctx); err != nil {
		a.rt.Stop()
		return err
	}
	if err := a.presence.Start(ctx); err != nil {
		return errors.Join(err, a.Stop(ctx, 0))
	}
	a.soft.Start()
	a.startBalancing()
	return nil
}

// renderTabs is how many tabs show a topic, as they are told.
func renderTabs(_ string, l loaded) (string, live.Component) {
	n, _ := l.state.(int)
	return "#tabs", components.Tabs(n)
}

// Drain sends every tab away, spread over at most the given time, and finishes
// what they had sent. Pages and forms are still served, and should be until
// nobody asks any more; then comes Stop.
func (a *App) Drain(ctx context.Context, over time.Duration) error {
	a.stopBalancing()
	a.followers.stop() // those that read find another replica, as tabs do
	return a.rt.Drain(ctx, over)
}

// Stop is Drain, and then ends all goroutines. ctx bounds the whole.
func (a *App) Stop(ctx context.Context, drain time.Duration) error {
	err := a.Drain(ctx, drain)
	a.presence.Stop()
	a.soft.Stop()
	err = errors.Join(err, a.batcher.Close(ctx))
	a.writes.stop()
	a.rt.Stop()
	return errors.Join(err, a.hub.Stop(ctx))
}

// Runtime is what a transport connects tabs to.
func (a *App) Runtime() *live.Runtime { return a.rt }

// Hub is the replica's connection to the broker.
func (a *App) Hub() *pubsub.Hub { return a.hub }

// Others is how many other replicas are heard on the broker, and believed: a
// replica without a tab is heard only if it takes part in the balance of tabs.
func (a *App) Others() int { return a.presence.Others() }

// Writes is what this replica has asked of the store, for ops.
func (a *App) Writes() state.Stats { return a.batcher.Stats() }

// Boards is what this replica has shared of what is cast at boards.
func (a *App) Boards() soft.Stats { return a.soft.Stats() }

// Replica is the name shown on the page.
func (a *App) Replica() string { return a.opts.Replica }

// Ready returns nil when this replica can be trusted with tabs: the broker
// delivers, the store answers and it is not shutting down. The error names what
// is not well, a line each, and may be shown in public: it has no addresses.
// The causes are in the log and on the admin page.
func (a *App) Ready(ctx context.Context) error {
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

// tryRead reads the store once. Its panic is an error.
func (a *App) tryRead(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("app: panic in Store.Read: %v", p)
		}
	}()
	_, err = a.store.Read(ctx, Lobby)
	return err
}

// trouble says what is wrong when a part is not well.
func trouble(part string) string {
	switch part {
	case "store":
		return "it can't be read"
	case "writes":
		return "clicks can't be saved"
	case "broker":
		return "it does not deliver"
	}
	return "the broker refuses it"
}

// welcome is what a tab is shown when it connects: the replica that serves it.
func (a *App) welcome() []htmx.Partial {
	return []htmx.Partial{{Target: "#replica", HTML: html.EscapeString(a.opts.Replica)}}
}
