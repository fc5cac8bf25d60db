package testserver_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

func TestNginxGoesToTheUpstreamThatAnswersAndUpgrades(t *testing.T) {
	upstream := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				_, _ = io.WriteString(w, name) // the test sees what is missing
				return
			}
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "test")
			w.WriteHeader(http.StatusSwitchingProtocols)
			_, _ = io.WriteString(hijack(t, w), name) // the test sees what is missing
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
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, nginx.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said := make([]byte, 1)
	if _, err := io.ReadFull(resp.Body, said); err != nil || resp.StatusCode != http.StatusSwitchingProtocols || said[0] != 'b' {
		t.Errorf("got %s %q, %v; want b after an upgrade", resp.Status, said, err)
	}
}

// hijack returns the connection of a request, until the test ends.
func hijack(t *testing.T, w http.ResponseWriter) net.Conn {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
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
