package redispubsub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/pubsub/redispubsub"
)

// TestAMasterThatBecomesAReplicaIsLeft: it keeps its connections and delivers
// on them, to those only that are connected to it.
func TestAMasterThatBecomesAReplicaIsLeft(t *testing.T) {
	old, next := testserver.Redis(t), testserver.Redis(t)
	old.Own()
	conn, err := newDriver(t, old.URL).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	old.Replicate(next)
	deadline := time.After(3 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for conn.Publish(t.Context(), "x", nil) == nil {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("it is still believed")
		}
	}
	if _, err := conn.Receive(t.Context()); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("got %v, want %v", err, redisclient.ErrReplica)
	}
	if c, err := newDriver(t, old.URL).Open(t.Context()); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("a new connection: got %v, want %v", err, redisclient.ErrReplica)
		if err == nil {
			_ = c.Close()
		}
	}
}

// TestAUserWhoMayNotAskForTheRole can publish all the same: a managed Redis
// may forbid both commands that tell it.
func TestAUserWhoMayNotAskForTheRole(t *testing.T) {
	server, master := testserver.Redis(t), testserver.Redis(t)
	server.Own()
	admin, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, user := range [][]any{{"modest", "-role", "-info"}, {"tells", "-info"}} {
		rule := append([]any{"ACL", "SETUSER", user[0], "on", ">hunter2", "+@all", "allkeys", "allchannels"}, user[1:]...)
		if err := admin.Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	as := func(name string) string {
		return strings.Replace(server.URL, "redis://", "redis://"+name+":hunter2@", 1)
	}
	d, err := redispubsub.NewDriver(as("modest"))
	if err != nil {
		t.Fatal(err)
	}
	d.Preconditions = precondition.NewPart("broker", nil)
	conn, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(t.Context(), "x", nil); err != nil {
		t.Error(err)
	}
	if got := d.Preconditions.Unmet(); len(got) != 1 || got[0].Name != "redis_role" {
		t.Errorf("got %v, want redis_role", got)
	}
	server.Replicate(master)
	if c, err := newDriver(t, as("tells")).Open(t.Context()); !errors.Is(err, redisclient.ErrReplica) {
		t.Errorf("by ROLE alone: got %v, want %v", err, redisclient.ErrReplica)
		if err == nil {
			_ = c.Close()
		}
	}
}
