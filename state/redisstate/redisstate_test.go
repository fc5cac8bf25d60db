package redisstate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/redisstate"
)

func TestMain(m *testing.M) {
	redisclient.Silence()
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, url string, opts *redisstate.Options) *redisstate.Store {
	t.Helper()
	s, err := redisstate.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// connect returns a client of a test's own.
func connect(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	c, err := redisclient.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// client returns a client that nobody knows.
func client() (c state.Client) {
	_, _ = rand.Read(c[:]) // it does not fail
	return c
}

// first is the first move of a client.
func first(c state.Client) state.Move {
	return state.Move{Client: c, To: state.Lane{Last: 1, From: 1}}
}

// step makes the data of a topic a number, by a client of its own.
func step(topic string, base state.Record, n int) state.Step {
	return state.Step{Topic: topic, Base: base, Data: []byte(strconv.Itoa(n)), Moves: []state.Move{first(client())}}
}

// click adds n to the number that a topic is, in as many commits.
func click(t testing.TB, s state.Store, topic string, n int) state.Record {
	t.Helper()
	r := get(t, s, topic)
	for range n {
		before, _ := strconv.Atoi(string(r.Data))
		change := step(topic, r, before+1)
		o := s.Commit(t.Context(), change)[0]
		if o.Err != nil {
			t.Error(o.Err)
			return r
		}
		r = o.Record
		r.Data = change.Data
	}
	return r
}

// get reads a topic. A store does not retry, and has connections that a
// restart of the server has cut: some calls may fail.
func get(t testing.TB, s state.Store, topic string) state.Record {
	t.Helper()
	var err error
	for range 20 {
		var r []state.Record
		if r, err = s.Read(t.Context(), topic); err == nil {
			return r[0]
		}
	}
	t.Error(err)
	return state.Record{}
}

func same(r, s state.Record) bool { return r.Same(s) && string(r.Data) == string(s.Data) }

// TestAFlushedRedisBeginsANewEpoch: a smaller version must not look older.
func TestAFlushedRedisBeginsANewEpoch(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	s := open(t, server.URL, nil)
	before := click(t, s, "x", 5)
	if err := connect(t, server.URL).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if o := s.Commit(t.Context(), step("x", before, 6))[0]; !errors.Is(o.Err, state.ErrConflict) {
		t.Errorf("got %+v, want a conflict: what it was computed from is gone", o)
	}
	after := get(t, s, "x")
	if after.Data != nil || after.Version != 0 || !after.Newer(before) {
		t.Errorf("got %+v after %+v, want nothing in a newer epoch", after, before)
	}
	if r := click(t, s, "x", 1); string(r.Data) != "1" || !r.Newer(before) {
		t.Errorf("got %+v after %+v", r, before)
	}
}

func TestARedisThatForgetsBeginsANewEpoch(t *testing.T) {
	server := testserver.Redis(t, "--appendonly", "no")
	s := open(t, server.URL, nil)
	before := click(t, s, "x", 5)
	server.Kill()
	server.Start()
	if after := get(t, s, "x"); after.Data != nil || !after.Newer(before) {
		t.Errorf("got %+v after %+v, want nothing in a newer epoch", after, before)
	}
}

func TestAPrefixWithBracesIsRefused(t *testing.T) {
	if _, err := redisstate.Open(t.Context(), "redis://127.0.0.1:1", &redisstate.Options{Prefix: "}x{"}); err == nil || !strings.Contains(err.Error(), "braces") {
		t.Errorf("got %v, want an error about the braces", err)
	}
}

// TestApplicationsAreApart, also where the prefix of one looks like a part of
// the other.
func TestApplicationsAreApart(t *testing.T) {
	url := testserver.Redis(t).URL
	one := open(t, url, &redisstate.Options{Prefix: "one:"})
	for _, topic := range []string{"x", "y", "z"} {
		click(t, one, topic, 3)
	}
	for _, prefix := range []string{"other:", "one:/0", "one:/5", "one:/15"} {
		other := open(t, url, &redisstate.Options{Prefix: prefix})
		for _, topic := range []string{"x", "y", "z"} {
			if r := get(t, other, topic); r.Version != 0 {
				t.Errorf("%s sees %+v", prefix, r)
			}
		}
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"redis://u:hunter2@127.0.0.1:1", "redis://u:hunter2@[::1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := redisstate.Open(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}
