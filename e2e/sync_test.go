package e2e_test

import (
	"testing"

	"lockstep/internal/testserver"
)

// brokers are the backends that every scenario runs on, on both at once.
func brokers(t *testing.T, f func(t *testing.T, broker string)) {
	t.Run("Redis", func(t *testing.T) { t.Parallel(); f(t, testserver.Redis(t).URL) })
	t.Run("Postgres", func(t *testing.T) { t.Parallel(); f(t, testserver.Postgres(t).URL) })
}

// TestTheCountSurvivesARestart is the promise of the first command: nothing
// installed, six tabs, 120 clicks, and the same count after a restart.
func TestTheCountSurvivesARestart(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	c := newGroup(t)
	for range 6 {
		c.open("/", p.url)
	}
	c.connected()
	c.click(t.Context(), 120, 200, nil)
	c.shows(120)
	if code := p.term(); code != 0 {
		t.Errorf("got exit code %d on SIGTERM, want 0", code)
	}
	p.restart()
	if got := c.open("/", p.url).count(); got != 120 {
		t.Errorf("got %d after a restart, want 120", got)
	}
	c.connected()
	c.click(t.Context(), 1, 100, nil)
	c.shows(121)
}

// TestReplicasOfOneProcessStayInStep is the multi-instance demo with one
// command: nine tabs over three replicas, and three through the balancer.
func TestReplicasOfOneProcessStayInStep(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 4)
	p := start(t, t.TempDir(), "-addr", address(port), "-replicas", "3")
	c := newGroup(t)
	for i := range 9 {
		c.open("/", "http://"+address(port+1+i%3))
	}
	for range 3 {
		c.open("/", p.url)
	}
	c.connected()
	c.click(t.Context(), 300, 100, nil)
	c.shows(300)
	if got := c.open("/", p.url).count(); got != 300 {
		t.Errorf("a late joiner sees %d, want 300", got)
	}
}

func TestProcessesStayInStep(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, broker string) {
		ps := startCluster(t, 3, broker)
		c := newGroup(t)
		for i := range 9 {
			c.open("/", ps[i%3].url)
		}
		c.connected()
		c.click(t.Context(), 300, 100, func(i int) {
			if i == 150 {
				c.open("/", ps[1].url)
			}
		})
		c.shows(300)
		other := newGroup(t)
		if got := other.open("/c/another", ps[2].url).count(); got != 0 {
			t.Errorf("another counter shows %d, want 0", got)
		}
	})
}
