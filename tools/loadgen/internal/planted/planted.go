// Package planted is a small live server with bugs that are planted on purpose, to see that the
// load generator finds each. It speaks the wire of docs/protocol.md and knows nothing of the
// product. It is for tests.
package planted

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Bugs are what a Server does wrong. The zero value is a correct server. With a number n the bug is
// in every nth op or state, counted from 1, unless its comment says otherwise.
type Bugs struct {
	DropUpdate    int  // each state is withheld from one tab in n, another one each time
	Freeze        int  // the nth tab that connects gets no state after its first
	Backwards     int  // after the state a tab is sent the one before, too
	TwoTruths     int  // the state has another count for every second tab
	Twice         int  // the op counts two times
	TwiceOnResend bool // an op that is sent again counts again
	LoseClick     int  // the op is acknowledged and not counted
	NoAck         int  // the op is counted and never acknowledged
	EarlyAck      int  // the op is acknowledged, and the state follows with the next
	Retry         int  // the op is not taken at first (right: it is sent again)
	Refuse        int  // the op is refused for good (right, if nothing is counted)
	CutEvery      int  // after n ops all connections are closed (right: tabs connect again)
	Tabs          int  // connections beyond n are refused; 0: none
	NoSocket      bool // the page names no socket
	Garbage       int  // bytes that are no message follow the state
	NoStreams     bool // streams are refused (right: tabs ask)
	HoldStreams   bool // streams say nothing (right: tabs ask)
	CutAnswers    int  // the answer to the exchange is cut off (right: tabs send again)
}

// A Server has counters by name, from 0. Its methods may be called concurrently.
type Server struct {
	URL  string
	bugs Bugs

	mu       sync.Mutex // guards the rest
	counters map[string]*counter
	tabs     int // that ever connected
	sockets  int // that ever were asked for
	open     int
}

// A counter is one page.
type counter struct {
	count   int64
	version uint64
	seen    map[string]bool // ops
	ops     int
	tabs    []*tab
	states  map[uint64]int64 // count by version
}

// Start runs a server until the test ends.
func Start(t testing.TB, bugs Bugs) *Server {
	t.Helper()
	s := &Server{bugs: bugs, counters: make(map[string]*counter)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /c/{name}", s.page)
	mux.HandleFunc("GET /ws/c/{name}", s.socket)
	mux.HandleFunc("POST /ws/c/{name}", s.request)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.cut()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Count is what a counter has.
func (s *Server) Count(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter(name).count
}

// Sockets is how many websockets were asked for.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets
}

// counter is the counter of a name, which may be new. The caller holds mu.
func (s *Server) counter(name string) *counter {
	c := s.counters[name]
	if c == nil {
		c = &counter{seen: make(map[string]bool), states: map[uint64]int64{0: 0}}
		s.counters[name] = c
	}
	return c
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	c := s.counter(name)
	connect := fmt.Sprintf(` hx-ws:connect="/ws/c/%s"`, name)
	if s.bugs.NoSocket {
		connect = ""
	}
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "of-a-tab"})
	_, _ = fmt.Fprintf(w, `<!doctype html><p id="status" data-state="live"></p><main%s><div id="live">%s</div><p id="replica">planted</p></main>`,
		connect, root(name, c.version, c.count))
}

// root is the element of a counter.
func root(name string, version uint64, count int64) string {
	return fmt.Sprintf(`<section id="counter" data-topic="counter:%s" data-count="%d" data-version="%d" data-epoch="1"><p>%d</p></section>`,
		name, count, version, count)
}

func state(name string, version uint64, count int64) string {
	content := `<hx-partial hx-target="#live" hx-swap="innerMorph">` + root(name, version, count) + `</hx-partial>`
	return fmt.Sprintf(`{"t":"counter:%s","e":1,"v":%d,"swap":"none","content":%q}`, name, version, content)
}

// socket serves a tab until it leaves.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.sockets++
	s.mu.Unlock()
	t := s.admit(r.PathValue("name"))
	if t == nil {
		http.Error(w, "no more tabs", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(t)
	if r.Header.Get("Cookie") != "session=of-a-tab" {
		http.Error(w, "no cookie", http.StatusForbidden)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	var writer sync.WaitGroup
	defer writer.Wait()
	defer t.end("")
	writer.Go(func() { t.write(websocketConn{conn}) })
	for {
		_, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		s.receive(t, message)
	}
}

// admit adds a tab; nil: there are too many.
func (s *Server) admit(name string) *tab {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bugs.Tabs > 0 && s.open >= s.bugs.Tabs {
		return nil
	}
	s.open++
	s.tabs++
	c := s.counter(name)
	t := &tab{number: s.tabs, name: name, counter: c, more: make(chan struct{}, 1)}
	t.send(`{"status":"live"}`)
	t.send(state(name, c.version, c.count))
	c.tabs = append(c.tabs, t)
	return t
}

func (s *Server) leave(t *tab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	for i, other := range t.counter.tabs {
		if other == t {
			t.counter.tabs = append(t.counter.tabs[:i], t.counter.tabs[i+1:]...)
			return
		}
	}
}

// cut closes all connections, as a server that restarts does.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.counters {
		for _, t := range c.tabs {
			t.end("restart")
		}
	}
}

// receive takes a message of a tab.
func (s *Server) receive(t *tab, message []byte) {
	var m struct{ Action, Op string }
	if json.Unmarshal(message, &m) != nil || m.Action != "increment" {
		return // hello
	}
	s.mu.Lock()
	s.click(t, m.Op)
	restart := s.bugs.CutEvery > 0 && t.counter.ops%s.bugs.CutEvery == 0
	s.mu.Unlock()
	if restart {
		s.cut()
	}
}

// each reports whether op or state n has a bug. 0: none has.
func each(bug, n int) bool { return bug > 0 && n%bug == 0 }

// writeTimeout is after what time the connection of a tab that does not read is closed.
const writeTimeout = 10 * time.Second
