package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"lockstep/tools/loadgen/load/protocol"
)

func handshakeOn(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := handshake(conn, &url.URL{Scheme: "ws", Host: "host", Path: "/ws"}, "a=b", nil); err != nil {
		t.Fatal(err)
	}
}

func TestAHandshakeThatFailsSaysWhy(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 403 Forbidden\r\n\r\n":           "403 Forbidden",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n": "not that of a websocket",
		"nonsense\r\n\r\n":                         "malformed",
		"":                                         "EOF",
	} {
		client, server := net.Pipe()
		go func() {
			_, _ = server.Read(make([]byte, 4096))
			_, _ = server.Write([]byte(answer))
			_ = server.Close()
		}()
		if _, err := handshake(client, &url.URL{Scheme: "ws", Host: "host", Path: "/"}, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", answer, err, want)
		}
		_ = client.Close()
	}
}

func TestAHandshakeIsThatOfAPage(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	u := &url.URL{Scheme: "ws", Host: server.Listener.Addr().String(), Path: "/ws/c/a"}
	if _, err := handshake(conn, u, "session=1", nil); !errors.As(err, new(Refusal)) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if got.Get("Origin") != server.URL || got.Get("Cookie") != "session=1" || got.Get("Upgrade") != "websocket" {
		t.Errorf("got %v, want the origin and the cookie of the page", got)
	}
}

func TestCausesAreTheSameForAllTabs(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "read", Source: &net.TCPAddr{Port: 12345}, Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "connection reset by peer"},
		{&url.Error{Op: "Get", URL: "http://x:1", Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, "connection refused"},
		{fmt.Errorf("the socket: %w", Refusal{"503 Service Unavailable"}), "turned away with 503 Service Unavailable"},
		{context.DeadlineExceeded, "no answer in time"},
		{os.ErrDeadlineExceeded, "no answer in time"},
		{io.EOF, "the connection was closed without a word"},
		{errors.New(strings.Repeat("long ", 100)), strings.Repeat("long ", 24)},
	} {
		if got := Cause(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

func TestSourcesAreAddressesOfLoopback(t *testing.T) {
	for slot, want := range map[int]string{0: "127.0.0.2", perSource: "127.0.0.3", 300 * perSource: "127.0.1.46"} {
		if got := source(slot).IP.String(); got != want {
			t.Errorf("tab %d: got %s, want %s", slot, got, want)
		}
	}
}

func TestACacheHasTheLastMessages(t *testing.T) {
	var c cache
	if c.get([]byte("a")) != nil {
		t.Error("an empty cache has something")
	}
	for i := range cached + 1 {
		c.put(fmt.Appendf(nil, "message %d", i), &protocol.Message{State: protocol.State{Count: int64(i)}})
	}
	if c.get([]byte("message 0")) != nil {
		t.Error("the oldest is still there")
	}
	for i := 1; i <= cached; i++ {
		if m := c.get(fmt.Appendf(nil, "message %d", i)); m == nil || m.State.Count != int64(i) {
			t.Errorf("message %d: got %+v", i, m)
		}
	}
}
