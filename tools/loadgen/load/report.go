// Package load puts thousands of virtual browsers on a live page and judges whether all of them
// stayed in step, and how fast. Run makes one load and returns its Report; FindMax makes several
// and looks for the most that holds. What the browsers do is a workload.Plan, what the page's bytes
// mean is a protocol.Protocol. The package knows nothing of flags, signals and exit codes: those
// are the command's.
package load

import (
	"time"

	"lockstep/tools/loadgen/load/internal/latency"
)

// ReportSchema is the version of the JSON form of a Report. Fields may be added without a new one;
// none is ever renamed or given another meaning.
const ReportSchema = 1

// A Report is what came of a run. Run makes it, and nobody changes it afterwards.
type Report struct {
	Schema      int       `json:"schema"`                // ReportSchema
	Started     time.Time `json:"started"`               // when the first click was due
	Seconds     float64   `json:"seconds"`               // from Started to the end of the load
	Command     string    `json:"command"`               // does the run again; "": there was no command
	Seed        uint64    `json:"seed"`                  // of the plan
	Targets     []string  `json:"targets"`               // as Options had them
	Browsers    int       `json:"browsers"`              // most that were connected at once
	Interrupted bool      `json:"interrupted,omitempty"` // the context ended before the load did

	Totals    Totals             `json:"totals"`             // sums over the run
	Latencies map[string]Latency `json:"latencies"`          // by name: LatencyOwn and so on; absent: no value
	Series    []Sample           `json:"series"`             // one for each second
	Stages    []StageReport      `json:"stages,omitempty"`   // in the order of the plan, as far as the run came
	Replicas  []ReplicaReport    `json:"replicas"`           // by rising name
	Counters  []CounterReport    `json:"counters"`           // by number
	Verdicts  []Verdict          `json:"verdicts"`           // those that the protocol can be judged by
	Warnings  []string           `json:"warnings,omitempty"` // e.g. that the generator was the bottleneck
	Errors    map[string]int     `json:"errors,omitempty"`   // how often each cause of an error occurred
	Converge  float64            `json:"converge"`           // ms from the last acknowledgement until all tabs were equal; -1: never
	Generator GeneratorReport    `json:"generator"`          // what the load cost its own side

	Expect string   `json:"expect,omitempty"` // the thresholds, as ParseThresholds reads them
	Failed []string `json:"failed,omitempty"` // those that the run crossed: see Thresholds.Check
	Knee   *Knee    `json:"knee,omitempty"`   // where a search ended; nil: none was made
}

// The names of latencies, all in ms. A click's are counted from when it was due (no coordinated
// omission).
const (
	LatencyOwn       = "own"       // click to the clicker's own tab
	LatencyAll       = "all"       // click to the last tab of its counter
	LatencyAck       = "ack"       // click to acknowledgement
	LatencyJoin      = "join"      // begin of the GET to the first state over the socket
	LatencyReconnect = "reconnect" // loss of the socket to the next state
	LatencyStaleness = "staleness" // how long a tab showed an older version than another one had been shown; one value a tab and change
)

// latencyNames are all of them, in the order of a report.
func latencyNames() []string {
	return []string{LatencyOwn, LatencyAll, LatencyAck, LatencyJoin, LatencyReconnect, LatencyStaleness}
}

// A Latency is a distribution of durations, in ms. The zero value is that of no values.
type Latency struct {
	Count int64        `json:"count"`           // values
	Mean  float64      `json:"mean"`            // arithmetic
	Min   float64      `json:"min"`             // shortest
	P50   float64      `json:"p50"`             // median
	P90   float64      `json:"p90"`             // 90th percentile
	P99   float64      `json:"p99"`             // 99th percentile
	P999  float64      `json:"p999"`            // 99.9th percentile
	Max   float64      `json:"max"`             // longest
	Curve []CurvePoint `json:"curve,omitempty"` // for a percentile chart, by rising quantile; may be nil
}

// A CurvePoint says that a share of Quantile of all values is at most Value.
type CurvePoint struct {
	Quantile float64 `json:"q"`  // 0 to 1
	Value    float64 `json:"ms"` // ms
}

// latencyOf describes the values so far.
func latencyOf(d *latency.Distribution) Latency {
	l := Latency{
		Count: d.Count(), Mean: d.Mean(), Min: d.Min(), Max: d.Max(),
		P50: d.At(50), P90: d.At(90), P99: d.At(99), P999: d.At(99.9),
	}
	for _, p := range d.Curve() {
		l.Curve = append(l.Curve, CurvePoint(p))
	}
	return l
}

// Totals are sums over the whole run.
type Totals struct {
	Due        int64   `json:"due"`                 // clicks that should have been made
	Sent       int64   `json:"sent"`                // clicks, not counting what was sent again
	Resent     int64   `json:"resent"`              // times that a click was sent again
	Acked      int64   `json:"acked"`               // clicks that were acknowledged
	Refused    int64   `json:"refused"`             // clicks that were refused for good
	Forgotten  int64   `json:"forgotten,omitempty"` // clicks that were answered with "nobody knows"
	Unanswered int64   `json:"unanswered"`          // clicks without an answer
	Deliveries int64   `json:"deliveries"`          // states that arrived at tabs
	Bytes      int64   `json:"bytes"`               // received
	Changes    int64   `json:"changes"`             // versions that the counters went through
	Conflation float64 `json:"conflation"`          // changes for each state that a tab was shown
	Joins      int64   `json:"joins"`               // tabs that connected for the first time
	Reconnects int64   `json:"reconnects"`          // times that a tab connected again
	Refusals   int64   `json:"refusals"`            // connections that a server turned away
	Afresh     int64   `json:"afresh,omitempty"`    // changes of what a tab did not show, so that it asked for all
}

// A Sample is one second of a run. Counts are rates for exactly one second; latencies are in ms.
type Sample struct {
	At         float64 `json:"at"`              // s since Report.Started; negative while tabs join
	Stage      string  `json:"stage,omitempty"` // its name: see StageReport
	Connected  int     `json:"connected"`       // tabs with a connection at the end of the second
	Clicks     int64   `json:"clicks"`          // sent
	Acks       int64   `json:"acks"`            // clicks that were acknowledged
	Deliveries int64   `json:"deliveries"`      // states that arrived at tabs
	Bytes      int64   `json:"bytes"`           // received
	OwnCount   int64   `json:"own_count"`       // values of LatencyOwn; 0: the next two are none
	OwnP50     float64 `json:"own_p50"`         // median of LatencyOwn
	OwnP99     float64 `json:"own_p99"`         // 99th percentile of LatencyOwn
	AllCount   int64   `json:"all_count"`       // values of LatencyAll; 0: the next one is none
	AllP99     float64 `json:"all_p99"`         // 99th percentile of LatencyAll
	Stalest    float64 `json:"stalest"`         // ms that the worst tab is behind at the moment; none without Connected
}

// A ReplicaReport is the share of one replica in a run.
type ReplicaReport struct {
	Name       string  `json:"name"`       // as the replica's pages say
	Tabs       int     `json:"tabs"`       // connected at the end
	Clicks     int64   `json:"clicks"`     // sent to it
	Deliveries int64   `json:"deliveries"` // states that it sent to tabs
	Bytes      int64   `json:"bytes"`      // received from it
	Reconnects int64   `json:"reconnects"` // tabs that came to it after they had lost another
	OwnP50     float64 `json:"own_p50"`    // median of LatencyOwn of its tabs, ms
	OwnP99     float64 `json:"own_p99"`    // 99th percentile, ms
}

// A CounterReport compares what one counter should be with what it is. A poll's count is its votes,
// a bank's the sum of its balances.
type CounterReport struct {
	Name   string `json:"name"`   // path of its page
	Before int64  `json:"before"` // the count before the load
	Acked  int64  `json:"acked"`  // sum of the acknowledged clicks
	Want   int64  `json:"want"`   // of a counter Before + Acked, of a poll Before and who has voted, of a bank Before
	Got    int64  `json:"got"`    // the count that its page shows after the load; -1: it could not be read
}

// Shown is Got for people: a dash if the page could not be read.
func (c CounterReport) Shown() string { return unless(c.Got == -1 && c.Want != -1, grouped(c.Got)) }

// The names of verdicts.
const (
	VerdictCounted   = "counted"   // acknowledged = counted, for each counter
	VerdictOnce      = "once"      // no op was applied twice
	VerdictForward   = "forward"   // no tab was shown an older version after a newer one
	VerdictInStep    = "in step"   // all tabs were equal after quiescence
	VerdictAnswered  = "answered"  // every click was acknowledged or refused, in one way
	VerdictForgotten = "forgotten" // of a board: nothing was shown that its owner had not renewed for long
	VerdictSound     = "sound"     // no state was shown that can't be
	VerdictOwnWrites = "own write" // what was acknowledged was shown
)

// A Verdict says whether a rule held, or that there was nothing to judge it by.
type Verdict struct {
	Name      string   `json:"name"`                 // VerdictCounted and so on
	OK        bool     `json:"ok"`                   // the rule held
	NotJudged bool     `json:"not_judged,omitempty"` // it was neither kept nor broken: OK is false, and it is no failure
	Detail    string   `json:"detail"`               // one sentence, for people
	Named     []string `json:"named,omitempty"`      // tabs, ops or counters that broke it, at most 20
	Broken    int64    `json:"broken,omitempty"`     // how many broke it; 0: as many as are named
}

// failed reports whether the rule was broken.
func (v Verdict) failed() bool { return !v.OK && !v.NotJudged }

// A GeneratorReport says what the generator itself needed.
type GeneratorReport struct {
	Processes int     `json:"processes"` // that the tabs were spread over
	CPU       float64 `json:"cpu"`       // seconds
	Memory    float64 `json:"memory"`    // MB, resident, at most, of all processes
	Late      float64 `json:"late"`      // ms that a click was sent after it was due, p99
}
