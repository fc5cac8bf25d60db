package redisstate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/state"
	"lockstep/state/redisstate"
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
		go func() { click(t, s, fmt.Sprint("x", i), 20); done <- struct{}{} }()
	}
	for range 8 {
		<-done
	}
	awaitReplica(t, old.URL, "newest")
	next.Replicate(nil)
	old.Replicate(next)
	if o := s.Commit(t.Context(), step("x0", state.Record{}, 21))[0]; o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
		t.Errorf("a replica answered: %+v", o)
	}
	if _, err := s.Read(t.Context(), "x0"); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("got %v, want %v", err, redisclient.ErrReplica)
	}
	address.Target(next.Addr)
	r, err := s.Read(t.Context(), "x0")
	if err != nil || string(r[0].Data) != "20" {
		t.Errorf("got %+v, %v; want 20", r, err)
	}
}

// awaitReplica waits until the replica of a server has all that was written;
// it writes a key.
func awaitReplica(t *testing.T, url, key string) {
	t.Helper()
	c := connect(t, url).(*redis.Client).Conn()
	defer c.Close()
	if err := c.Set(t.Context(), key, 1, 0).Err(); err != nil { // WAIT is for what its connection wrote
		t.Fatal(err)
	}
	for range 60 {
		if n, err := c.Wait(t.Context(), 1, time.Second).Result(); err != nil {
			t.Fatal(err)
		} else if n == 1 {
			return
		}
	}
	t.Fatal("the replica does not follow")
}

// TestAReplicaDoesNotAnswer on a connection that was to a master: what it says
// may be old, and a conflict would be one with an old record.
func TestAReplicaDoesNotAnswer(t *testing.T) {
	server, next := testserver.Redis(t), testserver.Redis(t)
	server.Own()
	next.Replicate(server)
	s, other := open(t, server.URL, nil), open(t, server.URL, nil)
	click(t, s, "x", 1)
	get(t, other, "x")
	server.Failover(next)
	if r, err := s.Read(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "READONLY not the master") {
		t.Errorf("got %+v, %v; want that it is not the master", r, err)
	}
	if o := other.Commit(t.Context(), step("x", state.Record{}, 2))[0]; o.Err == nil || !strings.Contains(o.Err.Error(), "READONLY") {
		t.Errorf("got %+v, want that it takes no writes", o)
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
	if r := click(t, s, "x", 2); string(r.Data) != "2" || !same(get(t, s, "x"), r) {
		t.Errorf("got %+v, want 2", r)
	}
}

func TestAReplicaIsRefusedAtStart(t *testing.T) {
	master, replica := testserver.Redis(t), testserver.Redis(t)
	master.Own()
	replica.Replicate(master)
	if s, err := redisstate.Open(t.Context(), replica.URL, nil); !errors.Is(err, redisclient.ErrReplica) {
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
	click(t, s, "x", 1)
	address.Target(other.Addr)
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for get(t, s, "x").Data != nil {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("it is used for ever")
		}
	}
}

// TestOneNodeOfAClusterIsRefusedAtStart by how it answers a script.
func TestOneNodeOfAClusterIsRefusedAtStart(t *testing.T) {
	for _, addr := range startCluster(t) {
		s, err := redisstate.Open(t.Context(), "redis://"+addr, nil)
		if err == nil || !strings.Contains(err.Error(), "redis+cluster://") {
			t.Errorf("got %v, want that it is a cluster", err)
		}
		if err == nil {
			_ = s.Close()
		}
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
			open(t, server.URL, &redisstate.Options{Preconditions: seen})
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

// TestANewServerIsLookedAt: the next server behind an address may be set in
// another way.
func TestANewServerIsLookedAt(t *testing.T) {
	good, bad := testserver.Redis(t), testserver.Redis(t, "--appendonly", "no")
	good.Own()
	address := testserver.NewProxy(t, good.Addr)
	seen := precondition.NewPart("store", nil)
	s := open(t, address.Rewrite(good.URL), &redisstate.Options{Preconditions: seen})
	if got := seen.Unmet(); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	address.Target(bad.Addr)
	address.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(seen.Unmet()) == 0 && ctx.Err() == nil {
		_, _ = s.Read(ctx, "x") // the connection was cut
	}
	if got := seen.Unmet(); len(got) != 1 || got[0].Name != "redis_persistence" {
		t.Errorf("got %v, want redis_persistence", got)
	}
}

// TestACallHasTimeForItsConnection: where the server is far away the call that
// needs a new connection waits for what that costs, in the time it has itself.
// It took six round trips once, and calls ran out of time, which cost them the
// connection: so there was never one.
func TestACallHasTimeForItsConnection(t *testing.T) {
	server := testserver.Redis(t)
	way := testserver.NewProxy(t, server.Addr)
	s := open(t, way.Rewrite(server.URL), &redisstate.Options{Preconditions: precondition.NewPart("store", nil)})
	way.Cut()
	way.Delay(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // as the callers of a store have it
	defer cancel()
	if _, err := s.Read(ctx, "x"); err != nil { // go-redis sees that the old ones have ended
		t.Errorf("got %v", err)
	}
}

// TestAnOlderLifeThatComesBackIsANewEpoch: a server that was left for another one, and was never
// told, has what it had then when it is the master again. Nothing there says that it has missed
// anything; who has seen a newer epoch says it.
func TestAnOlderLifeThatComesBackIsANewEpoch(t *testing.T) {
	server := testserver.Redis(t)
	s, other := open(t, server.URL, &redisstate.Options{Prefix: "older:"}), open(t, server.URL, &redisstate.Options{Prefix: "older:"})
	seen := click(t, s, "x", 3)
	c := connect(t, server.URL)
	fences, err := c.Keys(t.Context(), "*older:/*fence").Result()
	if err != nil || len(fences) == 0 {
		t.Fatalf("got %v, %v", fences, err)
	}
	for _, key := range fences { // what the server would have now
		if err := c.HSet(t.Context(), key, "e", seen.Epoch-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if now := get(t, s, "x"); now.Epoch <= seen.Epoch || string(now.Data) != "3" {
		t.Errorf("got %+v after %+v", now, seen)
	} else if again, theirs := get(t, s, "x"), get(t, other, "x"); again.Epoch != now.Epoch || theirs.Epoch != now.Epoch {
		t.Errorf("got %+v and %+v after %+v", again, theirs, now)
	}
}
