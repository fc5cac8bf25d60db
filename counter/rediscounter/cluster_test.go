package rediscounter_test

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/rediscounter"
	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

// cluster starts a cluster of one node, which refuses scripts whose keys are
// in several slots as a larger one does.
func cluster(t *testing.T) (url string) {
	t.Helper()
	bus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := bus.Addr().(*net.TCPAddr).Port
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	server := testserver.Redis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port))
	server.Own()
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for c.Set(t.Context(), "ready", 1, 0).Err() != nil { // CLUSTERDOWN
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal("the cluster does not come up")
		}
	}
	return "redis+cluster://" + server.Addr
}

func TestStoreKeepsTheContractInACluster(t *testing.T) {
	url := cluster(t)
	opts := &rediscounter.Options{Prefix: "test:"}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, url, opts) }
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, url, opts) },
		&countertest.Options{Reopen: another, Second: another})
}

// TestACountOfAnotherProgramIsNotAnOverflow: the error has to say what is wrong.
func TestACountOfAnotherProgramIsNotAnOverflow(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	s := open(t, server.URL, nil)
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.HSet(t.Context(), "{lockstep:}counter:x", "n", "many").Err(); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Apply(t.Context(), "x", counter.Op{ID: "sixteen-or-longer", Kind: counter.Increment})
	if err == nil || errors.Is(err, counter.ErrOverflow) {
		t.Errorf("got %v, want Redis's own error", err)
	}
	if n := c.Exists(t.Context(), "{lockstep:}op:x:sixteen-or-longer").Val(); n != 0 {
		t.Error("the op is remembered though it was not applied")
	}
}
