package e2e_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// brokers are the backends that every scenario runs on.
func brokers(t *testing.T, f func(t *testing.T, broker string)) {
	t.Run("Redis", func(t *testing.T) { f(t, testserver.Redis(t).URL) })
	t.Run("Postgres", func(t *testing.T) { f(t, testserver.Postgres(t).URL) })
}

// opSerial makes the ops of this run distinct.
var opSerial atomic.Int64

func newOp() string {
	return fmt.Sprintf("e2e-%d-%d-xxxxxxxxxx", time.Now().UnixNano(), opSerial.Add(1))
}

// clickAll makes n clicks at a rate in turn in all tabs; each tenth op is sent
// twice.
func clickAll(tabs []*client, n int, rate int, during func(i int)) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range n {
		if during != nil {
			during(i)
		}
		tabs[i%len(tabs)].click("increment", newOp(), i%10 == 0)
		<-tick.C
	}
}

// TestTheCountSurvivesARestart is the promise of the first command: nothing
// installed, six tabs, 120 clicks, and the same count after a restart.
func TestTheCountSurvivesARestart(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(freePort(t)))
	var tabs []*client
	for range 6 {
		tabs = append(tabs, open(t, p.url, "/"))
	}
	everyoneConnected(t, tabs)
	clickAll(tabs, 120, 200, nil)
	everyoneShows(t, tabs, 120)
	if code := p.term(); code != 0 {
		t.Errorf("got exit code %d on SIGTERM, want 0", code)
	}
	p.restart()
	if got := open(t, p.url, "/").value().n; got != 120 {
		t.Errorf("got %d after a restart, want 120", got)
	}
	everyoneConnected(t, tabs)
	clickAll(tabs[:1], 1, 100, nil)
	everyoneShows(t, tabs, 121)
}

// TestReplicasOfOneProcessStayInStep is the multi-instance demo with one
// command: nine tabs over three replicas, and three through the balancer.
func TestReplicasOfOneProcessStayInStep(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 4)
	p := start(t, t.TempDir(), "-addr", address(port), "-replicas", "3")
	var tabs []*client
	for i := range 9 {
		tabs = append(tabs, open(t, "http://"+address(port+1+i%3), "/"))
	}
	for range 3 {
		tabs = append(tabs, open(t, p.url, "/"))
	}
	everyoneConnected(t, tabs)
	clickAll(tabs, 300, 100, nil)
	everyoneShows(t, tabs, 300)
	if got := open(t, p.url, "/").value().n; got != 300 {
		t.Errorf("a late joiner sees %d, want 300", got)
	}
}

func TestProcessesStayInStep(t *testing.T) {
	brokers(t, func(t *testing.T, broker string) {
		ps := startCluster(t, 3, broker)
		var tabs []*client
		for i := range 9 {
			tabs = append(tabs, open(t, ps[i%3].url, "/"))
		}
		everyoneConnected(t, tabs)
		var late *client
		clickAll(tabs, 300, 100, func(i int) {
			if i == 150 {
				late = open(t, ps[1].url, "/")
			}
		})
		everyoneShows(t, append(tabs, late), 300)
		other := open(t, ps[2].url, "/c/another")
		if got := other.value().n; got != 0 {
			t.Errorf("another counter shows %d, want 0", got)
		}
	})
}

// TestAKilledReplicaLosesNoClick kills one of three replicas while everybody
// clicks; its tabs go to the others and send again what was not acknowledged.
func TestAKilledReplicaLosesNoClick(t *testing.T) {
	brokers(t, func(t *testing.T, broker string) {
		ps := startCluster(t, 3, broker)
		var tabs []*client
		for i := range 9 {
			tabs = append(tabs, open(t, ps[i%3].url, "/"))
		}
		everyoneConnected(t, tabs)
		clickAll(tabs, 300, 100, func(i int) {
			if i == 100 {
				for j := 0; j < 9; j += 3 {
					tabs[j].move(ps[1].url)
				}
				ps[0].kill()
			}
		})
		everyoneShows(t, tabs, 300)
	})
}

// TestTheBrokerIsRestarted: with Redis or Postgres broker and store go away
// together; clicks wait in the tabs and are counted once when it is back.
func TestTheBrokerIsRestarted(t *testing.T) {
	for _, backend := range []struct {
		name  string
		start func(testing.TB) *testserver.Server
	}{
		{"Redis", func(t testing.TB) *testserver.Server { return testserver.Redis(t) }},
		{"Postgres", func(t testing.TB) *testserver.Server { return testserver.Postgres(t) }},
	} {
		t.Run(backend.name, func(t *testing.T) {
			server := backend.start(t)
			ps := startCluster(t, 2, server.URL)
			tabs := []*client{open(t, ps[0].url, "/"), open(t, ps[1].url, "/")}
			everyoneConnected(t, tabs)
			clickAll(tabs, 20, 100, nil)
			everyoneShows(t, tabs, 20)

			server.Kill()
			eventually(t, "the replica to say that it is not ready", func() error {
				if code, body := get(t, ps[0].url+"/readyz"); code != 503 {
					return fmt.Errorf("%d %s", code, body)
				}
				return nil
			})
			if code, body := get(t, ps[0].url+"/"); code != 200 || !strings.Contains(body, `data-state="degraded"`) || !strings.Contains(body, `data-count="20"`) {
				t.Errorf("got %d and a page without the known count and data-state=degraded while the backend is away: %s", code, body)
			}
			clickAll(tabs, 10, 100, nil)
			server.Start()
			clickAll(tabs, 10, 100, nil)
			resend(tabs)
			everyoneShows(t, tabs, 40)
			ps[0].ready()
			ps[1].ready()
		})
	}
}

// resend has every tab send its unacknowledged ops again, as live.js does for
// ops that were refused with "retry".
func resend(tabs []*client) {
	for _, c := range tabs {
		c.mu.Lock()
		if c.ws != nil {
			c.ws.CloseNow()
		}
		c.mu.Unlock()
	}
}
