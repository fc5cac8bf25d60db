package memstate_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/state/statetest"
)

// A clock can be moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) move(d time.Duration) { c.ahead.Add(int64(d)) }

func TestStoreKeepsTheContract(t *testing.T) {
	var c clock
	statetest.Run(t, func(testing.TB) state.Store { return memstate.New(&memstate.Options{Now: c.now}) }, &statetest.Options{
		// Replicas of one process share the store itself.
		Second: func(_ testing.TB, s state.Store) state.Store { return s },
		Shift:  func(_ testing.TB, _ state.Store, d time.Duration) { c.move(d) },
	})
}

// commit commits one step that has to be done.
func commit(t *testing.T, s state.Store, step state.Step) state.Record {
	t.Helper()
	o := s.Commit(t.Context(), step)[0]
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return o.Record
}

func read(t *testing.T, s state.Store, topic string) state.Record {
	t.Helper()
	records, err := s.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return records[0]
}

func TestALaneThatWentOnIsForgottenEvenIfThoseThatAreDoneLiveLonger(t *testing.T) {
	var c clock
	s := memstate.New(&memstate.Options{Lifetime: time.Hour, DoneLifetime: 100 * time.Hour, Now: c.now})
	first := state.Move{To: state.Lane{Last: 1, From: 1}}
	base := commit(t, s, state.Step{Topic: "t", Base: read(t, s, "t"), Moves: []state.Move{first}})
	if err := s.Finish(t.Context(), state.Mark{Topic: "t", UpTo: 1}); err != nil {
		t.Fatal(err)
	}
	second := state.Move{Min: 1, Max: 1, To: state.Lane{Last: 2, From: 2}}
	base = commit(t, s, state.Step{Topic: "t", Base: base, Moves: []state.Move{second}})
	for range 17 {
		c.move(time.Hour)
		other := state.Move{Client: state.Client{1}, Max: base.Version, To: state.Lane{Last: base.Version + 1, From: 1}}
		base = commit(t, s, state.Step{Topic: "t", Base: base, Moves: []state.Move{other}})
	}
	o := s.Commit(t.Context(), state.Step{Topic: "t", Moves: []state.Move{first}})[0]
	if o.Lanes[0].Last != 0 {
		t.Errorf("got lane %+v, want none", o.Lanes[0])
	}
}

// firstByte returns that of the first entry of a log.
func firstByte(t *testing.T, s state.Store) *byte {
	t.Helper()
	_, entries, err := s.Entries(t.Context(), "t", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &entries[0][0]
}

func TestEntriesThatAreTrimmedTakeNoMemory(t *testing.T) {
	s := memstate.New(nil)
	step := state.Step{Topic: "t", Base: read(t, s, "t"), Moves: []state.Move{{To: state.Lane{Last: 1, From: 1}}}}
	for range 3 {
		step.Log = append(step.Log, make([]byte, 1000))
	}
	base := commit(t, s, step)
	first := weak.Make(firstByte(t, s))
	commit(t, s, state.Step{Topic: "t", Base: base, Keep: 2, Moves: []state.Move{{Min: 1, Max: 1, To: state.Lane{Last: 2, From: 1}}}})
	runtime.GC()
	if first.Value() != nil {
		t.Error("an entry that was trimmed is in memory still")
	}
	runtime.KeepAlive(s)
}

func BenchmarkStore(b *testing.B) { statetest.Benchmark(b, memstate.New(nil)) }

func BenchmarkShares(b *testing.B) { statetest.BenchmarkShares(b, memstate.New(nil)) }

func BenchmarkList(b *testing.B) { statetest.BenchmarkList(b, memstate.New(nil)) }
