package serve

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/precondition"
)

// TestTheBalancerKeepsRoomForRequests: its websockets are nobody's session on
// this listener, and there may be fewer of them than connections.
func TestTheBalancerKeepsRoomForRequests(t *testing.T) {
	all := newConnLimiter(20)
	leave := make(chan struct{})
	b := &balancerHandler{conns: all, writeTimeout: patience, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			hello(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		<-leave
	})}
	addr := serving(t, all.listener(2, 0, nil, b.count), b, nil)
	const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
	for i := range 9 {
		_, _ = io.WriteString(call(t, "127.0.0.1", addr), upgrade)
		until(t, "a socket", func() bool { return b.count() == i+1 && all.used() == 2*(i+1) })
	}
	for name, request := range map[string]string{"a tab": upgrade, "a stream": "POST /?stream=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"} {
		late := call(t, "127.0.0.1", addr)
		_, _ = io.WriteString(late, request)
		if got := late.answer(); got != http.StatusServiceUnavailable {
			t.Errorf("got %d for %s too many, want 503", got, name)
		}
		late.Close()
		until(t, "it to be gone", func() bool { return all.used() == 18 })
	}
	if got := call(t, "127.0.0.1", addr).get(); got != http.StatusOK {
		t.Errorf("got %d for a request, want 200", got)
	}
	close(leave)
	until(t, "all sockets to be gone", func() bool { return b.count() == 0 })
}

func TestAClientOfTheBalancerThatTakesNothingIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	b := &balancerHandler{conns: newConnLimiter(0), writeTimeout: 50 * time.Millisecond, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk, err := make([]byte, 32<<10), error(nil)
		for err == nil {
			_, err = w.Write(chunk)
		}
		ended <- err
	})}
	addr := serving(t, newConnLimiter(0).listener(1, 0, nil, noTabs), b, nil)
	_, _ = io.WriteString(call(t, "127.0.0.1", addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a deadline that has passed", err)
		}
	case <-time.After(patience):
		t.Error("it holds the answer for ever")
	}
}

// A deadlineNotes notes what it is set to.
type deadlineNotes struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlineNotes) SetWriteDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

// TestASlowClientOfTheBalancerHasTimeForEachChunk, and for the head, and not for
// the whole answer.
func TestASlowClientOfTheBalancerHasTimeForEachChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deadlineNotes{ResponseRecorder: httptest.NewRecorder()}
		b := &balancerHandler{writeTimeout: time.Second, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 3 {
				time.Sleep(time.Hour) // in the bubble
				_, _ = io.WriteString(w, "x")
			}
		})}
		began := time.Now()
		b.ServeHTTP(d, httptest.NewRequest(http.MethodGet, "/", nil))
		for i, got := range d.set {
			if want := began.Add(time.Duration(i)*time.Hour + time.Second); !got.Equal(want) {
				t.Errorf("got %s for chunk %d, want %s", got, i, want)
			}
		}
		if len(d.set) != 4 || d.Body.String() != "xxx" {
			t.Errorf("got %d deadlines and %q", len(d.set), d.Body)
		}
	})
}

// TestTheBalancerTellsTheReplicasWhoTheClientIs: by the word of trusted proxies
// only.
func TestTheBalancerTellsTheReplicasWhoTheClientIs(t *testing.T) {
	var got *http.Request
	replica := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer replica.Close()
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.7/32")}
	b := newBalancer([]string{replica.Listener.Addr().String()}, newConnLimiter(0), nil, proxies, patience, slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		name, peer  string
		says        []string // X-Forwarded-For
		proto       string
		addr, heard string // what the replica hears
	}{
		{"a client", "203.0.113.5:1", nil, "", "203.0.113.5", "http"},
		{"a client who lies", "203.0.113.5:1", []string{"10.0.0.1"}, "https", "203.0.113.5", "http"},
		{"a proxy", "192.0.2.1:1", []string{"203.0.113.5"}, "https", "203.0.113.5", "https"},
		{"a client who lies to a proxy", "192.0.2.1:1", []string{"10.0.0.1, 203.0.113.5"}, "http", "203.0.113.5", "http"},
		{"a proxy behind another", "192.0.2.1:1", []string{"10.0.0.1", "203.0.113.5,198.51.100.7"}, "https", "203.0.113.5", "https"},
		{"a proxy that says nothing", "192.0.2.1:1", nil, "", "192.0.2.1", "http"},
		{"a proxy that says nonsense", "192.0.2.1:1", []string{"203.0.113.5, x"}, "", "192.0.2.1", "http"},
		{"a proxy for itself", "192.0.2.1:1", []string{"192.0.2.9"}, "", "192.0.2.9", "http"},
		{"IPv6", "192.0.2.1:1", []string{"2001:db8::5"}, "", "2001:db8::5", "http"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://counter.example/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = c.peer, c.says
			r.Header.Set("X-Forwarded-Proto", c.proto)
			b.ServeHTTP(&deadlineNotes{ResponseRecorder: httptest.NewRecorder()}, r)
			if a, p := got.Header.Get("X-Forwarded-For"), got.Header.Get("X-Forwarded-Proto"); a != c.addr || p != c.heard {
				t.Errorf("got %q by %q, want %q by %q", a, p, c.addr, c.heard)
			}
		})
	}
}

func TestTheBalancerWatchesTheProxiesInFrontOfIt(t *testing.T) {
	replica := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer replica.Close()
	part := precondition.NewPart("proxy", nil)
	b := newBalancer([]string{replica.Listener.Addr().String()}, newConnLimiter(0), NewProxyWatch(nil, part), nil, patience, slog.New(slog.DiscardHandler))
	for range 20 {
		r := httptest.NewRequest(http.MethodGet, "http://counter.example/", nil)
		r.Header.Set("X-Forwarded-For", "203.0.113.5")
		b.ServeHTTP(&deadlineNotes{ResponseRecorder: httptest.NewRecorder()}, r)
	}
	if got := part.Unmet(); len(got) != 1 || got[0].Name != "proxy_trusted" {
		t.Errorf("got %v, want proxy_trusted", got)
	}
}

// TestTheBalancerCutsOffNoAnswer that begins as soon as the request has come, as that to a form
// does. In each thousand there were some.
func TestTheBalancerCutsOffNoAnswer(t *testing.T) {
	const want = 100_000 // bytes
	replica := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, want))
	}))
	defer replica.Close()
	b := newBalancer([]string{replica.Listener.Addr().String()}, newConnLimiter(0), nil, nil, patience, slog.New(slog.DiscardHandler))
	front := httptest.NewUnstartedServer(b)
	front.Config.ErrorLog = log.New(t.Output(), "", 0)
	front.Start()
	defer front.Close()
	for i := range 1000 {
		resp, err := http.Post(front.URL, "", strings.NewReader("action=increment"))
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || n != want {
			t.Fatalf("request %d: got %d bytes and %v, want %d", i, n, err, want)
		}
	}
}

func TestTheBalancerPassesOnWhatTrustedProxiesSayAndNothingElse(t *testing.T) {
	var got http.Header
	replica := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer replica.Close()
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	b := newBalancer([]string{replica.Listener.Addr().String()}, newConnLimiter(0), nil, proxies, patience, slog.New(slog.DiscardHandler))
	for peer, want := range map[string][2]string{
		"192.0.2.1:1":   {"counter.example", "/x"},
		"203.0.113.1:1": {"inner.example", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://inner.example/", nil)
		r.RemoteAddr = peer
		for name, value := range map[string]string{
			"X-Forwarded-For": "203.0.113.5:443", "X-Forwarded-Host": "counter.example", "X-Forwarded-Prefix": "/x",
			"X-Forwarded-Server": "a", "Forwarded": "for=198.51.100.1",
		} {
			r.Header.Set(name, value)
		}
		b.ServeHTTP(&deadlineNotes{ResponseRecorder: httptest.NewRecorder()}, r)
		if h := [2]string{got.Get("X-Forwarded-Host"), got.Get("X-Forwarded-Prefix")}; h != want {
			t.Errorf("from %s: got %q, want %q", peer, h, want)
		}
		if got.Get("Forwarded")+got.Get("X-Forwarded-Server") != "" || len(got.Values("X-Forwarded-For")) != 1 {
			t.Errorf("from %s: got %v, want nothing that a client may have made up", peer, got)
		}
	}
}
