package natsstate_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/pause"
	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/natsstate"
	"lockstep/state/statetest"
)

// clusterOf starts a cluster of three, and waits until it keeps a stream.
func clusterOf(t testing.TB, prefix string) (servers []*testserver.Server, url string) {
	t.Helper()
	servers = testserver.JetStreamCluster(t, 3)
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr
	}
	url = "nats://" + strings.Join(all, ",")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		// One of JetStream's answers may not come while there is no leader.
		try, end := context.WithTimeout(ctx, 5*time.Second)
		s, err := natsstate.Open(try, url, &natsstate.Options{Prefix: prefix})
		end()
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			return servers, url
		}
		if !natsstate.Starting(err) && !errors.Is(err, context.DeadlineExceeded) || !pause.For(ctx, 50*time.Millisecond) {
			t.Fatal(err)
		}
	}
}

func TestStoreKeepsTheContractInACluster(t *testing.T) {
	t.Parallel()
	_, url := clusterOf(t, "test:")
	b := &bench{url: url, opts: natsstate.Options{Prefix: "test:"}}
	statetest.Run(t, b.open, b.options())
}

// TestReplicasThatStartTogetherMakeOneStream: one of them makes it, and it is there for that one
// before it is for the others.
func TestReplicasThatStartTogetherMakeOneStream(t *testing.T) {
	t.Parallel()
	servers, _ := clusterOf(t, "first:")
	var opening sync.WaitGroup
	for round := range 5 {
		for _, server := range servers {
			opening.Go(func() {
				s, err := natsstate.Open(t.Context(), "nats://"+server.Addr, &natsstate.Options{Prefix: "round" + strconv.Itoa(round) + ":"})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
	}
}

// admin returns a connection of a test's own.
func admin(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
		nc.Close()
		<-closed
	})
	return nc
}

// api makes a call of JetStream's API.
func api(t testing.TB, nc *nats.Conn, subject, request string, response any) {
	t.Helper()
	m, err := nc.Request("$JS.API."+subject, []byte(request), 10*time.Second)
	if err != nil {
		t.Fatal(subject, err)
	}
	unmarshal(t, m.Data, response)
}

// unmarshal reads an answer of JetStream's, which must not be an error.
func unmarshal(t testing.TB, data []byte, response any) {
	t.Helper()
	var failed struct {
		Error *struct{ Description string } `json:"error"`
	}
	if err := errors.Join(json.Unmarshal(data, &failed), json.Unmarshal(data, response)); err != nil {
		t.Fatal(err)
	}
	if failed.Error != nil {
		t.Fatal(failed.Error.Description)
	}
}

// leader returns which server leads a stream.
func leader(t testing.TB, url, stream string) int {
	t.Helper()
	var info struct {
		Config struct {
			Replicas int `json:"num_replicas"`
		} `json:"config"`
		Cluster struct{ Leader string } `json:"cluster"`
	}
	api(t, admin(t, url), "STREAM.INFO."+stream, "", &info)
	if info.Config.Replicas != 3 {
		t.Fatalf("the stream has %d replicas, want 3", info.Config.Replicas)
	}
	i := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return testserver.NATSName(i) == info.Cluster.Leader })
	if i < 0 {
		t.Fatalf("the leader is %q", info.Cluster.Leader)
	}
	return i
}

// TestALeaderIsKilledInTheMiddleOfCommits: what was acknowledged is there, and is
// there once.
func TestALeaderIsKilledInTheMiddleOfCommits(t *testing.T) {
	servers, url := clusterOf(t, "test:")
	stores := []*natsstate.Store{open(t, url, &natsstate.Options{Prefix: "test:"}), open(t, url, &natsstate.Options{Prefix: "test:"})}
	var acked [2]atomic.Int64
	var over atomic.Bool
	var clicking sync.WaitGroup
	defer clicking.Wait() // whatever fails
	defer over.Store(true)
	topic := func(i int) string { return "x" + strconv.Itoa(i) }
	for i, s := range stores {
		clicking.Go(func() { // ends with over
			c := client()
			for seq := uint64(1); !over.Load(); seq++ {
				clickOnce(t, s, topic(i), c, seq)
				acked[i].Add(1)
			}
		})
	}
	await := func(n int64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		goal := [2]int64{acked[0].Load() + n, acked[1].Load() + n}
		for acked[0].Load() < goal[0] || acked[1].Load() < goal[1] {
			if !pause.For(ctx, 10*time.Millisecond) {
				t.Fatalf("got %d and %d clicks, want %v", acked[0].Load(), acked[1].Load(), goal)
			}
		}
	}
	await(10)
	before := get(t, stores[0], topic(0))
	for range 2 {
		led := leader(t, url, "test-state")
		servers[led].Kill()
		await(10)
		servers[led].Start()
		await(10)
	}
	over.Store(true)
	clicking.Wait()
	for i, s := range stores {
		r := get(t, s, topic(i))
		if n, _ := strconv.ParseInt(string(r.Data), 10, 64); n != acked[i].Load() {
			t.Errorf("got %d, want %d", n, acked[i].Load())
		}
		if i == 0 && r.Epoch <= before.Epoch {
			t.Errorf("the epoch is %d still: another leader may have lost something", r.Epoch)
		}
	}
}

// clickOnce counts one more, as a client does that sends a click again until it is
// answered.
func clickOnce(t *testing.T, s state.Store, topic string, c state.Client, seq uint64) {
	var base state.Record
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		n, _ := strconv.Atoi(string(base.Data))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		o := s.Commit(ctx, state.Step{
			Topic: topic, Base: base, Data: []byte(strconv.Itoa(n + 1)),
			Moves: []state.Move{{Client: c, Min: seq - 1, Max: seq - 1, To: state.Lane{Last: seq, From: seq}}},
		})[0]
		cancel()
		switch {
		case o.Err == nil:
			return
		case !errors.Is(o.Err, state.ErrConflict): // nobody knows
			pause.For(t.Context(), 20*time.Millisecond)
		case o.Lanes[0].Last >= seq: // it was done
			return
		case !o.Record.Same(base): // else the data is left out, and is what it was
			base = o.Record
		}
	}
	t.Errorf("click %d was never answered", seq)
}
