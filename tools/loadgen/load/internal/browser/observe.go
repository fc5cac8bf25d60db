package browser

import (
	"lockstep/tools/loadgen/load/internal/latency"
	"lockstep/tools/loadgen/load/protocol"
)

// An Observation is what one event loop has seen since the last. It can be sent to another
// process. All times are ns of the wall clock as it was when the process started, so those of
// processes of one machine can be compared.
type Observation struct {
	Connected   int   // tabs with a socket, now
	Joined      int   // tabs whose page is open, connected or not, now
	Absent      int   // tabs that should be open and are not yet, now
	Outstanding int   // clicks without an answer, now
	LastAck     int64 // when the last click was acknowledged, ever
	Planned     bool  // all clicks and moves of the plan are made

	Counts Counts

	Own, Ack, Join, Reconnect, Staleness, Late latency.Distribution // ms

	Replicas   map[string]*Replica
	Counters   []Counter // by number
	Violations []Violation
	Errors     map[string]int
	Busy       float64 // share of the time that the loop did not wait
}

// Counts are sums.
type Counts struct {
	Due, Sent, Resent, Acked, Refused   int64
	Deliveries, Bytes, Advanced, Joins  int64 // Advanced: versions that tabs went forward by
	Reconnects, Refusals, Dropped, Left int64 // Dropped: states that came late over a new connection
}

// A Replica is what came from one server, by the name on its pages.
type Replica struct {
	Tabs                                  int // now
	Clicks, Deliveries, Bytes, Reconnects int64
	Own                                   latency.Distribution
}

// A Counter is what the tabs of one loop show of one.
type Counter struct {
	Tabs           int            // that show it and are not slow, now
	Oldest, Newest protocol.State // that one of them shows, now
	Stalest        float64        // ms that the one furthest behind is so, now
	Advances       []Advance
	Clicks         []Resolved
	Acked          int64
	Outstanding    int // clicks without an answer, now
}

// An Advance says that from a time on all tabs of the loop had been shown a state or a newer one.
type Advance struct {
	State protocol.State
	At    int64
}

// A Resolved is a click that is known to be contained in a state.
type Resolved struct {
	State protocol.State
	Due   int64
}

// A Rule is what a Violation breaks.
type Rule int8

// The rules that a tab sees broken. Whether all clicks are counted and all tabs are equal is
// judged from above.
const (
	RuleForward  Rule = iota // a tab was sent an older version after a newer one
	RuleOnce                 // a counter showed more than had been clicked
	RuleOwnWrite             // what was acknowledged was not shown
	RuleRead                 // a message can't be read
)

// A Violation is a rule that was broken, and where.
type Violation struct {
	Rule   Rule
	Detail string // names the tab
}

// maxViolations is how many a loop keeps of each rule between two observations.
const maxViolations = 20

// A Tab is one that is not where it should be.
type Tab struct {
	Slot      int
	Replica   string
	Counter   int
	Shown     protocol.State
	Connected bool
}
