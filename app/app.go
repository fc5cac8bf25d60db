// Package app is the demo application: counters, polls, banks, lists, logs and sign-ups that every
// tab on every replica shows in step, and boards where people see each other's cursors. It is made
// of package lockstep, and free of transports: the same code serves a websocket and runs inside a
// browser. It chooses no backends: it is given a broker's driver and a store.
package app

import (
	"context"
	"strings"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// What the application is given and gives back.
type (
	// Options are those of package lockstep.
	Options = lockstep.Options
	// A Visitor is who a tab, or a form, is of.
	Visitor = lockstep.Visitor
	// A Render is what a tab that renders itself shows of a topic.
	Render = lockstep.Render
	// A Place is one in a log.
	Place = lockstep.Place
	// A Part is entries of a log.
	Part = lockstep.Part
)

// Errors, and a limit, of package lockstep.
var (
	ErrNoTopic  = lockstep.ErrNoTopic
	ErrTooMany  = lockstep.ErrTooMany
	ErrNoLog    = lockstep.ErrNoLog
	ErrFollowed = lockstep.ErrFollowed
)

// MaxPart is lockstep.MaxPart.
const MaxPart = lockstep.MaxPart

// An App is one replica of the application: that of package lockstep, with the demo's kinds.
type App struct {
	*lockstep.App
	shows  map[string]shows // by the name of a kind
	boards *lockstep.Soft[Spot]
}

// A shows returns what the page of a key of a kind is about, and what its title begins with. The
// error says why it may be old.
type shows func(ctx context.Context, key string) (content Content, sum string, err error)

// New returns an application over a broker and a store. It does not take ownership of the store.
func New(d driver.Driver, store state.Store, opts *Options) *App {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Tabs = func(_ string, n int) (string, lockstep.Component) { return "#tabs", pages.Tabs(n) }
	a := &App{}
	around(&o, func(kind string) bool { return kind == softKind || a.shows[kind] != nil })
	a.App = lockstep.New(d, store, &o)
	a.shows = map[string]shows{
		"counter": counters(a.App),
		"poll":    polls(a.App),
		"bank":    banks(a.App),
		"list":    lists(a.App),
		"log":     logs(a.App),
		"signup":  signups(a.App),
	}
	a.boards = boards(a.App)
	return a
}

// NewRender returns a Render of the demo's kinds, which may be called concurrently.
func NewRender() Render { return New(nil, nil, nil).Render }

// KindNames returns what topics begin with: the names of all kinds, and that of boards, which
// have no state.
func KindNames() []string { return New(nil, nil, nil).Kinds() }

// LogNames returns the names of the kinds whose topics have a log.
func LogNames() []string { return New(nil, nil, nil).Logs() }

// HasState reports whether there is a state of a topic: of boards there is none.
func HasState(topic string) bool { return !strings.HasPrefix(topic, softKind+":") }

// ValidName reports whether a name is 1 to 64 of [a-z0-9-]: so are all keys.
func ValidName(name string) bool {
	return len(name) >= 1 && len(name) <= 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
