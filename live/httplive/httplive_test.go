package httplive_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/httplive"
)

// echo is a view that acknowledges every op but those of the action "later".
type echo struct{ mount error }

func (e echo) Mount(context.Context, *live.Session) error { return e.mount }

func (e echo) HandleEvent(_ context.Context, s *live.Session, ev htmx.Event) error {
	if ev.Do == "later" {
		s.BeginOp() // and never ends
		return nil
	}
	s.Ack(ev.Op)
	return nil
}

// A site is a handler with its runtime and log.
type site struct {
	t   *testing.T
	rt  *live.Runtime
	url string
	log *buffer
	srv *httptest.Server
}

// A buffer may be written and read concurrently.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newSite(t *testing.T, view live.View, opts *httplive.Options) *site {
	log := new(buffer)
	rt := live.NewRuntime(&live.Options{Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	rt.Start()
	srv := startPlain(t, rt, view, opts)
	return &site{t, rt, srv.URL, log, srv}
}

// ask sends messages and returns all that comes, and the code at the end.
func (s *site) ask(path string, messages ...string) (all []string, code live.Code) {
	s.t.Helper()
	resp, err := post(s.t.Context(), s.url+path, messages...)
	if err != nil {
		s.t.Fatal(err)
	}
	events(resp.Body, func(a answer) {
		if a.code != 0 {
			code = a.code
			return
		}
		all = append(all, a.message)
	})
	return all, code
}

// ended waits until a session has ended for a reason, and wants no other.
func (s *site) ended(want live.Reason) {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.rt.Closed(want) == 0 {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("no session has ended for %q; the log says %s", want, s.log)
		}
	}
	for why := range live.Reasons() {
		if n := s.rt.Closed(why); n > 0 && why != want {
			s.t.Errorf("%d sessions ended for %q", n, why)
		}
	}
}

func TestAnExchangeEndsWhenAllIsAnswered(t *testing.T) {
	s := newSite(t, echo{}, nil)
	all, code := s.ask("", `{"hello":2}`, `{"do":"a","op":["one",1,1]}`, "", `{"do":"a","op":["two",1,1]}`+"\r")
	got := strings.Join(all, "\n")
	if code != live.CodeNormal || !strings.Contains(got, `"status":"live"`) || !strings.Contains(got, `"one"`) || !strings.Contains(got, `"two"`) {
		t.Errorf("got %s and code %d, want a status and both acknowledgements, and %d", got, code, live.CodeNormal)
	}
	s.ended(live.ReasonAnswered)
}

// A request without a message asks how things are: it is how a tab finds out whether there is
// anybody.
func TestAnExchangeMayBeEmpty(t *testing.T) {
	s := newSite(t, echo{}, nil)
	if all, code := s.ask(""); code != live.CodeNormal || len(all) != 1 {
		t.Errorf("got %q and code %d, want a status and %d", all, code, live.CodeNormal)
	}
	s.ended(live.ReasonAnswered)
}

func TestAnOpWithoutAnAnswerEndsTheExchange(t *testing.T) {
	s := newSite(t, echo{}, &httplive.Options{AnswerTime: 50 * time.Millisecond})
	if _, code := s.ask("", `{"do":"later","op":["one",1,1]}`); code != live.CodeOverload {
		t.Errorf("got code %d, want %d", code, live.CodeOverload)
	}
	s.ended(live.ReasonUnanswered)
}

func TestAStreamIsRenewedAfterItsTime(t *testing.T) {
	s := newSite(t, echo{}, &httplive.Options{StreamTime: 50 * time.Millisecond})
	if _, code := s.ask("?stream=1"); code != live.CodeNormal {
		t.Errorf("got code %d, want %d", code, live.CodeNormal)
	}
	s.ended(live.ReasonRenewed)
}

func TestATabThatGoesIsLost(t *testing.T) {
	s := newSite(t, echo{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := post(ctx, s.url+"?stream=1")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = resp.Body.Close()
	s.ended(live.ReasonLost)
}

func TestCloseEndsStreamsAndWaits(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := httplive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, nil)
	srv := httptest.NewServer(h)
	defer srv.Close()
	resp, err := post(t.Context(), srv.URL+"?stream=1")
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Stats().Streams; got != 1 {
		t.Errorf("got %d streams, want 1", got)
	}
	var code live.Code
	var reading sync.WaitGroup
	reading.Go(func() { events(resp.Body, func(a answer) { code = a.code }) })
	h.Close()
	h.Close()
	reading.Wait()
	if code != live.CodeRestart || rt.Closed(live.ReasonStopped) != 1 {
		t.Errorf("got code %d and %d sessions that were stopped, want %d and 1", code, rt.Closed(live.ReasonStopped), live.CodeRestart)
	}
	if _, err := post(t.Context(), srv.URL); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v after Close, want 503", err)
	}
}

func TestWhatIsNoRequestOfATabIsRefused(t *testing.T) {
	s := newSite(t, echo{}, &httplive.Options{Allow: func(r *http.Request) bool { return r.Header.Get("Origin") == "" }})
	for name, c := range map[string]struct {
		method, body, origin string
		want                 int
	}{
		"a request that only reads": {http.MethodGet, "", "", http.StatusMethodNotAllowed},
		"a foreign origin":          {http.MethodPost, "", "http://evil.example", http.StatusForbidden},
		"a large body":              {http.MethodPost, strings.Repeat("x", httplive.MaxBody+1), "", http.StatusRequestEntityTooLarge},
		"many messages":             {http.MethodPost, strings.Repeat("{}\n", httplive.MaxMessages+1), "", http.StatusRequestEntityTooLarge},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.url, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", name, resp.StatusCode, c.want)
		}
	}
	if got := s.rt.Stats().Accepted; got != 0 {
		t.Errorf("%d sessions were made", got)
	}
}

// TestProxiesAreToldToPassItOn: not to hold it back, and not to compress or keep it.
func TestProxiesAreToldToPassItOn(t *testing.T) {
	s := newSite(t, echo{}, &httplive.Options{StreamTime: 100 * time.Millisecond})
	resp, err := post(t.Context(), s.url+"?stream=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform", "Content-Encoding": "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if before, _, _ := bytes.Cut(body, []byte("data:")); len(before) < 2048 {
		t.Errorf("got %d bytes before the first event, want 2,048", len(before))
	}
}

// TestAnExchangeComesThroughAProxyWhole: Go's own cuts off one in twenty of those that begin before
// they are complete.
func TestAnExchangeComesThroughAProxyWhole(t *testing.T) {
	s := newSite(t, echo{}, nil)
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ErrorLog: log.New(t.Output(), "", 0),
	})
	defer proxy.Close()
	for i := range 300 {
		resp, err := post(t.Context(), proxy.URL, `{"hello":2}`, fmt.Sprintf(`{"do":"a","op":["op-%d",1,1]}`, i))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.ContentLength != int64(len(body)) {
			t.Fatalf("exchange %d: got %q of %d bytes, %v", i, body, resp.ContentLength, err)
		}
	}
}

// TestAServersTimesDoNotEndAStream: those for a request and for an answer are meant for short ones.
func TestAServersTimesDoNotEndAStream(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP %d", version), func(t *testing.T) {
			rt := live.NewRuntime(nil)
			rt.Start()
			h := httplive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, &httplive.Options{StreamTime: 900 * time.Millisecond})
			srv := httptest.NewUnstartedServer(h)
			srv.Config.ReadTimeout, srv.Config.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond
			srv.EnableHTTP2 = version == 2
			srv.StartTLS()
			defer srv.Close()
			defer h.Close()
			defer rt.Stop()
			resp, err := srv.Client().Post(srv.URL+"?stream=1", "", strings.NewReader(`{"hello":2}`))
			if err != nil {
				t.Fatal(err)
			}
			if resp.ProtoMajor != version {
				t.Errorf("got HTTP %d", resp.ProtoMajor)
			}
			var code live.Code
			events(resp.Body, func(a answer) { code = a.code })
			if code != live.CodeNormal {
				t.Errorf("got code %d, want %d at the end of its time", code, live.CodeNormal)
			}
		})
	}
}

// A deadlines is an answer that notes the deadline it is left with.
type deadlines struct {
	*httptest.ResponseRecorder
	mu   sync.Mutex
	left time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = t
	return nil
}

// TestNoDeadlineIsLeftForTheNextAnswerOfAConnection.
func TestNoDeadlineIsLeftForTheNextAnswerOfAConnection(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := httplive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, nil)
	defer h.Close()
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(d, httptest.NewRequest(http.MethodPost, "/", nil))
	if !strings.Contains(d.Body.String(), `"code":1000`) || !d.left.IsZero() {
		t.Errorf("got the deadline %s after %s, want none", d.left, d.Body)
	}
}

func TestABodyThatTakesTooLongIsRefused(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	h := httplive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, nil)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ReadTimeout = 50 * time.Millisecond
	srv.Start()
	t.Cleanup(func() { rt.Stop(); h.Close(); srv.Close() })
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 400" {
		t.Errorf("got %q, %v; want 400", answer, err)
	}
}

// TestASessionThatComesAfterItsRequestHasEndedEnds: many, because they may come in the same moment.
func TestASessionThatComesAfterItsRequestHasEndedEnds(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	late := make(chan struct{})
	h := httplive.NewHandler(rt, func(*http.Request) live.View { <-late; return echo{} }, &httplive.Options{StreamTime: time.Millisecond})
	srv := httptest.NewServer(h)
	t.Cleanup(func() { rt.Stop(); h.Close(); srv.Close() })
	const requests = 20
	var ending sync.WaitGroup
	for range requests {
		resp, err := post(t.Context(), srv.URL+"?stream=1")
		if err != nil {
			t.Fatal(err)
		}
		ending.Go(func() { events(resp.Body, func(answer) {}) })
	}
	ending.Wait()
	close(late)
	h.Close()
	if got, left := rt.Closed(live.ReasonRenewed), rt.Stats().Sessions; got != requests || left != 0 {
		t.Errorf("got %d sessions that were renewed and %d that are left, want %d and none", got, left, requests)
	}
}

// A number is a view of a room whose frames are far between.
type number struct {
	echo
	rooms *live.Rooms[int]
}

func (v *number) Mount(ctx context.Context, s *live.Session) error { return v.rooms.Join(ctx, s, "x") }

// numbers serves a room, and a stream that has been shown its first state.
func numbers(t *testing.T, opts live.RoomsOptions[int]) (*number, *site) {
	view := new(number)
	s := newSite(t, view, nil)
	opts.Topic = func(key string) string { return key }
	opts.Render = func(_ string, n int) (string, live.Component) {
		return "#x", text(fmt.Sprintf("n=%d.", n) + strings.Repeat(" ", 20_000))
	}
	view.rooms = live.NewRooms(s.rt, nil, opts)
	resp, err := post(t.Context(), s.url+"?stream=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	for line := ""; !strings.Contains(line, "n=1."); {
		view.rooms.Commit("x", 1)
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return view, s
}

// text is a component.
type text string

// Render implements live.Component.
func (x text) Render(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(x))
	return err
}

// TestAnExchangeHasTheStateOfNow, although it is not time for the next frame.
func TestAnExchangeHasTheStateOfNow(t *testing.T) {
	view, s := numbers(t, live.RoomsOptions[int]{
		FrameInterval: 300 * time.Millisecond, Order: func(n int) (uint64, uint64) { return 1, uint64(n) },
	})
	view.rooms.Commit("x", 2)
	if all, code := s.ask(""); code != live.CodeNormal || !strings.Contains(strings.Join(all, ""), "n=2.") {
		t.Errorf("got %q and code %d, want the state of now", all, code)
	}
}

// TestAnExchangeDoesNotWaitForWhatIsShownSeldom, as the number of tabs is.
func TestAnExchangeDoesNotWaitForWhatIsShownSeldom(t *testing.T) {
	view, s := numbers(t, live.RoomsOptions[int]{FrameInterval: time.Hour})
	view.rooms.Commit("x", 2)
	if _, code := s.ask(""); code != live.CodeNormal {
		t.Errorf("got code %d, want %d", code, live.CodeNormal)
	}
}

// TestAViewThatIsMountingIsNotBlamedForATabThatHasGone.
func TestAViewThatIsMountingIsNotBlamedForATabThatHasGone(t *testing.T) {
	view := &slow{entered: make(chan struct{}), leave: make(chan struct{})}
	s := newSite(t, view, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		resp, err := post(ctx, s.url+"?stream=1")
		if err == nil {
			_ = resp.Body.Close()
		}
	})
	<-view.entered
	cancel()
	asking.Wait()
	close(view.leave)
	s.ended(live.ReasonLost)
}

// slow is a view that mounts when it is told to, or its context ends.
type slow struct {
	echo
	entered, leave chan struct{}
}

func (v *slow) Mount(ctx context.Context, _ *live.Session) error {
	close(v.entered)
	select {
	case <-v.leave:
		return nil
	case <-ctx.Done():
		return errors.New("it was given up")
	}
}

// TestAnApplicationWithoutAViewFailsAlone: its panic would end the process, for it is not in the
// goroutine of the request.
func TestAnApplicationWithoutAViewFailsAlone(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := httplive.NewHandler(rt, func(r *http.Request) live.View {
		switch r.URL.Query().Get("view") {
		case "panic":
			panic("sabotage")
		case "nil":
			return nil
		}
		return echo{}
	}, nil)
	srv := httptest.NewServer(h)
	defer srv.Close()
	defer h.Close()
	s := &site{t: t, url: srv.URL}
	for _, query := range []string{"?view=panic", "?view=nil"} {
		if _, code := s.ask(query); code == live.CodeNormal {
			t.Errorf("%s: got code %d", query, code)
		}
	}
	if _, code := s.ask(""); code != live.CodeNormal {
		t.Errorf("got code %d for a view that is well", code)
	}
}
