package natsstate_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"lockstep/internal/pause"
	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/state"
	"lockstep/state/natsstate"
)

// openErr returns the error of Open.
func openErr(t *testing.T, url string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := natsstate.Open(ctx, url, nil)
	if err == nil {
		t.Error("opened")
		_ = s.Close()
	}
	return err
}

// an old server says its version, and answers a PING.
func oldServer(t *testing.T, version string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the listener, and the connection
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":%q,\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}\r\n", version)
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if lines.Text() == "PING" {
				fmt.Fprint(c, "PONG\r\n")
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "nats://" + l.Addr().String()
}

func TestWhatCanNotKeepStatesIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	t.Run("an old server", func(t *testing.T) {
		for _, version := range []string{"2.11.9", "1.99.0", "x"} {
			if err := openErr(t, oldServer(t, version)); err == nil || !strings.Contains(err.Error(), "the server is NATS "+version+": the store needs 2.12 or later") {
				t.Errorf("%s: got %v", version, err)
			}
		}
	})
	t.Run("a server without JetStream", func(t *testing.T) {
		if err := openErr(t, testserver.NATS(t, "max_connections: 100").URL); err == nil || !strings.Contains(err.Error(), "JetStream is not enabled") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that takes too little", func(t *testing.T) {
		if err := openErr(t, testserver.JetStream(t, "max_payload: 100K").URL); err == nil || !strings.Contains(err.Error(), "max_payload is 100000 bytes: it must be") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("more replicas than there are servers", func(t *testing.T) {
		if err := openErr(t, testserver.JetStream(t, "").URL+"?replicas=3"); err == nil || !strings.Contains(err.Error(), "?replicas=") || !strings.Contains(err.Error(), "replicas > 1 not supported") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a stream of somebody else's", func(t *testing.T) {
		for setting, config := range map[string]string{
			"subjects":             `"subjects":["other"],"allow_direct":true,"allow_msg_ttl":true,"allow_atomic":true,"max_msgs_per_subject":1`,
			"max_msgs_per_subject": `"subjects":["lockstep.%state.>"],"allow_direct":true,"allow_msg_ttl":true,"allow_atomic":true`,
			"max_age":              `"subjects":["lockstep.%state.>"],"max_age":1000000000,"allow_direct":true,"allow_msg_ttl":true,"allow_atomic":true,"max_msgs_per_subject":1`,
			"allow_atomic":         `"subjects":["lockstep.%state.>"],"allow_direct":true,"allow_msg_ttl":true,"max_msgs_per_subject":1`,
			"allow_msg_ttl":        `"subjects":["lockstep.%state.>"],"allow_direct":true,"allow_atomic":true,"max_msgs_per_subject":1`,
			"allow_direct":         `"subjects":["lockstep.%state.>"],"allow_msg_ttl":true,"allow_atomic":true,"max_msgs_per_subject":1`,
		} {
			server := testserver.JetStream(t, "max_connections: 100\n")
			api(t, admin(t, server.URL), "STREAM.CREATE.lockstep-state", `{"name":"lockstep-state","storage":"file","retention":"limits",`+config+`}`, new(any))
			if err := openErr(t, server.URL); err == nil || !strings.Contains(err.Error(), "the stream lockstep-state can't be used: it must have "+setting) {
				t.Errorf("%s: got %v", setting, err)
			}
		}
	})
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"nats://u:hunter2@127.0.0.1:1", "tls://hunter2@127.0.0.1:1", "nats://u:hunter2@[::1", "nats://u:hunter2@h?replicas=x", "nats://u:hunter2@h?sync=hunter2"} {
		if err := openErr(t, url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

// rights are what an application needs, and no more.
const rights = `
publish: ["$JS.API.STREAM.*.lockstep-state", "$JS.API.DIRECT.GET.lockstep-state", "lockstep.>"]
subscribe: ["_INBOX.>", "lockstep.>"]`

// TestMissingRightsAreNamed, at once: a server says nothing to who waits for an answer.
func TestMissingRightsAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ permissions, says string }{
		"enough":      {rights, ""},
		"no API":      {`publish: ["lockstep.>"]`, "$JS.API.STREAM.INFO.lockstep-state"},
		"no reading":  {`publish: ["$JS.API.STREAM.*.lockstep-state", "lockstep.>"]`, "$JS.API.DIRECT.GET.lockstep-state"},
		"no subjects": {`publish: ["$JS.API.>"]`, "lockstep.%state."},
		"no answers":  {`publish: [">"], subscribe: ["lockstep.>"]`, "_INBOX."},
	} {
		server := testserver.JetStream(t, "authorization { users: [{ user: app, password: hunter2, permissions: {"+c.permissions+"} }] }\n")
		url := strings.Replace(server.URL, "nats://", "nats://app:hunter2@", 1)
		if c.says == "" {
			click(t, open(t, url, nil), "x", 3)
			continue
		}
		began := time.Now()
		err := openErr(t, url)
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "permissions violation") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want a violation with %q", name, err, c.says)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: it took %v", name, time.Since(began))
		}
	}
}

// TestAFrozenServerEndsCallsWithTheirContexts, and goes on when it goes on.
func TestAFrozenServerEndsCallsWithTheirContexts(t *testing.T) {
	t.Parallel()
	server := testserver.JetStream(t, "")
	server.Own()
	s := open(t, server.URL, nil)
	r := click(t, s, "x", 3)
	server.Freeze()
	for i := range 6 { // the connection is given up meanwhile
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		began := time.Now()
		o := s.Commit(ctx, step("y", state.Record{Epoch: r.Epoch}, i))[0]
		_, err := s.Read(ctx, "x")
		if o.Err == nil || errors.Is(o.Err, state.ErrConflict) || err == nil {
			t.Errorf("a frozen server answered: %+v, %v", o, err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("a call of a second took %v", d)
		}
		cancel()
	}
	server.Thaw()
	if now := get(t, s, "x"); string(now.Data) != "3" {
		t.Errorf("got %+v, want 3", now)
	}
	click(t, s, "x", 1)
}

func TestStoreOverTLS(t *testing.T) {
	t.Parallel()
	s := open(t, testserver.JetStreamTLS(t, testserver.NewAuthority(t)).URL, nil)
	if r := click(t, s, "x", 3); string(r.Data) != "3" {
		t.Errorf("got %+v", r)
	}
}

// TestTheEpochGrows when the stream may have lost something, and whoever goes on from
// what was there before is refused.
func TestTheEpochGrows(t *testing.T) {
	t.Parallel()
	server := testserver.JetStream(t, "")
	server.Own()
	s, other := open(t, server.URL, nil), open(t, server.URL, nil)
	for name, c := range map[string]struct {
		lose func(t *testing.T)
		left string
	}{
		"when the stream was emptied": {func(t *testing.T) {
			api(t, admin(t, server.URL), "STREAM.PURGE.lockstep-state", `{}`, new(any))
		}, ""},
		"when the stream was deleted": {func(t *testing.T) {
			api(t, admin(t, server.URL), "STREAM.DELETE.lockstep-state", `{}`, new(any))
		}, ""},
		"when the server was started anew": {func(*testing.T) { server.Kill(); server.Start() }, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			topic := name
			before := click(t, s, topic, 5)
			get(t, other, topic)
			c.lose(t)
			after := get(t, s, topic)
			if string(after.Data) != c.left || after.Epoch <= before.Epoch {
				t.Errorf("got %+v after %+v, want %q in a newer epoch", after, before, c.left)
			}
			late := step(topic, before, 6)
			for _, s := range []state.Store{s, other} {
				o := commit(t, s, late)
				if !errors.Is(o.Err, state.ErrConflict) || !o.Record.Same(after) {
					t.Errorf("got %+v, want a conflict with %+v", o, after)
				}
			}
			if r := click(t, other, topic, 1); !r.Newer(before) || r.Version <= before.Version {
				t.Errorf("got %+v after %+v", r, before)
			}
		})
	}
}

// commit commits until there is an answer: a connection may have been cut.
func commit(t *testing.T, s state.Store, step state.Step) (o state.Outcome) {
	t.Helper()
	for range 20 {
		if o = s.Commit(t.Context(), step)[0]; o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
			return o
		}
	}
	return o
}

func TestWhatServersDoNotMeetIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ config, query, want string }{
		"one server":                   {"", "", "nats_sync"},
		"one that is known to sync":    {"", "?sync=always", ""},
		"memory":                       {`"storage":"memory"`, "?sync=always", "nats_storage"},
		"a stream that drops":          {`"storage":"file","max_bytes":100000000,"discard":"old"`, "?sync=always", "nats_discard"},
		"a stream that is full":        {`"storage":"file","max_bytes":100000000,"discard":"new"`, "?sync=always", ""},
		"fewer replicas than are said": {`"storage":"file"`, "?sync=always&replicas=3", "nats_replicas"},
	} {
		server := testserver.JetStream(t, "max_connections: 100\n")
		if c.config != "" {
			api(t, admin(t, server.URL), "STREAM.CREATE.lockstep-state", `{"name":"lockstep-state","retention":"limits","subjects":["lockstep.%state.>"],`+
				`"allow_direct":true,"allow_msg_ttl":true,"allow_atomic":true,"max_msgs_per_subject":1,`+c.config+`}`, new(any))
		}
		part := precondition.NewPart("store", nil)
		open(t, server.URL+c.query, &natsstate.Options{Preconditions: part})
		var names []string
		for _, u := range part.Unmet() {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestEntriesThatDoNotStayAreDeleted, some time later.
func TestEntriesThatDoNotStayAreDeleted(t *testing.T) {
	t.Parallel()
	server := testserver.JetStream(t, "")
	s := open(t, server.URL, &natsstate.Options{Prefix: "swept:"})
	r := get(t, s, "x")
	c := client()
	for seq := range uint64(50) {
		o := s.Commit(t.Context(), state.Step{Topic: "x", Base: r, Log: make([][]byte, 10), Keep: 10, Moves: []state.Move{
			{Client: c, Min: seq, Max: seq, To: state.Lane{Last: seq + 1, From: seq + 1}},
		}})[0]
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		r = o.Record
	}
	nc := admin(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		var info struct{ State struct{ Messages int } }
		api(t, nc, "STREAM.INFO.swept-state", "", &info)
		// Those that stay, and at most so many as wait for the next time, or the one after:
		// there is one sweep at a time.
		if n := info.State.Messages; n <= 2*128+10+4 {
			break
		}
		if !pause.For(ctx, 20*time.Millisecond) {
			t.Fatalf("%d messages are left", info.State.Messages)
		}
	}
	if first, entries, err := s.Entries(t.Context(), "x", 0, 1000); first != 491 || len(entries) != 10 || err != nil {
		t.Errorf("got %d entries from %d, %v", len(entries), first, err)
	}
}

// TestLanesExpire long after they are forgotten, and those that are done sooner.
func TestLanesExpire(t *testing.T) {
	t.Parallel()
	server := testserver.JetStream(t, "")
	s := open(t, server.URL, &natsstate.Options{Prefix: "expire:", Lifetime: 7 * time.Hour, DoneLifetime: 7 * time.Minute})
	nc := admin(t, server.URL)
	c := client()
	wants := func(ttl string) {
		t.Helper()
		var got struct {
			Message struct{ Hdrs []byte } `json:"message"`
		}
		api(t, nc, "STREAM.MSG.GET.expire-state", `{"last_by_subj":"expire.%state.n.x.`+c.String()+`"}`, &got)
		if headers := string(got.Message.Hdrs); !strings.Contains(headers, "Nats-TTL: "+ttl+"\r\n") {
			t.Errorf("got %q, want the TTL %s", headers, ttl)
		}
	}
	o := s.Commit(t.Context(), state.Step{Topic: "x", Base: get(t, s, "x"), Moves: []state.Move{first(c)}})[0]
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	wants("79201s")
	if err := s.Finish(t.Context(), state.Mark{Topic: "x", Client: c, UpTo: 1}); err != nil {
		t.Fatal(err)
	}
	wants("4861s")
}
