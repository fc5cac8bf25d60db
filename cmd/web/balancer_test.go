package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// backend is a server that says its name, and echoes websockets.
func backend(t *testing.T, name string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, name+" "+r.Host+" "+string(body))
			return
		}
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		_ = ws.Write(r.Context(), websocket.MessageText, []byte(name))
		_, _, _ = ws.Read(context.Background())
	}))
	t.Cleanup(srv.Close)
	return srv
}

func balance(t *testing.T, addrs ...string) string {
	t.Helper()
	srv := httptest.NewServer(newBalancer(addrs, slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	return srv.URL
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "counter.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestTheBalancerGoesRoundAndKeepsTheHost(t *testing.T) {
	a, b := backend(t, "a"), backend(t, "b")
	url := balance(t, a.Listener.Addr().String(), b.Listener.Addr().String())
	got := map[string]int{}
	for range 10 {
		_, body := post(t, url, "x")
		got[body]++
	}
	if got["a counter.example x"] != 5 || got["b counter.example x"] != 5 {
		t.Errorf("got %v, want 5 each with the host and the body kept", got)
	}
}

func TestTheBalancerPassesOverAReplicaThatIsGone(t *testing.T) {
	a := backend(t, "a")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	url := balance(t, gone.Addr().String(), a.Listener.Addr().String())
	for range 6 {
		if code, body := post(t, url, "kept"); code != 200 || body != "a counter.example kept" {
			t.Errorf("got %d %q", code, body)
		}
	}
	url = balance(t, gone.Addr().String())
	if code, _ := post(t, url, "x"); code != http.StatusBadGateway {
		t.Errorf("got %d without any replica, want 502", code)
	}
}

func TestSocketsSpreadOverTheReplicas(t *testing.T) {
	a, b, c := backend(t, "a"), backend(t, "b"), backend(t, "c")
	url := balance(t, a.Listener.Addr().String(), b.Listener.Addr().String(), c.Listener.Addr().String())
	got := map[string]int{}
	for range 9 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		_, name, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got[string(name)]++
	}
	if got["a"] != 3 || got["b"] != 3 || got["c"] != 3 {
		t.Errorf("got %v sockets, want 3 on each", got)
	}
}
