package app

import (
	"context"
	"time"

	"lockstep/components"
	"lockstep/htmx"
	"lockstep/live"
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

// Page returns what the page of a topic shows: the state in the store or, while it
// is away, what this replica knows. The error is ErrNoTopic.
func (a *App) Page(ctx context.Context, topic string) (components.Page, Content, error) {
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
