package rediscounter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/rediscounter"
	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/precondition"
)

// TestAnAddressThatLeadsToTheOldMasterForAWhile: it is a replica by then, and
// keeps the connections that there are. None may be kept; at most one call
// fails after the address is right.
func TestAnAddressThatLeadsToTheOldMasterForAWhile(t *testing.T) {
	old, next := testserver.Redis(t), testserver.Redis(t)
	old.Own()
	next.Replicate(old)
	address := testserver.NewProxy(t, old.Addr)
	s := open(t, address.Rewrite(old.URL), nil)
	done := make(chan struct{})
	for i := range 8 { // of as many connections
		go func() { apply(t, s, fmt.Sprint("x", i), 20); done <- struct{}{} }()
	}
	for range 8 {
		<-done
	}
	next.Replicate(nil)
	old.Replicate(next)
	if v, _, err := s.Apply(t.Context(), "x0", counter.Op{ID: "op-x0-while-it-is-wrong", Kind: counter.Increment}); err == nil {
		t.Errorf("a replica took an op: %+v", v)
	}
	if _, err := s.Get(t.Context(), "x0"); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("got %v, want %v", err, redisclient.ErrReplica)
	}
	address.Target(next.Addr)
	v, _, err := s.Apply(t.Context(), "x0", counter.Op{ID: "op-x0-the-first-after", Kind: counter.Increment})
	if err != nil || v.N != 21 {
		t.Errorf("got %+v, %v; want 21", v, err)
	}
}

// TestAReplicaIsNotRead on a connection that was to a master: what it says may
// be old.
func TestAReplicaIsNotRead(t *testing.T) {
	server, next := testserver.Redis(t), testserver.Redis(t)
	server.Own()
	next.Replicate(server)
	s := open(t, server.URL, nil)
	apply(t, s, "x", 1)
	server.Failover(next)
	if v, err := s.Get(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "READONLY not the master") {
		t.Errorf("got %+v, %v; want that it is not the master", v, err)
	}
}

// TestAUserWhoMayNotAskForTheRole can store all the same.
func TestAUserWhoMayNotAskForTheRole(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	admin, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "modest", "on", ">hunter2", "+@all", "-role", "-config", "allkeys").Err(); err != nil {
		t.Fatal(err)
	}
	s := open(t, strings.Replace(server.URL, "redis://", "redis://modest:hunter2@", 1), nil)
	if v := apply(t, s, "x", 2); v.N != 2 || get(t, s, "x").N != 2 {
		t.Errorf("got %+v, want 2", v)
	}
}

func TestAReplicaIsRefusedAtStart(t *testing.T) {
	master, replica := testserver.Redis(t), testserver.Redis(t)
	master.Own()
	replica.Replicate(master)
	if s, err := rediscounter.Open(t.Context(), replica.URL, nil); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("got %v, want %v", err, redisclient.ErrReplica)
		if err == nil {
			s.Close()
		}
	}
}

// TestAnOldMasterThatDoesNotKnow goes on taking writes, and its connections
// work: they are used for a bounded time.
func TestAnOldMasterThatDoesNotKnow(t *testing.T) {
	one, other := testserver.Redis(t), testserver.Redis(t)
	one.Own()
	address := testserver.NewProxy(t, one.Addr)
	s := open(t, address.Rewrite(one.URL)+"?conn_max_lifetime=500ms", nil)
	apply(t, s, "x", 1)
	address.Target(other.Addr)
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for get(t, s, "x").N != 0 {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("it is used for ever")
		}
	}
}

// TestOneNodeOfAClusterIsRefusedAtStart by how it answers a script.
func TestOneNodeOfAClusterIsRefusedAtStart(t *testing.T) {
	addrs := startCluster(t)
	var refused int
	for _, addr := range addrs {
		s, err := rediscounter.Open(t.Context(), "redis://"+addr, nil)
		switch {
		case err == nil:
			_ = s.Close() // the one that has our slot
		case strings.Contains(err.Error(), "redis+cluster://"):
			refused++
		default:
			t.Errorf("got %v, want that it is a cluster", err)
		}
	}
	if refused != 2 {
		t.Errorf("%d of 3 were refused, want 2", refused)
	}
}

func TestWhatTheServerDoesNotMeetIsSaid(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"as documented", nil, nil},
		{"it may evict", []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, []string{"redis_eviction"}},
		{"it evicts what has a time", []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, []string{"redis_eviction"}},
		{"a policy without a limit", []string{"--maxmemory-policy", "allkeys-lru"}, nil},
		{"no append-only file", []string{"--appendonly", "no"}, []string{"redis_persistence"}},
		{"one that is synced each second", []string{"--appendfsync", "everysec"}, []string{"redis_appendfsync"}},
		{"what expires is freed at once", []string{"--lazyfree-lazy-expire", "no"}, []string{"redis_lazyfree"}},
		{"CONFIG is forbidden", []string{"--appendonly", "no", "--rename-command", "CONFIG", ""}, []string{"redis_persistence"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := testserver.Redis(t, c.flags...)
			server.Own()
			seen := precondition.NewPart("store", nil)
			open(t, server.URL, &rediscounter.Options{Preconditions: seen})
			var got []string
			for _, u := range seen.Unmet() {
				got = append(got, u.Name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAServerThatIsAlmostFullIsSaid(t *testing.T) {
	server := testserver.Redis(t, "--maxmemory", "20mb")
	server.Own()
	admin, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, c := range []struct {
		fill int // MiB
		want int // preconditions
	}{{10, 0}, {17, 1}} {
		for i := range c.fill {
			if err := admin.Set(t.Context(), fmt.Sprint("filler", i), strings.Repeat("x", 900<<10), 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		seen := precondition.NewPart("store", nil)
		open(t, server.URL, &rediscounter.Options{Preconditions: seen})
		if got := seen.Unmet(); len(got) != c.want || len(got) > 0 && got[0].Name != "redis_memory" {
			t.Errorf("with %d MiB: got %v, want %d", c.fill, got, c.want)
		}
	}
}

// TestANewServerIsLookedAt: the next server behind an address may be set in
// another way.
func TestANewServerIsLookedAt(t *testing.T) {
	good, bad := testserver.Redis(t), testserver.Redis(t, "--appendonly", "no")
	good.Own()
	address := testserver.NewProxy(t, good.Addr)
	seen := precondition.NewPart("store", nil)
	s := open(t, address.Rewrite(good.URL), &rediscounter.Options{Preconditions: seen})
	if got := seen.Unmet(); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	address.Target(bad.Addr)
	address.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(seen.Unmet()) == 0 && ctx.Err() == nil {
		_, _ = s.Get(ctx, "x") // the connection was cut
	}
	if got := seen.Unmet(); len(got) != 1 || got[0].Name != "redis_persistence" {
		t.Errorf("got %v, want redis_persistence", got)
	}
}
