package load_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lockstep/internal/short"
	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// neverEqual is the time to settle where clicks stay without an answer, and neverQuiet is for how
// many observations nothing comes in a load that a fault keeps from settling otherwise.
const (
	neverEqual = 10 * time.Second
	neverQuiet = 20
)

// options are a short load: tabs, clicks a second. The time to settle ends only
// what hangs.
func options(url string, browsers int, rate float64) load.Options {
	return load.Options{
		Targets: []string{url}, Settle: time.Minute, Repeat: .1,
		Plan: workload.Plan{Seed: 7, Stages: []workload.Stage{
			{Browsers: browsers, Duration: time.Second, Rate: workload.Rate{{From: rate, To: rate}}},
		}},
	}
}

func runLoad(t *testing.T, o load.Options) *load.Report {
	t.Helper()
	if o.Settle == neverEqual || o.Quiet() > 0 {
		short.Skip(t, "waits long for tabs that never settle")
	}
	r, err := load.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Logf("%+v", r)
	}
	return r
}

// violated are the verdicts that did not hold, by name.
func violated(r *load.Report) map[string]load.Verdict {
	all := make(map[string]load.Verdict)
	for _, v := range r.Verdicts {
		if !v.OK && !v.NotJudged {
			all[v.Name] = v
		}
	}
	return all
}

func TestACorrectServerPasses(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	r := runLoad(t, options(s.URL, 100, 200))
	if b := violated(r); len(b) > 0 || len(r.Errors) > 0 {
		t.Errorf("got verdicts %v and errors %v, want none", b, r.Errors)
	}
	wantAllCounted(t, r, s)
	for _, name := range load.LatencyNames() {
		if n := r.Latencies[name].Count; (n == 0) != (name == load.LatencyReconnect) {
			t.Errorf("got %d values of the latency %q", n, name)
		}
	}
	if n := r.Latencies[load.LatencyAll].Count; n != 200 {
		t.Errorf("got %d clicks that reached all tabs, want 200", n)
	}
	if r.Converge < 0 || len(r.Series) == 0 || r.Browsers != 100 {
		t.Errorf("got %+v", r)
	}
}

// wantAllCounted checks that the 200 clicks of a load are, and that some were sent twice.
func wantAllCounted(t *testing.T, r *load.Report, s *planted.Server) {
	t.Helper()
	if r.Totals.Due != 200 || r.Totals.Sent != 200 || r.Totals.Acked != 200 || s.Count("load-1") != 200 {
		t.Errorf("got %+v and a count of %d, want 200 clicks", r.Totals, s.Count("load-1"))
	}
	if r.Totals.Resent == 0 {
		t.Error("no click was sent twice, a tenth is wanted")
	}
}

func TestPlantedBugsAreFoundAndNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		bugs     planted.Bugs
		browsers int
		rate     float64
		broken   string // verdicts, comma-separated
		named    string // in what is named for the first
	}{
		{"an update dropped for one tab in a thousand", planted.Bugs{DropUpdate: 1000}, 1000, 20, "in step", "tab "},
		{"a tab that is frozen", planted.Bugs{Freeze: 7}, 50, 200, "in step", ", its page 200"},
		{"an op applied twice", planted.Bugs{Twice: 150}, 50, 200, "once,counted", "/c/load-1: 1 more than was clicked"},
		{"an op that is sent again counts again", planted.Bugs{TwiceOnResend: true}, 50, 200, "once,counted", "more than was clicked"},
		{"a version that goes backwards", planted.Bugs{Backwards: 90}, 50, 200, "forward", "was sent version 89 after 90"},
		{"two tabs that are told different counts", planted.Bugs{TwoTruths: 90}, 50, 200, "forward", "as version "},
		{"a click that is acknowledged and not counted", planted.Bugs{LoseClick: 150}, 50, 200, "counted", "/c/load-1: 199, want 200"},
		{"a click without an answer", planted.Bugs{NoAck: 15}, 10, 20, "answered", ""},
		{"an acknowledgement before its state", planted.Bugs{EarlyAck: 3}, 10, 10, "own write", "when op "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, c.bugs)
			o := options(s.URL, c.browsers, c.rate)
			if c.bugs.NoAck > 0 {
				o.Repeat = 0 // what is sent again is acknowledged
			}
			if c.bugs.EarlyAck > 0 {
				o.Plan.Stages[0].Duration = 4 * time.Second // it shows only if no other click is on its way
			}
			switch {
			case c.bugs.NoAck > 0:
				o.Settle = neverEqual
			case c.bugs.DropUpdate > 0, c.bugs.Freeze > 0:
				o.EndWhenQuiet(neverQuiet)
			}
			r := runLoad(t, o)
			got := violated(r)
			for name := range strings.SplitSeq(c.broken, ",") {
				if _, ok := got[name]; !ok {
					t.Errorf("%q held", name)
				}
				delete(got, name)
			}
			if c.bugs.TwoTruths > 0 {
				delete(got, load.VerdictOnce) // one of the truths may be more than was clicked
			}
			switch {
			case c.bugs.LoseClick > 0: // it shows only if all clicks before were acknowledged in time
				delete(got, load.VerdictOwnWrites)
			case c.bugs.DropUpdate > 0, c.bugs.Freeze > 0: // the tab that was told nothing may have clicked
				delete(got, load.VerdictOwnWrites)
			}
			if len(got) > 0 {
				t.Errorf("not planted: %+v", got)
			}
			first, _, _ := strings.Cut(c.broken, ",")
			if named := fmt.Sprint(violated(r)[first].Named); !strings.Contains(named, c.named) {
				t.Errorf("got %s, want it to have %q", named, c.named)
			}
		})
	}
}

func TestFaultsThatAreRightAreNoBugs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		bugs  planted.Bugs
		wants func(t *testing.T, r *load.Report)
	}{
		{"a server that restarts", planted.Bugs{CutEvery: 50}, func(t *testing.T, r *load.Report) {
			if r.Totals.Reconnects < 60 || r.Latencies[load.LatencyReconnect].Count == 0 {
				t.Errorf("got %d reconnections of 30 tabs, want at least two each", r.Totals.Reconnects)
			}
		}},
		{"clicks that are taken at the second try", planted.Bugs{Retry: 50}, func(t *testing.T, r *load.Report) {
			if r.Totals.Acked != 200 || r.Latencies[load.LatencyAck].Max < 500 {
				t.Errorf("got %d acknowledged, the last after %g ms; want 200, some after a second", r.Totals.Acked, r.Latencies[load.LatencyAck].Max)
			}
		}},
		{"clicks that are refused", planted.Bugs{Refuse: 50}, func(t *testing.T, r *load.Report) {
			if r.Totals.Refused != 4 || r.Totals.Acked != 196 || r.Errors["refused: not allowed"] != 4 {
				t.Errorf("got %d refused, %d acknowledged and %v, want 4, 196 and the reason", r.Totals.Refused, r.Totals.Acked, r.Errors)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, c.bugs)
			o := options(s.URL, 30, 200)
			r := runLoad(t, o)
			if b := violated(r); len(b) > 0 {
				t.Errorf("got broken verdicts %+v", b)
			}
			c.wants(t, r)
		})
	}
}

func TestTheClassicMistakeIsFound(t *testing.T) {
	t.Parallel()
	s := planted.StartClassicMistake(t)
	o := options(s.URL, 50, 1000)
	h, err := protocol.NewHTMX("", "#count", "")
	if err != nil {
		t.Fatal(err)
	}
	o.EndWhenQuiet(neverQuiet)
	o.Protocol = h
	r := runLoad(t, o)
	v, ok := violated(r)[load.VerdictCounted]
	if !ok || r.Counters[0].Want != 1000 || r.Counters[0].Got > 60 {
		t.Errorf("got %+v and %+v, want 1000 clicks that end at about 20 each", v, r.Counters)
	}
}

func TestAnyPageOfHTMXCanBeATarget(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*planted.Plain{"websocket": planted.StartHTMX(t), "events": planted.StartSSE(t)} {
		t.Run(name, func(t *testing.T) {
			o := options(s.URL, 30, 100)
			h, err := protocol.NewHTMX("", "#count", "")
			if err != nil {
				t.Fatal(err)
			}
			o.Protocol = h
			r := runLoad(t, o)
			if b := violated(r); len(b) > 0 || len(r.Errors) > 0 {
				t.Errorf("got %+v, errors %v", b, r.Errors)
			}
			if r.Totals.Acked != 100 || r.Counters[0].Got != 100 || r.Latencies[load.LatencyAll].Count != 100 {
				t.Errorf("got %+v, %+v and %d clicks that all saw, want 100", r.Totals, r.Counters, r.Latencies[load.LatencyAll].Count)
			}
			if len(r.Verdicts) != 3 {
				t.Errorf("got %d verdicts, want the three that such a page can be judged by", len(r.Verdicts))
			}
		})
	}
}

func TestATargetThatIsNoneSaysWhatToDo(t *testing.T) {
	t.Parallel()
	closed := planted.Start(t, planted.Bugs{NoSocket: true})
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		name, url, want string
		is              error
	}{
		{"nobody listens", "http://127.0.0.1:1", "is the server running", load.ErrUnreachable},
		{"a page without a socket", closed.URL, "hx-ws:connect", load.ErrUnreachable},
		{"a page that is not there", closed.URL + "/none", "none/c/load-1: the page: turned away with 404 Not Found: is this Lockstep?", load.ErrUnreachable},
		{"a slash at the end", closed.URL + "/", closed.URL + "/c/load-1: ", load.ErrUnreachable},
		{"a server without TLS", strings.Replace(closed.URL, "http:", "https:", 1), "does it speak http?", load.ErrUnreachable},
		{"a server with TLS", "http://" + strings.TrimPrefix(secure.URL, "https://"), "does it speak https?", load.ErrUnreachable},
		{"a certificate of one's own", secure.URL, "-insecure accepts any certificate", load.ErrUnreachable},
		{"no URL", "localhost:8000", "not the URL of a page", load.ErrUsage},
		{"no web", "ftp://localhost", "not the URL of a page", load.ErrUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load.Run(t.Context(), options(c.url, 1, 1))
			if err == nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}

func TestAServerThatTurnsTabsAwayIsReported(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{Tabs: 10})
	o := options(s.URL, 20, 50)
	o.Patience, o.Settle = time.Second, neverEqual
	r := runLoad(t, o)
	if r.Totals.Refusals == 0 || !strings.Contains(strings.Join(r.Warnings, " "), "only 10 of 20 tabs had joined") ||
		!strings.Contains(strings.Join(r.Warnings, " "), "503") {
		t.Errorf("got %d refusals and warnings %q, want them to say that 10 tabs were turned away with 503", r.Totals.Refusals, r.Warnings)
	}
}

func TestAnInterruptedLoadIsJudged(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := options(s.URL, 20, 100)
	o.Plan.Stages[0].Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(p load.Progress) {
		if p.Phase == "load" && p.Totals.Acked > 0 {
			cancel()
		}
	}
	r, err := load.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if b := violated(r); !r.Interrupted || len(b) > 0 || r.Totals.Acked == 0 || r.Seconds > 60 {
		t.Errorf("got %+v, want a short run that holds", r)
	}
}

// runObserved is runLoad where the test counts on what happens in a stage of 6 s.
// What happens is told apart by looking at it, ten times a second: a run in which
// nobody looked for most of the stage says nothing of it, and there is another.
func runObserved(t *testing.T, o load.Options) *load.Report {
	t.Helper()
	const still, attempts = 5 * time.Second, 5
	for range attempts {
		last, longest := time.Now(), time.Duration(0)
		o.Progress = func(p load.Progress) { // once a second, if the machine lets it
			if p.Phase == "load" {
				longest = max(longest, time.Since(last))
			}
			last = time.Now()
		}
		if r := runLoad(t, o); longest < still {
			return r
		}
		t.Logf("nobody looked for %v: another run", longest)
	}
	t.Fatalf("the machine stood still for %v in each of %d runs", still, attempts)
	return nil
}

// With this seed nobody leaves twice in the first stage: who leaves has joined,
// however long that takes.
func TestTabsComeAndGo(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := options(s.URL, 20, 100)
	o.Plan.Seed, o.Plan.Stages[0].Churn = 2570442, 20
	o.Plan.Stages = append(o.Plan.Stages,
		workload.Stage{Browsers: 40, Ramp: 300 * time.Millisecond, Duration: 6 * time.Second, Rate: workload.Rate{{From: 50, To: 50}}},
		workload.Stage{Browsers: 10, Ramp: 300 * time.Millisecond, Duration: 500 * time.Millisecond})
	r := runObserved(t, o)
	if b := violated(r); len(b) > 0 || len(r.Errors) > 0 {
		t.Errorf("got %+v and errors %v", b, r.Errors)
	}
	var clicks, acked, deliveries int64
	for i, s := range r.Stages {
		clicks, acked, deliveries = clicks+s.Clicks, acked+s.Acked, deliveries+s.Deliveries
		if want := fmt.Sprintf("stage %d", i+1); s.Name != want || s.Seconds <= 0 {
			t.Errorf("got %+v, want %s", s, want)
		}
	}
	if len(r.Stages) != 3 || clicks != r.Totals.Sent || acked != r.Totals.Acked || deliveries != r.Totals.Deliveries {
		t.Errorf("got %d stages with %d clicks, %d acknowledged and %d deliveries, want what the run has: %+v", len(r.Stages), clicks, acked, deliveries, r.Totals)
	}
	if s := r.Stages[1]; s.At != 1 || s.Seconds != 6.3 || s.Browsers == 0 || s.Latencies[load.LatencyAll].Count == 0 || s.Clicks == 0 {
		t.Errorf("got %+v, want the second stage", s)
	}
	if r.Totals.Joins < 55 || r.Browsers < 35 || r.Replicas[0].Tabs != 10 {
		t.Errorf("got %d joins, at most %d tabs and %d in the end, want 60 or so, 40 and 10", r.Totals.Joins, r.Browsers, r.Replicas[0].Tabs)
	}
}

func TestSlowAndHiddenTabsArriveToo(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{CutEvery: 60})
	o := options(s.URL, 40, 100)
	o.Plan.Slow, o.Plan.Hidden, o.Plan.Watchers = .1, .2, .5
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 {
		t.Errorf("got %+v", b)
	}
}

func TestCountersDoNotMix(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := options(s.URL, 60, 200)
	o.Counters = 7
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 || len(r.Counters) != 7 {
		t.Fatalf("got %+v", b)
	}
	var sum int64
	for _, c := range r.Counters {
		if c.Got == 0 {
			t.Errorf("nobody clicked on %s", c.Name)
		}
		sum += c.Got
	}
	if sum != 200 {
		t.Errorf("got %d clicks on all counters, want 200", sum)
	}
}
