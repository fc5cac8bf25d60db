package wslive_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
)

// echo is a view that acknowledges every op, and fails on request.
type echo struct{ mount error }

func (e echo) Mount(context.Context, *live.Session) error { return e.mount }

func (e echo) HandleEvent(_ context.Context, s *live.Session, ev htmx.Event) error {
	if ev.Do == "panic" {
		panic("a broken view")
	}
	s.Ack(ev.Op)
	return nil
}

// serve starts a server with a runtime and stops both when the test ends.
func serve(t *testing.T, view live.View) (*live.Runtime, string) {
	t.Helper()
	return serveWith(t, view, nil)
}

func serveWith(t *testing.T, view live.View, opts *wslive.Options) (*live.Runtime, string) {
	t.Helper()
	rt, srv := serveBy(t, view, opts, httptest.NewServer)
	return rt, srv.URL
}

// serveBy is serveWith for servers that begin otherwise.
func serveBy(t *testing.T, view live.View, opts *wslive.Options, begin func(http.Handler) *httptest.Server) (*live.Runtime, *httptest.Server) {
	t.Helper()
	rt := live.NewRuntime(&live.Options{SendTimeout: 200 * time.Millisecond})
	rt.Start()
	h := wslive.NewHandler(rt, func(*http.Request) live.View { return view }, opts)
	srv := begin(h)
	t.Cleanup(func() {
		rt.Stop()
		h.Close()
		srv.Close()
	})
	return rt, srv
}

func dial(t *testing.T, url string, header http.Header) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if resp != nil {
			err = errors.Join(err, errors.New(resp.Status))
		}
		return nil, err
	}
	t.Cleanup(func() { ws.CloseNow() })
	return ws, nil
}

func mustDial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ws, err := dial(t, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// until reads messages until one contains want; it returns the error that
// ended the connection instead.
func until(t *testing.T, ws *websocket.Conn, want string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, m, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if strings.Contains(string(m), want) {
			return nil
		}
	}
}

func write(t *testing.T, ws *websocket.Conn, kind websocket.MessageType, m string) {
	t.Helper()
	if err := ws.Write(t.Context(), kind, []byte(m)); err != nil {
		t.Fatal(err)
	}
}

func TestATabIsWelcomedAndAnswered(t *testing.T) {
	_, url := serve(t, echo{})
	ws := mustDial(t, url)
	if err := until(t, ws, `"status":"live"`); err != nil {
		t.Fatal(err)
	}
	write(t, ws, websocket.MessageText, `{"hello":2,"client":"c","at":{"x":[0,0]}}`)
	write(t, ws, websocket.MessageText, `{"do":"a","op":["one",1,1]}`)
	if err := until(t, ws, `"ack":[["one",1]]`); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotAcceptedClosesWithItsCode(t *testing.T) {
	for _, c := range []struct {
		name string
		kind websocket.MessageType
		send string
		n    int
		want websocket.StatusCode
	}{
		{"a binary message", websocket.MessageBinary, "x", 1, websocket.StatusUnsupportedData},
		{"an oversized message", websocket.MessageText, strings.Repeat("x", htmx.MaxEvent+1), 1, websocket.StatusMessageTooBig},
		{"much nonsense", websocket.MessageText, "{", 17, websocket.StatusPolicyViolation},
		{"a view that panics", websocket.MessageText, `{"do":"panic","op":["x",1,1]}`, 1, websocket.StatusInternalError},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt, url := serve(t, echo{})
			other := mustDial(t, url)
			ws := mustDial(t, url)
			for range c.n {
				write(t, ws, c.kind, c.send)
			}
			if got := websocket.CloseStatus(until(t, ws, "never sent")); got != c.want {
				t.Errorf("got close code %d, want %d", got, c.want)
			}
			write(t, other, websocket.MessageText, `{"do":"a","op":["two",1,1]}`)
			if err := until(t, other, `"ack":[["two",1]]`); err != nil {
				t.Errorf("another tab was affected: %v", err)
			}
			waitSessions(t, rt, 1)
		})
	}
}

// waitSessions waits until the runtime has n sessions.
func waitSessions(t *testing.T, rt *live.Runtime, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for rt.Stats().Sessions != n {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got %d sessions, want %d", rt.Stats().Sessions, n)
		}
	}
}

func TestAPageOfAnotherOriginCannotConnect(t *testing.T) {
	_, url := serve(t, echo{})
	for _, origin := range []string{"https://evil.example", "null", strings.Replace(url, "http://", "http://x", 1), url + ".evil.example"} {
		if _, err := dial(t, url, http.Header{"Origin": {origin}}); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("origin %q: got %v, want 403", origin, err)
		}
	}
	if _, err := dial(t, url, http.Header{"Origin": {url}}); err != nil {
		t.Errorf("the own origin: %v", err)
	}
}

func TestARequestThatIsNoUpgradeIsAnError(t *testing.T) {
	_, url := serve(t, echo{})
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("got %d, want %d", resp.StatusCode, http.StatusUpgradeRequired)
	}
}

func TestAViewThatFailsToMountClosesTheTab(t *testing.T) {
	rt, url := serve(t, echo{mount: errors.New("no")})
	ws := mustDial(t, url)
	if got := websocket.CloseStatus(until(t, ws, "never sent")); got != websocket.StatusInternalError {
		t.Errorf("got close code %d, want %d", got, websocket.StatusInternalError)
	}
	waitSessions(t, rt, 0)
}

func TestDrainSendsTabsAwayAndRefusesNewOnes(t *testing.T) {
	rt, url := serve(t, echo{})
	var wg sync.WaitGroup
	for range 20 {
		ws := mustDial(t, url)
		wg.Go(func() {
			if got := websocket.CloseStatus(until(t, ws, "never sent")); got != websocket.StatusServiceRestart {
				t.Errorf("got close code %d, want %d", got, websocket.StatusServiceRestart)
			}
		})
	}
	waitSessions(t, rt, 20)
	if err := rt.Drain(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if _, err := dial(t, url, nil); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v while draining, want 503", err)
	}
}

func TestATabThatVanishesLeaves(t *testing.T) {
	rt, url := serve(t, echo{})
	ws := mustDial(t, url)
	waitSessions(t, rt, 1)
	ws.CloseNow()
	waitSessions(t, rt, 0)
}

// TestPingsAreAnsweredByARealClient makes the library's client answer, which it does while it
// reads, over TLS and over plain connections.
func TestPingsAreAnsweredByARealClient(t *testing.T) {
	for name, begin := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			rt, srv := serveBy(t, echo{}, &wslive.Options{PingInterval: 64 * time.Millisecond, PongTimeout: 5 * time.Second}, begin)
			pings := make(chan struct{}, 1000)
			ws, _, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{
				HTTPClient:     srv.Client(),
				OnPingReceived: func(context.Context, []byte) bool { pings <- struct{}{}; return true },
			})
			if err != nil {
				t.Fatal(err)
			}
			var reading sync.WaitGroup
			defer reading.Wait()
			defer ws.CloseNow()
			reading.Go(func() { _ = until(t, ws, "never sent") })
			for range 10 {
				select {
				case <-pings:
				case <-time.After(20 * time.Second):
					t.Fatal("no ping has come")
				}
			}
			if got := rt.Stats().Sessions; got != 1 {
				t.Errorf("got %d sessions, want 1", got)
			}
		})
	}
}

// TestAClientThatDoesNotAnswerIsCutOff connects clients that read nothing.
func TestAClientThatDoesNotAnswerIsCutOff(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		often := wslive.Options{PingInterval: 64 * time.Millisecond, PongTimeout: 10 * time.Millisecond}
		if opts != nil {
			often.Plain = opts.Plain
		}
		rt, url := serveWith(t, echo{}, &often)
		for range 20 {
			connect(t, url, nil)
		}
		waitSessions(t, rt, 0)
	})
}
