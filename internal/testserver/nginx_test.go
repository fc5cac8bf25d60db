package testserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

func TestNginxGoesToTheUpstreamThatAnswersAndUpgrades(t *testing.T) {
	upstream := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(w, name) // the test sees what is missing
				return
			}
			ws, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer ws.CloseNow()
			_ = ws.Write(r.Context(), websocket.MessageText, []byte(name)) // the test sees what is missing
		}))
		t.Cleanup(s.Close)
		return s
	}
	a, b := upstream("a"), upstream("b")
	addr := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	nginx := testserver.Nginx(t, addr(a), addr(b))
	a.Close()
	for range 20 {
		resp, err := http.Get(nginx.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != "b" {
			t.Fatalf("got %s %q, %v; want b each time", resp.Status, body, err)
		}
	}
	ws, _, err := websocket.Dial(t.Context(), nginx.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, m, err := ws.Read(t.Context()); err != nil || string(m) != "b" {
		t.Errorf("got %q, %v; want b", m, err)
	}
}

func TestNginxNamesTheClientAndComesBack(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Join([]string{ // the test sees what is missing
			r.Host, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
		}, " "))
	}))
	t.Cleanup(upstream.Close)
	nginx := testserver.Nginx(t, strings.TrimPrefix(upstream.URL, "http://"))
	for how, fault := range map[string]func(){
		"start":   func() {},
		"Restart": nginx.Restart,
		"Kill":    func() { nginx.Kill(); wantRefused(t, nginx.Addr); nginx.Start() },
	} {
		fault()
		resp, err := http.Get(nginx.URL)
		if err != nil {
			t.Fatalf("after %s: %v", how, err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want := nginx.Addr + " 127.0.0.1 http"; err != nil || string(body) != want {
			t.Errorf("after %s: got %q, %v; want %q", how, body, err, want)
		}
		http.DefaultClient.CloseIdleConnections() // or the next request meets a dead one
	}
}
