package serve

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
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
	srv := httptest.NewServer(newProxy(addrs, NewForwarding(nil), slog.New(slog.DiscardHandler)))
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

// odd is a server that answers nobody as it should, and counts who asks.
func odd(t *testing.T, answer http.HandlerFunc) (addr string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), asked
}

// drains answers as a replica does that is going away.
func drains(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "going away", http.StatusServiceUnavailable)
}

// breaks ends the connection without an answer.
func breaks(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestWhatChangesNothingIsHandedOnByAReplicaThatGoesAway(t *testing.T) {
	well := backend(t, "well").Listener.Addr().String()
	for name, answer := range map[string]http.HandlerFunc{"it says so": drains, "it breaks the connection": breaks} {
		t.Run(name, func(t *testing.T) {
			addr, asked := odd(t, answer)
			url := balance(t, addr, well)
			for range 6 {
				resp, err := http.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close() // it was read
				if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "well ") {
					t.Errorf("got %s %q, %v; want the page of the other", resp.Status, body, err)
				}
				ws, _, err := websocket.Dial(t.Context(), url, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, m, err := ws.Read(t.Context()); err != nil || string(m) != "well" {
					t.Errorf("got %q, %v; want the socket of the other", m, err)
				}
				_ = ws.CloseNow() // nothing more is said
			}
			if got := asked.Load(); got < 6 {
				t.Errorf("the replica that goes away was asked %d times of 12, want it to be the first half of the time: it has nothing to do", got)
			}
		})
	}
}

func TestAFormIsSentOnceWhateverComesOfIt(t *testing.T) {
	well := backend(t, "well").Listener.Addr().String()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   int
	}{"it says that it goes away": {drains, http.StatusServiceUnavailable}, "it breaks the connection": {breaks, http.StatusBadGateway}} {
		t.Run(name, func(t *testing.T) {
			addr, asked := odd(t, c.answer)
			url := balance(t, addr, well)
			got := map[int]int{}
			for range 6 {
				code, _ := post(t, url, "") // one with a body could not be sent again in any case
				got[code]++
			}
			if asked.Load() != 3 || got[c.want] != 3 || got[http.StatusOK] != 3 {
				t.Errorf("got %v, and %d asked the one that fails; want half of 6 each", got, asked.Load())
			}
		})
	}
}

func TestAFormMeetsNoConnectionThatIsAboutToEnd(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	addr, _ := odd(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		from[r.RemoteAddr] = true
	})
	url := balance(t, addr)
	for range 5 {
		if code, _ := post(t, url, "x"); code != http.StatusOK {
			t.Errorf("got %d, want 200", code)
		}
	}
	if len(from) != 5 {
		t.Errorf("got %d connections for 5 forms, want 5", len(from))
	}
}

func TestWhenAllReplicasGoAwayTheirAnswerIsTheBalancers(t *testing.T) {
	a, asked := odd(t, drains)
	b, askedToo := odd(t, drains)
	resp, err := http.Get(balance(t, a, b))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("got %s, want 503 and when to try again", resp.Status)
	}
	if asked.Load() != 1 || askedToo.Load() != 1 {
		t.Errorf("got %d and %d requests, want one to each", asked.Load(), askedToo.Load())
	}
}

// A frozen replica takes connections and says nothing. One visitor waits for it, and the others
// find the rest; when it answers again it is asked as before. Where nobody else is left there is no
// end to the wait: it may be slow.
func TestOneVisitorWaitsForAReplicaThatSaysNothing(t *testing.T) {
	var frozen atomic.Bool
	frozen.Store(true)
	thaw := make(chan struct{})
	addr, asked := odd(t, func(w http.ResponseWriter, _ *http.Request) {
		if frozen.Load() {
			<-thaw
		}
		_, _ = io.WriteString(w, "thawed")
	})
	b := newLeastBusy([]string{addr, backend(t, "well").Listener.Addr().String()})
	b.patience, b.pause = 50*time.Millisecond, 300*time.Millisecond
	get := func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for range 10 {
		if got := get(); !strings.HasPrefix(got, "well ") {
			t.Errorf("got %q, want the page of the other", got)
		}
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("got %d of 10 visitors at the frozen replica, want one", got)
	}
	frozen.Store(false)
	close(thaw)
	until(t, "it to be asked again", func() bool { return get() == "thawed" })
	until(t, "it to be asked in turn", func() bool { return get() == "thawed" && get() != "thawed" && get() == "thawed" })
	frozen.Store(true)
	thaw = make(chan struct{})
	time.AfterFunc(4*b.patience, func() { close(thaw) })
	b.targets = b.targets[:1]
	if got := get(); got != "thawed" {
		t.Errorf("got %q of the only replica, want its page, late", got)
	}
}
