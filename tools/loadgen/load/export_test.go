package load

import "lockstep/tools/loadgen/load/internal/latency"

// LatencyNames are all names of latencies.
func LatencyNames() []string { return latencyNames() }

// EndWhenQuiet has a load settle until nothing has come for so many observations, 100 ms apart or
// more, after each click had its answer. However slow the machine is, all was said by then.
func (o *Options) EndWhenQuiet(observations int) { o.quiet = observations }

// Quiet is what EndWhenQuiet has set.
func (o *Options) Quiet() int { return o.quiet }

// LatencyOf describes the values of a distribution.
func LatencyOf(d *latency.Distribution) Latency { return latencyOf(d) }
