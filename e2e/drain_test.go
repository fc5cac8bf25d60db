package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

// TestADrainSendsTabsAwayEvenly: not ready, no new tabs, 1012 for those there
// are, spread over time, every click answered, exit code 0.
func TestADrainSendsTabsAwayEvenly(t *testing.T) {
	const tabs = 800 // at 500 a second
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-drain", "5s")
	var mu sync.Mutex
	var closed []time.Time
	codes := make(map[websocket.StatusCode]int)
	acked := 0
	var reading sync.WaitGroup
	socket := socketAt(t, p.url, "/")
	for i := range tabs {
		ws, _, err := websocket.Dial(t.Context(), socket, nil)
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			defer ws.CloseNow()
			for {
				_, m, err := ws.Read(context.Background())
				mu.Lock()
				if strings.Contains(string(m), `"ack"`) {
					acked++
				}
				if err != nil {
					codes[websocket.CloseStatus(err)]++
					closed = append(closed, time.Now())
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
		if i%8 == 0 {
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(clickText(newOp()))); err != nil {
				t.Fatal(err)
			}
		}
	}
	signalled := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica to say that it is going away", func() error {
		if code, body := get(t, p.url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if _, resp, err := websocket.Dial(t.Context(), socket, nil); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v for a new tab, want 503", err)
	}
	reading.Wait()
	if code := p.wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	if codes[websocket.StatusServiceRestart] != tabs {
		t.Errorf("got close codes %v, want 1012 for all %d", codes, tabs)
	}
	if acked != tabs/8 {
		t.Errorf("got %d acknowledgements of %d clicks", acked, tabs/8)
	}
	early := 0
	for _, at := range closed {
		if at.Sub(signalled) < 500*time.Millisecond {
			early++
		}
	}
	if early > tabs/2 {
		t.Errorf("%d of %d tabs were sent away in the first half second: not spread", early, tabs)
	}
}

// TestASecondSignalEndsAtOnce: the store is frozen with a click under way, for
// which a drain waits.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	server.Own()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-drain", "20s",
		"-pubsub", server.URL, "-secret", testSecret, "-channel-prefix", prefixOf(t))
	c := newGroup(t)
	tab := c.open("/", p.url)
	c.connected()
	server.Freeze()
	defer server.Thaw()
	tab.click(false)
	for range 2 {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		eventually(t, "the signal to be noticed", func() error {
			if !strings.Contains(p.out.String(), "shutting down") {
				return errors.New("it says nothing")
			}
			return nil
		})
	}
	p.wait()
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGTERM {
		t.Errorf("got %v, want that the second signal ended it", p.cmd.ProcessState)
	}
}

// TestAReplicaThatComesGetsItsShareOfTheTabs: behind nginx, over a real Redis,
// and without a click that is lost. nginx has passed the replica over while it was away, and takes
// it for well when it has answered something to its end, as a page: see ADR 64.
func TestAReplicaThatComesGetsItsShareOfTheTabs(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3, "-trusted-proxies", "loopback", "-rebalance", "100")
	base := w.nginx()
	late := w.ps[2]
	if code := late.term(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	w.group.open("/", base)
	for range 179 {
		w.group.connect(base)
	}
	w.group.connected()
	w.load()
	leave := w.visitors(base)
	late.restart()
	eventually(t, "the tabs to be spread", func() error {
		for _, p := range w.ps {
			if tabs, _ := sessionsAt(p.metrics()); tabs < 35 || tabs > 85 { // up to 20 more than the mean are left alone
				return fmt.Errorf("%s has %d tabs of 180", p.url, tabs)
			}
		}
		return nil
	})
	leave()
	w.recovered()
	w.settle()
}

// metrics is the address of the process's metrics, as it says itself.
func (p *process) metrics() string {
	p.t.Helper()
	return p.admin() + "/metrics"
}
