package planted

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// A Plain is a page of htmx without ids and versions: a number and a button.
type Plain struct {
	URL string

	perSession bool

	mu       sync.Mutex // guards the rest
	shared   int64
	sessions map[string]int64 // if perSession
	number   int64            // that was told last
	told     map[chan int64]bool
}

// StartHTMX runs a page whose number is shared, over a websocket, until the test ends.
func StartHTMX(t testing.TB) *Plain { return startPlain(t, false, `hx-ws:connect="/ws"`, `hx-ws:send`) }

// StartSSE runs the same page with server-sent events, and clicks that are posted.
func StartSSE(t testing.TB) *Plain {
	return startPlain(t, false, `hx-sse:connect="/events"`, `hx-post="/click"`)
}

// StartClassicMistake runs a page that counts for each session, and tells that number to all: what
// a tutorial does that keeps the state in the handler of a connection. Two tabs that click five
// times each end at five.
func StartClassicMistake(t testing.TB) *Plain {
	return startPlain(t, true, `hx-ws:connect="/ws"`, `hx-ws:send`)
}

func startPlain(t testing.TB, perSession bool, connect, send string) *Plain {
	t.Helper()
	p := &Plain{perSession: perSession, sessions: make(map[string]int64), told: make(map[chan int64]bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: rand.Text()})
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = fmt.Fprintf(w, `<!doctype html><main %s>%s<form %s><button name="action" value="up">+</button></form></main>`,
			connect, span(p.number), send)
	})
	ctx, cancel := context.WithCancel(context.Background())
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) { p.ws(ctx, w, r) })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { p.events(ctx, w, r) })
	mux.HandleFunc("POST /click", func(w http.ResponseWriter, r *http.Request) {
		p.click(session(r))
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		server.Close()
	})
	p.URL = server.URL
	return p
}

func session(r *http.Request) string {
	c, err := r.Cookie("session")
	if err != nil {
		return ""
	}
	return c.Value
}

func span(n int64) string { return fmt.Sprintf(`<b id="count">%d</b>`, n) }

// click counts a click, and sends the number to all tabs.
func (p *Plain) click(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shared++
	p.number = p.shared
	if p.perSession {
		p.sessions[session]++
		p.number = p.sessions[session]
	}
	for c := range p.told {
		select {
		case c <- p.number:
		default: // a tab that far behind is slow: the tests have none
		}
	}
}

// subscribe gets each number from now on, and first the newest. The caller has to leave.
func (p *Plain) subscribe() (numbers chan int64, leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan int64, 10_000)
	c <- p.number
	p.told[c] = true
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.told, c)
	}
}

func (p *Plain) ws(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	numbers, leave := p.subscribe()
	defer leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reader sync.WaitGroup
	defer reader.Wait()
	defer conn.CloseNow()
	reader.Go(func() {
		defer cancel()
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
			p.click(session(r))
		}
	})
	for {
		select {
		case n := <-numbers:
			if conn.Write(ctx, websocket.MessageText, []byte(`<hx-partial hx-target="#count">`+fmt.Sprint(n)+`</hx-partial>`)) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *Plain) events(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	numbers, leave := p.subscribe()
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		select {
		case n := <-numbers:
			_, _ = fmt.Fprintf(w, "event: message\ndata: %s\n\n", span(n))
			_ = http.NewResponseController(w).Flush() // a tab that is gone ends the request
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		}
	}
}
