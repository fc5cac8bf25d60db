//go:build js

package jsmain_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/jsmain"
	"lockstep/live/livetest"
)

// A greeting is a component.
type greeting string

// Render implements live.Component.
func (g greeting) Render(_ context.Context, w io.Writer) error {
	if g == "fail" {
		return errors.New("no greeting")
	}
	_, err := io.WriteString(w, "<p>"+string(g)+"</p>")
	return err
}

// A view acknowledges all there is.
type view struct{ topics string }

// Mount implements live.View.
func (v view) Mount(_ context.Context, s *live.Session) error {
	_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML(v.topics)}) // a text can be shown
	return nil
}

// HandleEvent implements live.View.
func (view) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	s.Ack(e.Op)
	return nil
}

// posted has what the program posts to its page sent to a channel, as JSON, until
// the test ends.
func posted(t *testing.T) <-chan string {
	t.Helper()
	got := make(chan string, 100)
	real := js.Global().Get("postMessage")
	post := js.FuncOf(func(_ js.Value, args []js.Value) any {
		got <- js.Global().Get("JSON").Call("stringify", args[0]).String()
		return nil
	})
	// What is no object is of the tests themselves.
	js.Global().Set("postMessage", js.Global().Get("Function").New("post", "real",
		"return (m) => typeof m === 'object' ? void setTimeout(post, 0, m) : real(m)").Invoke(post, real))
	t.Cleanup(func() {
		js.Global().Set("postMessage", real)
		post.Release()
	})
	return got
}

// next returns the next of what was posted.
func next(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was posted")
		return ""
	}
}

// program is an application that shows where its page is. asked hears of each
// socket's topics, and of the end.
func program(asked chan<- string) jsmain.Program {
	return jsmain.Program{Render: render, Start: func(context.Context) (jsmain.App, error) {
		rt := live.NewRuntime(nil)
		rt.Start()
		return jsmain.App{
			Runtime: rt,
			View: func(topics ...string) live.View {
				all := strings.Join(topics, "+")
				asked <- all
				switch all {
				case "panic":
					panic("no")
				case "none":
					return nil
				}
				return view{all}
			},
			Page: func(_ context.Context, at jsmain.Address) (jsmain.Page, error) {
				switch q := at.Query["topic"]; q {
				case "bad":
					return jsmain.Page{}, jsmain.Failure{Said: "There is no such page.", Err: errors.New("bad")}
				case "worse":
					return jsmain.Page{}, errors.New("worse")
				default:
					return jsmain.Page{Title: at.Server, Body: greeting(q)}, nil
				}
			},
			Stop: func(context.Context) error {
				rt.Stop()
				asked <- "stop"
				return nil
			},
		}, nil
	}}
}

// send is a message of the page.
func send(data any, ports ...any) {
	js.Global().Get("onmessage").Invoke(map[string]any{"data": data, "ports": ports})
}

func TestAPageIsServedUntilItGoes(t *testing.T) {
	got, asked, ended := posted(t), make(chan string, 10), make(chan struct{})
	go func() {
		jsmain.Run([]string{"app", "../", "topic", "a&b", "x", "1"}, program(asked))
		close(ended)
	}()
	if m := next(t, got); !strings.Contains(m, `a&b`) || !strings.Contains(m, `"title":"../"`) {
		t.Fatalf("the page is %s", m)
	}
	for _, nonsense := range []any{nil, 1, "x", map[string]any{}, map[string]any{"connect": 1}, map[string]any{"leave": false}} {
		send(nonsense)
	}
	for _, topics := range []string{"a,b", "panic", "none"} {
		channel := js.Global().Get("MessageChannel").New()
		heard := make(chan string, 10)
		hear := js.FuncOf(func(_ js.Value, args []js.Value) any {
			heard <- js.Global().Get("JSON").Call("stringify", args[0].Get("data")).String()
			return nil
		})
		channel.Get("port1").Set("onmessage", hear)
		send(map[string]any{"connect": topics}, channel.Get("port2"))
		want := map[string]string{"a,b": "a+b", "panic": `"code":1011`, "none": `"code":1011`}[topics]
		if topic := next(t, asked); topic != strings.ReplaceAll(topics, ",", "+") {
			t.Errorf("a view was asked for of %q, want those of %q", topic, topics)
		}
		for !strings.Contains(next(t, heard), want) {
		}
		channel.Get("port1").Set("onmessage", js.Null())
		channel.Get("port1").Call("close")
		hear.Release()
	}
	send(map[string]any{"leave": true})
	<-ended
	if m := next(t, asked); m != "stop" {
		t.Errorf("got %q, want that the application was stopped", m)
	}
}

func TestAPageIsToldWhyItIsNotServed(t *testing.T) {
	refuses := jsmain.Program{Start: func(context.Context) (jsmain.App, error) {
		return jsmain.App{}, jsmain.Failure{Said: "It has no store.", Err: errors.New("cause")}
	}}
	asked := make(chan string, 10)
	for name, c := range map[string]struct {
		program jsmain.Program
		args    []string
		says    []string
	}{
		"no arguments":              {program(asked), nil, []string{"could not be started", "started with []"}},
		"others":                    {program(asked), []string{"app"}, []string{"could not be started"}},
		"a key without a value":     {program(asked), []string{"app", "", "topic"}, []string{"could not be started"}},
		"nothing to render with":    {refuses, []string{"render"}, []string{"could not be started"}},
		"nothing to start":          {jsmain.Program{Render: render}, []string{"app", ""}, []string{"could not be started"}},
		"an application that fails": {refuses, []string{"app", ""}, []string{"It has no store.", "cause"}},
		"a page that there is not":  {program(asked), []string{"app", "", "topic", "bad"}, []string{"There is no such page.", "bad"}},
		"a page that fails":         {program(asked), []string{"app", "", "topic", "worse"}, []string{"could not be started", "worse"}},
		"a component that fails":    {program(asked), []string{"app", "", "topic", "fail"}, []string{"could not be started", "no greeting"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := posted(t)
			jsmain.Run(c.args, c.program)
			m := next(t, got)
			for _, want := range append(c.says, `"failure"`) {
				if !strings.Contains(m, want) {
					t.Errorf("got %s, want %s in it", m, want)
				}
			}
		})
	}
}

func TestNamesOfTabsDiffer(t *testing.T) {
	if one, two := jsmain.TabName(), jsmain.TabName(); one == two || !strings.HasPrefix(one, "tab ") {
		t.Errorf("got %q and %q", one, two)
	}
}
