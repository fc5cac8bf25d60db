package redispubsub_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/redispubsub"
)

func TestMain(m *testing.M) {
	redisclient.Silence()
	goleak.VerifyTestMain(m)
}

func newDriver(t testing.TB, url string) driver.Driver {
	t.Helper()
	d, err := redispubsub.NewDriver(url)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	server := testserver.Redis(t)
	h := drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriver(t, server.URL) }}
	if !server.Lent() {
		h.Break = func(t testing.TB, _ driver.Driver) { cut(t, server.URL, "pubsub", "normal") }
		h.Restart = func(testing.TB, driver.Driver) { server.Restart() }
		h.Freeze = func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw }
	}
	drivertest.Run(t, h)
}

// cut makes the server close its connections of some kinds.
func cut(t testing.TB, url string, kinds ...string) {
	t.Helper()
	c, err := redisclient.New(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, kind := range kinds {
		if err := c.Do(context.Background(), "CLIENT", "KILL", "TYPE", kind).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAKilledSubscriberIsNotReplacedInSilence: go-redis connects again by
// itself; what was published meanwhile would be missed by nobody.
func TestAKilledSubscriberIsNotReplacedInSilence(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	conn, err := newDriver(t, server.URL).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	cut(t, server.URL, "pubsub")
	drivertest.WantEnd(within(t), t, conn, "")
}

// TestASubscriberThatIsTooSlowLearnsThatItWasCut: the server drops what it has
// buffered for it, and the connection.
func TestASubscriberThatIsTooSlowLearnsThatItWasCut(t *testing.T) {
	server := testserver.Redis(t, "--client-output-buffer-limit", "pubsub", "1mb", "0", "0")
	server.Own()
	d := newDriver(t, server.URL)
	slow, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if err := slow.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	pub, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pub.Close()
	const n = 50
	for range n { // more than the limit and all buffers of the system
		if err := pub.Publish(t.Context(), "x", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for got := range n {
		if _, err := slow.Receive(t.Context()); err != nil {
			if !strings.Contains(err.Error(), server.Addr) {
				t.Errorf("got %v, want an error that names %s", err, server.Addr)
			}
			return
		}
		if got == n-1 {
			t.Error("it was not cut: nothing is shown")
		}
	}
}

// TestALostPublisherEndsTheConnection although messages still come in: it
// would be made again, and nobody would know what was lost.
func TestALostPublisherEndsTheConnection(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	conn, err := newDriver(t, server.URL).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cut(t, server.URL, "normal")
	if err := conn.Publish(t.Context(), "x", nil); err == nil {
		t.Error("Publish connected again in silence")
	}
	if m, err := conn.Receive(t.Context()); err == nil || !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("got %+v, %v; want an error that names %s", m, err, server.Addr)
	}
}

// TestAServerThatIsNotThereIsSaidSo: a second attempt of go-redis, which is not
// allowed, must not hide what the first one met.
func TestAServerThatIsNotThereIsSaidSo(t *testing.T) {
	for _, url := range []string{"redis://127.0.0.1:1", "rediss://127.0.0.1:1"} {
		if _, err := newDriver(t, url).Open(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: got %v, want that the connection was refused", url, err)
		}
	}
}

// TestALostServerIsNoticedAtOnce: go-redis connects again before it returns
// the error, which takes its time when nothing answers.
func TestALostServerIsNoticedAtOnce(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	proxy := newProxy(t, server.Addr)
	conn, err := newDriver(t, "redis://"+proxy.Addr().String()).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	server.Freeze()
	proxy.cut()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if m, err := conn.Receive(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("got %+v, %v; want the connection's end", m, err)
	}
}

// A proxy forwards to a server.
type proxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	conns  []net.Conn // guarded by mu
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, target: target}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := p.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.target)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			running.Go(func() { _, _ = io.Copy(in, out) })
			running.Go(func() { _, _ = io.Copy(out, in) })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(); running.Wait() })
	return p
}

// cut ends the connections that there are; new ones work.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

// TestARefusedTopicIsAnErrorOfThatTopicOnly: access rules of Redis.
func TestARefusedTopicIsAnErrorOfThatTopicOnly(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), "ACL", "SETUSER", "tab", "on", ">hunter2", "+@all", "allkeys", "resetchannels", "&good*").Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := newDriver(t, strings.Replace(server.URL, "redis://", "redis://tab:hunter2@", 1)).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "good1"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Subscribe(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("got %v, want NOPERM", err)
	}
	if err := conn.Subscribe(t.Context(), "good2"); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	if err := conn.Publish(t.Context(), "good1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Receive(t.Context()); err != nil || m.Topic != "good1" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"redis://u:hunter2@[::1", "nonsense hunter2", "redis+cluster://u:hunter2@/", "redis+cluster://u:hunter2@a b"} {
		if _, err := redispubsub.NewDriver(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := newDriver(t, "redis://u:hunter2@127.0.0.1:1").Open(ctx); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want the address and no password", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.Redis(b).URL))
}

// TestConformanceOverTLS: a connection with TLS is closed, and its end is
// noticed, in another way.
func TestConformanceOverTLS(t *testing.T) {
	server := testserver.RedisTLS(t, testserver.NewAuthority(t))
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(t testing.TB) driver.Driver { return newDriver(t, server.URL) },
		Break:   func(t testing.TB, _ driver.Driver) { cut(t, server.URL, "pubsub", "normal") },
		Restart: func(testing.TB, driver.Driver) { server.Restart() },
		Freeze:  func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw },
	})
}
