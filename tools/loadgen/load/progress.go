package load

import (
	"time"

	"lockstep/tools/loadgen/load/latency"
)

// A Progress is how a run stands, once a second. It is a copy: whoever gets it may keep it.
type Progress struct {
	Phase     string                     // what the run does at the moment: "join", "load" or "settle"
	Elapsed   time.Duration              // since the first tab began to join
	Left      time.Duration              // until the load ends, settling not counted; 0: not known
	Browsers  int                        // that are to be connected
	Sample    Sample                     // the last second
	Totals    Totals                     // so far
	Latencies map[string]latency.Summary // of the last second, by name; Curve may be empty
	Errors    int64                      // so far, of any cause
	Warning   string                     // the newest, "": none
}
