package load

import "time"

// A Progress is how a run stands. It is a copy: a function that gets it may keep it.
type Progress struct {
	Phase     string             // what the run does at the moment: "join", "load" or "settle"
	Stage     string             // its name: see StageReport
	Elapsed   time.Duration      // since the first tab began to join
	Left      time.Duration      // until the load ends, settling not counted; 0: not known
	Browsers  int                // that are to be connected
	Sample    Sample             // the last second
	Totals    Totals             // so far
	Latencies map[string]Latency // of the last second, by name; absent: no value
	Errors    int64              // so far, of any cause
	Warning   string             // the newest; "": none
}
