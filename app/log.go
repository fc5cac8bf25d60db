package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/components"
	"lockstep/live"
	"lockstep/state"
)

// What there may be in a log.
const (
	KeptEntries = 10_000 // of the newest
	MaxMessage  = 500    // letters
	// logWindow is how many entries a page shows.
	logWindow = 50
)

// A Message is what somebody has said in a log.
type Message struct {
	By   string `json:"by,omitempty"`
	Text string `json:"text"`
}

// Talk is what an action knows of a log of messages: how many there were.
type Talk = state.Log[Message]

// Logs is the kind of the demo's logs.
func Logs() state.Kind[Talk] {
	return state.Kind[Talk]{
		Name: "log",
		Keep: KeptEntries,
		Actions: map[string]state.Action[Talk]{
			"say": state.Do(func(l Talk, in struct{ Text string }, c state.Call) (Talk, error) {
				text, err := said(in.Text)
				if err != nil {
					return l, err
				}
				return l.Append(c.Op, Message{By: c.User, Text: text}), nil
			}),
		},
	}
}

// said returns what somebody says, without blanks around it.
func said(text string) (string, error) {
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return "", errors.New("there is no text")
	case n > MaxMessage:
		return "", fmt.Errorf("a message has %d letters at most, and this one has %d", MaxMessage, n)
	}
	return text, nil
}

func entryProps(e state.Entry[Message]) components.LogEntry {
	return components.LogEntry{ID: e.ID, N: e.N, At: e.At, By: e.M.By, Text: e.M.Text}
}

// pageOfLog is what a page of it shows: the newest entries.
func pageOfLog(name string, s shown[Talk], known bool) (Content, string) {
	props := components.Log{Name: name, Topic: s.topic, Epoch: s.Epoch, Version: s.Version, Known: known}
	for _, e := range s.log[max(len(s.log)-logWindow, 0):] {
		props.Entries = append(props.Entries, entryProps(readable(e)))
	}
	if len(props.Entries) > 0 {
		props.Before = props.Entries[0].N
	}
	return logContent{props, s.state.N}, props.Sum()
}

// readable is an entry with its message, or with words in place of it.
func readable(e entry) state.Entry[Message] {
	typed, err := entryOf[Message](e)
	if err != nil {
		typed.M.Text = "This message can't be read."
	}
	return typed
}

// A logContent is what the page of one is about.
type logContent struct {
	log components.Log
	n   uint64 // how many entries there were
}

// Document implements Content.
func (c logContent) Document(p components.Page) live.Component { return components.LogPage(p, c.log) }

// Body implements Content.
func (c logContent) Body(p components.Page) live.Component { return components.LogBody(p, c.log) }

// Part implements Partial: the older entries alone, for a page that puts them above its own.
func (c logContent) Part(p components.Page) live.Component {
	if !c.log.Past {
		return nil
	}
	return components.OlderEntries(p, c.log)
}

// ask implements asker: entries before a number are shown in place of the newest.
func (c logContent) ask(ctx context.Context, a *App, asked state.Fields) (Content, error) {
	end, err := strconv.ParseUint(asked.Get("before"), 10, 64)
	if err != nil || end == 0 || end > c.n {
		return c, nil
	}
	c.log.Past, c.log.Entries, c.log.Before = true, nil, 0
	entries, first, err := window(ctx, a.store, c.log.Topic, end)
	if err != nil {
		c.log.Known = false
		return c, err
	}
	for _, e := range entries {
		c.log.Entries = append(c.log.Entries, entryProps(e))
	}
	c.log.Before = first
	return c, nil
}

// window returns the last entries of a log before the one numbered end, logWindow at most, and the
// number of the first if there may be older ones; 0: there are none.
func window(ctx context.Context, store state.Store, topic string, end uint64) (entries []state.Entry[Message], first uint64, err error) {
	after := max(end-1, logWindow) - logWindow
	first, all, err := store.Entries(ctx, topic, after, int(min(end-1-after, logWindow)))
	if err != nil {
		return nil, 0, err
	}
	entries, err = state.ReadEntries[Message](first, all)
	if err != nil {
		return nil, 0, err
	}
	for len(entries) > 0 && entries[len(entries)-1].N >= end {
		entries = entries[:len(entries)-1] // those before have gone, and these come in their place
	}
	if first > after+1 || first == 1 {
		first = 0
	}
	return entries, first, nil
}

// lookOfLog is how a log looks in a tab that renders itself: what the tab has appended, and the
// store has not got yet, stands behind all others.
func lookOfLog(_ string, s shown[Talk], _ int) (string, live.Component) {
	var all []components.LogEntry
	for _, e := range s.log {
		all = append(all, entryProps(readable(e)))
	}
	for _, e := range s.state.Appended() {
		p := entryProps(e)
		p.N, p.At = 0, time.Now()
		all = append(all, p)
	}
	return "#log", components.AllEntries("#log", all)
}

// itemsOfLog is a log as items: the newest entries that are known, one behind the other.
func itemsOfLog(_ string, s shown[Talk]) (live.Items, bool) {
	if s.err != nil {
		return live.Items{}, false
	}
	first := s.state.N + 1
	if len(s.log) > 0 {
		first = s.log[0].N
	}
	return live.Items{
		Target: "#log",
		Len:    len(s.log),
		Item: func(i int) live.Item {
			e := s.log[i]
			return live.Item{ID: "m-" + e.ID, Rev: e.N, Render: func() live.Component {
				return components.Entry(entryProps(readable(e)))
			}}
		},
		Log: true, First: first, Window: logWindow,
	}, true
}
