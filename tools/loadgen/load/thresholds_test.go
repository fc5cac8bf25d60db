package load_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lockstep/tools/loadgen/load"
)

func TestThresholdsAreChecked(t *testing.T) {
	for _, c := range []struct {
		expect string
		want   []string // reasons on broken()
	}{
		{"own.p50 > 1us, rate < 1000", nil},
		{"p99<1ms", []string{"p99: wanted < 1ms, got 196.863ms"}},
		{"p99.9<=10s", nil},
		{"lost=0,twice=0,stale=0", []string{"lost: wanted = 0, got 10", "stale: wanted = 0, got 15"}},
		{"converge<1s", []string{"converge: wanted < 1000ms, got never"}},
		{"errors=33,refusals>=31", nil},
		{"errors=0,refusals<31", []string{"errors: wanted = 0, got 33", "refusals: wanted < 31, got 31"}},
		{"rate>=20,deliveries>300000", []string{"rate: wanted >= 20, got 19.6", "deliveries: wanted > 300000, got 288003.733"}},
	} {
		ts, err := load.ParseThresholds(c.expect)
		if err != nil {
			t.Errorf("%q: %v", c.expect, err)
			continue
		}
		if got := ts.Check(broken()); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.expect, got, c.want)
		}
	}
}

func TestWhatWasNotMeasuredFails(t *testing.T) {
	for _, expect := range []string{"reconnect.max<10000ms", "lost=0", "twice=0", "stale=0", "converge<1000ms"} {
		ts, err := load.ParseThresholds(expect)
		if err != nil {
			t.Fatal(err)
		}
		got := ts.Check(&load.Report{})
		if len(got) != 1 || !strings.HasSuffix(got[0], "got nothing: nothing was measured") {
			t.Errorf("%s: got %q", expect, got)
		}
	}
}

func TestClicksBeyondTheUnansweredCountTwice(t *testing.T) {
	for _, c := range []struct {
		name   string
		report load.Report
		holds  bool
	}{
		{"an unanswered click that was counted", load.Report{
			Totals: load.Totals{Sent: 2, Unanswered: 2}, Counters: []load.CounterReport{{Want: 5, Got: 7}}}, true},
		{"more than that", load.Report{
			Totals: load.Totals{Unanswered: 2}, Counters: []load.CounterReport{{Want: 5, Got: 8}}}, false},
		{"an op that was seen twice while another one was lost", load.Report{
			Verdicts: []load.Verdict{{Name: load.VerdictOnce}}, Counters: []load.CounterReport{{Want: 5, Got: 5}}}, false},
	} {
		ts, err := load.ParseThresholds("twice=0")
		if err != nil {
			t.Fatal(err)
		}
		if reasons := ts.Check(&c.report); (len(reasons) == 0) != c.holds {
			t.Errorf("%s: got %q", c.name, reasons)
		}
	}
}

func TestAWrongThresholdSaysWhatThereIs(t *testing.T) {
	for _, c := range []struct{ expect, want string }{
		{"", "no operator"},
		{"p99<250ms,", "no operator"},
		{"p99", "no operator: one of < <= > >= ="},
		{"p98<1s", `no measure "p98": there are p50 p90 p99 p999 max converge lost`},
		{"sideways.p99<1s", "own.p99 all.p99 ack.p99 join.p99 reconnect.p99 staleness.p99"},
		{"own.lost<1", `no measure "own.lost"`},
		{"p99<", `limit "" is no duration`},
		{"p99<fast", `limit "fast" is no duration up to 24h, such as 250ms`},
		{"p99<-1s", "no duration"},
		{"p99=<1s", "no duration"},
		{"lost=0ms", `limit "0ms" is no number`},
		{"lost=Inf", "no number"},
		{"lost=-1", "no number"},
	} {
		_, err := load.ParseThresholds(c.expect)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q in it", c.expect, err, c.want)
		}
	}
}

func FuzzParseThresholds(f *testing.F) {
	for _, s := range []string{"p99<250ms,lost=0,converge<1s", "own.p99.9 >= 3", "rate>1.5,,", "a=b=c", "max<1e9h", "lost=1.2.3", "<", "p99<0.0000001"} {
		f.Add(s)
	}
	r := broken()
	f.Fuzz(func(t *testing.T, s string) {
		ts, err := load.ParseThresholds(s)
		if err != nil {
			return
		}
		again, err := load.ParseThresholds(ts.String())
		if err != nil || !slices.Equal(again, ts) {
			t.Errorf("%q is read as %q, which is read as %q, %v", s, ts, again, err)
		}
		ts.Check(r)
	})
}

func ExampleParseThresholds() {
	thresholds, err := load.ParseThresholds("p99<250ms,lost=0")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := &load.Report{
		Totals:    load.Totals{Unanswered: 3},
		Latencies: map[string]load.Latency{load.LatencyAll: {Count: 1000, P99: 312}},
	}
	for _, reason := range thresholds.Check(r) {
		fmt.Println(reason)
	}
	// Output:
	// p99: wanted < 250ms, got 312ms
	// lost: wanted = 0, got 3
}
