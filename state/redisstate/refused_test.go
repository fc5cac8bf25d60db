package redisstate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/redisstate"
)

// key returns the key of one kind of a topic.
func key(t testing.TB, c redis.UniversalClient, kind, topic string) string {
	t.Helper()
	keys := c.Keys(t.Context(), "{lockstep:/*}"+kind+":"+topic).Val()
	if len(keys) != 1 {
		t.Fatalf("keys of %s are %q, want one", kind, keys)
	}
	return keys[0]
}

// contents returns all that is stored of a topic.
func contents(t testing.TB, c redis.UniversalClient, topic string) string {
	t.Helper()
	keys := slices.Sorted(slices.Values(c.Keys(t.Context(), "{lockstep:/*}*:"+topic).Val()))
	var all strings.Builder
	for _, key := range keys {
		value, err := c.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %q\n", key, value)
	}
	return all.String()
}

// TestWhatRedisRefusesIsNotDoneInPart: it does not roll a script back.
func TestWhatRedisRefusesIsNotDoneInPart(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	c := connect(t, server.URL)
	set := func(name, value string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	// The age of the lanes is over, too, or not.
	for _, after := range []time.Duration{0, state.Lifetime} {
		s := open(t, server.URL, nil)
		topic := fmt.Sprint("x", after.Hours())
		kept := client()
		r := get(t, s, topic)
		r = done(t, s, state.Step{Topic: topic, Base: r, Data: []byte("1"), Log: [][]byte{[]byte("1")}, Moves: []state.Move{first(kept)}})
		next := state.Step{Topic: topic, Base: r, Data: []byte("2"), Log: [][]byte{[]byte("2")}, Keep: 1, Moves: []state.Move{
			{Client: kept, Min: 1, Max: 1, To: state.Lane{Last: 2, From: 1}}, first(client()),
		}}
		before := contents(t, c, topic)
		s.Shift(after)
		for _, fault := range []struct{ name, value, cure, says string }{
			{"maxmemory", "1", "0", "OOM"},
			{"min-replicas-to-write", "1", "0", "NOREPLICAS"},
		} {
			set(fault.name, fault.value)
			if o := s.Commit(t.Context(), next)[0]; o.Err == nil || !strings.Contains(o.Err.Error(), fault.says) {
				t.Errorf("%s: got %+v", fault.says, o)
			}
			stale := next
			stale.Base = state.Record{}
			if o := s.Commit(t.Context(), stale)[0]; o.Err == nil || !strings.Contains(o.Err.Error(), fault.says) {
				t.Errorf("%s: got %+v", fault.says, o)
			}
			if now, err := s.Read(t.Context(), topic); err != nil || string(now[0].Data) != "1" {
				t.Errorf("%s: what is there can't be read: %+v, %v", fault.says, now, err)
			}
			set(fault.name, fault.cure)
			if now := contents(t, c, topic); now != before {
				t.Errorf("%s: something was done:\n%s\nbefore:\n%s", fault.says, now, before)
			}
		}
		done(t, s, next)
	}
}

// done does a step, and returns the record.
func done(t testing.TB, s state.Store, step state.Step) state.Record {
	t.Helper()
	o := s.Commit(t.Context(), step)[0]
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	return o.Record
}

// TestAKeyOfAnotherProgramIsAnError that says what is wrong, and nothing is
// done.
func TestAKeyOfAnotherProgramIsAnError(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	c := connect(t, server.URL)
	s := open(t, server.URL, nil)
	for _, kind := range []string{"state", "log", "lanes", "older", "done", "gone"} {
		topic := "of-" + kind
		r := click(t, s, topic, 1)
		if err := c.Set(t.Context(), strings.Replace(key(t, c, "state", topic), "state:", kind+":", 1), "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		before := contents(t, c, topic)
		change := step(topic, r, 2)
		change.Log = [][]byte{[]byte("entry")}
		if o := s.Commit(t.Context(), change)[0]; o.Err == nil || !strings.Contains(o.Err.Error(), "WRONGTYPE") {
			t.Errorf("%s: got %+v", kind, o)
		}
		if now := contents(t, c, topic); now != before {
			t.Errorf("%s: something was done:\n%s\nbefore:\n%s", kind, now, before)
		}
	}
}

func TestVersionsAreExactBeyondThoseOfLua(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	c := connect(t, server.URL)
	s := open(t, server.URL, nil)
	for _, before := range []uint64{999_999_999_999_999, 1_000_000_000_000_000, 1<<53 + 1, 1<<62 + 1} {
		click(t, s, "x", 1)
		if err := c.HSet(t.Context(), key(t, c, "state", "x"), "v", before).Err(); err != nil {
			t.Fatal(err)
		}
		if r := click(t, s, "x", 1); r.Version != before+1 || get(t, s, "x").Version != before+1 {
			t.Errorf("got version %d after %d", r.Version, before)
		}
	}
}

// TestScriptsThatRedisHasForgottenAreSentAgain, and steps that were done are
// not repeated.
func TestScriptsThatRedisHasForgottenAreSentAgain(t *testing.T) {
	servers := startServers(t)
	s := open(t, "redis+cluster://"+servers[0].Addr, nil)
	topics := make([]string, state.MaxSteps)
	steps := make([]state.Step, len(topics))
	for i := range topics {
		topics[i] = fmt.Sprint("topic-", i)
	}
	for round := range 3 {
		before, err := s.Read(t.Context(), topics...)
		if err != nil {
			t.Fatal(err)
		}
		for i, topic := range topics {
			steps[i] = step(topic, before[i], round)
		}
		if err := connect(t, "redis://"+servers[1].Addr).ScriptFlush(t.Context()).Err(); err != nil { // one of three
			t.Fatal(err)
		}
		for i, o := range s.Commit(t.Context(), steps...) {
			if o.Err != nil || o.Record.Version != before[i].Version+1 {
				t.Errorf("step %d: got %+v after %+v", i, o, before[i])
			}
		}
	}
}

// TestALostAnswerIsNotAConflict: a call whose answer is lost is not made again
// by the client, or it would find that it came first.
func TestALostAnswerIsNotAConflict(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (string, *testserver.Server){
		"server": func(t *testing.T) (string, *testserver.Server) {
			server := testserver.Redis(t)
			return server.URL, server
		},
		"cluster": func(t *testing.T) (string, *testserver.Server) {
			servers := startServers(t)
			return "redis+cluster://" + servers[0].Addr, servers[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, server := start(t)
			server.Own()
			admin := connect(t, "redis://"+server.Addr)
			s := open(t, url, nil)
			topic := topicOf(t, s, admin)
			again := time.NewTicker(5 * time.Millisecond)
			defer again.Stop()
			for lost, tries := 0, 0; lost < 3; tries++ {
				if tries == 300 {
					t.Fatal("no answer was lost")
				}
				before := get(t, s, topic)
				server.Freeze()
				outcome, killed := make(chan state.Outcome), make(chan error)
				go func() { outcome <- s.Commit(t.Context(), step(topic, before, tries))[0] }()
				<-again.C
				go func() { killed <- admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err() }()
				<-again.C
				server.Thaw()
				o, err := <-outcome, <-killed
				if err != nil {
					t.Fatal(err)
				}
				if errors.Is(o.Err, state.ErrConflict) {
					t.Fatalf("try %d: a conflict with nobody: %+v after %+v", tries, o, before)
				}
				if o.Err != nil && get(t, s, topic).Version > before.Version {
					lost++
				}
			}
		})
	}
}

// topicOf returns a topic that a server keeps.
func topicOf(t *testing.T, s *redisstate.Store, c redis.UniversalClient) string {
	t.Helper()
	for i := range 1000 {
		topic := fmt.Sprint("topic-", i)
		click(t, s, topic, 1)
		if len(c.Keys(t.Context(), "{lockstep:/*}state:"+topic).Val()) == 1 {
			return topic
		}
	}
	t.Fatal("it keeps nothing")
	return ""
}
