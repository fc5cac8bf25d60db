package e2e_test

import (
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// TestNATSIsKilledAndComesBackInTheMiddleOfClicks: three replicas tell each other
// through NATS what is in a store. While it is away clicks count, and the others
// follow by the store; when it is back all goes on by itself. Each click counts
// once, and late joiners see the count.
func TestNATSIsKilledAndComesBackInTheMiddleOfClicks(t *testing.T) {
	t.Parallel()
	for _, store := range both {
		t.Run("beside "+store, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t, demo(), store, demo().kinds[0], false)
			w.broker = testserver.NATS(t, "")
			w.broker.Own()
			w.startReplicas(3)
			w.fill(false)
			w.load()
			w.hold(time.Second)
			w.broker.Kill()
			w.degraded(w.ps[0], "broker")
			w.noneWaits(3 * time.Second)
			w.broker.Start()
			w.recovered()
			w.hold(time.Second) // it goes on working
			w.group.open(w.group.path(), w.urls()[1])
			w.settle()
			t.Logf("in step %s after NATS was back", w.took)
		})
	}
}

// TestNoSecretOfNATSIsEverShown, at the most talkative level of the log, while it
// is there and when it has gone.
func TestNoSecretOfNATSIsEverShown(t *testing.T) {
	t.Parallel()
	ca := testserver.NewAuthority(t)
	nats, redis := testserver.NATSTLS(t, ca, ""), testserver.Redis(t)
	p := &process{t: t, dir: t.TempDir(), env: []string{"NATS_URL=" + nats.URL}, args: []string{
		"-addr", address(testserver.FreePort(t)), "-store", redis.URL, "-secret", testSecret, "-log-level", "debug", "-channel-prefix", prefixOf(t),
	}}
	p.run()
	p.keepsQuiet()
	nats.Stop()
	p.says("connection refused")
	p.keepsQuiet()
	if code := p.term(); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	if strings.Contains(p.out.String(), "hunter") {
		t.Error("a secret is shown")
	}
}
