package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/fleet"
	"lockstep/internal/history"
	"lockstep/internal/pause"
)

// A server has one counter, and may lose a click that it acknowledges.
type server struct {
	mu      sync.Mutex // guards the rest
	n, lose int
	version uint64
	done    map[string]bool
	tabs    map[*websocket.Conn]bool
}

func (s *server) look() string {
	return fmt.Sprintf(`<section data-topic="counter:x" data-count="%d" data-version="%d" data-epoch="1">`, s.n, s.version)
}

func (s *server) truth(context.Context) (history.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return history.State{Epoch: 1, Version: s.version, Value: history.CounterValue(int64(s.n))}, nil
}

// ServeHTTP implements http.Handler: the page, and its socket.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = fmt.Fprintf(w, `<main hx-ws:connect="/ws?a=1&amp;b=2">%s`, s.look())
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.tabs, c)
		s.mu.Unlock()
		_ = c.CloseNow()
	}()
	for {
		_, text, err := c.Read(r.Context())
		if err != nil {
			return
		}
		s.heard(r.Context(), c, text)
	}
}

// heard takes in what a tab says.
func (s *server) heard(ctx context.Context, c *websocket.Conn, text []byte) {
	var m struct {
		Hello int
		Op    []any
	}
	_ = json.Unmarshal(text, &m) // it is what a fleet writes
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Hello != 0 {
		s.tabs[c] = true
		_ = c.Write(ctx, websocket.MessageText, []byte(`{"status":"live","beat":1,"clock":1764374400000}`))
		return
	}
	id := fmt.Sprint(m.Op[:2])
	if !s.done[id] {
		s.done[id] = true
		s.version++
		if s.n++; s.lose > 0 {
			s.lose--
			s.n--
		}
	}
	frame, _ := json.Marshal(map[string]any{"t": "counter:x", "e": 1, "v": s.version, "content": "<hx-partial>" + s.look()})
	for tab := range s.tabs {
		_ = tab.Write(ctx, websocket.MessageText, frame) // one that has gone comes again
	}
	ack, _ := json.Marshal(map[string]any{"t": "counter:x", "ack": [][]any{m.Op[:2]}})
	_ = c.Write(ctx, websocket.MessageText, ack)
}

// cut breaks all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.tabs {
		go func() { _ = c.CloseNow() }() // ends at once
	}
}

// sailing returns a fleet on a server, and its record.
func sailing(t *testing.T, s *server) (*fleet.Fleet, *history.Recording) {
	t.Helper()
	s.done, s.tabs = make(map[string]bool), make(map[*websocket.Conn]bool)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	r := history.NewRecording(time.Now)
	f := fleet.New(fleet.Options{Pages: []string{srv.URL + "/a", srv.URL + "/b"}, Replicas: []string{"a", "b"}, Tabs: 4, Truth: s.truth, Recording: r})
	t.Cleanup(f.Stop)
	return f, r
}

// ends waits until the fleet has ended by itself.
func ends(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	f.Rest()
	for f.Running() {
		if !pause.For(t.Context(), 20*time.Millisecond) {
			t.Fatal("the fleet has not ended")
		}
	}
}

func TestAFleetMakesAllClicksThoughItsConnectionsBreak(t *testing.T) {
	s := &server{}
	f, r := sailing(t, s)
	f.Burst(100)
	f.Start()
	f.Start() // harmless
	for range 3 {
		pause.For(t.Context(), 200*time.Millisecond)
		s.cut()
	}
	ends(t, f)
	v := r.Verdict()
	if !v.Holds() || v.Clicks < 100 || v.Clicks > 110 || s.n != v.Clicks {
		t.Errorf("got %s, and %d of the server", v.String(), s.n)
	}
	if n, of := f.Connected(); n != 0 || of != 4 {
		t.Errorf("%d of %d tabs are connected after the end", n, of)
	}
}

func TestAClickThatTheServerLosesIsFound(t *testing.T) {
	f, r := sailing(t, &server{lose: 1})
	f.Burst(20)
	f.Start()
	ends(t, f)
	if v := r.Verdict(); v.Holds() || v.Lost != 1 || !strings.Contains(strings.Join(v.Named, "\n"), "exactly once") {
		t.Errorf("got %s: %q", v.String(), v.Named)
	}
}

func TestNothingIsJudgedWhileSomethingIsBroken(t *testing.T) {
	f, r := sailing(t, &server{})
	f.Sick(true)
	f.Burst(10)
	f.Start()
	f.Rest()
	for clicks := 0; clicks < 10; clicks, _, _ = r.Open() {
		pause.For(t.Context(), 10*time.Millisecond)
	}
	if v := r.Verdict(); v.Clicks != 0 || !f.Running() {
		t.Errorf("got %s, running %v", v.String(), f.Running())
	}
	f.Sick(false)
	ends(t, f)
	if v := r.Verdict(); v.Clicks < 10 {
		t.Errorf("got %s", v.String())
	}
}
