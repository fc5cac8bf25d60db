package load_test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lockstep/tools/loadgen/load"
)

func inTheMiddle() load.Progress {
	return load.Progress{
		Phase: "load", Elapsed: 65 * time.Second, Left: 15 * time.Second, Browsers: 15000,
		Sample: load.Sample{At: 65, Connected: 14998, Clicks: 200, Acks: 199, Deliveries: 288_000, Bytes: 204_000_000, Stalest: 81},
		Totals: load.Totals{Due: 13_001, Sent: 13_000, Acked: 12_990, Refused: 2, Deliveries: 9_000_000, Bytes: 1 << 32, Reconnects: 48, Refusals: 1},
		Latencies: map[string]load.Latency{
			load.LatencyOwn: {Count: 200, P50: 6, P90: 9, P99: 61.8, P999: 83, Max: 88.4},
			load.LatencyAll: {Count: 200, P50: 71.9, P90: 93.4, P99: 197, P999: 238, Max: 1248},
		},
		Errors: 3,
	}
}

// shown is what a Terminal writes for a minute of a run, the last picture of which is whole.
func shown(isTTY, noColor bool) string {
	var b bytes.Buffer
	t := load.NewTerminal(&b, isTTY, noColor)
	for i := range 60 {
		p := inTheMiddle()
		p.Elapsed, p.Left = time.Duration(i+1)*time.Second, time.Duration(59-i)*time.Second
		p.Sample.Deliveries = int64(280_000 + 3000*(i%7))
		p.Latencies[load.LatencyAll] = load.Latency{Count: 200, P50: 70, P90: 90, P99: float64(100 + 40*(i%5)), Max: 400}
		if i < 10 {
			p.Phase = "join"
			p.Latencies = nil
		}
		if i > 20 {
			p.Stage = "rush \x1b[2J hour"
		}
		if i > 40 {
			p.Warning = "the generator is late \x1b[2J and says so in a line that is much longer than a terminal is wide"
		}
		t.Show(p)
	}
	return b.String()
}

func TestAViewLooksLikeItsGoldenFile(t *testing.T) {
	for name, noColor := range map[string]bool{"color": false, "plain": true} {
		all := shown(true, noColor)
		last := all[strings.LastIndex(all, "\x1b[J")+len("\x1b[J"):]
		golden(t, filepath.Join("testdata", "view_"+name+".txt"), last)
	}
}

func TestWithoutATerminalThereIsALineEveryFiveSeconds(t *testing.T) {
	golden(t, filepath.Join("testdata", "log.txt"), shown(false, false))
}

func TestWithoutATerminalNothingIsDrawn(t *testing.T) {
	if strings.Contains(shown(false, false), "\x1b") {
		t.Error("got an escape sequence")
	}
}

func TestNoColorLeavesOutColours(t *testing.T) {
	colour := regexp.MustCompile("\x1b\\[[0-9;]*m")
	if colour.MatchString(shown(true, true)) {
		t.Error("got a colour")
	}
	if !colour.MatchString(shown(true, false)) {
		t.Error("got no colour without it")
	}
}

func TestAViewHasEightyColumns(t *testing.T) {
	sequence := regexp.MustCompile("\x1b\\[[?0-9;]*[A-Za-z]")
	for l := range strings.Lines(shown(true, false)) {
		if n := utf8.RuneCountInString(sequence.ReplaceAllString(l, "")); n > 81 { // with the line end
			t.Errorf("%d columns: %q", n, l)
		}
	}
}

func TestAViewIsRedrawnInPlaceAndTakenAway(t *testing.T) {
	var b bytes.Buffer
	v := load.NewTerminal(&b, true, true)
	v.Show(inTheMiddle())
	lines := strings.Count(b.String(), "\n")
	b.Reset()
	v.Show(inTheMiddle())
	up := "\x1b[10A\r\x1b[J"
	if lines != 10 || !strings.HasPrefix(b.String(), up) {
		t.Errorf("got %d lines and then %q, want 10 and %q", lines, b.String(), up)
	}
	b.Reset()
	v.Done()
	if got := b.String(); got != up {
		t.Errorf("got %q at the end, want %q", got, up)
	}
	b.Reset()
	v.Done()
	if b.Len() != 0 {
		t.Errorf("got %q the second time, want nothing", b.String())
	}
}
