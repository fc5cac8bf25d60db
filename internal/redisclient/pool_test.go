package redisclient_test

import (
	"testing"

	"lockstep/internal/redisclient"
)

// TestAMasterWithoutReplicasIsLeftWhereSentinelWatchesIt: it may have been
// replaced, and not know. Elsewhere nobody says another one.
func TestAMasterWithoutReplicasIsLeftWhereSentinelWatchesIt(t *testing.T) {
	redisclient.Silence()
	none := answer("NOREPLICAS Not enough good replicas to write.")
	for url, want := range map[string]bool{"redis+sentinel://127.0.0.1:1/m": true, "redis://127.0.0.1:1": false} {
		p, err := redisclient.NewPool(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := p.Client()
		p.Failed(c, none)
		if (p.Client() != c) != want {
			t.Errorf("%s: it was left: %t", url, !want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
