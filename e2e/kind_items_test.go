package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"

	"lockstep/app"
	"lockstep/internal/history"
	"lockstep/internal/items"
	states "lockstep/state"
	"lockstep/tools/loadgen/load/protocol"
)

// lists are where everybody adds, changes, moves and removes items.
func lists() kind {
	return kind{
		name: "list", judge: history.Lists(), wire: &protocol.Lockstep{Kind: protocol.List},
		decode: func(data []byte) (string, error) {
			l, err := app.Lists().Read(data)
			all := make([]history.Item, 0, l.Len())
			for id, todo := range l.All() {
				all = append(all, history.Item{ID: id, Text: todo.Text, Done: todo.Done})
			}
			return history.ListValue(all), err
		},
		act: actOnList,
		mayRefuse: func(reason string) bool { // somebody else has removed the item
			return strings.Contains(reason, states.ErrNoItem.Error())
		},
	}
}

// actOnList is what somebody does to a list who is shown a value.
func actOnList(shown string) (do string, in map[string]string) {
	text := fmt.Sprintf("thing %d", rand.IntN(1_000_000))
	ids := idsOf(shown)
	if len(ids) < 3 || len(ids) < 20 && rand.IntN(3) == 0 {
		return "add", map[string]string{"text": text}
	}
	in = map[string]string{"id": ids[rand.IntN(len(ids))]}
	switch do = []string{"toggle", "rename", "move", "up", "down", "remove", "remove", "clear"}[rand.IntN(8)]; do {
	case "rename":
		in["text"] = text
	case "move":
		if in["behind"] = ids[rand.IntN(len(ids))]; in["behind"] == in["id"] {
			in["behind"] = ""
		}
	}
	return do, in
}

func idsOf(list string) (ids []string) {
	for word := range strings.FieldsSeq(list) {
		id, _, _ := strings.Cut(word, "=")
		ids = append(ids, id)
	}
	return ids
}

// logs are where everybody says something.
func logs() kind {
	k := kind{
		name: "log", judge: history.Logs(), wire: &protocol.Lockstep{Kind: protocol.Log},
		decode: func([]byte) (string, error) { return "", nil }, // the entries are beside the record
		act: func(string) (string, map[string]string) {
			return "say", map[string]string{"text": fmt.Sprintf("line %d", rand.IntN(1_000_000))}
		},
	}
	k.beside = entriesOf(app.Logs(), func(m app.Message) string { return m.Text })
	return k
}

// entriesOf reads what the store has beside the record of a log, of which other entries may have
// come since.
func entriesOf[M any](k states.Kind[states.Log[M]], text func(M) string) func(context.Context, states.Store, string, states.Record) (string, error) {
	return func(ctx context.Context, s states.Store, topic string, r states.Record) (string, error) {
		talk, err := k.Read(r.Data)
		if err != nil {
			return "", err
		}
		first, raw, err := s.Entries(ctx, topic, 0, app.KeptEntries)
		if err != nil {
			return "", err
		}
		stored, err := states.ReadEntries[M](first, raw)
		var entries []history.Entry
		for _, e := range stored {
			if e.N <= talk.N {
				entries = append(entries, history.Entry{N: e.N, ID: e.ID, Text: text(e.M)})
			}
		}
		return history.LogValue(entries), err
	}
}

// parseItems reads a page of items.
func (k kind) parseItems(text string) (s history.State, shown *items.Items, ok bool) {
	v, err := k.wire.Open(&url.URL{Scheme: "http", Host: "replica"}, http.Header{}, []byte(k.asDemo(text)))
	if err != nil || !v.Known {
		return s, nil, false
	}
	return history.State{Epoch: v.State.Epoch, Version: v.State.Version, Value: v.Items.Value()}, v.Items, true
}

// change takes a message with what has changed. The caller holds mu.
func (c *client) change(text []byte) {
	of := c.group.kind.wire.Kind.Items()
	change, err := items.ReadMessage(c.group.kind.asDemoMessage(text), of)
	if err != nil {
		c.group.t.Errorf("not a frame of the contract: %v: %s", err, text)
	}
	if change == nil {
		return
	}
	s := history.State{Epoch: change.Epoch, Version: change.Version}
	switch {
	case c.any && c.shown.Newer(s):
		c.stale++
		return
	case !change.Fits(c.shown.Epoch, c.shown.Version, c.any):
		c.lacks = true
		c.hurry()
		return
	}
	if c.items, err = c.items.Take(change, of); err != nil {
		c.group.wrong(fmt.Sprintf("tab %s, which shows version %d, was sent version %d, which %v", c.name, c.shown.Version, s.Version, err))
	}
	s.Value = c.items.Value()
	c.show(s)
}
