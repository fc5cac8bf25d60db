// Package load puts thousands of virtual browsers on a live page and judges whether all
// of them stayed in step, and how fast. It knows nothing of flags, signals and exit codes:
// those are the command's.
package load

import (
	"time"

	"lockstep/tools/loadgen/load/latency"
)

// ReportSchema is the version of the JSON form of a Report. Fields may be added
// without a new one; none is ever renamed or given another meaning.
const ReportSchema = 1

// A Report is what a run came to.
type Report struct {
	Schema      int       `json:"schema"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"` // from the first click that was due to the end of the load
	Command     string    `json:"command"` // that does it again, "" if it was not a command
	Seed        uint64    `json:"seed"`
	Targets     []string  `json:"targets"`
	Browsers    int       `json:"browsers"` // that were connected at most
	Interrupted bool      `json:"interrupted,omitempty"`

	Totals    Totals                     `json:"totals"`
	Latencies map[string]latency.Summary `json:"latencies"` // by name: see LatencyNames
	Series    []Sample                   `json:"series"`    // one for each second
	Replicas  []ReplicaReport            `json:"replicas"`
	Counters  []CounterReport            `json:"counters"`
	Verdicts  []Verdict                  `json:"verdicts"`
	Warnings  []string                   `json:"warnings,omitempty"` // e.g. that the generator was the bottleneck
	Errors    map[string]int             `json:"errors,omitempty"`   // what went wrong, by cause, and how often
	Converge  float64                    `json:"converge"`           // ms from the last click that was acknowledged until all tabs were equal; -1: never
	Generator GeneratorReport            `json:"generator"`

	Expect string   `json:"expect,omitempty"` // what the run had to keep to, as ParseExpect reads it
	Failed []string `json:"failed,omitempty"` // expectations that it did not: see Expectations.Check
	Knee   *Knee    `json:"knee,omitempty"`   // where a search ended; nil: none was made
}

// The names of latencies, all in ms. A click's are counted from when it was due
// (no coordinated omission).
const (
	LatencyOwn       = "own"       // click to the clicker's own tab
	LatencyAll       = "all"       // click to the last tab of its counter
	LatencyAck       = "ack"       // click to acknowledgement
	LatencyJoin      = "join"      // begin of the GET to the first state over the socket
	LatencyReconnect = "reconnect" // loss of the socket to the next state
	LatencyStaleness = "staleness" // how long a tab showed an older version than another one had been shown; one value a tab and change
)

// Totals are sums over the whole run.
type Totals struct {
	Due        int64   `json:"due"`  // clicks that should have been made
	Sent       int64   `json:"sent"` // clicks, not counting what was sent again
	Resent     int64   `json:"resent"`
	Acked      int64   `json:"acked"`
	Refused    int64   `json:"refused"`
	Unanswered int64   `json:"unanswered"`
	Deliveries int64   `json:"deliveries"` // states that arrived at tabs
	Bytes      int64   `json:"bytes"`      // received
	Changes    int64   `json:"changes"`    // versions that the counters went through
	Conflation float64 `json:"conflation"` // changes for each state that a tab was shown
	Joins      int64   `json:"joins"`
	Reconnects int64   `json:"reconnects"`
	Refusals   int64   `json:"refusals"` // connections that a server turned away
}

// A Sample is one second of a run.
type Sample struct {
	At         float64 `json:"at"` // s since Started
	Connected  int     `json:"connected"`
	Clicks     int64   `json:"clicks"`
	Acks       int64   `json:"acks"`
	Deliveries int64   `json:"deliveries"`
	Bytes      int64   `json:"bytes"`
	OwnP50     float64 `json:"own_p50"`
	OwnP99     float64 `json:"own_p99"`
	AllP99     float64 `json:"all_p99"`
	Stalest    float64 `json:"stalest"` // ms that the worst tab is behind at the moment
}

// A ReplicaReport is the share of one replica, by the name on its pages.
type ReplicaReport struct {
	Name       string  `json:"name"`
	Tabs       int     `json:"tabs"` // at the end
	Clicks     int64   `json:"clicks"`
	Deliveries int64   `json:"deliveries"`
	Bytes      int64   `json:"bytes"`
	Reconnects int64   `json:"reconnects"` // tabs that came to it after they had lost another
	OwnP50     float64 `json:"own_p50"`
	OwnP99     float64 `json:"own_p99"`
}

// A CounterReport compares what one counter should be with what it is.
type CounterReport struct {
	Name   string `json:"name"`
	Before int64  `json:"before"`
	Acked  int64  `json:"acked"` // sum of the acknowledged clicks
	Want   int64  `json:"want"`
	Got    int64  `json:"got"`
}

// The names of verdicts.
const (
	VerdictCounted   = "counted"   // acknowledged = counted, for each counter
	VerdictTwice     = "once"      // no op was applied twice
	VerdictForward   = "forward"   // no tab was shown an older version after a newer one
	VerdictInStep    = "in step"   // all tabs were equal after quiescence
	VerdictAnswered  = "answered"  // every click was acknowledged or refused
	VerdictOwnWrites = "own write" // what was acknowledged was shown
)

// A Verdict says whether a rule held.
type Verdict struct {
	Name   string   `json:"name"`
	OK     bool     `json:"ok"`
	Detail string   `json:"detail"`
	Named  []string `json:"named,omitempty"`  // tabs, ops or counters that broke it, at most 20
	Broken int64    `json:"broken,omitempty"` // how many broke it; 0: as many as are named
}

// A GeneratorReport says what the generator itself needed.
type GeneratorReport struct {
	Processes int     `json:"processes"`
	CPU       float64 `json:"cpu"`    // seconds
	Memory    float64 `json:"memory"` // MB, resident, at most, of all processes
	Late      float64 `json:"late"`   // ms that a click was sent after it was due, p99
}
