package web_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/serve"
	"lockstep/state"
	"lockstep/state/memstate"
)

// post sends messages over plain HTTP, and returns the status and, of an exchange, the answer.
func post(t *testing.T, c *http.Client, url string, header http.Header, messages ...string) (status int, answer string) {
	t.Helper()
	resp := openStream(t, c, url, header, messages...)
	defer resp.Body.Close()
	if strings.Contains(url, "stream=1") {
		return resp.StatusCode, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// open is post for streams that stay until the test ends.
func openStream(t *testing.T, c *http.Client, url string, header http.Header, messages ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strings.Join(messages, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c == nil {
		c = &http.Client{}
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// plainClick() is the first click of a client of its own, as a message.
func plainClick() string { return click(rand.Text()[:16], "counter:lobby", 1, time.Now().UnixMilli()) }

func TestPlainHTTPNeedsTheTokenOfItsSession(t *testing.T) {
	base, store := serving(t)
	for name, tc := range wrongSockets(t, base) {
		for _, kind := range []string{"", "&stream=1"} {
			if got, _ := post(t, tc.client, base+tc.path+kind, tc.header, plainClick()); got != http.StatusForbidden {
				t.Errorf("%s, %q: got %d, want 403", name, kind, got)
			}
		}
	}
	if n := counted(t, store, "lobby"); n != 0 {
		t.Errorf("got %d in the store, want that nothing was counted", n)
	}
	c := browser(t)
	own := visit(t, c, base)
	if got, answer := post(t, c, base+own, http.Header{"Origin": {base}}, plainClick()); got != http.StatusOK || !strings.Contains(answer, `"ack"`) {
		t.Errorf("got %d and %q for a page's own, want 200 and an acknowledgement", got, answer)
	}
	if got, _ := post(t, c, base+"/ws/c/lobby", nil); got != http.StatusNotFound {
		t.Errorf("got %d for an address that there is not, want 404", got)
	}
}

// TestStreamsAreBoundedAsSocketsAre, and where there is no room for one more, clicks still come in.
func TestStreamsAreBoundedAsSocketsAre(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback, Limits: serve.Limits{Sockets: 3, SocketsPerAddr: 2}})
	srv.Start()
	path := srv.URL + rooms(t, srv.URL, "/")
	first, second := fromProxy("192.0.2.1", "http"), fromProxy("192.0.2.2", "http")
	stream := openStream(t, nil, path+"&stream=1", first)
	dial(t, nil, path, first)
	if got, _ := post(t, nil, path+"&stream=1", first); got != http.StatusTooManyRequests {
		t.Errorf("got %d for the third tab of an address, want 429", got)
	}
	for range 5 { // one after the other
		if got, answer := post(t, nil, path, first, plainClick()); got != http.StatusOK || !strings.Contains(answer, `"ack"`) {
			t.Fatalf("got %d and %q for a click, want an acknowledgement", got, answer)
		}
	}
	openStream(t, nil, path+"&stream=1", second)
	if got, _ := post(t, nil, path+"&stream=1", second); got != http.StatusServiceUnavailable {
		t.Errorf("got %d for the fourth in all, want 503", got)
	}
	_ = stream.Body.Close()
	eventually(t, func() error {
		if got := openStream(t, nil, path+"&stream=1", first).StatusCode; got != http.StatusOK {
			return fmt.Errorf("got %d when one has gone, want 200", got)
		}
		return nil
	})
}

// hanging is a store that writes nothing for a time.
type hanging struct {
	state.Store
	until chan struct{}
}

func (h *hanging) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	select {
	case <-h.until:
	case <-ctx.Done():
	}
	return h.Store.Commit(ctx, steps...)
}

// TestExchangesOfAnAddressAreBounded by how many there are at a time: the store is away, so that
// they take long.
func TestExchangesOfAnAddressAreBounded(t *testing.T) {
	store := &hanging{Store: memstate.New(nil), until: make(chan struct{})}
	srv := httptest.NewServer(newServer(t, store, &serve.Options{TrustedProxies: loopback, Limits: serve.Limits{SocketsPerAddr: 2}}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(store.until) })
	path, first := srv.URL+rooms(t, srv.URL, "/"), fromProxy("192.0.2.1", "http")
	held, release := context.WithCancel(t.Context())
	var holding sync.WaitGroup
	for range 2 {
		// An exchange below may have the place of one of the two: then that one asks again.
		holding.Go(func() {
			for held.Err() == nil {
				answered(held, t, path, first)
			}
		})
	}
	defer holding.Wait()
	defer release()
	asked := func(header http.Header) int {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return answered(ctx, t, path, header)
	}
	eventually(t, func() error {
		if got := asked(first); got != http.StatusTooManyRequests {
			return fmt.Errorf("got %d for the third of an address, want 429", got)
		}
		return nil
	})
	if got := asked(fromProxy("192.0.2.2", "http")); got != 0 {
		t.Errorf("got %d for another address, want that it waits for the store", got)
	}
}

// answered returns what an exchange is answered with; 0: it waited for that until ctx ended.
func answered(ctx context.Context, t *testing.T, url string, header http.Header) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(plainClick()))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header = header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestMessagesOverPlainHTTPCountTowardsTheLimitOfTheAddress(t *testing.T) {
	srv, store := serveWith(t, &serve.Options{Limits: serve.Limits{AddrRate: 0.001, AddrBurst: 3, Exempt: []netip.Prefix{}}})
	srv.Start()
	refused, path := 0, srv.URL+rooms(t, srv.URL, "/")
	for range 5 {
		_, answer := post(t, nil, path, nil, plainClick())
		refused += strings.Count(answer, `"retry":true`)
	}
	if n := counted(t, store, "lobby"); n != 3 || refused != 2 {
		t.Errorf("got %d refused and %d in the store, want 2 and 3", refused, n)
	}
}

// TestATabOverPlainHTTPIsCountedOnce: its stream is a tab, and its exchanges are not, however long
// they take.
func TestATabOverPlainHTTPIsCountedOnce(t *testing.T) {
	store := &hanging{Store: memstate.New(nil), until: make(chan struct{})}
	server := newServer(t, store, nil)
	srv, admin := httptest.NewServer(server), httptest.NewServer(serve.NewAdmin([]*serve.Server{server.Server}, nil))
	defer srv.Close()
	defer srv.CloseClientConnections()
	defer admin.Close()
	path := srv.URL + rooms(t, srv.URL, "/")
	openStream(t, nil, path+"&stream=1", nil)
	var exchanges sync.WaitGroup
	for range 3 {
		exchanges.Go(func() {
			resp, err := http.Post(path, "", strings.NewReader(plainClick()))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if answer, err := io.ReadAll(resp.Body); err != nil || strings.Contains(string(answer), "#replica") {
				t.Errorf("an exchange says who serves it: %s, %v", answer, err)
			}
		})
	}
	defer exchanges.Wait()
	defer close(store.until)
	eventually(t, func() error {
		_, body := do(t, browser(t), "GET", admin.URL+"/metrics", nil, nil)
		for _, want := range []string{`lockstep_streams{replica="<one>"} 1`, `lockstep_exchanges_total{replica="<one>"} 3`, `lockstep_sessions{replica="<one>"} 1`} {
			if !strings.Contains(body, want) {
				return errors.New("the metrics have no " + want)
			}
		}
		return nil
	})
	eventually(t, func() error { // a tab is counted when it has its rooms
		if _, page := do(t, browser(t), "GET", srv.URL, nil, nil); !strings.Contains(page, "<b>2</b> tabs here") {
			return errors.New("the page does not count one tab and itself")
		}
		return nil
	})
}
