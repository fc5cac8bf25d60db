package browser

import (
	"fmt"

	"lockstep/tools/loadgen/load/internal/latency"
	"lockstep/tools/loadgen/load/protocol"
)

// An Observation is what one event loop has seen since the last observation. It can be sent to
// another process. All times are ns of the wall clock as it was when the process started, so those
// of processes of one machine can be compared.
type Observation struct {
	Connected   int   // tabs with a socket, now
	Joined      int   // tabs whose page is open, connected or not, now
	Absent      int   // tabs that should be open and are not yet, now
	Outstanding int   // clicks without an answer, now
	LastAck     int64 // when the last click was acknowledged, ever
	Values      int   // that tabs show at boards, now
	Planned     bool  // all clicks and moves of the plan are made

	Counts Counts

	Own, Ack, Join, Reconnect, Staleness, Late latency.Distribution // ms

	Replicas   map[string]*Replica // by name
	Counters   []Counter           // by number
	Violations []Violation         // not more of each rule than maxViolations
	Errors     map[string]int      // how often, by cause
	Busy       float64             // share of the time that the loop did not wait
}

// Counts are sums.
type Counts struct {
	Due, Sent, Resent, Acked, Refused int64 // clicks
	Forgotten                         int64 // clicks of which nobody says any more whether they count
	Deliveries                        int64 // states that arrived
	Bytes                             int64 // received
	Advanced                          int64 // versions that tabs went forward by
	Dropped                           int64 // states that came late over a new connection
	Joins, Reconnects                 int64 // of tabs
	Afresh                            int64 // changes of what their tab did not show: it asked for all
	Refusals                          int64 // connections that a server turned away
}

// A Replica is what came from one server, by the name on its pages.
type Replica struct {
	Tabs       int   // now
	Clicks     int64 // sent to it
	Deliveries int64 // states that it sent
	Bytes      int64 // received from it
	Reconnects int64 // tabs that came to it after they had lost another
	Own        latency.Distribution
}

// A Counter is what the tabs of one loop show of one counter.
type Counter struct {
	Tabs           int             // that show it and are not slow, now
	Oldest, Newest protocol.State  // that one of them shows, now
	Stalest        float64         // ms that the one furthest behind is so, now
	Advances       []Advance       // by rising time and state
	Clicks         []Resolved      // that were acknowledged
	Acked          int64           // as many
	Forgotten      int64           // clicks of which nobody says whether they count
	Outstanding    int             // clicks without an answer, now
	Notes          []Note          // what happened to clicks, in this order, unless they only count
	Entries        []protocol.Item // of a log, that no tab of the process had been shown before
}

// A Note says what happened to an op.
type Note struct {
	What   Happened
	Op     protocol.Op // only its ID, unless it was made
	Person string      // who made it
}

// Happened is what happened to an op.
type Happened int8

// The values of Happened. Each op has the first, and then at most one of the others.
const (
	Made      Happened = iota
	Acked              // it counts
	Refused            // it does not
	Forgotten          // nobody says
)

// An Advance says that from a time on all tabs of the loop had been shown a state or a newer one.
type Advance struct {
	State protocol.State
	At    int64 // ns
}

// A Resolved is a click that a state is known to contain.
type Resolved struct {
	State protocol.State
	Due   int64 // ns
}

// A Rule is what a Violation breaks.
type Rule int8

// The rules that tabs check. The package above judges whether all clicks are counted and all tabs
// are equal.
const (
	RuleForward   Rule = iota // a tab was sent an older version after a newer one
	RuleOnce                  // a counter showed more than had been clicked
	RuleOwnWrite              // what was acknowledged was not shown
	RuleRead                  // a message can't be read
	RuleAnswer                // an op was answered in two ways, or without a reason
	RuleSound                 // a state can't be, whatever was clicked
	RuleForgotten             // a value was shown that should be forgotten
)

// A Violation is a rule that was broken, and where.
type Violation struct {
	Rule   Rule
	Detail string // names the tab
}

// maxViolations is how many a loop keeps of each rule between two observations.
const maxViolations = 20

// A Tab is a tab that does not show what it should.
type Tab struct {
	Slot      int            // its number
	Replica   string         // whose page it has
	Counter   int            // the number of the counter
	Shown     protocol.State // what it shows of it
	Connected bool
}

// A server is a replica by its name, and what came from it.
type server struct {
	name string
	seen Replica // since the last observation
}

// countError counts an error by its cause.
func (l *loop) countError(cause string) {
	if len(l.seen.Errors) < maxCauses || l.seen.Errors[cause] > 0 {
		l.seen.Errors[cause]++
		return
	}
	l.seen.Errors["others"]++
}

// maxCauses is how many causes are told apart between two observations.
const maxCauses = 50

// violate notes that a rule was broken, with its details while there are not too many.
func (l *loop) violate(rule Rule, format string, args ...any) {
	l.broken[rule]++
	if l.broken[rule] <= maxViolations {
		l.seen.Violations = append(l.seen.Violations, Violation{Rule: rule, Detail: fmt.Sprintf(format, args...)})
	}
}

// note notes what happened to an op of a tab, where that matters.
func (l *loop) note(t *tab, op *protocol.Op, what Happened) {
	if l.fleet.traits.Kind == protocol.Counter {
		return // it only counts
	}
	n := Note{What: what, Op: protocol.Op{ID: op.ID}}
	if what == Made {
		n.Person, n.Op.Do, n.Op.In = t.person(), op.Do, op.In
	}
	seen := &l.seen.Counters[t.counter]
	seen.Notes = append(seen.Notes, n)
}

// observe takes what the loop has seen since the last observation.
func (l *loop) observe() Observation {
	now := l.fleet.now()
	o := l.seen
	l.seen = l.emptyObservation()
	l.seen.LastAck = o.LastAck
	clear(l.broken)
	for i := range l.tabs {
		t := &l.tabs[i]
		o.Outstanding += len(t.outbox)
		o.Counters[t.counter].Outstanding += len(t.outbox)
		if !t.wanted {
			continue
		}
		if t.view == nil {
			o.Absent++
			continue
		}
		o.Joined++
		if t.conn != nil {
			o.Connected++
			l.replicas[t.replica].seen.Tabs++
		}
	}
	for i := range l.replicas {
		seen := l.replicas[i].seen
		o.Replicas[l.replicas[i].name] = &seen
		l.replicas[i].seen = Replica{}
	}
	o.Values = l.shows()
	o.Planned = l.clicks == nil && len(l.moves) == 0
	for i := range l.frontiers {
		l.frontiers[i].observe(&o.Counters[i], now)
	}
	if now > l.observed {
		o.Busy = 1 - float64(l.idle)/float64(now-l.observed)
	}
	l.idle, l.observed = 0, now
	return o
}

func (l *loop) emptyObservation() Observation {
	return Observation{
		Replicas: make(map[string]*Replica), Errors: make(map[string]int), Counters: make([]Counter, len(l.frontiers)),
	}
}

// replicaNumber is the number of a replica by its name, which may be new.
func (l *loop) replicaNumber(name string) int {
	for i := range l.replicas {
		if l.replicas[i].name == name {
			return i
		}
	}
	l.replicas = append(l.replicas, server{name: name})
	return len(l.replicas) - 1
}

// behind are the tabs, slow ones too, that don't show the state which is wanted of their counter.
func (l *loop) behind(wanted []protocol.State) (tabs []Tab) {
	if l.fleet.traits.Kind == protocol.Board {
		return l.misses()
	}
	for i := range l.tabs {
		t := &l.tabs[i]
		if t.view == nil || t.known && t.shown == wanted[t.counter] {
			continue
		}
		tabs = append(tabs, Tab{Slot: t.slot, Replica: t.view.Replica, Counter: t.counter, Shown: t.shown, Connected: t.conn != nil})
	}
	return tabs
}
