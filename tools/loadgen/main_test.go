package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lockstep/internal/flags"
	"lockstep/internal/version"
	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
)

// mainEnv has the test binary be the program.
const mainEnv = "LOADGEN_MAIN"

// TestMain lets the test binary be the worker that it starts, and the program.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" || os.Getenv(mainEnv) != "" {
		os.Exit(run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// invoke runs loadgen and returns its exit code and what it wrote.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name)) //nolint:gosec // a test's folder
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	read := func(f *os.File) string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	out, errs := open("stdout"), open("stderr")
	code = run(args, func(string) string { return "" }, strings.NewReader(""), out, errs)
	return code, read(out), read(errs)
}

// short are the flags of a short load.
func short(more ...string) []string {
	return append([]string{"-browsers", "30", "-ramp", "100ms", "-rate", "100", "-duration", "1s", "-settle", "30s"}, more...)
}

func TestALoadThatHoldsExitsWithZero(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	dir := t.TempDir()
	js, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	code, stdout, stderr := invoke(t, short("-expect", "lost=0,twice=0,stale=0,rate>50", "-json", js, "-html", page, "-prometheus", "127.0.0.1:0", s.URL)...)
	if code != exitFine || !strings.HasPrefix(stdout, "PASSED") || !strings.Contains(stderr, "metrics at http://127.0.0.1:") ||
		!strings.Contains(stderr, "loadgen: takes 1.1s: 100ms to join, 1s of load, then at most 30s until all tabs are equal\n") {
		t.Errorf("got %d, %s, %s", code, stdout, stderr)
	}
	text, err := os.ReadFile(js)
	if err != nil {
		t.Fatal(err)
	}
	var r load.Report
	if err := json.Unmarshal(text, &r); err != nil || r.Totals.Acked != 100 || r.Seed == 0 || !strings.Contains(r.Command, "-seed") {
		t.Errorf("got %+v, %v", r, err)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "</html>") {
		t.Errorf("got %.100q, %v", text, err)
	}
}

func TestALoadThatFailsSaysWhyAndExitsWithOne(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{LoseClick: 10})
	code, stdout, _ := invoke(t, short(s.URL)...)
	if code != exitFailed || !strings.HasPrefix(stdout, "FAILED") || !strings.Contains(stdout, "/c/load-1: 90, want 100") {
		t.Errorf("got %d and %s", code, stdout)
	}
	good := planted.Start(t, planted.Bugs{})
	code, stdout, _ = invoke(t, short("-expect", "rate>1000", good.URL)...)
	if code != exitFailed || !strings.Contains(stdout, "rate: wanted > 1000") {
		t.Errorf("got %d and %s", code, stdout)
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "there is no target"},
		{"-browsers http://localhost:1", "is not a whole number"},
		{"-speed 5 http://localhost:1", "there is no flag -speed"},
		{"-browser 5 http://localhost:1", "did you mean -browsers?"},
		{"-duration 30 http://localhost:1", "did you mean 30s?"},
		{"-browsers 10k http://localhost:1", "did you mean 10000?"},
		{"-watchers 90% http://localhost:1", "did you mean 0.9?"},
		{"-watchers NaN http://localhost:1", "watchers is NaN"},
		{"-rate -5 http://localhost:1", "-5 clicks a second"},
		{"-browsers 99999999999999999999 http://localhost:1", "too large"},
		{"-counters 0 http://localhost:1", "-counters 0"},
		{"-settle 0s http://localhost:1", "-settle 0s"},
		{"-wait -1s http://localhost:1", "-wait -1s"},
		{"-per-process 0 http://localhost:1", "-per-process 0"},
		{"-json -html x http://localhost:1", "-json: it has no value"},
		{"-json", "-json needs a value"},
		{"localhost:8000", "did you mean http://localhost:8000?"},
		{"http://u:hunter2@[::1", "not a URL"},
		{"-header hunter2 http://localhost:1", "-header: it has no colon"},
		{"-header Upgrade:x http://localhost:1", "Upgrade is the generator's own"},
		{"-header =:hunter2 http://localhost:1", "not the name of a header"},
		{"-cookie hunter2 http://localhost:1", "a cookie is name=value"},
		{"-cookie @/nowhere http://localhost:1", "/nowhere: no such file"},
		{"http://localhost:1 -rate 5", "flags come first"},
		{"localhost:8000", "not the URL of a page"},
		{"-browsers 0 http://localhost:1", "0 browsers"},
		{"-rate fast http://localhost:1", `the rate "fast"`},
		{"-duration 0s http://localhost:1", "a duration of 0s"},
		{"-watchers 1 http://localhost:1", "nobody is left to click"},
		{"-expect p98<1s http://localhost:1", "no measure"},
		{"-find-max p99 http://localhost:1", "no operator"},
		{"-find-max p99<1s -rate 1..5 http://localhost:1", "one constant load"},
		{"-raise clicks -find-max p99<1s http://localhost:1", "-raise clicks"},
		{"-transport smoke http://localhost:1", "there are ws and http"},
		{"-transport http -protocol htmx -selector #n http://localhost:1", "-protocol lockstep"},
		{"-protocol smtp http://localhost:1", "there are lockstep and htmx"},
		{"-kind chat http://localhost:1", "there are counter, poll, bank, list, log and soft"},
		{"-kind poll -protocol htmx -selector #n http://localhost:1", "-protocol lockstep"},
		{"-protocol htmx http://localhost:1", "-selector"},
		{"-protocol htmx -selector # http://localhost:1", "selector of the number"},
		{"-selector #n http://localhost:1", "-protocol htmx"},
		{"-scenario none.yaml http://localhost:1", "none.yaml"},
		{"-scenario none.yaml -rate 5 http://localhost:1", "don't go together"},
		{"-counters 200 http://localhost:1", "some would have no tab"},
		{"-browsers 2000000 http://localhost:1", "2000000 browsers"},
		{"-repeat 2 http://localhost:1", "repeat is 2"},
		{"-prometheus nowhere http://localhost:1", "nowhere"},
	} {
		code, stdout, stderr := invoke(t, strings.Fields(c.args)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: got %d, %q, want 2 and one line with %q", c.args, code, stderr, c.want)
		}
	}
}

func TestATargetThatDoesNotAnswerExitsWithThree(t *testing.T) {
	s := planted.Start(t, planted.Bugs{NoSocket: true})
	for url, want := range map[string]string{"http://127.0.0.1:1": "is the server running", s.URL: "hx-ws:connect"} {
		code, _, stderr := invoke(t, short(url)...)
		if code != exitUnreachable || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: got %d, %q, want 3 and one line with %q", url, code, stderr, want)
		}
	}
}

func TestHelpExitsWithZero(t *testing.T) {
	for _, word := range []string{"-h", "--help", "help"} {
		code, stdout, stderr := invoke(t, word)
		if code != exitFine || stderr != "" || !strings.Contains(stdout, "Exit code") || !strings.Contains(stdout, "\n\nWhat has to hold\n  -expect thresholds\n") {
			t.Errorf("%s: got %d, %q, %q", word, code, stdout, stderr)
		}
	}
}

func TestHelpListsEachFlagOnce(t *testing.T) {
	_, stdout, _ := invoke(t, "-h")
	names := regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(stdout, -1)
	seen := map[string]bool{}
	for _, m := range names {
		if seen[m[1]] {
			t.Errorf("-%s is listed twice", m[1])
		}
		seen[m[1]] = true
	}
	fs := flags.New("loadgen")
	new(config).defineAll(fs, new(parsed))
	fs.VisitAll(func(f *flag.Flag) {
		if !seen[f.Name] {
			t.Errorf("-%s is not listed", f.Name)
		}
	})
	doc, err := os.ReadFile("../../docs/loadgen.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !strings.Contains(string(doc), "`-"+name) {
			t.Errorf("docs/loadgen.md does not have -%s", name)
		}
	}
}

func TestTheVersionIsSaid(t *testing.T) {
	for _, args := range [][]string{{"-version", "-browsers", "0"}, {"--version"}, {"version"}} {
		code, stdout, stderr := invoke(t, args...)
		if want := "loadgen " + version.Of("") + "\n"; code != exitFine || stdout != want || stderr != "" {
			t.Errorf("%q: got %d, %q, %q, want 0 and %q", args, code, stdout, stderr, want)
		}
	}
}

func TestALoadGoesWithoutWebsocketsIfToldTo(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	code, stdout, stderr := invoke(t, short("-transport", "http", "-per-process", "10", s.URL)...)
	if code != exitFine || s.Count("load-1") != 100 || s.Sockets() != 0 {
		t.Errorf("got %d, %s, %s, a count of %d and %d sockets", code, stdout, stderr, s.Count("load-1"), s.Sockets())
	}
}

func TestHiddenTabsWithoutWebsocketsHaveTimeToAsk(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"":                                       load.DefaultSettle,
		"-transport http":                        load.DefaultSettle,
		"-hidden .1":                             load.DefaultSettle,
		"-transport http -hidden .1":             2 * load.DefaultSettle,
		"-kind soft":                             2 * load.DefaultSettle,
		"-transport http -hidden .1 -settle 11s": 11 * time.Second,
	} {
		c, err := parseConfig(append(strings.Fields(args), "http://localhost:1"), io.Discard)
		if err != nil || c.options.Settle != want {
			t.Errorf("%s: got %s, %v; want %s", args, c.options.Settle, err, want)
		}
	}
}

func TestWorkersMakeOneReport(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	js := filepath.Join(t.TempDir(), "r.json")
	code, stdout, stderr := invoke(t, short("-per-process", "10", "-counters", "2", "-json", js, s.URL)...)
	if code != exitFine {
		t.Fatalf("got %d, %s, %s", code, stdout, stderr)
	}
	text, err := os.ReadFile(js)
	if err != nil {
		t.Fatal(err)
	}
	var r load.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Generator.Processes != 3 || r.Totals.Acked != 100 || r.Latencies[load.LatencyAll].Count != 100 || r.Replicas[0].Tabs != 30 {
		t.Errorf("got %+v and %d clicks that all saw, want 3 processes, 100 clicks and 30 tabs", r.Generator, r.Latencies[load.LatencyAll].Count)
	}
}

func TestASearchFindsTheKnee(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	code, stdout, stderr := invoke(t, short("-duration", "300ms", "-rate", "20", "-find-max", "rate<100", s.URL)...)
	knee := regexp.MustCompile(`(\d+(\.\d+)?) clicks/s hold, (\d+(\.\d+)?) do not`).FindString(stdout)
	if code != exitFine || knee == "" {
		t.Errorf("got %d, %s, %s, want a knee at about 100", code, stdout, stderr)
	}
	code, stdout, stderr = invoke(t, short("-duration", "300ms", "-browsers", "10", "-raise", "browsers", "-find-max", "deliveries<3000", s.URL)...)
	if code != exitFine || !strings.Contains(stdout, "tabs hold") || strings.Count(stderr, "loadgen: each step of the search takes 400ms: ") != 1 {
		t.Errorf("got %d, %s, %s, want a knee in tabs", code, stdout, stderr)
	}
}

func TestAScenarioIsAFile(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	name := filepath.Join(t.TempDir(), "day.yaml")
	if err := os.WriteFile(name, []byte("stages:\n  - {browsers: 10, duration: 300ms, rate: 50}\n  - {browsers: 20, ramp: 100ms, duration: 300ms, rate: 50..100, churn: 5}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := invoke(t, "-scenario", name, s.URL); code != exitFine {
		t.Errorf("got %d, %s, %s", code, stdout, stderr)
	}
}

func TestTheKindOfThePagesIsThatOfTheURLUnlessItIsSaid(t *testing.T) {
	for args, want := range map[string]protocol.Kind{
		"http://localhost:1":                               protocol.Counter,
		"http://localhost:1/c/x":                           protocol.Counter,
		"http://localhost:1/poll/x":                        protocol.Poll,
		"http://localhost:1/behind/a/proxy/bank/x":         protocol.Bank,
		"-path /bank/{n} http://localhost:1":               protocol.Bank,
		"-kind bank http://localhost:1":                    protocol.Bank,
		"-kind counter -path /poll/{n} http://localhost:1": protocol.Counter,
		"-kind poll http://localhost:1/my-own":             protocol.Poll,
	} {
		c, err := parseConfig(strings.Fields(args), io.Discard)
		if err != nil || c.options.Protocol.Traits().Kind != want {
			t.Errorf("%s: got %+v, %v; want %s", args, c.options.Protocol, err, want)
		}
	}
}

func TestLoadsOfOtherKindsAreMade(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	for _, args := range [][]string{
		{"-kind", "poll", s.URL}, {"-kind", "bank", s.URL}, {"-per-process", "10", s.URL + "/bank/mine"},
	} {
		if code, stdout, stderr := invoke(t, short(args...)...); code != exitFine {
			t.Errorf("%q: got %d, %s, %s", args, code, stdout, stderr)
		}
	}
	code, stdout, _ := invoke(t, short("-per-process", "10", "-transport", "http", s.URL+"/poll/mine")...)
	if code != exitFine || !strings.Contains(stdout, "of each person the last counts") {
		t.Errorf("got %d, %s", code, stdout)
	}
}

func TestThePathOfTheURLCounts(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	if code, stdout, _ := invoke(t, short(s.URL+"/c/mine")...); code != exitFine || s.Count("mine") != 100 {
		t.Errorf("got %d and %d clicks on the page of the URL: %s", code, s.Count("mine"), stdout)
	}
	if code, stdout, _ := invoke(t, short("-path", "/c/team-{n}", s.URL)...); code != exitFine || s.Count("team-1") != 100 {
		t.Errorf("got %d and %d clicks on the page of -path: %s", code, s.Count("team-1"), stdout)
	}
}
