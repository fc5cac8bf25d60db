package natspubsub_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/natspubsub"
)

// theirs is a connection of the program's own.
func theirs(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func newDriverLike(t testing.TB, nc *nats.Conn) driver.Driver {
	t.Helper()
	d, err := natspubsub.NewDriverLike(nc)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformanceByTheConnectionOfSomebodyElse(t *testing.T) {
	server := testserver.NATS(t, "")
	drivertest.Run(t, drivertest.Harness{PublishersApart: true, Driver: func(t testing.TB) driver.Driver { return newDriverLike(t, theirs(t, server.URL)) }})
}

// A counted dialler is one of a program, and says how often it was used.
type counted struct{ n atomic.Int32 }

func (d *counted) Dial(network, addr string) (net.Conn, error) {
	d.n.Add(1)
	return net.Dial(network, addr)
}

// TestTheConnectionOfSomebodyElseIsLeftAlone: we come by its dialler, with its TLS and its
// password, and are told by it to nobody.
func TestTheConnectionOfSomebodyElseIsLeftAlone(t *testing.T) {
	ca := testserver.NewAuthority(t)
	server := testserver.NATSTLS(t, ca, "")
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	var dials counted
	var told atomic.Int32
	tell := func(*nats.Conn) { told.Add(1) }
	nc := theirs(t, "tls://"+server.Addr, nats.UserInfo("app", testserver.Password), nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		nats.SetCustomDialer(&dials), nats.NoEcho(), nats.ReconnectHandler(tell), nats.LameDuckModeHandler(tell), nats.DisconnectErrHandler(func(*nats.Conn, error) { told.Add(1) }))
	conn, err := newDriverLike(t, nc).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := dials.n.Load(); got != 2 {
		t.Errorf("the dialler was used %d times, want once more than by the program", got)
	}
	if err := conn.Subscribe(t.Context(), "topic"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Publish(t.Context(), "topic", []byte("to ourselves, too")); err != nil {
		t.Fatal(err)
	}
	if got, err := conn.Receive(within(t)); err != nil || string(got.Payload) != "to ourselves, too" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushWithContext(within(t)); err != nil || told.Load() != 0 {
		t.Errorf("got %v of the connection after the driver, and it was told of %d things", err, told.Load())
	}
}

// A piped server is one in the process.
type piped struct{ addr string }

func (p piped) InProcessConn() (net.Conn, error) { return net.Dial("tcp", p.addr) }

func TestAServerInTheProcessIsReached(t *testing.T) {
	server := testserver.NATS(t, "")
	// Nobody listens at the address.
	nc := theirs(t, "nats://127.0.0.1:1", nats.InProcessServer(piped{server.Addr}))
	conn, err := newDriverLike(t, nc).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnErrorOfAConnectionLikeAnotherShowsNoPassword(t *testing.T) {
	if d, err := natspubsub.NewDriverLike(nil); err == nil {
		t.Errorf("got %v for no connection", d)
	}
	server := testserver.NATS(t, "")
	nc := theirs(t, strings.Replace(server.URL, "://", "://user:hunter2@", 1))
	ctx, cancel := context.WithCancel(t.Context())
	d := newDriverLike(t, nc)
	server.Kill()
	defer cancel()
	if _, err := d.Open(ctx); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("got %v, want the address without a password", err)
	}
}
