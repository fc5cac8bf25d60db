package e2e_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// gauges are what a replica holds at a moment.
type gauges struct{ goroutines, files, heap, stalled float64 }

// measure reads a process's metrics after a garbage collection.
func measure(t *testing.T, admin string) (g gauges) {
	t.Helper()
	if code, body := get(t, "http://"+admin+"/debug/pprof/heap?gc=1"); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	http.DefaultClient.CloseIdleConnections() // ours count too
	_, text := get(t, "http://"+admin+"/metrics")
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		name, labels, _ := strings.Cut(series, "{")
		switch {
		case err != nil:
		case name == "go_goroutines":
			g.goroutines = v
		case name == "process_open_fds":
			g.files = v
		case name == "go_memstats_heap_inuse_bytes":
			g.heap = v
		case name == "lockstep_sessions_closed_total" && strings.Contains(labels, `"send_timeout"`):
			g.stalled = v
		}
	}
	if g.goroutines == 0 || g.files == 0 || g.heap == 0 {
		t.Fatalf("got %+v from the metrics", g)
	}
	return g
}

// TestNothingLeaks has tabs come, click, lose their connection and go, as many
// as in an hour of a busy page, and compares what the process holds after the
// first rounds and at the end.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const tabs, warm = 60, 3
	rounds := 8
	if chaosFull() {
		rounds = 60 // 3,600 tabs
	}
	admin := address(testserver.FreePort(t))
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-admin", admin)
	c := newGroup(t)
	stay := c.open("/", p.url)
	clicks := 0
	round := func() {
		for range tabs {
			c.connect(p.url)
		}
		c.connected()
		c.click(t.Context(), 2*tabs, 2000, func(i int) {
			if i%5 == 0 {
				all := c.all()
				all[(i*7)%len(all)].cut()
			}
		})
		clicks += 2 * tabs
		c.shows(int64(clicks))
		for _, tab := range c.all() {
			if tab != stay {
				c.leave(tab)
			}
		}
	}
	for range warm {
		round()
	}
	calm := func() (g gauges) {
		eventually(t, "the tabs to be gone", func() error {
			if g = measure(t, admin); g.files > 20 {
				return fmt.Errorf("%+v", g)
			}
			return nil
		})
		return g
	}
	before := calm()
	for range rounds {
		round()
	}
	var after gauges
	eventually(t, "as little to be held as before", func() error {
		after = calm()
		if after.goroutines > before.goroutines+3 || after.files > before.files+3 || after.heap > before.heap+4<<20 {
			return fmt.Errorf("%+v, before %+v", after, before)
		}
		return nil
	})
	t.Logf("after %d tabs and %d clicks: %+v, before: %+v", tabs*rounds, clicks, after, before)
}

// TestAStalledTabCostsLittle measures what tabs that do not read cost the
// replica until they are closed.
func TestAStalledTabCostsLittle(t *testing.T) {
	t.Parallel()
	admin := address(testserver.FreePort(t))
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-admin", admin)
	c := newGroup(t)
	reader := c.open("/", p.url)
	const stalled = 50
	for range stalled {
		c.connect(p.url)
	}
	c.connected()
	before := measure(t, admin)
	for _, tab := range c.all()[1:] {
		tab.pause(true)
	}
	most := before.heap
	eventually(t, "the stalled tabs to be closed", func() error {
		for range 10 {
			reader.click(false)
		}
		now := measure(t, admin)
		most = max(most, now.heap)
		if now.stalled < stalled {
			return fmt.Errorf("%.0f of %d are", now.stalled, stalled)
		}
		return nil
	})
	each := (most - before.heap) / stalled
	t.Logf("a stalled tab holds %.0f KB of heap, and 64 KB of the kernel's at most", each/1024)
	if each > 100<<10 {
		t.Errorf("got %.0f KB of heap for each stalled tab, want at most 100", each/1024)
	}
	for _, tab := range c.all()[1:] {
		tab.pause(false)
	}
	if n := reader.pending(time.Now().Add(-3 * time.Second)); n > 0 {
		t.Errorf("%d clicks of the tab that reads wait for more than 3 s", n)
	}
}
