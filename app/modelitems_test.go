package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/internal/history"
	"lockstep/internal/items"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A modelTab is what a tab of the model keeps of its page. Its methods are called by one
// person alone.
type modelTab interface {
	// take takes a message in, of a tab that shows shown, if any. ok: it shows s now,
	// or the message would have it go back to s. misfit: it is a change of what the
	// tab does not show.
	take(m answer, raw []byte, shown history.State, any bool) (s history.State, ok, misfit bool)
}

// wholes is a tab that is always sent all there is.
type wholes struct{ kind modelKind }

func (w wholes) take(m answer, _ []byte, _ history.State, _ bool) (s history.State, ok, misfit bool) {
	s, ok = w.kind.read(m)
	return s, ok, false
}

// pieces is a tab that is sent what has changed: it keeps what it shows as the load
// generator's tabs do.
type pieces struct {
	kind  items.Kind
	items *items.Items
	todos app.Todos // of a tab that renders itself
	// wrong is told of messages that can't be, by complain.
	wrong func(detail string)
	told  int
}

// complain says what is wrong with a message, unless it has said enough.
func (p *pieces) complain(format string, args ...any) {
	if p.told++; p.told <= 3 {
		p.wrong(fmt.Sprintf(format, args...))
	}
}

func (p *pieces) take(m answer, raw []byte, shown history.State, any bool) (s history.State, ok, misfit bool) {
	if m.State != nil {
		return p.takeState(m, shown, any)
	}
	c, err := items.ReadMessage(raw, p.kind)
	if err != nil {
		p.complain("%.300s: %v", raw, err)
	}
	if c == nil {
		return s, false, false
	}
	s = history.State{Epoch: c.Epoch, Version: c.Version}
	switch {
	case any && shown.Newer(s):
		return s, true, false
	case !c.Fits(shown.Epoch, shown.Version, any):
		return s, false, true
	}
	if p.items, err = p.items.Take(c, p.kind); err != nil {
		p.complain("a tab that shows version %d was sent version %d, which %v: %.300s", shown.Version, s.Version, err, raw)
	}
	s.Value = p.items.Value()
	return s, true, false
}

// reaches reports whether a tab can go on from what it shows by a change of a version.
func reaches(shown history.State, any bool, to history.State, base uint64) bool {
	return any && shown.Epoch == to.Epoch && shown.Version >= base
}

// takeState takes a state, or what has changed in it.
func (p *pieces) takeState(m answer, shown history.State, any bool) (s history.State, ok, misfit bool) {
	var r struct {
		E, V, A uint64
		S, D    *string
	}
	if err := json.Unmarshal([]byte(*m.State), &r); err != nil {
		p.complain("%q: %v", *m.State, err)
		return s, false, false
	}
	s = history.State{Epoch: r.E, Version: r.V}
	var err error
	next := p.todos
	switch {
	case any && shown.Newer(s):
		return s, true, false
	case r.S != nil:
		next, err = app.Lists().Read([]byte(*r.S))
	case r.D != nil && !reaches(shown, any, s, r.A):
		return s, false, true
	case r.D != nil:
		next, err = app.Lists().Apply(p.todos, []byte(*r.D))
	}
	if err != nil {
		p.complain("a tab that shows version %d was sent version %d: %v", shown.Version, s.Version, err)
	}
	p.todos = next
	s.Value = valueOfTodos(next)
	return s, true, false
}

func valueOfTodos(l app.Todos) string {
	all := make([]history.Item, 0, l.Len())
	for id, todo := range l.All() {
		all = append(all, history.Item{ID: id, Text: todo.Text, Done: todo.Done})
	}
	return history.ListValue(all)
}

// modelList is a list that some add to and others take from.
func modelList(t *testing.T) modelKind {
	k := modelKind{topic: "list:x", rule: history.Lists(), value: valueOf(t, app.Lists(), valueOfTodos)}
	k.tab = func(wrong func(string)) modelTab { return &pieces{kind: items.List, wrong: wrong} }
	k.act = func(rnd *rand.Rand, shown string) (string, map[string]string) {
		text := fmt.Sprintf("thing %d", rnd.IntN(1_000_000))
		var ids []string
		for word := range strings.FieldsSeq(shown) {
			id, _, _ := strings.Cut(word, "=")
			ids = append(ids, id)
		}
		if len(ids) < 3 || len(ids) < 12 && rnd.IntN(3) == 0 {
			return "add", map[string]string{"text": text}
		}
		in := map[string]string{"id": ids[rnd.IntN(len(ids))]}
		do := []string{"toggle", "rename", "move", "up", "down", "remove", "remove", "clear", "explode"}[rnd.IntN(9)]
		switch do {
		case "rename":
			in["text"] = text
		case "move":
			if in["behind"] = ids[rnd.IntN(len(ids))]; in["behind"] == in["id"] {
				in["behind"] = ""
			}
		}
		return do, in
	}
	return k
}

// modelLog is a log that everybody writes to.
func modelLog(t *testing.T) modelKind {
	k := modelKind{topic: "log:x", rule: history.Logs(), lean: true}
	k.value = func([]byte) string { return "" } // its entries are not in its state
	k.full = func(inner *memstate.Store, r state.Record) string {
		talk, err := app.Logs().Read(r.Data)
		if err != nil {
			t.Error(err)
		}
		first, raw, err := inner.Entries(context.Background(), "log:x", 0, app.KeptEntries)
		if err != nil {
			t.Error(err)
		}
		stored, err := state.ReadEntries[app.Message](first, raw)
		if err != nil {
			t.Error(err)
		}
		var entries []history.Entry
		for _, e := range stored {
			if e.N <= talk.N { // what has come since the record was read
				entries = append(entries, history.Entry{N: e.N, ID: e.ID, Text: e.M.Text})
			}
		}
		return history.LogValue(entries)
	}
	k.tab = func(wrong func(string)) modelTab { return &pieces{kind: items.Log, wrong: wrong} }
	k.act = func(rnd *rand.Rand, _ string) (string, map[string]string) {
		if rnd.IntN(20) == 0 {
			return "explode", nil
		}
		return "say", map[string]string{"text": fmt.Sprintf("line %d", rnd.IntN(1_000_000))}
	}
	return k
}
