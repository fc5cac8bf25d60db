package pgpubsub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/pgpubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, url, channel string) driver.Driver {
	t.Helper()
	d, err := pgpubsub.NewDriver(url, &pgpubsub.Options{Channel: channel})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sql runs a statement on a connection of its own.
func sql(t testing.TB, url, statement string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(context.Background(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// terminate ends the other connections whose last statement is like $1.
const terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE $1"

func TestConformance(t *testing.T) {
	server := testserver.Postgres(t)
	h := drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriver(t, server.URL, t.Name()) }}
	if !server.Lent() {
		h.Break = func(t testing.TB, _ driver.Driver) { sql(t, server.URL, terminate, "%") }
		h.Restart = func(testing.TB, driver.Driver) { server.Restart() }
		h.Freeze = func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw }
	}
	drivertest.Run(t, h)
}

// TestTheLossOfEitherConnectionIsNoticed: a conn has two at the database.
func TestTheLossOfEitherConnectionIsNoticed(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	for name, query := range map[string]string{"the listener": "SELECT pg_backend_pid%", "the publisher": "SELECT count(pg_notify%"} {
		t.Run(name, func(t *testing.T) {
			conn, err := newDriver(t, server.URL, "x").Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.Publish(t.Context(), "x", nil); err != nil {
				t.Fatal(err)
			}
			sql(t, server.URL, terminate, query)
			// Only a publisher that publishes can notice.
			if err := conn.Publish(t.Context(), "x", nil); err == nil && name == "the publisher" {
				t.Error("Publish connected again in silence")
			}
			if m, err := conn.Receive(t.Context()); err == nil || !strings.Contains(err.Error(), server.Addr) {
				t.Errorf("got %+v, %v; want an error that names %s", m, err, server.Addr)
			}
		})
	}
}

// TestAPayloadIsTheCallersAgain also after a call that was cancelled; the race
// detector sees it.
func TestAPayloadIsTheCallersAgain(t *testing.T) {
	conn, err := newDriver(t, testserver.Postgres(t).URL, "x").Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	payload := make([]byte, driver.MaxPayload)
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := make(chan struct{})
		go func() { cancel(); close(cancelled) }()
		_ = conn.Publish(ctx, "x", payload) // sent or not
		payload[0] = byte(i)
		<-cancelled
	}
}

// TestListenURL: one connection listens there, the other does not.
func TestListenURL(t *testing.T) {
	server := testserver.Postgres(t)
	elsewhere := "postgres://u@127.0.0.1:1/x"
	for name, c := range map[string]struct{ url, listen string }{
		"to listen":  {server.URL, elsewhere},
		"to publish": {elsewhere, server.URL},
	} {
		d, err := pgpubsub.NewDriver(c.url, &pgpubsub.Options{ListenURL: c.listen})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: got %v, want an error of 127.0.0.1:1", name, err)
		}
	}
	if _, err := pgpubsub.NewDriver(server.URL, &pgpubsub.Options{ListenURL: "postgres://[::1"}); err == nil {
		t.Error("a bad ListenURL: got no error")
	}
}

// TestADatabaseThatIsNotUTF8 carries everything all the same: only ASCII goes
// over the wire.
func TestADatabaseThatIsNotUTF8(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	sql(t, server.URL, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	url := strings.Replace(server.URL, "/postgres?", "/latin?", 1)
	drivertest.Run(t, drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriver(t, url, t.Name()) }})
}

func TestApplicationsOfOneDatabaseDoNotHearEachOther(t *testing.T) {
	server := testserver.Postgres(t)
	open := func(channel string) driver.Conn {
		c, err := newDriver(t, server.URL, channel).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.Subscribe(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, other := open("App:"), open("app:")
	if err := one.Publish(t.Context(), "x", []byte("from one")); err != nil {
		t.Fatal(err)
	}
	if err := other.Publish(t.Context(), "x", []byte("from other")); err != nil {
		t.Fatal(err)
	}
	if m, err := other.Receive(t.Context()); err != nil || string(m.Payload) != "from other" {
		t.Errorf("got %q, %v; want only what the own application says", m.Payload, err)
	}
}

// TestForeignNotificationsAreIgnored: anybody who may connect may notify.
func TestForeignNotificationsAreIgnored(t *testing.T) {
	server := testserver.Postgres(t)
	conn, err := newDriver(t, server.URL, "x").Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "nonsense", "1 t", "1 t99999999999999999999 x", "1 b1 !!", strings.Repeat("x", 7999)} {
		sql(t, server.URL, "SELECT pg_notify(channel, $1) FROM pg_listening_channels() AS channel", text)
	}
	if err := conn.Publish(t.Context(), "t", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Receive(t.Context()); err != nil || string(m.Payload) != "ours" {
		t.Errorf("got %q, %v", m.Payload, err)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	if _, err := pgpubsub.NewDriver("postgres://u:hunter2@[::1", nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	d, err := pgpubsub.NewDriver("postgres://u:hunter2@127.0.0.1:1/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := d.Open(ctx); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want the address and no password", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.Postgres(b).URL, "bench"))
}

// TestConformanceOverTLS: with the certificate checked, and a user who needs a
// password and may do no more than he must.
func TestConformanceOverTLS(t *testing.T) {
	server := testserver.PostgresTLS(t, testserver.NewAuthority(t))
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(t testing.TB) driver.Driver { return newDriver(t, server.URL, t.Name()) },
		Break:   func(t testing.TB, _ driver.Driver) { sql(t, server.URL, terminate, "%") },
		Restart: func(testing.TB, driver.Driver) { server.Restart() },
		Freeze:  func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw },
	})
}
