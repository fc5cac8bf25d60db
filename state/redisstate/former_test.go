package redisstate_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state/redisstate"
)

// counters writes what an earlier version has written of n counters, "c0" with
// the number 0 and so on.
func counters(t *testing.T, c redis.UniversalClient, prefix string, n int) {
	t.Helper()
	if err := c.HSet(t.Context(), "{"+prefix+"}epoch", "run", "0123", "e", futureEpoch).Err(); err != nil {
		t.Fatal(err)
	}
	pipe := c.Pipeline()
	for i := range n {
		pipe.HSet(t.Context(), fmt.Sprintf("{%s}counter:c%d", prefix, i), "n", i, "v", i+10)
	}
	pipe.Set(t.Context(), "{"+prefix+"}op:c0:0123456789abcdef", 1, 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// futureEpoch is later than the clock: a store that lost data twice in a
// millisecond, or whose clock was ahead.
const futureEpoch uint64 = 9_000_000_000_000

// become is what a counter becomes.
func become(name string, n int64) (string, []byte) {
	return "counter:" + name, []byte(strconv.FormatInt(n, 10))
}

func TestCountersOfAnEarlierVersionAreTakenOverOnce(t *testing.T) {
	const n = 1500
	prefix := "a[b]*c?:"
	for name, url := range map[string]func(*testing.T) string{
		"server":  func(t *testing.T) string { return testserver.Redis(t).URL },
		"cluster": func(t *testing.T) string { return "redis+cluster://" + strings.Join(startCluster(t), ",") },
	} {
		t.Run(name, func(t *testing.T) {
			url := url(t)
			c := connect(t, url)
			counters(t, c, prefix, n)
			counters(t, c, "another:", 1)
			stores := make([]*redisstate.Store, 3)
			var wg sync.WaitGroup
			for i := range stores {
				wg.Go(func() {
					s, err := redisstate.Open(t.Context(), url, &redisstate.Options{Prefix: prefix, Counter: become})
					if err != nil {
						t.Error(err)
						return
					}
					t.Cleanup(func() { _ = s.Close() })
					stores[i] = s
					click(t, s, fmt.Sprint("counter:c", i), 1) // before others are done
				})
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			for i := range n {
				want := i
				if i < len(stores) {
					want++
				}
				r := get(t, stores[0], fmt.Sprint("counter:c", i))
				if string(r.Data) != strconv.Itoa(want) || r.Epoch <= futureEpoch || r.Version < uint64(i+10) {
					t.Fatalf("counter %d: got %+v", i, r)
				}
			}
			if left := c.Exists(t.Context(), "{"+prefix+"}counter:c0", "{"+prefix+"}counter:c1499").Val(); left != 0 {
				t.Error("former counters are left")
			}
			if n := c.Exists(t.Context(), "{another:}counter:c0").Val(); n != 1 {
				t.Error("those of another application were taken")
			}
			// What an earlier version begins each call with.
			if err := c.HMGet(t.Context(), "{"+prefix+"}epoch", "run", "e").Err(); err == nil {
				t.Error("an earlier version would begin anew")
			}
			open(t, url, &redisstate.Options{Prefix: prefix}) // nothing is to be taken over
		})
	}
}

// TestATakeoverThatIsCutOffGoesOn, and what was done in between stays.
func TestATakeoverThatIsCutOffGoesOn(t *testing.T) {
	url := testserver.Redis(t).URL
	c := connect(t, url)
	prefix := "cut:"
	counters(t, c, prefix, 20)
	opts := &redisstate.Options{Prefix: prefix, Counter: func(name string, n int64) (string, []byte) {
		if name == "c13" {
			return "", nil
		}
		return become(name, n)
	}}
	if _, err := redisstate.Open(t.Context(), url, opts); err == nil || !strings.Contains(err.Error(), "c13") {
		t.Fatalf("got %v, want what is wrong", err)
	}
	if _, err := redisstate.Open(t.Context(), url, &redisstate.Options{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), "earlier version") {
		t.Errorf("got %v, want what is to be done", err)
	}
	s := open(t, url, &redisstate.Options{Prefix: prefix, Counter: become})
	click(t, s, "counter:c3", 2)
	// As if another replica had read its counters long ago.
	counters(t, c, "other:", 0)
	if err := c.Set(t.Context(), "{cut:}epoch", "moving 17", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.HSet(t.Context(), "{cut:}counter:c3", "n", 3, "v", 13).Err(); err != nil {
		t.Fatal(err)
	}
	again := open(t, url, &redisstate.Options{Prefix: prefix, Counter: become})
	for i := range 20 {
		want := i
		if i == 3 {
			want += 2
		}
		if r := get(t, again, fmt.Sprint("counter:c", i)); string(r.Data) != strconv.Itoa(want) {
			t.Errorf("counter %d: got %+v, want %d", i, r, want)
		}
	}
}

// TestDataOfAnEarlierVersionIsNotTakenForNone, and is left as it is.
func TestDataOfAnEarlierVersionIsNotTakenForNone(t *testing.T) {
	url := testserver.Redis(t).URL
	c := connect(t, url)
	counters(t, c, "lockstep:", 2)
	s, err := redisstate.Open(t.Context(), url, nil)
	if err == nil {
		_ = s.Close()
		t.Fatal("it was opened")
	}
	for _, want := range []string{"earlier version", "Options.Counter", "lockstep:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if got := c.HGetAll(t.Context(), "{lockstep:}counter:c1").Val(); got["n"] != "1" || got["v"] != "11" {
		t.Errorf("the counter is %v", got)
	}
	if err := c.HGet(t.Context(), "{lockstep:}epoch", "e").Err(); err != nil {
		t.Errorf("the earlier version can't go on: %v", err)
	}
}

// TestAnEarlierVersionCantBeginBesideStates: it would count where nobody looks.
func TestAnEarlierVersionCantBeginBesideStates(t *testing.T) {
	url := testserver.Redis(t).URL
	open(t, url, &redisstate.Options{Prefix: "new:"})
	err := connect(t, url).HMGet(t.Context(), "{new:}epoch", "run", "e").Err()
	if err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("got %v, want that the key is no hash", err)
	}
}
