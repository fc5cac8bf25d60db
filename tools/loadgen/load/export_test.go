package load

import "lockstep/tools/loadgen/load/internal/latency"

// LatencyNames are all names of latencies.
func LatencyNames() []string { return latencyNames() }

// LatencyOf describes the values of a distribution.
func LatencyOf(d *latency.Distribution) Latency { return latencyOf(d) }
