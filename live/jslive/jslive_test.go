//go:build js

package jslive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/jslive"
	"lockstep/live/livetest"
)

// A view does what a test wants.
type view struct {
	mount func(ctx context.Context, s *live.Session) error // nil: nothing
	event func(s *live.Session, e htmx.Event)              // nil: acknowledges
}

func (v view) Mount(ctx context.Context, s *live.Session) error {
	if v.mount == nil {
		return nil
	}
	return v.mount(ctx, s)
}

func (v view) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	if v.event == nil {
		s.Ack(e.Op)
		return nil
	}
	v.event(s, e)
	return nil
}

// start runs a runtime with a handler until the test ends.
func start(t *testing.T) (*live.Runtime, *jslive.Handler) {
	t.Helper()
	rt := live.NewRuntime(nil)
	rt.Start()
	h := jslive.NewHandler(rt, nil)
	t.Cleanup(func() { rt.Stop(); h.Close() })
	return rt, h
}

// A page is the other end of a port.
type page struct {
	t        *testing.T
	port     js.Value
	got      chan string // what the port was posted, as JSON
	listener js.Func
}

// connect hands a port to the handler.
func connect(t *testing.T, h *jslive.Handler, v live.View) *page {
	t.Helper()
	p, port := newPage(t)
	h.Serve(port, v)
	return p
}

func newPage(t *testing.T) (*page, js.Value) {
	channel := js.Global().Get("MessageChannel").New()
	p := &page{t: t, port: channel.Get("port1"), got: make(chan string, 1<<14)}
	p.listener = js.FuncOf(func(_ js.Value, args []js.Value) any {
		p.got <- js.Global().Get("JSON").Call("stringify", args[0].Get("data")).String()
		return nil
	})
	p.port.Set("onmessage", p.listener)
	t.Cleanup(func() {
		p.port.Set("onmessage", js.Null())
		p.port.Call("close")
		p.listener.Release()
	})
	return p, channel.Get("port2")
}

func (p *page) post(v any) { p.port.Call("postMessage", v) }

// click sends the op with a seq.
func (p *page) click(seq int) { p.post(op(seq)) }

// op is the message of an op of a tab.
func op(seq int) string {
	return fmt.Sprintf(`{"op":["AAAAAAAAAAAAAAAAAAAAAA",%d,1],"seen":1,"t":"t","do":"increment","in":{}}`, seq)
}

// gets waits for a message that has all the texts in it, and returns it.
func (p *page) gets(texts ...string) string {
	p.t.Helper()
	limit := time.After(10 * time.Second)
next:
	for {
		select {
		case m := <-p.got:
			for _, text := range texts {
				if !strings.Contains(m, text) {
					continue next
				}
			}
			return m
		case <-limit:
			p.t.Fatalf("no message came with %q in it", texts)
		}
	}
}

// eventually asks again, each time the browser has had its turn.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("still waiting for %s", what)
		}
	}
}

func noSessions(t *testing.T, rt *live.Runtime) {
	t.Helper()
	eventually(t, "all sessions to end", func() bool { return rt.Stats().Sessions == 0 })
}

func TestAPageIsServed(t *testing.T) {
	rt, h := start(t)
	p := connect(t, h, view{event: func(s *live.Session, e htmx.Event) {
		_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML("line 1\nline 2")}) // a text can be shown
		s.Ack(e.Op)
	}})
	if m := <-p.got; m != `{"open":true}` {
		t.Fatalf("the first message is %s", m)
	}
	p.gets("status")
	p.post(`{"hello":2,"client":"AAAAAAAAAAAAAAAAAAAAAA","at":{"t":[0,0]}}`)
	p.click(1)
	p.gets("line 1", "line 2")
	p.gets("ack", "AAAAAAAAAAAAAAAAAAAAAA")
	p.post(map[string]any{"close": true})
	noSessions(t, rt)
}

// TestWhatNoPageSaysHarmsNobody: whatever comes over a port ends that session
// at most.
func TestWhatNoPageSaysHarmsNobody(t *testing.T) {
	rt, h := start(t)
	other := connect(t, h, view{})
	bytes := js.Global().Get("Uint8Array").New(3)
	for _, m := range []any{nil, js.Undefined(), 1, true, bytes, []any{}, []any{"x"}, map[string]any{}, map[string]any{"length": 1}} {
		p := connect(t, h, view{})
		p.gets("open")
		p.post(m)
	}
	for _, m := range []string{"", "x", "null", "[]", "{}", "\x00", strings.Repeat("x", 1<<20), `{"action":1}`, "\n\n", `{"hello":"x"}`} {
		p := connect(t, h, view{})
		p.post(m)
		p.gets("error")
		p.click(1)
		p.gets("ack")
		p.post(nil)
	}
	eventually(t, "the others to end", func() bool { return rt.Stats().Sessions == 1 })
	other.click(1)
	other.gets("ack")
}

func TestWhatIsNoPortIsIgnored(t *testing.T) {
	rt, h := start(t)
	for _, v := range []js.Value{js.Undefined(), js.Null(), js.ValueOf(1), js.ValueOf("x"), js.ValueOf(map[string]any{}), js.Global()} {
		h.Serve(v, view{})
	}
	if n := rt.Stats().Accepted; n != 0 {
		t.Errorf("%d sessions, want none", n)
	}
}

// TestAPageThatGoesEarlyIsForgotten: before its view is mounted.
func TestAPageThatGoesEarlyIsForgotten(t *testing.T) {
	rt, h := start(t)
	mounting, mount, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	p := connect(t, h, view{mount: func(_ context.Context, s *live.Session) error {
		s.OnLeave(func() { close(left) })
		close(mounting)
		<-mount
		return nil
	}})
	<-mounting
	p.post(map[string]any{"close": true})
	close(mount)
	<-left
	noSessions(t, rt)
}

func TestConnectionsLeaveNothing(t *testing.T) {
	rt, h := start(t)
	once := func() {
		p := connect(t, h, view{})
		p.click(1)
		p.gets("ack")
		p.post(map[string]any{"close": true})
	}
	once()
	noSessions(t, rt)
	before := runtime.NumGoroutine()
	for range 300 {
		once()
	}
	noSessions(t, rt)
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// TestAPageThatDoesNotWaitIsClosed: what waits for a session is bounded.
func TestAPageThatDoesNotWaitIsClosed(t *testing.T) {
	rt, h := start(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	handled := 0
	p := connect(t, h, view{event: func(s *live.Session, e htmx.Event) {
		if handled++; handled == 1 {
			close(entered)
			<-leave
		}
		s.Ack(e.Op)
	}})
	p.click(1)
	<-entered
	for i := range 5000 {
		p.click(i + 2)
	}
	p.gets(`"code":1013`)
	close(leave)
	noSessions(t, rt)
	if handled > 1500 {
		t.Errorf("%d messages were kept, want about a thousand", handled)
	}
	if got := rt.Closed(live.ReasonInboxFull); got != 1 {
		t.Errorf("got %d sessions that ended for %q, want 1", got, live.ReasonInboxFull)
	}
}

// TestAViewThatFailsEndsItsSession, and no other.
func TestAViewThatFailsEndsItsSession(t *testing.T) {
	rt, h := start(t)
	other := connect(t, h, view{})
	for name, v := range map[string]view{
		"an error in Mount": {mount: func(context.Context, *live.Session) error { return errors.New("no") }},
		"a panic in Mount":  {mount: func(context.Context, *live.Session) error { panic("no") }},
		"a panic later":     {event: func(*live.Session, htmx.Event) { panic("no") }},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t, h, v)
			p.click(1)
			p.gets(`"code":1011`)
		})
	}
	eventually(t, "the others to end", func() bool { return rt.Stats().Sessions == 1 })
	other.click(1)
	other.gets("ack")
}

func TestCloseSendsEverybodyAway(t *testing.T) {
	rt, h := start(t)
	pages := []*page{connect(t, h, view{}), connect(t, h, view{})}
	for _, p := range pages {
		p.gets("status")
	}
	h.Close()
	noSessions(t, rt)
	if got := rt.Closed(live.ReasonStopped); got != 2 {
		t.Errorf("got %d sessions that ended for %q, want 2", got, live.ReasonStopped)
	}
	for _, p := range append(pages, connect(t, h, view{})) { // and one that comes later
		p.gets(`"code":1012`)
	}
}

func TestARuntimeThatDrainsTakesNobody(t *testing.T) {
	rt, h := start(t)
	p := connect(t, h, view{})
	p.gets("status")
	if err := rt.Drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	p.gets(`"code":1012`)
	connect(t, h, view{}).gets(`"code":1012`)
}

// A text is a component.
type text string

func (c text) Render(_ context.Context, w io.Writer) error {
	if c == "fail" {
		return errors.New("no")
	}
	_, err := io.WriteString(w, string(c))
	return err
}

// TestRenderAnswersEachMessage: with what was rendered, or why it was not.
func TestRenderAnswersEachMessage(t *testing.T) {
	got := make(chan string, 100)
	real := js.Global().Get("postMessage")
	post := js.FuncOf(func(_ js.Value, args []js.Value) any {
		got <- js.Global().Get("JSON").Call("stringify", args[0]).String()
		return nil
	})
	// As a page it is posted to later, not within the call: the program may have ended
	// when that returns. What is no object is of the tests themselves.
	js.Global().Set("postMessage", js.Global().Get("Function").New("post", "real",
		"return (m) => typeof m === 'object' ? void setTimeout(post, 0, m) : real(m)").Invoke(post, real))
	t.Cleanup(func() {
		js.Global().Set("postMessage", real)
		js.Global().Set("onmessage", js.Null())
		post.Release()
	})
	go jslive.ServeRender(func(topic string, state []byte, waiting []htmx.Event, user string) (string, live.Component, error) {
		switch topic {
		case "panic":
			panic("no")
		case "error":
			return "", nil, errors.New("no")
		case "fail":
			return "#x", text("fail"), nil
		case "nothing":
			return "#x", nil, nil
		}
		return "#x", text(fmt.Sprintf("%s %s %d of %q", topic, state, len(waiting), user)), nil
	})
	if m := <-got; m != `{"ready":true}` {
		t.Fatalf("the first message is %s", m)
	}
	ask := func(data any) string {
		js.Global().Get("onmessage").Invoke(map[string]any{"data": data})
		return <-got
	}
	message := func(topic any, waiting any) map[string]any {
		return map[string]any{"topic": topic, "state": "s", "waiting": waiting}
	}
	click := op(1)
	for _, bad := range []any{
		nil, js.Undefined(), 1, "x", []any{}, map[string]any{}, message("t", nil), message("t", 1), message("t", []any{1}),
		message("t", []any{"x"}), message("t", []any{click, "{}"}), message("panic", []any{}), message("error", []any{}),
		message("fail", []any{}), message("nothing", []any{}),
	} {
		if m := ask(bad); !strings.Contains(m, "failure") {
			t.Errorf("%v: got %s, want a failure", bad, m)
		}
	}
	good := message("t", []any{click, click})
	for user, want := range map[any]string{"x": "x", nil: "", 1: ""} {
		good["user"] = user
		if m := ask(good); !strings.Contains(m, `"html":"t s 2 of \"`+want+`\""`) || !strings.Contains(m, `"target":"#x"`) {
			t.Errorf("%v: got %s", user, m)
		}
	}
}
