package redisstate_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state/redisstate"
	"lockstep/state/statetest"
)

func TestStoreKeepsTheContractByTheClientOfSomebodyElse(t *testing.T) {
	t.Parallel()
	o, err := redis.ParseURL(testserver.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs := redis.NewClient(o)
	defer theirs.Close()
	b := &bench{opts: redisstate.Options{Prefix: "test:"}, like: theirs}
	statetest.Run(t, b.open, b.options())
	if err := theirs.Ping(t.Context()).Err(); err != nil {
		t.Errorf("got %v of the client after the store", err)
	}
}

func TestStoreFindsAClusterByTheClientOfSomebodyElse(t *testing.T) {
	theirs := redis.NewClusterClient(&redis.ClusterOptions{Addrs: startCluster(t)[:1]})
	defer theirs.Close()
	s, err := redisstate.OpenLike(t.Context(), theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, topic := range []string{"a", "b", "c", "d", "e"} { // on several nodes
		if r := click(t, s, topic, 2); string(r.Data) != "2" {
			t.Errorf("%s: got %+v", topic, r)
		}
	}
}

func TestNoClientIsNoStore(t *testing.T) {
	if s, err := redisstate.OpenLike(t.Context(), nil, nil); err == nil || !strings.Contains(err.Error(), "no client") {
		t.Errorf("got %v, %v", s, err)
	}
}
