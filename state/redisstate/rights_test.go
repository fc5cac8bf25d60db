package redisstate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/redisstate"
	"lockstep/state/statetest"
)

// rights are what docs/backends.md says that a user of the store needs.
func rights(t testing.TB) (commands []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/backends.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`(?ms)^ACL SETUSER store on .*?$\n\n?` + "```").FindString(string(text))
	for _, word := range strings.Fields(rule) {
		if strings.HasPrefix(word, "+") {
			commands = append(commands, word[1:])
		}
	}
	if len(commands) < 10 {
		t.Fatalf("the page has these rights of the store: %q", commands)
	}
	return commands
}

// as makes a user with some commands at servers, and nothing else.
func as(t testing.TB, name string, commands []string, servers ...*testserver.Server) {
	t.Helper()
	rule := []any{"ACL", "SETUSER", name, "reset", "on", ">hunter2", "~{lockstep:*"}
	for _, c := range commands {
		rule = append(rule, "+"+c)
	}
	for _, s := range servers {
		c := redis.NewClient(&redis.Options{Addr: s.Addr, ReadTimeout: time.Minute})
		if err := c.Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
		_ = c.Close() // it has done its work
	}
}

func TestTheRightsOfTheDocumentationAreEnough(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	server.Own()
	as(t, "store", rights(t), server)
	b := &bench{url: strings.Replace(server.URL, "://", "://store:hunter2@", 1)}
	statetest.Run(t, b.open, b.options())
}

func TestTheRightsOfTheDocumentationAreEnoughInACluster(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t, 3, 0)
	as(t, "store", rights(t), cluster.Servers...)
	if err := useAll(t, strings.Replace(cluster.URL, "://", "://store:hunter2@", 1)); err != nil {
		t.Error(err)
	}
	as(t, "store", slices.DeleteFunc(rights(t), func(c string) bool { return c == "cluster|slots" }), cluster.Servers...)
	if err := useAll(t, strings.Replace(cluster.URL, "://", "://store:hunter2@", 1)); err == nil {
		t.Error("it works without cluster|slots")
	}
}

// TestEachRightOfTheDocumentationIsNeeded, but those that it says are for
// warnings, or for a cluster.
func TestEachRightOfTheDocumentationIsNeeded(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t, "--appendonly", "no")
	server.Own()
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: time.Minute})
	defer admin.Close()
	all := rights(t)
	for _, without := range all {
		if slices.Contains([]string{"role", "config|get", "cluster|slots"}, without) {
			continue
		}
		if err := admin.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		as(t, "store", slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == without }), server)
		if err := useAll(t, strings.Replace(server.URL, "://", "://store:hunter2@", 1)); err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "can't run this command") && !strings.Contains(err.Error(), "no permissions") {
			t.Errorf("without %s: got %v", without, err)
		}
	}
}

// useAll does with a store all that may be done, so that each command of its
// scripts is called, and returns the first error.
func useAll(t testing.TB, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	counter := func(name string, n int64) (string, []byte) { return "counter:" + name, fmt.Append(nil, n) }
	s, err := redisstate.Open(ctx, url+"?read_timeout=1m", &redisstate.Options{Counter: counter})
	if err != nil {
		return err
	}
	defer s.Close()
	kept := client()
	r, err := s.Read(ctx, "x")
	if err != nil {
		return err
	}
	now := r[0]
	for i := range 20 { // ages of lanes, which end in the next generation
		one := state.Step{Topic: "x", Base: now, Data: []byte("1"), Log: [][]byte{[]byte("a"), []byte("b")}, Keep: 1, Moves: []state.Move{
			{Client: kept, Min: uint64(i), Max: uint64(i), To: state.Lane{Last: uint64(i + 1), From: 1}}, first(client()),
		}}
		o := s.Commit(ctx, one)[0]
		if o.Err != nil {
			return o.Err
		}
		now = o.Record
		if err := s.Finish(ctx, state.Mark{Topic: "x", Client: one.Moves[1].Client, UpTo: 1}); err != nil {
			return err
		}
		stale := step("x", state.Record{}, 1)
		if o := s.Commit(ctx, stale)[0]; !errors.Is(o.Err, state.ErrConflict) {
			return o.Err
		}
		s.Shift(state.Lifetime / 7)
	}
	_, _, err = s.Entries(ctx, "x", 0, 10)
	return err
}
