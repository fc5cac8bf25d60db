package pgpubsub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep/internal/pgclient"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pgpubsub"
)

func openConn(t *testing.T, url string) driver.Conn {
	t.Helper()
	c, err := newDriver(t, url, t.Name()).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestASilentSessionOutlivesTheServersLimits: a session that is ended again
// and again loses messages each time.
func TestASilentSessionOutlivesTheServersLimits(t *testing.T) {
	server := testserver.Postgres(t, "idle_session_timeout=500ms", "idle_in_transaction_session_timeout=500ms")
	server.Own()
	c := openConn(t, server.URL)
	if err := c.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if m, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %+v, %v; want silence", m, err)
	}
	if err := c.Publish(t.Context(), "x", []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Receive(t.Context()); err != nil || string(m.Payload) != "still here" {
		t.Errorf("got %q, %v", m.Payload, err)
	}
}

// TestAServerThatBecomesReadOnlyIsLeft: a replica that goes on talking to it
// hears itself, and nobody else does.
func TestAServerThatBecomesReadOnlyIsLeft(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	c := openConn(t, server.URL)
	sql(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = on")
	sql(t, server.URL, "SELECT pg_reload_conf()")
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for c.Publish(t.Context(), "x", nil) == nil {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("it is still believed")
		}
	}
	if _, err := c.Receive(t.Context()); !errors.Is(err, pgclient.ErrReadOnly) {
		t.Errorf("got %v, want %v", err, pgclient.ErrReadOnly)
	}
	if _, err := newDriver(t, server.URL, "x").Open(t.Context()); !errors.Is(err, pgclient.ErrReadOnly) {
		t.Errorf("a new connection: got %v, want %v", err, pgclient.ErrReadOnly)
	}
}

func TestAStandbyIsNoBroker(t *testing.T) {
	primary, standby := testserver.PostgresPair(t)
	if c, err := newDriver(t, standby.URL, "x").Open(t.Context()); !errors.Is(err, pgclient.ErrReadOnly) {
		t.Errorf("got %v, want %v", err, pgclient.ErrReadOnly)
		if err == nil {
			_ = c.Close()
		}
	}
	both := strings.Replace(primary.URL, primary.Addr, standby.Addr+","+primary.Addr, 1)
	if err := openConn(t, both).Publish(t.Context(), "x", nil); err != nil {
		t.Errorf("with the primary as the second host: %v", err)
	}
}

// TestOptionsOfAPoolAreTheStores: one URL is for both.
func TestOptionsOfAPoolAreTheStores(t *testing.T) {
	server := testserver.Postgres(t)
	url := strings.Replace(server.URL, "postgres://", "postgresql://", 1) + "&pool_max_conns=4&pool_max_conn_lifetime=1m"
	if err := openConn(t, url).Publish(t.Context(), "x", nil); err != nil {
		t.Error(err)
	}
}

// TestAPooler: in transaction mode LISTEN succeeds, and nothing ever comes.
func TestAPooler(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	if _, err := newDriver(t, testserver.PgBouncer(t, server, "transaction").URL, "x").Open(t.Context()); err == nil || !strings.Contains(err.Error(), "transaction mode") {
		t.Errorf("in transaction mode: got %v, want an error that says so", err)
	}
	hearsItself(t, testserver.PgBouncer(t, server, "session").URL)
}

// hearsItself wants a message of a connection to come back to it.
func hearsItself(t *testing.T, url string) {
	t.Helper()
	c := openConn(t, url)
	if err := c.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(t.Context(), "x", []byte("through it")); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Receive(t.Context()); err != nil || string(m.Payload) != "through it" {
		t.Errorf("got %q, %v", m.Payload, err)
	}
}

// TestAPoolerBesideTheServer: what is published goes through it, whatever its mode, and one
// connection leads to the server itself. A server that is another one is refused.
func TestAPoolerBesideTheServer(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	pooler := testserver.PgBouncer(t, server, "transaction")
	hearsItself(t, pooler.URL+"&listen="+server.Addr)
	other := testserver.Postgres(t)
	if _, err := newDriver(t, pooler.URL+"&listen="+other.Addr, "x").Open(t.Context()); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("got %v, want that it is another server", err)
	}
	if _, err := newDriver(t, server.URL+"&listen="+pooler.Addr, "x").Open(t.Context()); err == nil || !strings.Contains(err.Error(), "?listen=") {
		t.Errorf("got %v, want what to do", err)
	}
	if _, err := pgpubsub.NewDriver(server.URL+"&listen=", nil); err == nil {
		t.Error("it takes no address for one")
	}
}

// TestASwitchoverBehindAPooler: the pooler leads to the server that takes over, and of the
// addresses for listening the one that takes writes is used.
func TestASwitchoverBehindAPooler(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	standby := testserver.PostgresStandby(t, server)
	proxy := testserver.NewProxy(t, server.Addr)
	pooler := testserver.PgBouncer(t, &testserver.Server{Addr: proxy.Addr}, "transaction")
	url := pooler.URL + "&listen=" + server.Addr + "," + standby.Addr
	c := openConn(t, url)
	server.Stop() // it waits until the standby has all
	standby.Promote()
	proxy.Target(standby.Addr)
	if _, err := c.Receive(t.Context()); err == nil {
		t.Error("got a message, want the end of the connection")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for { // the pooler waits before it tries again
		again, err := newDriver(t, url, t.Name()).Open(ctx)
		if err == nil {
			_ = again.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	hearsItself(t, url)
}
