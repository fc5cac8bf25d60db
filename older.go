package lockstep

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"slices"

	"github.com/a-h/templ"

	"lockstep/state"
)

// Older returns what a page shows of a topic's log before the entry numbered end: entries, as many
// as a page shows at first, and the number of the first of them if there may be older ones; else 0.
// The errors are ErrNoTopic, ErrNoLog, why the user may not see it, and those of the store.
func (a *App) Older(ctx context.Context, u User, topic string, end uint64) (entries Component, first uint64, err error) {
	f, key, ok := a.family(topic)
	switch {
	case !ok:
		return nil, 0, ErrNoTopic
	case !f.kind.hasLog():
		return nil, 0, ErrNoLog
	case f.rooms == nil:
		return nil, 0, ErrNotStarted
	}
	if err := a.maySee(ctx, u, topic); err != nil {
		return nil, 0, err
	}
	l, err := f.newest(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if l.log, err = a.entriesBefore(ctx, topic, end, uint64(f.kind.window())); err != nil {
		return nil, 0, err
	}
	if len(l.log) > 0 && l.log[0].N > 1 {
		first = l.log[0].N
	}
	it, _ := f.kind.itemsOf(key, l) // it is known
	return childrenOf(it, 0), first, nil
}

// OlderLink is the link to older entries that the script of logs knows. hidden: there are none yet.
func OlderLink(to string, hidden bool) Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error { return writeOlder(w, to, hidden) })
}

// writeOlder writes the link to older entries.
func writeOlder(w io.Writer, to string, hidden bool) error {
	attr := ""
	if hidden {
		attr = " hidden"
	}
	_, err := fmt.Fprintf(w, `<a class="older" href="%s"%s>Older</a>`, html.EscapeString(to), attr)
	return err
}

// entriesBefore returns the last entries of a log before the one numbered end, most at most.
func (a *App) entriesBefore(ctx context.Context, topic string, end, most uint64) ([]entry, error) {
	if end < 2 {
		return nil, nil
	}
	after := max(end-1, most) - most
	first, data, err := a.store.Entries(ctx, topic, after, int(min(end-1-after, most)))
	if err != nil {
		return nil, err
	}
	all, err := state.ReadEntries[json.RawMessage](first, data)
	if err != nil {
		return nil, err
	}
	// Those before may have gone, and others come in their place.
	return slices.DeleteFunc(all, func(e entry) bool { return e.N >= end }), nil
}
