package xray

import (
	"encoding/json"
	"slices"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// A Trace is how far an op has come. All times are of this replica's clock; a zero one is not
// known, or has not been.
type Trace struct {
	Op      htmx.Op
	Do      string // its action
	Replica string // that took it
	Came    time.Time
	Verdict state.Verdict
	Step    state.Trace // in the queue and the store; zero for what was refused or known
	// Rendering is when the first state with the op began to be rendered here, Rendered when it was
	// HTML, Written when the op's own tab had it, and Last when the last writer had given it to
	// all.
	Rendering, Rendered, Written, Last time.Time
	Tabs                               int       // of this replica that show the topic
	Painted                            time.Time // when the last of those that are asked had it on the screen, as they say
	// Sent is when the broadcast left, Taken when the broker had it, and Back when it came back
	// here.
	Sent, Taken, Back time.Time
	Others            []Other
}

// An Other is how far an op has come at another replica, counted from when that heard of it.
type Other struct {
	Name                         string
	Rendering, Rendered, Written time.Duration
	Tabs                         int
	Painted                      time.Duration // 0: not known
}

// A trace is one that grows. Recorder.mu guards it.
type trace struct {
	Trace
	session  *live.Session // whose person looks; nil: nobody
	sampled  bool
	writer   uint64 // of the tab
	answered bool

	writers map[uint64]int       // that have written, and to how many tabs
	painted map[uint64]time.Time // by session
	ids     []string             // of Others

	news bool // since it was told last
	told time.Time
}

// has reports whether a state of a mark has the op.
func (t *trace) has(epoch, version uint64) bool {
	s := t.Step
	return t.answered && s.Version > 0 && (epoch > s.Epoch || epoch == s.Epoch && version >= s.Version)
}

// take takes a mark in, and reports whether it is news of the op.
func (t *trace) take(m live.Mark) bool {
	if !t.has(m.Epoch, m.Version) || !t.put(m) {
		return false
	}
	t.news = true
	return true
}

// put takes in the first mark of each point.
func (t *trace) put(m live.Mark) bool {
	switch m.Point {
	case live.Published:
		if t.Taken.IsZero() {
			t.Sent, t.Taken = m.Began, m.Ended
			return true
		}
	case live.Heard:
		if t.Back.IsZero() {
			t.Back = m.Began
			return true
		}
	case live.Rendered:
		if t.Rendered.IsZero() {
			t.Rendering, t.Rendered = m.Began, m.Ended
			return true
		}
	case live.Written:
		return t.wrote(m)
	case live.Painted:
		return t.paint(m)
	}
	return false
}

// wrote takes in the first pass of each writer.
func (t *trace) wrote(m live.Mark) bool {
	if _, known := t.writers[m.Who]; known {
		return false
	}
	if t.writers == nil {
		t.writers = make(map[uint64]int, m.Of)
	}
	t.writers[m.Who] = m.Tabs
	if t.Tabs += m.Tabs; m.Tabs > 0 && m.Ended.After(t.Last) {
		t.Last = m.Ended
	}
	if m.Who == t.writer {
		t.Written = m.Ended
	}
	return true
}

// paint takes in what the tabs say, the first of each.
func (t *trace) paint(m live.Mark) bool {
	if _, known := t.painted[m.Who]; known {
		return false
	}
	if t.painted == nil {
		t.painted = make(map[uint64]time.Time)
	}
	t.painted[m.Who] = m.Ended
	if m.Ended.After(t.Painted) {
		t.Painted = m.Ended
	}
	return true
}

// hear takes in what another replica says.
func (t *trace) hear(id string, name string, s *shown) {
	if !t.has(s.Epoch, s.Version) {
		return
	}
	one := Other{
		Name: name, Rendering: micros(s.Rendering), Rendered: micros(s.Rendered), Written: micros(s.Written), Tabs: s.Tabs, Painted: micros(s.Painted),
	}
	i := slices.Index(t.ids, id)
	switch {
	case i < 0 && len(t.ids) >= maxOthers:
		return
	case i < 0:
		t.ids, t.Others = append(t.ids, id), append(t.Others, one)
	case one.Painted > t.Others[i].Painted && one.Written == t.Others[i].Written:
		t.Others[i] = one
	default:
		return
	}
	t.news = true
}

// due reports whether the tab is to be told: at once when it has its own frame, and then what is
// new, but not too often. The caller tells it.
func (t *trace) due(now time.Time, over bool) bool {
	first := t.told.IsZero()
	switch {
	case !t.answered || first && !over && t.Written.IsZero() && t.Step.Version > 0:
		return false
	case !first && (!t.news || now.Sub(t.told) < tick && !over):
		return false
	}
	t.news, t.told = false, now
	return true
}

// whole returns the trace for others, who keep it.
func (t *trace) whole() Trace {
	all := t.Trace
	all.Others = slices.Clone(all.Others)
	return all
}

// A Hop is a part of an op's way, which follows the one before without a gap.
type Hop struct {
	Name string
	Took time.Duration
}

// Hops are the parts of the op's way from when it came to when its own tab had been written to;
// those that are not known are left out.
func (t *Trace) Hops() (hops []Hop) {
	at := t.Came
	add := func(name string, until time.Time) {
		if until.IsZero() {
			return
		}
		if until.Before(at) { // it was shown because of another replica's word
			until = at
		}
		hops = append(hops, Hop{name, until.Sub(at)})
		at = until
	}
	add("queue", t.Step.Called)
	add("store", t.Step.Ended)
	add("wait", t.Rendering)
	add("render", t.Rendered)
	add("write", t.Written)
	return hops
}

// A told is what a tab is told of an op; times are milliseconds.
type told struct {
	Op       [2]any       `json:"op"` // client and seq
	Topic    string       `json:"t"`
	Epoch    uint64       `json:"e,omitempty"`
	Version  uint64       `json:"v,omitempty"`
	Verdict  string       `json:"verdict"`
	Replica  string       `json:"r"`
	Hops     [][2]any     `json:"hops"`
	Calls    int          `json:"calls,omitempty"`
	Tabs     int          `json:"tabs"`
	Last     float64      `json:"last"`            // after the own tab's
	Painted  float64      `json:"paint,omitempty"` // likewise
	Accepted float64      `json:"taken,omitempty"` // since the broadcast left
	Back     float64      `json:"back,omitempty"`  // likewise
	Others   []toldOthers `json:"others,omitempty"`
}

type toldOthers struct {
	Name    string  `json:"r"`
	Wait    float64 `json:"wait"`
	Render  float64 `json:"render"`
	Write   float64 `json:"write"`
	Tabs    int     `json:"tabs"`
	Painted float64 `json:"paint,omitempty"` // since it heard of it
}

// json returns what a tab is told.
func (t *trace) json() json.RawMessage {
	s := told{
		Op: [2]any{t.Op.Client, t.Op.Seq}, Topic: t.Op.Topic, Epoch: t.Step.Epoch, Version: t.Step.Version,
		Verdict: t.Verdict.String(), Replica: t.Replica, Calls: t.Step.Calls, Tabs: t.Tabs,
		Last: millis(between(t.Written, t.Last)), Painted: millis(between(t.Written, t.Painted)),
		Accepted: millis(between(t.Sent, t.Taken)), Back: millis(between(t.Sent, t.Back)),
	}
	for _, h := range t.Hops() {
		s.Hops = append(s.Hops, [2]any{h.Name, millis(h.Took)})
	}
	for _, o := range t.Others {
		s.Others = append(s.Others, toldOthers{
			Name: o.Name, Wait: millis(o.Rendering), Render: millis(o.Rendered - o.Rendering), Write: millis(o.Written - o.Rendered),
			Tabs: o.Tabs, Painted: millis(o.Painted),
		})
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil // it is texts and numbers
	}
	return b
}

// between is the time from one to another; 0 if one is not known, or they are not in this order.
func between(from, to time.Time) time.Duration {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return max(to.Sub(from), 0)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
