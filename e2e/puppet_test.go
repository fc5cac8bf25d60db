package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/static"
)

// A puppet is a server that says what a test has it say: a page with the real scripts, under the
// real policy, and its socket. Safe for concurrent use.
type puppet struct {
	t   testing.TB
	url string
	mux *http.ServeMux // for what else a test has to serve

	mu    sync.Mutex // guards what follows
	ws    *websocket.Conn
	heard []heardMessage // since the connection began, or they were taken
	muted bool           // it says no status
}

// A heardMessage is what a tab has said.
type heardMessage struct {
	Hello int
	At    map[string][2]uint64
	Op    []any
	T, Do string
	In    map[string]any
	seq   uint64
}

const puppetPage = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>puppet</title>
<meta name="htmx-config" content='{"morphIgnore":["data-htmx-powered","open"],"history":false,"includeIndicatorCSS":false,
"ws":{"reconnectDelay":100,"reconnectMaxDelay":200}}'>
<style nonce="x">body{margin:0}%s</style>%s
<p id="status" data-state="connecting"></p><p id="said" role="status"></p><p id="notice"></p>
<main hx-ws:connect="/ws" data-grants='{"%[3]s":""}'>%[4]s</main></html>`

const puppetPolicy = "default-src 'none'; script-src 'self'; style-src 'nonce-x'; img-src 'self'; connect-src 'self'; " +
	"require-trusted-types-for 'script'; trusted-types htmx lockstep"

// A part is what a puppet's page has.
type part struct {
	topic, style string
	before       string        // a script that runs before all others
	body         func() string // of the page, when it is asked for
}

func newPuppet(t testing.TB, p part) *puppet {
	t.Helper()
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &puppet{t: t, mux: http.NewServeMux()}
	s.mux.HandleFunc("/ws", s.socket)
	s.mux.HandleFunc("/before.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(p.before)) // the test sees what is missing
	})
	s.mux.HandleFunc("/static/", func(w http.ResponseWriter, r *http.Request) {
		f, _ := assets.Open(r.URL.Path, "")
		w.Header().Set("Content-Type", f.ContentType)
		_, _ = w.Write(f.Body)
	})
	var scripts strings.Builder
	for _, src := range []string{"/before.js", assets.URL("app.js"), assets.URL("list.js"), assets.URL("log.js")} {
		fmt.Fprintf(&scripts, "<script src=%q defer></script>", src)
	}
	s.mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", puppetPolicy)
		_, _ = fmt.Fprintf(w, puppetPage, p.style, scripts.String(), p.topic, p.body())
	})
	server := httptest.NewServer(s.mux)
	t.Cleanup(func() {
		s.hangUp()
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

// socket serves one connection of the page; the newest counts.
func (s *puppet) socket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer ws.CloseNow()
	s.mu.Lock()
	s.ws, s.heard = ws, nil
	muted := s.muted
	s.mu.Unlock()
	if !muted {
		s.say(object{"status": "live", "beat": 20, "clock": time.Now().UnixMilli()})
	}
	for {
		_, text, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		var m heardMessage
		if err := json.Unmarshal(text, &m); err != nil {
			s.t.Errorf("the tab says %s: %v", text, err)
		}
		if len(m.Op) == 3 {
			m.seq = uint64(m.Op[1].(float64))
		}
		s.mu.Lock()
		s.heard = append(s.heard, m)
		s.mu.Unlock()
	}
}

// hangUp ends the connection of the page.
func (s *puppet) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ws != nil {
		s.ws.CloseNow()
	}
	s.ws = nil
}

// say sends a message.
func (s *puppet) say(message object) {
	s.t.Helper()
	text, err := json.Marshal(message)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	ws := s.ws
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, text); err != nil {
		s.t.Errorf("the tab does not listen: %v", err)
	}
}

// take returns what has been heard since it was last called, as far as which says so.
func (s *puppet) take(which func(heardMessage) bool) (all []heardMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.heard {
		if which(m) {
			all = append(all, m)
		}
	}
	s.heard = slices.DeleteFunc(s.heard, which)
	return all
}

// waitFor waits until the tab says something of the kind.
func (s *puppet) waitFor(what string, which func(heardMessage) bool) (got heardMessage) {
	s.t.Helper()
	eventually(s.t, "the tab to say "+what, func() error {
		all := s.take(which)
		if len(all) == 0 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return errorOf(s.heard)
		}
		got = all[0]
		return nil
	})
	return got
}

func isHello(m heardMessage) bool { return m.Hello != 0 }
func isOp(m heardMessage) bool    { return len(m.Op) == 3 }

// visit opens the page and waits until the tab has said hello.
func (s *puppet) visit(t testing.TB, open opener) *page {
	t.Helper()
	p := open(t)
	p.navigate(s.url)
	p.isLive()
	s.waitFor("hello", isHello)
	return p
}

// answer acknowledges an op, or refuses it.
func (s *puppet) answer(m heardMessage, refused string) {
	s.t.Helper()
	name := []any{m.Op[0], m.Op[1]}
	if refused != "" {
		s.say(object{"t": m.T, "op": name, "refused": refused, "clock": time.Now().UnixMilli()})
		return
	}
	s.say(object{"t": m.T, "ack": []any{name}, "clock": time.Now().UnixMilli()})
}

// frame sends a version of a topic, of epoch 1. base is the version that it is right from on; a
// negative one: it is right for all.
func (s *puppet) frame(topic string, base, version int, content string) {
	s.t.Helper()
	message := object{"t": topic, "e": 1, "v": version, "swap": "none", "content": content}
	if base >= 0 {
		message["a"] = base
	}
	s.say(message)
}
