package e2e_test

import (
	"fmt"
	"testing"
)

// brokenIs is what a page says of a replica that is broken on purpose.
func (p *page) brokenIs(replica int, fault string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("replica %d to be %q on the page", replica, fault), func() error {
		if got := p.evaluate(fmt.Sprintf(`document.querySelector('[data-replica="%d"]').dataset.fault`, replica)); got != fault {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// TestAReplicaIsKilledFromThePage has a person kill a replica with one press, and three tabs, one
// on each replica, see it, go on, and come back into step.
func TestAReplicaIsKilledFromThePage(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 4)
	start(t, t.TempDir(), "-addr", address(port), "-replicas", "3", "-store", "mem:")
	chromium := newBrowser(t)
	open := func(at int) *page { return visit(t, chromium, "http://"+address(at)+"/?break=1") }
	ann := visit(t, chromium, "http://"+address(port+1)+"/")
	ann.clickOn(".break-open a")
	bob, eve := open(port+2), open(port+3)
	ann.isLive()
	const kill = `[data-replica="1"] button[data-action=kill]`
	ann.evaluate(`document.querySelector('` + kill + `').scrollIntoView(); ''`)
	ann.clickOn(kill)
	for _, p := range []*page{ann, eve} {
		p.brokenIs(1, "kill")
	}
	bob.until("to have lost its replica", func(s state) bool { return s.Status != "live" })
	ann.click("increment")
	eve.showsCount(1)
	bob.isLive() // the replica is there again, by itself
	for _, p := range []*page{ann, bob, eve} {
		p.showsCount(1)
		p.brokenIs(1, "")
	}
	ann.fits("the panel")
	for _, scheme := range []string{"light", "dark"} {
		prefersInChromium(ann, scheme)
		ann.looksRight("the panel, " + scheme)
	}
	eventually(t, "the verdict to have judged it", func() error {
		got := ann.evaluate(`(({faults, lost, twice, broken}) => [faults, lost, twice, broken].join())(document.querySelector('.break-verdict').dataset)`)
		if got != "1,0,0,0" {
			return fmt.Errorf("it says %s", got)
		}
		return nil
	})
}
