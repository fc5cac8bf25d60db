package app

import (
	"context"
	"strconv"
	"strings"

	"lockstep"
	"lockstep/app/pages"
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
	return text, lengthOf("message", text, MaxMessage)
}

// logs adds the kind.
func logs(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.LoggingWith(a, lockstep.LogOptions[Message]{
		Kind: Logs(), ValidKey: ValidName, Window: logWindow,
		Target:  func(string) string { return "#log" },
		EntryID: func(e lockstep.Entry[Message]) string { return "m-" + e.ID },
		Entry:   func(e lockstep.Entry[Message]) lockstep.Component { return pages.Entry(entryProps(e)) },
	})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, newest, err := kind.Show(ctx, name)
		props := pages.Log{
			Name: name, Topic: s.Topic, Epoch: s.Epoch, Version: s.Version, Known: s.Known, Entries: allEntries(newest),
		}
		if len(newest) > 0 {
			props.Before = newest[0].N
		}
		return logContent{kind, props, s.State.N}, props.Sum(), err
	}
}

func allEntries(entries []lockstep.Entry[Message]) (all []pages.LogEntry) {
	for _, e := range entries {
		all = append(all, entryProps(e))
	}
	return all
}

func entryProps(e lockstep.Entry[Message]) pages.LogEntry {
	text := e.M.Text
	if e.Err != nil {
		text = "This message can't be read."
	}
	return pages.LogEntry{ID: e.ID, N: e.N, At: e.At, By: e.M.By, Text: text}
}

// A logContent is what the page of one is about.
type logContent struct {
	kind *lockstep.Log[Message]
	log  pages.Log
	n    uint64 // how many entries there were
}

// Document implements Content.
func (c logContent) Document(p pages.Page) live.Component { return pages.LogPage(p, c.log) }

// Body implements Content.
func (c logContent) Body(p pages.Page) live.Component { return pages.LogBody(p, c.log) }

// Part implements Partial: the older entries alone, for a page that puts them above its own.
func (c logContent) Part(p pages.Page) live.Component {
	if !c.log.Past {
		return nil
	}
	return pages.OlderEntries(p, c.log)
}

// ask implements asker: entries before a number are shown in place of the newest.
func (c logContent) ask(ctx context.Context, asked state.Fields) (Content, error) {
	end, err := strconv.ParseUint(asked.Get("before"), 10, 64)
	if err != nil || end == 0 || end > c.n {
		return c, nil
	}
	c.log.Past, c.log.Entries, c.log.Before = true, nil, 0
	entries, first, err := c.kind.Before(ctx, c.log.Name, end)
	if err != nil {
		c.log.Known = false
		return c, err
	}
	c.log.Entries, c.log.Before = allEntries(entries), first
	return c, nil
}
