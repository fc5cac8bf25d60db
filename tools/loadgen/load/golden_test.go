package load_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"

	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/internal/latency"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// hostile is what a target might call its replicas.
const hostile = `"><img src=x onerror=alert(1)></style><script>alert(1)</script>&amp;'` + "\x1b[31m\u202e"

// distribution has n values whose logarithms are spread evenly from low ms, and a tail up to high
// ms.
func distribution(low, high float64, n int) load.Latency {
	var d latency.Distribution
	for i := range n {
		q := float64(i) / float64(n)
		d.Add(low + low*q + (high-low)*math.Pow(q, 40))
	}
	return load.LatencyOf(&d)
}

func clean() *load.Report {
	r := &load.Report{
		Schema: load.ReportSchema, Started: time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC), Seconds: 30,
		Command: "go run ./tools/loadgen -browsers 15000 -ramp 20s -rate 20 -duration 30s -seed 7 http://127.0.0.1:8001 http://127.0.0.1:8002 http://127.0.0.1:8003",
		Seed:    7, Targets: []string{"http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"}, Browsers: 15000,
		Totals: load.Totals{Due: 600, Sent: 600, Resent: 2, Acked: 600, Deliveries: 8_640_112, Bytes: 6_134_479_520,
			Changes: 600, Conflation: 1.04, Joins: 15000, Reconnects: 48},
		Latencies: map[string]load.Latency{
			load.LatencyOwn: distribution(4, 90, 600), load.LatencyAll: distribution(48, 210, 600),
			load.LatencyAck: distribution(3, 82, 600), load.LatencyJoin: distribution(6, 340, 15000),
			load.LatencyReconnect: distribution(120, 5100, 48), load.LatencyStaleness: distribution(12, 190, 100000),
		},
		Replicas: []load.ReplicaReport{
			{Name: "one:8001", Tabs: 5000, Clicks: 201, Deliveries: 2_880_000, Bytes: 2_044_800_000, Reconnects: 20, OwnP50: 5.9, OwnP99: 61.2},
			{Name: "two:8002", Tabs: 5001, Clicks: 199, Deliveries: 2_880_112, Bytes: 2_044_879_520, Reconnects: 14, OwnP50: 6.1, OwnP99: 58},
			{Name: "three:8003", Tabs: 4999, Clicks: 200, Deliveries: 2_880_000, Bytes: 2_044_800_000, Reconnects: 14, OwnP50: 6, OwnP99: 63.5},
		},
		Counters: []load.CounterReport{{Name: "lobby", Before: 41, Acked: 600, Want: 641, Got: 641}},
		Verdicts: []load.Verdict{
			{Name: load.VerdictCounted, OK: true, Detail: "600 acknowledged clicks are counted, on 1 counter"},
			{Name: load.VerdictOnce, OK: true, Detail: "no op was applied twice"},
			{Name: load.VerdictForward, OK: true, Detail: "no tab was shown an older version after a newer one"},
			{Name: load.VerdictInStep, OK: true, Detail: "all 15,000 tabs showed the same 112 ms after the last click"},
			{Name: load.VerdictAnswered, OK: true, Detail: "every click was acknowledged or refused"},
			{Name: load.VerdictOwnWrites, OK: true, Detail: "what was acknowledged was shown"},
		},
		Converge:  112,
		Generator: load.GeneratorReport{Processes: 1, CPU: 21.4, Memory: 118.3, Late: .8},
		Expect:    "p99<250ms,lost=0,converge<1000ms",
	}
	for i := range 31 {
		x := float64(i)
		r.Series = append(r.Series, load.Sample{
			At: x, Connected: 15000 - i%4, Clicks: 20 + int64(i%3) - 1, Acks: 20, Deliveries: 288_000 + int64(12_000*math.Sin(x)),
			Bytes: 204_000_000, OwnCount: 20, OwnP50: 6 + math.Sin(x), OwnP99: 40 + 20*math.Sin(x*1.7), AllCount: 20, AllP99: 150 + 45*math.Sin(x*.9), Stalest: 80 + 60*math.Sin(x*2.3),
		})
	}
	return r
}

// bare is a clean report without its charts, which are the bulk of a golden file:
// those of clean and staged have them.
func bare() *load.Report {
	r := clean()
	r.Series = nil
	dropCurves(r)
	return r
}

func dropCurves(r *load.Report) {
	for name, l := range r.Latencies {
		l.Curve = nil
		r.Latencies[name] = l
	}
}

// broken has each thing that can be wrong, with names that mean harm.
func broken() *load.Report {
	r := bare()
	r.Interrupted, r.Converge = true, -1
	r.Targets, r.Command = append(r.Targets, hostile), r.Command+" "+hostile
	r.Totals.Acked, r.Totals.Unanswered, r.Totals.Refused, r.Totals.Refusals = 588, 7, 5, 31
	r.Replicas[2].Name, r.Counters[0].Name = hostile, hostile
	r.Counters[0].Acked, r.Counters[0].Want, r.Counters[0].Got = 588, 629, 626
	r.Verdicts[0] = load.Verdict{Name: load.VerdictCounted, Detail: "3 acknowledged clicks are not counted", Named: []string{"lobby: wanted 629, got 626", hostile}}
	r.Verdicts[3] = load.Verdict{Name: load.VerdictInStep, Detail: "15 of 15,000 tabs still showed an older version after 10 s",
		Named: []string{"tab 17 at one:8001 shows 1:598 of 1:626", "tab 1017 at one:8001 shows 1:601 of 1:626"}, Broken: 15}
	r.Warnings = []string{"the generator was the bottleneck: clicks were sent 320 ms late (p99); use more machines or fewer browsers", hostile}
	r.Errors = map[string]int{"connection refused": 31, hostile: 2}
	r.Failed = []string{"lost: wanted = 0, got 10", "converge: wanted < 1000ms, got never"}
	return r
}

// staged is a report of a scenario, in one of whose stages nobody clicks.
func staged() *load.Report {
	r := clean()
	dropCurves(r)
	own, all := distribution(4, 90, 300), distribution(48, 210, 300)
	own.Curve, all.Curve = nil, nil
	r.Stages = []load.StageReport{
		{Name: "morning", Seconds: 10, Browsers: 15000, Clicks: 200, Acked: 200, Deliveries: 2_880_000, Bytes: 2_044_800_000,
			Latencies: map[string]load.Latency{load.LatencyOwn: own, load.LatencyAll: all}},
		{Name: hostile, At: 10, Seconds: 10, Browsers: 15000, Clicks: 200, Acked: 198, Refused: 2, Deliveries: 2_880_000, Reconnects: 48,
			Latencies: map[string]load.Latency{load.LatencyOwn: own}},
		{Name: "stage 3", At: 20, Seconds: 10, Browsers: 14998},
	}
	for i := range r.Series {
		s := &r.Series[i]
		s.At -= 4
		s.Stage = r.Stages[max(0, min(2, int(s.At)/10))].Name
		if i < 4 || i == 12 || i == 14 || i > 24 {
			s.OwnCount, s.OwnP50, s.OwnP99, s.AllCount, s.AllP99 = 0, 0, 0, 0, 0
		}
	}
	return r
}

// searched is a report of -find-max.
func searched() *load.Report {
	r := bare()
	r.Knee = &load.Knee{Goal: "p99<200ms", Unit: "clicks/s", Best: 337.5, Failing: 350, Why: []string{"p99: wanted < 200ms, got 241.5ms"}, Tries: []load.Try{
		{Rate: 200, P99: 61.2}, {Rate: 400, P99: 870, Why: []string{"p99: wanted < 200ms, got 870ms"}}, {Rate: 300, P99: 93.1},
		{Rate: 350, P99: 241.5, Why: []string{"p99: wanted < 200ms, got 241.5ms"}}, {Rate: 325, P99: 121}, {Rate: 337.5, P99: 177},
	}}
	return r
}

func TestReportsLookLikeTheirGoldenFiles(t *testing.T) {
	forms := map[string]func(io.Writer, *load.Report) error{"txt": load.WriteText, "json": load.WriteJSON, "html": load.WriteHTML}
	reports := map[string]*load.Report{"clean": clean(), "broken": broken(), "searched": searched(), "staged": staged(), "empty": {}}
	for name, r := range reports {
		for form, write := range forms {
			t.Run(name+"."+form, func(t *testing.T) {
				golden(t, filepath.Join("testdata", name+"."+form), written(t, write, r))
			})
		}
	}
}

func TestJSONKeepsTheWholeReport(t *testing.T) {
	for _, want := range []*load.Report{clean(), broken(), searched(), staged()} {
		var got load.Report
		if err := json.Unmarshal([]byte(written(t, load.WriteJSON, want)), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestAReportThatCannotBeWrittenIsAnError(t *testing.T) {
	for _, write := range []func(io.Writer, *load.Report) error{load.WriteText, load.WriteJSON, load.WriteHTML} {
		if err := write(full{}, clean()); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("got %v, want %v", err, io.ErrShortWrite)
		}
	}
}

// full is a disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./tools/loadgen/load -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func written(t *testing.T, write func(io.Writer, *load.Report) error, r *load.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestASummaryIsPlainTextOfEightyColumns(t *testing.T) {
	for _, r := range []*load.Report{clean(), broken(), searched(), staged(), {}} {
		r.Command = "" // it is there to be copied, so it is not wrapped
		for l := range strings.Lines(written(t, load.WriteText, r)) {
			l = strings.TrimSuffix(l, "\n")
			if n := utf8.RuneCountInString(l); n > 80 {
				t.Errorf("%d columns: %q", n, l)
			}
			if strings.ContainsAny(l, "\x1b\u202e") {
				t.Errorf("a command for the terminal in %q", l)
			}
		}
	}
}

func TestAPageNeedsNothingElse(t *testing.T) {
	for token, attributes := range elements(t, written(t, load.WriteHTML, broken())) {
		if token == "script" || token == "img" || token == "link" || token == "iframe" {
			t.Errorf("there is an element %s", token)
		}
		for key := range attributes {
			if key == "src" || key == "href" || key == "style" || strings.HasPrefix(key, "on") {
				t.Errorf("%s has the attribute %s", token, key)
			}
		}
	}
}

func TestAPageShowsHostileNamesAsText(t *testing.T) {
	got := written(t, load.WriteHTML, broken())
	if strings.Contains(got, "<script") || strings.Contains(got, "<img") {
		t.Error("a name became an element")
	}
	if n := strings.Count(got, "&lt;script&gt;"); n < 6 {
		t.Errorf("got %d names as text, want 6: target, replica, counter, verdict, warning, command", n)
	}
}

func TestAChartHasGapsWhereNothingWasMeasured(t *testing.T) {
	page := written(t, load.WriteHTML, staged())
	_, latency, _ := strings.Cut(page, "<b>Latency</b> by second")
	latency, _, _ = strings.Cut(latency, "</figure>")
	for _, m := range regexp.MustCompile(`class="line [abc]" d="([^"]*)"`).FindAllStringSubmatch(latency, -1) {
		if moves, dots := strings.Count(m[1], "M"), strings.Count(m[1], "h0"); moves != 3 || dots != 1 || strings.Contains(m[1], " 180.0") {
			t.Errorf("got %d parts and %d dots, want 3 with 1 and nothing at 0: %s", moves, dots, m[1])
		}
	}
	if strings.Contains(page, "-0 s") || !strings.Contains(page, ">0 s<") {
		t.Error("the axis has a zero with a sign, or none")
	}
	idle := clean()
	for i := range idle.Series {
		idle.Series[i].OwnCount, idle.Series[i].AllCount = 0, 0
	}
	if strings.Contains(written(t, load.WriteHTML, idle), "by second") {
		t.Error("there is a chart of a latency that was never measured")
	}
}

func TestACountThatCouldNotBeReadIsNoNumber(t *testing.T) {
	r := &load.Report{Counters: []load.CounterReport{{Name: "lobby", Before: 40, Acked: 2, Want: 42, Got: -1}}}
	if text := written(t, load.WriteText, r); strings.Contains(text, "-1") || !strings.Contains(text, "– !") {
		t.Errorf("got %s", text)
	}
	r.Counters[0].Before, r.Counters[0].Want = -3, -1
	for _, write := range []func(io.Writer, *load.Report) error{load.WriteText, load.WriteHTML} {
		if text := written(t, write, r); !strings.Contains(text, "-1") {
			t.Errorf("a count below 0: got %s", text)
		}
	}
}

func TestEachLabelOfAnAxisHasItsOwnPlace(t *testing.T) {
	label := regexp.MustCompile(`<text class="x" x="([0-9.]+)"`)
	for _, seconds := range []int{1, 2, 7, 33, 61, 3601} {
		r := &load.Report{}
		for i := range seconds {
			r.Series = append(r.Series, load.Sample{At: float64(i)})
		}
		for c := range strings.SplitSeq(written(t, load.WriteHTML, r), "<figure") {
			seen := map[string]bool{}
			for _, m := range label.FindAllStringSubmatch(c, -1) {
				if seen[m[1]] {
					t.Errorf("%d s: two labels at %s", seconds, m[1])
				}
				seen[m[1]] = true
			}
		}
	}
}

// elements are the names of all elements of a page with their attributes.
func elements(t *testing.T, page string) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(page))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
			continue
		}
		if all[token.Data] == nil {
			all[token.Data] = map[string]bool{}
		}
		for _, a := range token.Attr {
			all[token.Data][a.Key] = true
		}
	}
	if !errors.Is(z.Err(), io.EOF) {
		t.Fatal(z.Err())
	}
	return all
}
