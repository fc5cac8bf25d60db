package redisstate_test

import (
	"testing"
	"time"

	"lockstep/internal/testserver"
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
	began := time.Now()
	await(t, func() bool { return get(t, s, "x").Epoch > before.Epoch })
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the old master was left after %s", took)
	}
	r := get(t, s, "x")
	if string(r.Data) != string(before.Data) {
		t.Errorf("got %+v after %+v", r, before)
	}
	before = click(t, s, "x", 1)

	watched.AwaitReplica()
	watched.Master.Kill()
	watched.AwaitSwitch()
	goesOn(t, s, "x", before)
}

// TestAMasterThatSentinelsHaveLeftIsLeft, although it goes on taking writes: it
// was cut off from them, and does not know.
func TestAMasterThatSentinelsHaveLeftIsLeft(t *testing.T) {
	watched := testserver.NewRedisSentinel(t, false)
	s := open(t, watched.URL, nil)
	click(t, s, "x", 1)
	old := watched.Master
	next := testserver.Redis(t)
	watched.Monitor(next) // as after a failover that the old master has not heard of
	if r := click(t, open(t, old.URL, nil), "x", 1); string(r.Data) != "2" {
		t.Fatalf("the old one takes no writes: %+v", r)
	}
	await(t, func() bool { return get(t, s, "x").Data == nil })
}
