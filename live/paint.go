//go:build !js

package live

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"lockstep/htmx"
)

// How long does it take until a change is on the screen?
//
// Some tabs are asked to say, in a frame of the browser after they have shown a state, which one
// that is, and how long ago the frame was when the report left. What counts is this replica's
// clock, from when the room took the state, or the tab was asked if that was later, to when the
// report came, less that time: so no clock of a tab is believed, and what the report needs to come
// is counted as if it were late.
//
// A tab may lie. It can only speak of states that its room has shown lately, in rooms that it is
// in, not often, and never of more than maxPaint: and what tabs say degrades no replica (ADR 53).

const (
	// paintPause is the shortest time between two reports of a tab on a topic; what comes faster is
	// left out. Tabs are asked for one in paintEvery.
	paintPause = 500 * time.Millisecond
	paintEvery = time.Second
	// maxPaint is the longest time that counts: a tab to which nothing gets through is closed
	// sooner.
	maxPaint = 30 * time.Second
	// paintMemory is how long a report counts.
	paintMemory = time.Minute
	// maxPassedBy is how many states of a room are known that were shown last, and maxReports how
	// many reports.
	maxPassedBy = 16
	maxReports  = 256
)

// A Paint is how long it has taken in the last minute until changes of a room were on the screens
// of those of its tabs that were asked.
type Paint struct {
	Kind, Topic string // RoomsOptions.Name, and the topic
	Tabs        int    // that have said so
	Reports     int
	Worst, P99  time.Duration
}

// painters are the tabs that are asked. The zero value is none.
type painters struct {
	mu    sync.Mutex
	all   map[*Session]*painter
	kinds []func() []Paint // of the kinds of rooms
}

// A painter is one of these tabs. painters.mu guards it.
type painter struct {
	asked time.Time
	next  map[string]time.Time // by topic: when it may say something of it again
}

// askPaint asks a tab that has just said hello to say when it has painted, if others are not
// enough.
func (r *Runtime) askPaint(s *Session) {
	if r.opts.Painters <= 0 || s.Passing() {
		return
	}
	p := &r.painters
	p.mu.Lock()
	_, again := p.all[s]
	asks := !again && len(p.all) < r.opts.Painters
	if asks {
		if p.all == nil {
			p.all = make(map[*Session]*painter)
		}
		p.all[s] = &painter{asked: time.Now(), next: make(map[string]time.Time)}
	}
	p.mu.Unlock()
	if !asks {
		return
	}
	s.push(&frame{message: htmx.AskPaint(paintEvery)})
	if s.ended() {
		p.leave(s) // it may have left before
	}
}

// leave forgets a tab: another is asked in its place.
func (p *painters) leave(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, s)
}

// allow reports whether a tab may say something of a topic, and since when it is asked.
func (p *painters) allow(s *Session, topic string, now time.Time) (asked time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[s]
	if one == nil || now.Before(one.next[topic]) {
		return asked, false
	}
	one.next[topic] = now.Add(paintPause) // of a room that the tab is in: they are not many
	return one.asked, true
}

// painted takes what a tab says. What can't be is left out, as a cast may be.
func (s *Session) painted(e htmx.Event) {
	var said struct {
		E, V uint64
		Ago  float64 // ms
	}
	if json.Unmarshal(e.In, &said) != nil || !(said.Ago >= 0 && said.Ago <= float64(maxPaint.Milliseconds())) {
		return
	}
	var in *room
	s.mu.Lock()
	for _, m := range s.rooms {
		if m.room.topic == e.Op.Topic {
			in = m.room
		}
	}
	s.mu.Unlock()
	if in == nil {
		return
	}
	rt, now := s.writer.rt, time.Now()
	asked, ok := rt.painters.allow(s, in.topic, now)
	if !ok {
		return
	}
	at, when := revision{said.E, said.V}, now.Add(-time.Duration(said.Ago*float64(time.Millisecond)))
	if in.paints.report(s.id, at, asked, when) && rt.hooked(in.topic) {
		rt.reached(Mark{Point: Painted, Topic: in.topic, Epoch: at[0], Version: at[1], Began: when, Ended: when, Who: s.id})
	}
}

// paints are what is known of when a room's states were painted.
type paints struct {
	mu      sync.Mutex
	passed  []passedBy
	reports []report
}

// A passedBy is a state that the room has shown.
type passedBy struct {
	at    revision
	taken time.Time
}

// A report is what a tab has said.
type report struct {
	session uint64
	when    time.Time
	took    time.Duration
}

// shown takes note that a room shows a state.
func (p *paints) shown(f *frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.passed) == maxPassedBy {
		p.passed = slices.Delete(p.passed, 0, 1)
	}
	p.passed = append(p.passed, passedBy{f.at, f.taken})
}

// report takes a report of a tab, which was asked at a time. It reports false for one of a state
// that was not shown lately.
func (p *paints) report(session uint64, at revision, asked, when time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.passed, func(s passedBy) bool { return s.at == at })
	if i < 0 {
		return false
	}
	since := p.passed[i].taken
	if asked.After(since) {
		since = asked
	}
	took := max(when.Sub(since), 0)
	if took > maxPaint {
		return false
	}
	if len(p.reports) == maxReports {
		p.reports = slices.Delete(p.reports, 0, 1)
	}
	p.reports = append(p.reports, report{session, when, took})
	return true
}

// paint returns what the reports of the last minute come to; false: there are none.
func (p *paints) paint(now time.Time) (sum Paint, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports = slices.DeleteFunc(p.reports, func(r report) bool { return now.Sub(r.when) > paintMemory })
	if len(p.reports) == 0 {
		return sum, false
	}
	tabs, took := make(map[uint64]struct{}), make([]time.Duration, len(p.reports))
	for i, r := range p.reports {
		tabs[r.session], took[i] = struct{}{}, r.took
	}
	slices.Sort(took)
	n := len(took)
	return Paint{Tabs: len(tabs), Reports: n, Worst: took[n-1], P99: took[(n*99+99)/100-1]}, true
}

// Paints returns what tabs have said in the last minute, of each room of which one has: the rooms
// with the longest times first. They are what tabs say, who may lie. It looks at every room: it is
// for metrics and for people.
func (r *Runtime) Paints() (all []Paint) {
	r.painters.mu.Lock()
	kinds := slices.Clone(r.painters.kinds)
	r.painters.mu.Unlock()
	for _, of := range kinds {
		all = append(all, of()...)
	}
	slices.SortFunc(all, func(a, b Paint) int { return cmp.Compare(b.Worst, a.Worst) })
	return all
}

// watchPaints has Runtime.Paints ask for those of these rooms.
func (rs *Rooms[S]) watchPaints() {
	if rs.opts.Order == nil || rs.rt.opts.Painters <= 0 {
		return
	}
	p := &rs.rt.painters
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kinds = append(p.kinds, rs.paints)
}

// paints is Runtime.Paints for one kind of rooms.
func (rs *Rooms[S]) paints() (all []Paint) {
	now := time.Now()
	for _, r := range rs.open() {
		if one, ok := r.room.paints.paint(now); ok {
			one.Kind, one.Topic = rs.opts.Name, r.topic
			all = append(all, one)
		}
	}
	return all
}
