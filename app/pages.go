package app

import (
	"context"
	"errors"
	"strings"

	"lockstep/app/pages"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// A Content is what a page is about, as it is now: a component of the whole
// document and one of its body, of what everything else has that is on it. Two
// that are equal (reflect.DeepEqual) look the same.
type Content interface {
	Document(p pages.Page) live.Component
	Body(p pages.Page) live.Component
}

// A Partial is a Content of which a part can be had alone, by a page that has the rest.
type Partial interface {
	Content
	// Part returns nil when the whole is needed.
	Part(p pages.Page) live.Component
}

// An asker is a Content that may show something else, when the query of its page's address asks
// for it.
type asker interface {
	ask(ctx context.Context, asked state.Fields) (Content, error)
}

// Page returns what the page of a topic shows: the state in the store or, while it
// is away, what this replica knows. asked is what the query of its address has; nil:
// nothing. The error is ErrNoTopic.
func (a *App) Page(ctx context.Context, topic string, asked state.Fields) (pages.Page, Content, error) {
	if !a.HasTopic(topic) {
		return pages.Page{}, nil, ErrNoTopic
	}
	if !HasState(topic) {
		p, content := a.boardPage(topic)
		return p, content, nil
	}
	kind, key, _ := strings.Cut(topic, ":")
	ctx, cancel := a.Patience(ctx)
	defer cancel()
	content, sum, err := a.shows[kind](ctx, key)
	if more, ok := content.(asker); ok {
		var failed error
		content, failed = more.ask(ctx, asked)
		err = errors.Join(err, failed)
	}
	p := a.page(topic, kind, key, sum)
	if err != nil { // also when this read is the first to notice
		p.State = string(htmx.Degraded)
	}
	return p, content, nil
}

// page returns a page as this replica is.
func (a *App) page(topic, kind, name, sum string) pages.Page {
	p := pages.Page{
		Kind: kind, Name: name, Sum: sum, Replica: a.Replica(), State: pages.Connecting,
		Tabs:   a.Tabs(topic) + 1, // and the one that this page becomes
		Around: a.around(topic),
	}
	if a.Status() == htmx.Degraded {
		p.State = string(htmx.Degraded)
	}
	return p
}
