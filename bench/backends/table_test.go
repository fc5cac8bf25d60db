package backends_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"lockstep/bench/page"
)

const (
	// begin and end are the lines around the table in a document.
	begin = "<!-- What make bench-backends writes. -->\n"
	end   = "<!-- What people write. -->\n"

	figuresFile = "testdata/figures.json"
)

// update writes the table with the figures of the last run, after a row has changed.
var update = flag.Bool("update", false, "write the table into the documents")

func documents() []string { return []string{"../../README.md", "../../docs/backends.md"} }

// A figure is what was measured of one broker.
type figure struct {
	PerSecond float64       // messages from many publishers
	RoundTrip time.Duration // of one after the other
}

// A run is what was measured of all.
type run struct {
	Machine string // a list
	Load    string // average, when it began
	Figures map[string]figure
}

// lastRun returns what the table in the documents is made of. There may have been none.
func lastRun(t testing.TB) (last run) {
	t.Helper()
	text, err := os.ReadFile(figuresFile)
	if errors.Is(err, fs.ErrNotExist) {
		return last
	}
	if err == nil {
		err = json.Unmarshal(text, &last)
	}
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// table returns the table as Markdown.
func table(rows []row, last run) string {
	var b strings.Builder
	fmt.Fprint(&b, "| backend | URLs | delivery | order | largest message | store | promise, and what it needs | messages/s | round trip | when it is down | to install |\n",
		"|---|---|---|---|---|---|---|---:|---:|---|---|\n")
	for _, r := range rows {
		f, measured := last.Figures[r.name]
		rate, trip := "–", "–"
		if measured {
			rate, trip = thousands(f.PerSecond), f.RoundTrip.Round(time.Microsecond).String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.name, r.urls, r.delivery, r.order, r.payload, r.store, r.promise, rate, trip, r.down, r.install)
	}
	b.WriteString("\nWhile a broker is down the other replicas follow within two seconds, by the store; pages say that they are degraded, and `/readyz` is 503.\n")
	if len(last.Figures) == 0 {
		return b.String() + "\nMessages and round trips: `make bench-backends` measures them.\n"
	}
	fmt.Fprintf(&b, "\nMessages/s: of 32 publishers for each core, of which 128 messages at most are under way, from one connection through the server and back to it. Round trip: one message after the other. Medians of three, measured in one run, server and client on one machine.\n\n%s- Load average when it began: %s\n", last.Machine, last.Load)
	return page.Wrap(b.String())
}

// thousands writes a rate with two digits that count.
func thousands(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.0f,000", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}

// replaced returns a document with another table.
func replaced(document, table string) (string, error) {
	before, rest, ok := strings.Cut(document, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", errors.New("the lines around the table are not there")
	}
	return before + begin + "\n" + table + "\n" + end + after, nil
}

// write puts the table into the documents.
func write(t testing.TB, last run) {
	t.Helper()
	for _, name := range documents() {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text2, err := replaced(string(text), table(rows(), last))
		if err == nil {
			err = os.WriteFile(name, []byte(text2), 0o600)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestTheTableIsFresh(t *testing.T) {
	last := lastRun(t)
	if *update {
		write(t, last)
	}
	for _, name := range documents() {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := replaced(string(text), table(rows(), last))
		if err != nil || string(text) != want {
			t.Errorf("%s has an old table of backends (%v): cd bench && go test ./backends -update", name, err)
		}
	}
}

func TestEachRowSaysEverything(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range rows() {
		for _, said := range []string{r.name, r.urls, r.delivery, r.order, r.payload, r.store, r.promise, r.down, r.install} {
			if said == "" || strings.ContainsAny(said, "|\n") {
				t.Errorf("%s: %q can't be in a table", r.name, said)
			}
		}
		if names[r.name] {
			t.Errorf("%s is there twice", r.name)
		}
		names[r.name] = true
	}
	for name := range lastRun(t).Figures {
		if !names[name] {
			t.Errorf("there are figures of %s, which has no row", name)
		}
	}
}

func TestATableHasWhatWasMeasured(t *testing.T) {
	r := []row{{name: "a", urls: "b", delivery: "c", order: "d", payload: "e", store: "f", promise: "g", down: "h", install: "i"}}
	last := run{Machine: "- CPU: one\n", Load: "0.1", Figures: map[string]figure{"a": {PerSecond: 123_456, RoundTrip: 98_765}}}
	if got, want := table(r, last), "| a | b | c | d | e | f | g | 123,000 | 99µs | h | i |\n"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	if got, want := table(r, run{}), "| g | – | – | h |"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

func TestSchemesOfAllBackendsAreInTheTable(t *testing.T) {
	var all strings.Builder
	for _, r := range rows() {
		all.WriteString(r.urls + " ")
	}
	for _, scheme := range schemes() {
		if !strings.Contains(all.String(), "`"+scheme+"`") {
			t.Errorf("%s has no row", scheme)
		}
	}
}
