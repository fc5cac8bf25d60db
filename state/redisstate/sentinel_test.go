package redisstate_test

import (
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/state"
	"lockstep/state/redisstate"
	"lockstep/state/statetest"
)

// TestStoreKeepsTheContractWithSentinel: with users and passwords at both; and
// it goes on when the sentinels make another server the master, because they are
// asked to or because it has died.
func TestStoreKeepsTheContractWithSentinel(t *testing.T) {
	t.Parallel()
	watched := testserver.NewRedisSentinel(t, true)
	b := &bench{url: watched.URL, opts: redisstate.Options{Prefix: "test:"}}
	t.Run("contract", func(t *testing.T) { statetest.Run(t, b.open, b.options()) })

	s := open(t, watched.URL, nil)
	before := click(t, s, "x", 10)
	watched.Switch() // the old master is told so 8 s later
	before = goesOnElsewhere(t, s, before)

	watched.AwaitReplica()
	watched.Master.Kill()
	watched.AwaitSwitch()
	goesOnElsewhere(t, s, before)
}

// goesOnElsewhere waits until the topic "x" can be clicked in a newer epoch, with
// nothing lost. A call that is under way when the master is left fails, and may
// have been done.
func goesOnElsewhere(t *testing.T, s state.Store, before state.Record) state.Record {
	t.Helper()
	const next = 100
	var now state.Record
	await(t, func() bool {
		r, err := s.Read(t.Context(), "x")
		if err != nil || r[0].Epoch <= before.Epoch {
			return false
		}
		if data := string(r[0].Data); data != string(before.Data) && data != strconv.Itoa(next) {
			t.Errorf("got %+v after %+v", r[0], before)
		}
		o := s.Commit(t.Context(), step("x", r[0], next))[0]
		now = o.Record
		return o.Err == nil
	})
	now.Data = []byte(strconv.Itoa(next))
	return now
}

// TestAMasterThatSentinelsHaveLeftIsLeft, although it goes on taking writes: it
// was cut off from them, and does not know.
func TestAMasterThatSentinelsHaveLeftIsLeft(t *testing.T) {
	watched := testserver.NewRedisSentinel(t, false)
	seen := precondition.NewPart("store", nil)
	s := open(t, watched.URL+"?conn_max_lifetime=1h", &redisstate.Options{Preconditions: seen}) // or its connections would end
	if got := seen.Unmet(); len(got) != 1 || got[0].Name != "redis_min_replicas" {
		t.Errorf("got %v, want redis_min_replicas", got)
	}
	click(t, s, "x", 1)
	old := watched.Master
	next := testserver.Redis(t)
	watched.Monitor(next) // as after a failover that the old master has not heard of
	if r := click(t, open(t, old.URL, nil), "x", 1); string(r.Data) != "2" {
		t.Fatalf("the old one takes no writes: %+v", r)
	}
	await(t, func() bool { return get(t, s, "x").Data == nil })
	if err := connect(t, next.URL).ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := redisstate.Open(t.Context(), watched.URL, &redisstate.Options{Preconditions: seen}); err == nil || !strings.Contains(err.Error(), "NOREPLICAS") {
		t.Errorf("got %v, want that there is no replica", err)
	}
	if got := seen.Unmet(); len(got) != 0 {
		t.Errorf("got %v of a master that wants a replica", got)
	}
}
