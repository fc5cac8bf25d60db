package serve

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// patience is how long anything may take before a test fails for it.
const patience = 20 * time.Second

// serving starts a server with a limiter, and returns its address.
func serving(t *testing.T, limiter *listenerLimiter, h http.Handler, secure *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveOn(l, h, serverOptions{header: patience, idle: patience, limiter: limiter, tls: secure}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = s.http.Close(); _ = s.stop(t.Context()) })
	return l.Addr().String()
}

func noTabs() int { return 0 }

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// A caller is a connection to a server from an address of the loopback.
type caller struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func call(t *testing.T, from, addr string) *caller {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Skipf("this system has no %s: all of 127.0.0.0/8 is the loopback on Linux", from)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &caller{c, t, bufio.NewReader(c)}
}

// get sends a request and returns the status of the answer. A server that has
// refused us may be gone while we still write.
func (c *caller) get() int {
	c.t.Helper()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	return c.answer()
}

func (c *caller) answer() int {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK && (resp.Header.Get("Retry-After") == "" || !resp.Close) {
		c.t.Errorf("got a refusal without Retry-After or Connection: close: %v", resp.Header)
	}
	return resp.StatusCode
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit, again := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer limit.Stop()
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("still waiting for %s", what)
		}
	}
}

func TestOneConnectionTooManyIsToldSo(t *testing.T) {
	all := newConnLimiter(2)
	addr := serving(t, all.listener(1, 0, nil, noTabs), http.HandlerFunc(hello), nil)
	a, b := call(t, "127.0.0.1", addr), call(t, "127.0.0.1", addr)
	if x, y := a.get(), b.get(); x != http.StatusOK || y != http.StatusOK {
		t.Fatalf("got %d and %d", x, y)
	}
	c := call(t, "127.0.0.1", addr)
	if got := c.answer(); got != http.StatusServiceUnavailable { // without having asked
		t.Errorf("got %d, want 503", got)
	}
	if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the connection's end", err)
	}
	if got := a.get(); got != http.StatusOK {
		t.Errorf("got %d on a connection that was there before", got)
	}
	if total, perAddr := all.refused(); total != 1 || perAddr != 0 {
		t.Errorf("got %d and %d refused, want 1 and 0", total, perAddr)
	}
	b.Close()
	until(t, "room", func() bool { return all.used() == 1 })
	if got := call(t, "127.0.0.1", addr).get(); got != http.StatusOK {
		t.Errorf("got %d after another has left, want 200", got)
	}
}

func TestAnAddressHasItsShareAndNoMore(t *testing.T) {
	all := newConnLimiter(0)
	addr := serving(t, all.listener(1, 1, []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}, noTabs), http.HandlerFunc(hello), nil)
	for _, c := range []struct {
		from string
		want int
	}{{"127.0.0.1", 200}, {"127.0.0.1", 429}, {"127.0.0.2", 200}, {"127.0.0.2", 429}, {"127.0.0.9", 200}, {"127.0.0.9", 200}} {
		if got := call(t, c.from, addr).get(); got != c.want {
			t.Errorf("got %d for %s, want %d", got, c.from, c.want)
		}
	}
	if total, perAddr := all.refused(); total != 0 || perAddr != 2 {
		t.Errorf("got %d and %d refused, want 0 and 2", total, perAddr)
	}
}

// TestTabsAndRequestsShareTheLimit: net/http no longer knows a websocket, but
// it is a connection all the same.
func TestTabsAndRequestsShareTheLimit(t *testing.T) {
	all := newConnLimiter(3)
	var tabs atomic.Int64
	taken := make(chan net.Conn, 1)
	addr := serving(t, all.listener(1, 0, nil, func() int { return int(tabs.Load()) }), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tabs.Add(1)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, ok := c.(*net.TCPConn); !ok {
			t.Errorf("got a %T: package wslive needs the connection itself", c)
		}
		taken <- c
	}), nil)
	_, _ = io.WriteString(call(t, "127.0.0.1", addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	defer (<-taken).Close()
	until(t, "the socket to be counted once", func() bool { return all.used() == 1 })
	call(t, "127.0.0.1", addr)
	call(t, "127.0.0.1", addr)
	until(t, "two idle ones", func() bool { return all.used() == 3 })
	if got := call(t, "127.0.0.1", addr).answer(); got != http.StatusServiceUnavailable {
		t.Errorf("got %d for the fourth, want 503", got)
	}
	tabs.Add(-1)
	call(t, "127.0.0.1", addr)
	until(t, "the place of a tab that has left to be taken", func() bool { return all.used() == 3 })
}

// TestAllListenersShareTheLimit, each with its own cost of a connection.
func TestAllListenersShareTheLimit(t *testing.T) {
	all := newConnLimiter(4)
	one := serving(t, all.listener(1, 0, nil, noTabs), http.HandlerFunc(hello), nil)
	two := serving(t, all.listener(2, 0, nil, noTabs), http.HandlerFunc(hello), nil)
	call(t, "127.0.0.1", two)
	call(t, "127.0.0.1", one)
	until(t, "both to be counted", func() bool { return all.used() == 3 })
	if got := call(t, "127.0.0.1", two).answer(); got != http.StatusServiceUnavailable {
		t.Errorf("got %d for one that costs 2, want 503", got)
	}
	if got := call(t, "127.0.0.1", one).get(); got != http.StatusOK {
		t.Errorf("got %d for one that costs 1, want 200", got)
	}
}

func TestWithTLSOneTooManyIsClosed(t *testing.T) {
	ca := testserver.NewAuthority(t)
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	secure, err := secureWith(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr := serving(t, newConnLimiter(1).listener(1, 0, nil, noTabs), http.HandlerFunc(hello), secure)
	first := tls.Client(call(t, "127.0.0.1", addr), &tls.Config{RootCAs: pool(t, ca), ServerName: "127.0.0.1"})
	if err := first.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := call(t, "127.0.0.1", addr).r.ReadByte(); err == nil {
		t.Errorf("got %q, want nothing", b)
	}
}

func pool(t *testing.T, ca *testserver.Authority) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(pem)
	return p
}
