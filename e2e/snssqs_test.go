package e2e_test

import (
	"strings"
	"testing"
)

// TestReplicasLeaveNothingInSNSAndSQS, although the emulator is killed and forgets all queues, and
// say no secret.
func TestReplicasLeaveNothingInSNSAndSQS(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), snsRedis, demo().kinds[0], false)
	w.startReplicas(2)
	w.lose()
	w.restore()
	eventually(t, "the replicas to be ready", w.allReady)
	for _, p := range w.ps {
		if code := p.term(); code != 0 {
			t.Errorf("got exit code %d", code)
		}
		if strings.Contains(p.out.String(), "hunter") {
			t.Error("a secret is shown")
		}
	}
	if q, s := w.cloud.Queues(), w.cloud.Subscriptions(); len(q) > 0 || len(s) > 0 {
		t.Errorf("got queues %q and subscriptions %q, want none", q, s)
	}
}
