package load

import (
	"maps"
	"math"
	"slices"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/internal/latency"
	"lockstep/tools/loadgen/load/internal/workers"
	"lockstep/tools/loadgen/load/protocol"
)

// A collector adds up what all loops of all workers see. A loop knows when the last of *its* tabs
// had come as far as a state; that all tabs had is known when each loop has said so.
type collector struct {
	totals     Totals
	advanced   int64         // versions that tabs went forward by
	dropped    int64         // states that came late over a new connection
	sum        distributions // of the whole run
	last       distributions // of the last second
	stage      distributions // of the stage under way
	stagePeak  int           // connected in it at most
	late       latency.Distribution
	replicas   map[string]*replicaSum
	counters   []counterSum
	loops      []loopSum // in the order of workers, and of loops within them
	violations []browser.Violation
	broken     map[browser.Rule]int64
	errors     map[string]int
	warning    string
	busy       int // seconds in which a loop was busy all the time
	seconds    int
	peak       int   // connected at most
	lastAck    int64 // ns
	current
}

// current is what the last observations of all loops add up to.
type current struct {
	connected, joined, absent, outstanding int  // tabs, tabs, tabs, clicks
	values                                 int  // that tabs show at boards
	planned                                bool // all clicks and moves of the plan are made

	// What all processes have needed so far.
	processes int
	cpu       time.Duration
	memory    float64 // MB, at most
}

// distributions has the latencies of a time, by their names.
type distributions map[string]*latency.Distribution

func newDistributions() distributions {
	s := make(distributions)
	for _, name := range latencyNames() {
		s[name] = new(latency.Distribution)
	}
	return s
}

// summaries leaves out latencies without a value.
func (s distributions) summaries() map[string]Latency {
	all := make(map[string]Latency)
	for name, d := range s {
		if d.Count() > 0 {
			all[name] = latencyOf(d)
		}
	}
	return all
}

type replicaSum struct {
	ReplicaReport
	own latency.Distribution
}

func newCollector(counters int) *collector {
	return &collector{
		sum: newDistributions(), last: newDistributions(), stage: newDistributions(), replicas: make(map[string]*replicaSum), counters: make([]counterSum, counters),
		errors: make(map[string]int), broken: make(map[browser.Rule]int64),
	}
}

// collect takes in what all workers have seen since the last time.
func (c *collector) collect(all []workers.Worker) error {
	c.current = current{planned: true}
	for i := range c.counters {
		c.counters[i].outstanding, c.counters[i].stalest = 0, 0
	}
	for _, r := range c.replicas {
		r.Tabs = 0
	}
	n := 0
	for _, worker := range all {
		o, err := worker.Observe()
		if err != nil {
			return err
		}
		c.cpu += o.CPU
		c.memory += o.Memory
		c.processes++
		for _, loop := range o.Loops {
			c.add(n, loop)
			n++
		}
	}
	for i := range c.counters {
		c.resolve(i)
	}
	c.peak, c.stagePeak = max(c.peak, c.connected), max(c.stagePeak, c.connected)
	return nil
}

func (c *collector) add(loop int, o browser.Observation) {
	if loop == len(c.loops) {
		n := len(c.counters)
		c.loops = append(c.loops, loopSum{tabs: make([]int, n), oldest: make([]protocol.State, n), advances: make([][]browser.Advance, n)})
	}
	c.connected += o.Connected
	c.joined += o.Joined
	c.absent += o.Absent
	c.outstanding += o.Outstanding
	c.values += o.Values
	c.planned = c.planned && o.Planned
	c.lastAck = max(c.lastAck, o.LastAck)
	c.addCounts(o.Counts)
	for name, d := range map[string]*latency.Distribution{
		LatencyOwn: &o.Own, LatencyAck: &o.Ack, LatencyJoin: &o.Join, LatencyReconnect: &o.Reconnect, LatencyStaleness: &o.Staleness,
	} {
		c.sum[name].Merge(d)
		c.last[name].Merge(d)
		c.stage[name].Merge(d)
	}
	c.late.Merge(&o.Late)
	for name, r := range o.Replicas {
		c.replica(name).add(r)
	}
	for i, seen := range o.Counters {
		c.addCounter(loop, i, seen)
	}
	for _, v := range o.Violations {
		c.violate(v)
	}
	for cause, times := range o.Errors {
		c.errors[cause] += times
	}
	c.loops[loop].busy += o.Busy
	c.loops[loop].observations++
}

func (c *collector) addCounts(n browser.Counts) {
	t := &c.totals
	t.Due += n.Due
	t.Sent += n.Sent
	t.Resent += n.Resent
	t.Acked += n.Acked
	t.Refused += n.Refused
	t.Forgotten += n.Forgotten
	t.Deliveries += n.Deliveries
	t.Bytes += n.Bytes
	t.Joins += n.Joins
	t.Reconnects += n.Reconnects
	t.Refusals += n.Refusals
	t.Afresh += n.Afresh
	c.advanced += n.Advanced
	c.dropped += n.Dropped
}

func (c *collector) replica(name string) *replicaSum {
	if c.replicas[name] == nil {
		c.replicas[name] = &replicaSum{ReplicaReport: ReplicaReport{Name: name}}
	}
	return c.replicas[name]
}

func (r *replicaSum) add(o *browser.Replica) {
	r.Tabs += o.Tabs
	r.Clicks += o.Clicks
	r.Deliveries += o.Deliveries
	r.Bytes += o.Bytes
	r.Reconnects += o.Reconnects
	r.own.Merge(&o.Own)
}

// maxNamed is how many tabs, ops or counters a verdict names.
const maxNamed = 20

func (c *collector) violate(v browser.Violation) {
	c.broken[v.Rule]++
	if c.broken[v.Rule] <= maxNamed {
		c.violations = append(c.violations, v)
	}
}

// sample is the time since the last sample, about one second, as rates. It begins the next sample.
func (c *collector) sample(seconds float64, since Totals) (Sample, map[string]Latency) {
	own, all := c.last[LatencyOwn], c.last[LatencyAll]
	rate := func(n int64) int64 { return int64(math.Round(float64(n) / seconds)) }
	s := Sample{
		Connected: c.connected, Clicks: rate(c.totals.Sent - since.Sent), Acks: rate(c.totals.Acked - since.Acked),
		Deliveries: rate(c.totals.Deliveries - since.Deliveries), Bytes: rate(c.totals.Bytes - since.Bytes),
		OwnCount: own.Count(), OwnP50: own.At(50), OwnP99: own.At(99), AllCount: all.Count(), AllP99: all.At(99),
	}
	for _, sum := range c.counters {
		s.Stalest = max(s.Stalest, sum.stalest)
	}
	latencies := c.last.summaries()
	c.last = newDistributions()
	c.seconds++
	c.addBusy()
	return s, latencies
}

// saturated is the busy share of the time from which on a loop is likely to lag.
const saturated = .95

// addBusy counts the second if a loop had no time to wait in it.
func (c *collector) addBusy() {
	busy := false
	for i := range c.loops {
		l := &c.loops[i]
		busy = busy || l.busy > saturated*float64(l.observations)
		l.busy, l.observations = 0, 0
	}
	if busy {
		c.busy++
	}
}

// errorCount is the number of errors so far.
func (c *collector) errorCount() (n int64) {
	for _, times := range c.errors {
		n += int64(times)
	}
	return n
}

// replicaReports are the reports of all replicas, by rising name.
func (c *collector) replicaReports() []ReplicaReport {
	var all []ReplicaReport
	for _, name := range slices.Sorted(maps.Keys(c.replicas)) {
		r := c.replicas[name]
		r.OwnP50, r.OwnP99 = r.own.At(50), r.own.At(99)
		all = append(all, r.ReplicaReport)
	}
	return all
}
