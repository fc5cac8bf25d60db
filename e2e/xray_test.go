package e2e_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"
)

// TestAPersonSeesWhereTheTimeOfTheirClickGoes, and what they see adds up to what their browser has
// measured.
func TestAPersonSeesWhereTheTimeOfTheirClickGoes(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 4)
	start(t, t.TempDir(), "-addr", address(port), "-replicas", "3", "-replica", "r", "-store", "mem:")
	chromium := newBrowser(t)
	ann, bob := visit(t, chromium, "http://"+address(port+1)+"/"), visit(t, chromium, "http://"+address(port+2)+"/")
	ann.clickOn("#xray summary")
	bob.click("increment") // it is not ann's
	ann.showsCount(1)
	clicks := 0
	for range 3 { // the other replicas are asked when somebody has looked for a moment
		clicks += ann.clicksUntilShown(clicks)
	}
	ann.click("increment")
	eventually(t, "the page to say what r-2 took", func() error {
		if got := ann.evaluate(`document.querySelector('.xray-others').innerText`); got == "" {
			return fmt.Errorf("it says nothing")
		}
		return nil
	})
	ann.fits("the X-ray")
	ann.looksRightInBoth("the X-ray")
	if got := bob.evaluate(`String(document.querySelector('.xray-result').checkVisibility())`); got != "false" {
		t.Error("who has not asked is shown an X-ray")
	}
}

// clicksUntilShown clicks until the X-ray shows the click, and returns how often that was: of
// clicks that come fast one after the other not all are followed. There were some before.
func (p *page) clicksUntilShown(before int) (clicks int) {
	p.t.Helper()
	var err error
	for clicks < 5 {
		p.click("increment")
		clicks++
		if becomes(5*time.Second, func() bool { err = p.xrayShows(before + clicks); return err == nil }) {
			return clicks
		}
	}
	p.t.Fatal(err)
	return clicks
}

// xrayShows returns why a page does not show the X-ray of the nth click of its person, with all
// that adds up, or nil.
func (p *page) xrayShows(n int) error {
	p.t.Helper()
	text := p.evaluate(`JSON.stringify((({dataset: d, hidden}) => ({
		hidden, op: Number(d.op), measured: Number(d.measured), sum: Number(d.sum), network: Number(d.network),
		hops: [...document.querySelectorAll('#xray [data-hop]')].map((row) => Number(row.querySelector('[data-part=ms]').textContent)),
	}))(document.querySelector('.xray-result')))`)
	var got struct {
		Hidden                 bool
		Op                     int
		Measured, Sum, Network float64
		Hops                   []float64
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		return err
	}
	shown := 0.0
	for _, ms := range got.Hops {
		shown += ms
	}
	rounding := .5 * float64(len(got.Hops))
	switch {
	case got.Hidden || got.Op != n:
		return fmt.Errorf("it shows click %d, want %d", got.Op, n)
	case math.Abs(got.Sum-got.Measured) > 5:
		return fmt.Errorf("the hops take %v ms, and the click took %v", got.Sum, got.Measured)
	case math.Abs(shown-got.Sum) > rounding:
		return fmt.Errorf("the rows %v say %v ms, and the sum is %v", got.Hops, shown, got.Sum)
	case got.Network < 0:
		return fmt.Errorf("the network took %v ms", got.Network)
	}
	return nil
}
