package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"

	"lockstep/live"
)

// Lists and logs: what -lists measures.

// listEntries are the subjects of -lists.
func listEntries() []entry {
	return []entry{
		{"log", "", "A log: one new entry a round, of which each tab gets just that. A tab that comes is shown the newest 50.", newLog},
		{"centrifuge-history", "github.com/centrifugal/centrifuge", "`Node.Publish` with a history of 50 in memory and channels that are positioned and recoverable, so that a tab that was away gets what it has missed.", newCentrifugeHistory},
		{"list-1-of-100", "", "A list of 100 items, of which one is another after each round.", listOf(100, 1)},
		{"list-1-of-1000", "", "The same of 1,000 items.", listOf(1000, 1)},
		{"list-100-of-1000", "", "The same when 100 of 1,000 change at once.", listOf(1000, 100)},
		{"whole-1000", "", "The same 1,000 items as one whole state, which is what a change of them costs without items.", newWhole},
	}
}

// historySize is how many entries a tab is shown that comes.
const historySize = 50

// An itemsState is a list in which some items change, or a log.
type itemsState struct {
	version uint64
	rows    []row
	first   uint64 // the number of the first row
}

// A row is an item or an entry.
type row struct {
	id   string
	html []byte
	rev  uint64
}

// An itemsSubject is a product whose room has items.
type itemsSubject struct {
	product
	rooms  *live.Rooms[itemsState]
	change func(s itemsState, payload []byte) itemsState

	mu    sync.Mutex
	state itemsState
}

func newItems(s itemsState, options live.RoomsOptions[itemsState], change func(itemsState, []byte) itemsState) (subject, error) {
	p := &itemsSubject{product: product{rt: live.NewRuntime(&live.Options{FrameInterval: time.Nanosecond, StatusInterval: time.Hour}), names: []string{"room0"}}, state: s, change: change}
	p.rt.Start()
	options.Topic = func(key string) string { return key }
	options.Order = func(s itemsState) (uint64, uint64) { return 1, s.version }
	// There is no other replica and no store: what the room has is the truth.
	options.Load = func(_ context.Context, keys ...string) ([]itemsState, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		all := make([]itemsState, len(keys))
		for i := range all {
			all[i] = p.state
		}
		return all, nil
	}
	p.rooms = live.NewRooms(p.rt, nil, options)
	p.view = p
	return p, nil
}

// Mount implements live.View.
func (p *itemsSubject) Mount(ctx context.Context, s *live.Session) error {
	defer p.ready()
	return p.rooms.Join(ctx, s, "room0")
}

// hello implements greeter: a tab says what it shows before it is sent what has changed since. Here
// it is nothing.
func (p *itemsSubject) hello() []string {
	return []string{`{"hello":2,"client":"AAAAAAAAAAAAAAAAAAAAAA","at":{}}`}
}

func (p *itemsSubject) send(payload []byte) error {
	p.goal = p.sent() + int64(p.rt.Stats().Sessions)
	p.mu.Lock()
	p.state = p.change(p.state, payload)
	s := p.state
	p.mu.Unlock()
	p.rooms.Commit("room0", s)
	return nil
}

// itemsOf shows rows as items.
func itemsOf(log bool) func(string, itemsState) (live.Items, bool) {
	return func(_ string, s itemsState) (live.Items, bool) {
		it := live.Items{Target: "#items", Len: len(s.rows), Item: func(i int) live.Item {
			r := s.rows[i]
			return live.Item{ID: r.id, Rev: r.rev, Render: func() live.Component { return html(r.html) }}
		}}
		if log {
			it.Log, it.First, it.Window = true, s.first, historySize
		}
		return it, true
	}
}

// element is a row of as many bytes as the payload of the others, and what is in it.
func element(id string, rev uint64, content []byte) row {
	return row{id, fmt.Appendf(nil, `<li id="%s">%s</li>`, id, content), rev}
}

func newLog(int) (subject, error) {
	s := itemsState{version: 1, first: 1}
	return newItems(s, live.RoomsOptions[itemsState]{Items: itemsOf(true), Render: noRender}, func(s itemsState, payload []byte) itemsState {
		n := s.first + uint64(len(s.rows))
		rows := append(s.rows[:len(s.rows):len(s.rows)], element("e"+strconv.FormatUint(n, 10), n, payload))
		if extra := len(rows) - 4*historySize; extra > 0 {
			rows, s.first = rows[extra:], s.first+uint64(extra)
		}
		return itemsState{s.version + 1, rows, s.first}
	})
}

// listOf returns what opens a list of n items of which k change at once.
func listOf(n, k int) func(int) (subject, error) {
	return func(int) (subject, error) {
		return newItems(rowsOf(n), live.RoomsOptions[itemsState]{Items: itemsOf(false), Render: noRender}, changing(k))
	}
}

// newWhole sends all items each time.
func newWhole(int) (subject, error) {
	render := func(_ string, s itemsState) (string, live.Component) {
		var all []byte
		for _, r := range s.rows {
			if r.rev < s.version { // only what is new is counted
				all = append(all, bytes.ReplaceAll(r.html, []byte{sentinel}, []byte("-"))...)
				continue
			}
			all = append(all, r.html...)
		}
		return "#items", html(all)
	}
	return newItems(rowsOf(1000), live.RoomsOptions[itemsState]{Render: render}, changing(1))
}

func noRender(string, itemsState) (string, live.Component) { return "#items", html(nil) }

// rowsOf are n items. None of them is what is counted.
func rowsOf(n int) itemsState {
	s := itemsState{version: 1}
	for i := range n {
		s.rows = append(s.rows, element("i"+strconv.Itoa(i), 1, quiet()))
	}
	return s
}

// changing gives k items another value, spread over the list. The payload is in the first.
func changing(k int) func(itemsState, []byte) itemsState {
	return func(s itemsState, payload []byte) itemsState {
		v, rows := s.version+1, make([]row, len(s.rows))
		copy(rows, s.rows)
		for i := range k {
			at := (int(v) + i*len(rows)/k) % len(rows)
			content := quiet()
			if i == 0 {
				content = payload
			}
			rows[at] = element(rows[at].id, v, content)
		}
		return itemsState{version: v, rows: rows}
	}
}

// quiet is a payload without the mark.
func quiet() []byte { return bytes.ReplaceAll(stamped(), []byte{sentinel}, []byte("-")) }

// newCentrifugeHistory returns a node that keeps a history.
func newCentrifugeHistory(int) (subject, error) {
	p, err := centrifugeNode(1)
	if err != nil {
		return nil, err
	}
	p.history = []centrifuge.PublishOption{centrifuge.WithHistory(historySize, time.Minute)}
	for room := range p.reply.Subscriptions {
		p.reply.Subscriptions[room] = centrifuge.SubscribeOptions{EnableRecovery: true, EnablePositioning: true}
	}
	return p, nil
}
