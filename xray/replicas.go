package xray

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"lockstep/internal/pause"
	"lockstep/live"
	"lockstep/pubsub"
)

// topic is where replicas ask each other, and tell.
const topic = "xray"

// A message is what a replica says there: somebody here looks at these topics, or how a state has
// fared here.
type message struct {
	By    string   `json:"r"`
	Name  string   `json:"n"`
	Look  []string `json:"look,omitempty"`
	Shown *shown   `json:"shown,omitempty"`
}

// A shown is how a state has fared: microseconds since the replica heard of it.
type shown struct {
	Topic     string `json:"t"`
	Epoch     uint64 `json:"e"`
	Version   uint64 `json:"v"`
	Rendering int64  `json:"b"`
	Rendered  int64  `json:"d"`
	Written   int64  `json:"w"`
	Painted   int64  `json:"p,omitempty"`
	Tabs      int    `json:"tabs"`
}

// maxName bounds names, in bytes.
const maxName = 256

// longest bounds what a replica can say of how long something took, in microseconds.
const longest = int64(time.Minute / time.Microsecond)

var errMessage = errors.New("xray: not a message of a replica")

// valid reports whether a replica can have said this.
func (m *message) valid() bool {
	if m.By == "" || len(m.By) > maxName || len(m.Name) > maxName || len(m.Look) > maxTopics {
		return false
	}
	s := m.Shown
	if s == nil {
		return true
	}
	last := int64(0)
	for _, at := range []int64{s.Rendering, s.Rendered, s.Written} {
		if at < last || at > longest {
			return false
		}
		last = at
	}
	return s.Painted >= 0 && s.Painted <= longest && s.Tabs >= 0 && s.Tabs <= 1_000_000
}

// listen hears what other replicas say, from now until the hub stops, and before that until ctx
// ends.
func (r *Recorder) listen(ctx context.Context) {
	for {
		err := r.app.Hub().SubscribeTopic(ctx, "xray:"+r.id, topic, func(_ context.Context, m pubsub.Message) error {
			if m.Gap || !m.Trusted {
				return nil
			}
			return r.hear(m.Payload)
		})
		if err == nil {
			return
		}
		r.opts.Logger.Debug("xray: other replicas can't be heard yet", "err", err)
		if !pause.For(ctx, time.Second) {
			return
		}
	}
}

// hear takes in what another replica says.
func (r *Recorder) hear(payload []byte) error {
	var m message
	if json.Unmarshal(payload, &m) != nil || !m.valid() {
		return errMessage
	}
	if m.By == r.id {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	until := time.Now().Add(lookTime)
	for _, topic := range m.Look {
		if !r.app.HasState(topic) {
			continue
		}
		if w := r.watch(topic); w != nil && (len(w.askers) < maxAskers || !w.askers[m.By].IsZero()) {
			w.askers[m.By] = until
		}
	}
	if s := m.Shown; s != nil && r.topics[s.Topic] != nil {
		for _, t := range r.topics[s.Topic].traces {
			t.hear(m.By, m.Name, s)
		}
	}
	r.wake()
	return nil
}

// broadcast says something to the others. It may be lost.
func (r *Recorder) broadcast(ctx context.Context, m message) {
	m.By, m.Name = r.id, r.app.Replica()
	payload, err := json.Marshal(m)
	if err == nil {
		err = r.app.Hub().Broadcast(ctx, topic, payload)
	}
	if err != nil {
		r.opts.Logger.Debug("xray: other replicas were not told", "err", err)
	}
}

// A visit is a state of which this replica has heard, for those who have asked. Recorder.mu guards
// it.
type visit struct {
	epoch, version uint64
	heard          time.Time
	began, ended   time.Time // of rendering
	written        time.Time
	writers        map[uint64]struct{}
	of, tabs       int
	painted        time.Time
	told, news     bool
}

// visit begins one with a state that was heard of. It reports false when nobody has asked, or there
// are too many.
func (w *watch) visit(m live.Mark) bool {
	if len(w.askers) == 0 || len(w.visits) >= maxVisits || m.Began.Sub(w.last) < visitPause {
		return false
	}
	w.last = m.Began
	v := &visit{epoch: m.Epoch, version: m.Version, heard: m.Began, writers: make(map[uint64]struct{})}
	for _, m := range w.marks { // it may have been read from the store before
		v.take(m)
	}
	w.visits = append(w.visits, v)
	return true
}

// take takes a mark in, and reports whether it is news.
func (v *visit) take(m live.Mark) bool {
	if m.Epoch < v.epoch || m.Epoch == v.epoch && m.Version < v.version {
		return false
	}
	switch m.Point {
	case live.Rendered:
		if v.ended.IsZero() {
			v.began, v.ended = m.Began, m.Ended
			return true
		}
	case live.Written:
		if _, known := v.writers[m.Who]; known {
			return false
		}
		v.writers[m.Who] = struct{}{}
		v.of, v.tabs = m.Of, v.tabs+m.Tabs
		if m.Tabs > 0 && m.Ended.After(v.written) {
			v.written = m.Ended
		}
		return true
	case live.Painted:
		if m.Ended.After(v.painted) && m.Ended.Sub(v.heard) < patience {
			v.painted, v.news = m.Ended, true
			return true
		}
	}
	return false
}

// due reports whether the others are to be told: when it is written, and what is new after that.
// The caller tells them.
func (v *visit) due(over bool) bool {
	whole := v.of > 0 && len(v.writers) == v.of
	switch {
	case !v.told && !whole && !(over && v.of > 0):
		return false
	case v.told && !v.news:
		return false
	}
	v.told, v.news = true, false
	return true
}

// shown returns what the others are told.
func (v *visit) shown(topic string) *shown {
	since := func(at time.Time) int64 { return between(v.heard, at).Microseconds() }
	s := &shown{Topic: topic, Epoch: v.epoch, Version: v.version, Rendering: since(v.began), Tabs: v.tabs, Painted: since(v.painted)}
	s.Rendered = max(since(v.ended), s.Rendering)
	s.Written = max(since(v.written), s.Rendered)
	for _, at := range []*int64{&s.Rendering, &s.Rendered, &s.Written, &s.Painted} {
		*at = min(*at, longest)
	}
	return s
}
