package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"sync"
	"time"
)

// Bounds of a recording, and of the file that it is written to.
const (
	// MaxEvents is how many events a recording has: with one more the oldest chapters go.
	MaxEvents = 150_000
	// MaxChapter is how many events a chapter has: to judge one takes time that grows with their
	// square.
	MaxChapter = 10_000
	// MaxNamed is how many breaches a Verdict names.
	MaxNamed = 20
)

// settling is how long after a fault what its tabs show may be late because of it.
const settling = 5 * time.Second

// A Recording is the history of one counter in chapters: each begins and ends while nothing is
// under way, and is judged by itself. Its methods may be called concurrently.
type Recording struct {
	now func() time.Time // set once

	mu      sync.Mutex // guards the rest
	since   time.Time
	from    time.Time // since when all that has happened is judged
	closed  []judged
	events  int      // of closed
	open    *chapter // nil: none has begun
	pending []event  // faults that were let loose while none was open
	verdict Verdict  // of closed
}

// A chapter is what happens between two moments at which nothing is under way.
type chapter struct {
	base, final State
	events      []event
	connected   []string // at its end
	over        bool     // it has more events than can be judged
}

// A judged chapter is kept as it is written.
type judged struct {
	lines  []byte
	began  time.Duration // since the recording began
	events int
	Verdict
}

// A Verdict is what a recording comes to.
type Verdict struct {
	Since  time.Time
	Clicks int // that were acknowledged
	Faults int // that were let loose
	Lost   int // clicks that were acknowledged and are not counted
	Twice  int // that were counted, and nobody made
	Broken int // breaches of any rule
	// Worst is the longest time that a connected tab was behind another, as long as its replica was
	// well; and Ill the longest of those whose replica was not, or had not been just before.
	Worst, Ill time.Duration
	Named      []string // the first breaches, MaxNamed at most
}

// Holds reports whether nothing was lost or counted twice, and no rule was broken.
func (v *Verdict) Holds() bool { return v.Broken == 0 && v.Lost == 0 && v.Twice == 0 }

// String is the verdict in one line.
func (v *Verdict) String() string {
	text := fmt.Sprintf("since %s: %d clicks, %d faults, %d lost, %d twice; worst tab %d ms, of broken replicas %d ms",
		v.Since.UTC().Format("2006-01-02 15:04:05 UTC"), v.Clicks, v.Faults, v.Lost, v.Twice, v.Worst.Milliseconds(), v.Ill.Milliseconds())
	if v.Broken > 0 {
		text += fmt.Sprintf("; %d rules broken", v.Broken)
	}
	return text
}

// add adds what another chapter comes to.
func (v *Verdict) add(o *Verdict) {
	v.Clicks, v.Faults, v.Lost, v.Twice = v.Clicks+o.Clicks, v.Faults+o.Faults, v.Lost+o.Lost, v.Twice+o.Twice
	v.Broken, v.Worst, v.Ill = v.Broken+o.Broken, max(v.Worst, o.Worst), max(v.Ill, o.Ill)
	v.Named = append(v.Named, o.Named[:min(len(o.Named), MaxNamed-len(v.Named))]...)
}

// NewRecording returns one without a chapter. now tells the time.
func NewRecording(now func() time.Time) *Recording {
	r := &Recording{now: now}
	r.since = now().Truncate(time.Millisecond)
	r.from, r.verdict.Since = r.since, r.since
	return r
}

// Begin begins a chapter, unless there is an open one. base is the store's state, while nothing is
// under way.
func (r *Recording) Begin(base State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open != nil {
		return
	}
	now := r.at()
	r.open = &chapter{base: base, events: []event{{kind: began, at: now, state: base}}}
	for _, e := range r.pending {
		e.lasts, e.at = max(0, e.lasts-(now-e.at)), now
		r.open.events = append(r.open.events, e)
	}
	r.pending = nil
}

// at is the time since the recording began. The caller holds mu.
func (r *Recording) at() time.Duration { return r.now().Sub(r.since).Truncate(time.Millisecond) }

func (r *Recording) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return
	}
	e.at = r.at()
	r.open.over = r.open.over || len(r.open.events) >= MaxChapter-1 // and its end
	if !r.open.over {
		r.open.events = append(r.open.events, e)
	}
}

// Sent, Acked, Refused, Forgotten, Shown, Joined and Left are as those of a History. Without a
// chapter they do nothing.

// Sent records that a tab sends an op.
func (r *Recording) Sent(tab string, op Op) { r.add(event{kind: sent, tab: tab, op: op}) }

// Acked records an acknowledgement.
func (r *Recording) Acked(tab string, op ID) { r.add(event{kind: acked, tab: tab, op: Op{ID: op}}) }

// Refused records a refusal, and why.
func (r *Recording) Refused(tab string, op ID, reason string) {
	r.add(event{kind: refused, tab: tab, op: Op{ID: op}, reason: reason})
}

// Forgotten records that nobody says what became of an op.
func (r *Recording) Forgotten(tab string, op ID) {
	r.add(event{kind: forgotten, tab: tab, op: Op{ID: op}})
}

// Shown records what a tab shows from now on.
func (r *Recording) Shown(tab string, s State) { r.add(event{kind: shown, tab: tab, state: s}) }

// Joined records that a tab connects to a replica; see History.Joined.
func (r *Recording) Joined(tab, replica string, floor State) {
	r.add(event{kind: joined, tab: tab, state: floor, reason: replica})
}

// Left records that a tab has lost its connection.
func (r *Recording) Left(tab string) { r.add(event{kind: left, tab: tab}) }

// Fault records that a fault is let loose on a replica, for a time. Without a chapter it is of the
// next.
func (r *Recording) Fault(what, replica string, lasts time.Duration) {
	e := event{kind: fault, tab: replica, reason: what, lasts: lasts.Truncate(time.Millisecond)}
	r.mu.Lock()
	if r.open == nil {
		e.at = r.at()
		r.pending = append(r.pending, e)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	r.add(e)
}

// Full reports whether the open chapter should end soon.
func (r *Recording) Full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open != nil && len(r.open.events) > MaxChapter/2
}

// End ends the chapter and judges it. final is the store's state while nothing is under way,
// connected are the tabs that should show it. Without a chapter it does nothing. One with too many
// events can't be judged: then the recording begins anew.
func (r *Recording) End(final State, connected ...string) {
	r.mu.Lock()
	c := r.open
	r.open = nil
	if c != nil && c.over {
		r.closed, r.events, r.from = nil, 0, r.now().Truncate(time.Millisecond)
		r.verdict, c = Verdict{Since: r.from}, nil
	}
	if c != nil {
		c.events = append(c.events, event{kind: ended, at: r.at(), state: final, tabs: connected})
	}
	r.mu.Unlock()
	if c == nil {
		return
	}
	c.final, c.connected = final, connected
	j := judged{lines: c.lines(), began: c.events[0].at, events: len(c.events), Verdict: c.judge()} // without mu: it takes a moment
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(j)
}

// keep keeps a chapter, and lets go of the oldest when there are too many events. The caller holds
// mu.
func (r *Recording) keep(j judged) {
	r.closed, r.events = append(r.closed, j), r.events+j.events
	for r.events > MaxEvents {
		r.events -= r.closed[0].events
		r.closed = slices.Delete(r.closed, 0, 1)
		r.from = r.since.Add(r.closed[0].began)
	}
	r.verdict = Verdict{Since: r.from}
	for i := range r.closed {
		r.verdict.add(&r.closed[i].Verdict)
	}
}

// Verdict is what the chapters come to that have ended.
func (r *Recording) Verdict() Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.verdict
	v.Named = slices.Clone(v.Named)
	return v
}

// Open is how many clicks the chapter that has not ended has acknowledged, how many have no answer
// yet, and how many faults there were in it.
func (r *Recording) Open() (clicks, waiting, faults int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return 0, 0, 0
	}
	t := tallyOf(r.open.events)
	return len(t.acked), len(t.sent) - len(t.acked) - t.others, t.faults
}

// WriteTo implements io.WriterTo: it writes the file that ReadVerdict reads, of the chapters that
// have ended.
func (r *Recording) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	closed, since, from := slices.Clone(r.closed), r.since, r.from
	r.mu.Unlock()
	var b bytes.Buffer
	writeHead(&b, since, from)
	for _, j := range closed {
		b.Write(j.lines)
	}
	return b.WriteTo(w)
}

// A tally is how many clicks and faults there are in a chapter.
type tally struct {
	sent, acked    map[ID]bool
	others, faults int // ops with another answer
}

func tallyOf(events []event) tally {
	t := tally{sent: make(map[ID]bool), acked: make(map[ID]bool)}
	other := make(map[ID]bool)
	for _, e := range events {
		switch e.kind {
		case sent:
			t.sent[e.op.ID] = true
		case acked:
			t.acked[e.op.ID] = true
		case refused, forgotten:
			other[e.op.ID] = true
		case fault:
			t.faults++
		}
	}
	for id := range other {
		if t.sent[id] && !t.acked[id] {
			t.others++
		}
	}
	return t
}

// judge says what a chapter comes to: by the rules of this package, and by the sum.
func (c *chapter) judge() (v Verdict) {
	opts := Options{Kind: Counters(), Base: c.base}
	walk := newCheck(opts, c.events)
	for _, e := range c.events {
		walk.step(e)
	}
	walk.count(c.final)
	walk.converged(c.final, c.connected)
	for _, breach := range walk.found {
		if v.Broken++; len(v.Named) < MaxNamed {
			v.Named = append(v.Named, breach.String())
		}
	}
	t := tallyOf(c.events)
	v.Clicks, v.Faults = len(t.acked), t.faults
	v.Lost, v.Twice = c.counted(walk)
	v.Worst, v.Ill = c.late()
	return v
}

// counted compares the sum with the clicks: one that was refused must not count, and one without an
// answer may or not.
func (c *chapter) counted(walk *check) (lost, twice int) {
	before, err1 := readCount(c.base.Value)
	after, err2 := readCount(c.final.Value)
	if errors.Join(err1, err2) != nil {
		return 0, 0 // count has found it
	}
	least, most := before, before
	for _, o := range walk.sent {
		if o.acked {
			least++
		}
		if o.acked || !walk.refused[o.op.ID] {
			most++
		}
	}
	return int(max(0, min(least-after, int64(len(walk.acked))))), int(max(0, after-most))
}

// late is how long tabs were behind, at most: see Verdict.
func (c *chapter) late() (worst, ill time.Duration) {
	type place struct {
		replica string
		since   time.Duration // connected
		shown   State
	}
	places := make(map[string]*place)
	first := []event{{at: 0, state: c.base}} // when each state was first shown, in their order
	until := make(map[string]time.Duration)  // when a fault on a replica is over, and settled
	for _, e := range c.events {
		switch e.kind {
		case fault:
			until[e.tab] = max(until[e.tab], e.at+e.lasts+settling)
		case joined:
			places[e.tab] = &place{replica: e.reason, since: e.at, shown: e.state}
		case left:
			delete(places, e.tab)
		case shown:
			if e.state.Newer(first[len(first)-1].state) {
				first = append(first, e)
			}
			p := places[e.tab]
			if p == nil || !e.state.Newer(p.shown) {
				continue
			}
			next, _ := slices.BinarySearchFunc(first, p.shown, func(f event, s State) int {
				if f.state.Newer(s) {
					return 1
				}
				return -1
			})
			p.shown = e.state
			if next == len(first) {
				continue
			}
			began := max(first[next].at, p.since)
			if began <= until[p.replica] && until[p.replica] > 0 {
				ill = max(ill, e.at-began)
			} else {
				worst = max(worst, e.at-began)
			}
		}
	}
	return worst, ill
}

// lines is a chapter as it is written.
func (c *chapter) lines() []byte {
	var b bytes.Buffer
	for _, e := range c.events {
		e.write(&b)
	}
	return b.Bytes()
}
