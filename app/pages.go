package app

import (
	"context"
	"errors"
	"time"

	"lockstep/components"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// readTimeout is how long a page waits for the store before it is served with
// what this replica knows.
const readTimeout = 1500 * time.Millisecond

// degradedTimeout is readTimeout while it is known that something is wrong.
const degradedTimeout = 250 * time.Millisecond

// A Content is what a page is about, as it is now: a component of the whole
// document and one of its body, of what everything else has that is on it. Two
// that are equal (reflect.DeepEqual) look the same.
type Content interface {
	Document(p components.Page) live.Component
	Body(p components.Page) live.Component
}

// A Partial is a Content of which a part can be had alone, by a page that has the rest.
type Partial interface {
	Content
	// Part returns nil when the whole is needed.
	Part(p components.Page) live.Component
}

// An asker is a Content that may show something else, when the query of its page's address asks
// for it.
type asker interface {
	ask(ctx context.Context, a *App, asked state.Fields) (Content, error)
}

// Page returns what the page of a topic shows: the state in the store or, while it
// is away, what this replica knows. asked is what the query of its address has; nil:
// nothing. The error is ErrNoTopic.
func (a *App) Page(ctx context.Context, topic string, asked state.Fields) (components.Page, Content, error) {
	if isBoard(topic) {
		p, content := a.boardPage(topic)
		return p, content, nil
	}
	f, key, ok := a.family(topic)
	if !ok {
		return components.Page{}, nil, ErrNoTopic
	}
	timeout := readTimeout
	if a.rt.Status() == htmx.Degraded {
		timeout = degradedTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	content, sum, err := f.content(ctx, key)
	if more, ok := content.(asker); ok {
		var failed error
		content, failed = more.ask(ctx, a, asked)
		err = errors.Join(err, failed)
	}
	p := a.page(topic, f.name(), key, sum)
	if err != nil { // also when this read is the first to notice
		p.State = string(htmx.Degraded)
	}
	return p, content, nil
}

// page returns a page as this replica is.
func (a *App) page(topic, kind, name, sum string) components.Page {
	p := components.Page{
		Kind: kind, Name: name, Sum: sum, Replica: a.opts.Replica, State: components.Connecting,
		Tabs: a.presence.Count(topic) + 1, // and the one that this page becomes
	}
	if a.rt.Status() == htmx.Degraded {
		p.State = string(htmx.Degraded)
	}
	return p
}
