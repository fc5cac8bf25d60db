package e2e_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// opsPage returns the page of the replicas, as somebody without scripts has it.
func opsPage(t *testing.T, at string) string {
	t.Helper()
	resp, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", at, resp.Status, err)
	}
	return string(body)
}

// opsNumber is a number of the page.
func opsNumber(t *testing.T, page, name string) float64 {
	t.Helper()
	found := regexp.MustCompile(`data-ops-` + name + `="(\d+)"`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("there is no %s in %s", name, page)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTheNumbersOfThePageAreRightWhileAReplicaIsKilled compares them with what the load generator
// has counted by itself: what clients saw.
func TestTheNumbersOfThePageAreRightWhileAReplicaIsKilled(t *testing.T) {
	ps := startCluster(t, 3, testserver.Redis(t).URL)
	looker := newBrowser(t)
	page := visit(t, looker, ps[0].url+"/ops")
	killed := false
	r, err := load.Run(t.Context(), load.Options{
		Targets: []string{ps[0].url, ps[1].url, ps[2].url}, Protocol: protocol.Lockstep{Kind: protocol.Counter}, Counters: 2, Settle: patience, Patience: patience,
		Plan: workload.Plan{Seed: 7, Stages: []workload.Stage{
			{Browsers: 60, Ramp: time.Second, Duration: time.Minute, Rate: workload.Rate{{From: 40, To: 40}}},
		}},
		Progress: func(p load.Progress) {
			if p.Phase == "load" && !killed {
				killed = true
				ps[1].kill()
				ps[1].restart() // which is another one to the page
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Verdicts {
		if !v.OK {
			t.Errorf("%s: %s: %q", v.Name, v.Detail, v.Named)
		}
	}
	eventually(t, "the page to have the last numbers, and to say who is gone", func() error {
		html := page.evaluate(`document.documentElement.outerHTML`)
		for name, want := range map[string]int64{"clicks": r.Totals.Acked, "deliveries": r.Totals.Deliveries} {
			got := opsNumber(t, html, name)
			t.Logf("%s: the page has %.0f, and the clients %d", name, got, want)
			if math.Abs(got-float64(want)) > float64(want)/100 {
				return fmt.Errorf("%s: the page has %.0f, and the clients %d", name, got, want)
			}
		}
		if !strings.Contains(html, "gone since") {
			return fmt.Errorf("it does not say that a replica is gone: %s", page.evaluate(`document.querySelector('main')?.innerText ?? ''`))
		}
		return nil
	})
}

// opsPicture writes a picture of the page, if somebody wants to see it.
func (p *page) opsPicture(name string) {
	p.t.Helper()
	dir := picturesDir()
	if dir == "" {
		return
	}
	var shot []byte
	p.try(func(ctx context.Context) (err error) {
		shot, err = chromedp.Run(ctx, chromedp.FullScreenshot(100))
		return err
	})
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// says waits until a page's content has a text.
func (p *page) saysText(text string) {
	p.t.Helper()
	eventually(p.t, "the page to say "+text, func() error {
		if got := p.evaluate(`document.querySelector('main')?.innerText ?? ''`); !strings.Contains(got, text) {
			return fmt.Errorf("it says %s", got)
		}
		return nil
	})
}

// TestThePageOfTheReplicas looks at it: one row for each, drill-downs, what can't be undone.
func TestThePageOfTheReplicas(t *testing.T) {
	t.Parallel()
	ps := startCluster(t, 2, testserver.Redis(t).URL)
	browser := newBrowser(t)
	tab := visit(t, browser, ps[1].url+"/c/ops")
	tab.click("increment")
	p := visit(t, browser, ps[0].url+"/ops")
	p.saysText("replica-1")
	p.saysText("replica-2")
	p.saysText("counter:ops")
	e := engines()[0]
	for _, width := range []int64{1280, 360} {
		p.size(width, 900)
		for _, scheme := range []string{"light", "dark"} {
			prefersInChromium(p, scheme)
			p.looksRight(fmt.Sprintf("the page of the replicas, %s, %d wide", scheme, width))
			p.opsPicture(fmt.Sprintf("ops-%s-%d", scheme, width))
		}
	}
	p.fits("the page of the replicas")
	p.size(1280, 900)

	if html := opsPage(t, ps[0].url+"/ops"); strings.Count(html, `data-replica="`) != 2 {
		t.Errorf("without scripts there are %d replicas, want 2", strings.Count(html, `data-replica="`))
	}
	if html := opsPage(t, ps[0].url+"/ops?q=CA-2"); strings.Count(html, `data-replica="`) != 1 {
		t.Errorf("of the replicas whose name has ca-2 in it there are %d, want 1", strings.Count(html, `data-replica="`))
	}

	p.clickOn(`a[href*="topic=counter"]`)
	p.saysText("Where it is")
	e.inEachScheme(p, "the page of a topic")
	p.opsPicture("ops-topic")
	p.clickOn(`button[popovertarget]`)
	p.looksRight("the question")
	p.opsPicture("ops-confirm")
	p.clickOn(`dialog button[type=submit]`)
	p.saysText("were told to connect again")
	p.saysText("tabs of counter:ops away")
	tab.isLive()
	tab.showsCount(1)
	p.clickOn(`tr[data-replica="replica-2"] a`)
	p.saysText("Conflicts")
	e.inEachScheme(p, "the page of a replica")
	p.opsPicture("ops-replica")
}

// TestThePageOfTheReplicasPausesWhileItIsHidden and says that it is stale.
func TestThePageOfTheReplicasPausesWhileItIsHidden(t *testing.T) {
	t.Parallel()
	ps := startCluster(t, 1, testserver.Redis(t).URL)
	p := visit(t, newBrowser(t), ps[0].url+"/ops")
	at := func() string { return p.evaluate(`document.querySelector('[data-ops-at]').dataset.opsAt`) }
	eventually(t, "the page to be live", func() error {
		if old := p.evaluate(`String(document.querySelector('[data-ops-stale]').hidden)`); old != "true" {
			return fmt.Errorf("it is stale")
		}
		return nil
	})
	p.hide(true)
	p.saysHidden("Paused while hidden")
	stopped := at()
	p.evaluate(`new Promise((done) => setTimeout(done, 3000, ''))`)
	if got := at(); got != stopped {
		t.Errorf("it went on from %s to %s while it was hidden", stopped, got)
	}
	p.hide(false)
	eventually(t, "the page to go on", func() error {
		if at() == stopped {
			return fmt.Errorf("it shows %s", stopped)
		}
		return nil
	})
}

// saysHidden is saysText for what the page says of itself: text that is hidden has no innerText.
func (p *page) saysHidden(text string) {
	p.t.Helper()
	eventually(p.t, "the page to say "+text, func() error {
		if got := p.evaluate(`document.querySelector('[data-ops-stale]').textContent`); !strings.Contains(got, text) {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}
