package protocol_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/tools/loadgen/load/protocol"
)

const page = `<!doctype html><body><span id="status" data-state="live"></span><main hx-ws:connect="/ws/c/a">
<section id="counter" data-topic="counter:a" data-count="-3" data-version="7" data-epoch="1790000000000"><p>-3</p></section>
<span id="replica"><b>replica-</b>2 </span><img></main>`

func address(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAPageOfLockstepIsRead(t *testing.T) {
	got, err := protocol.Lockstep{}.Open(address(t, "https://host:8/c/a"), http.Header{"Set-Cookie": {"s=1; HttpOnly", "gone=; Max-Age=-1", "c=2"}}, []byte(page))
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.View{Socket: "wss://host:8/ws/c/a", Cookie: "s=1; c=2", Replica: "replica-2", Known: true, Live: true,
		State: protocol.State{Epoch: 1790000000000, Version: 7, Count: -3}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAPageThatIsNotOneSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name, body, want string
		is               error
	}{
		{"no socket", strings.Replace(page, "hx-ws:connect", "x", 1), "no element has hx-ws:connect", protocol.ErrNoSocket},
		{"two sockets", page + page, "2 elements", nil},
		{"no counter", `<main hx-ws:connect="/ws">`, "nothing has data-count", nil},
		{"a count that is none", strings.Replace(page, `"-3"`, `"three"`, 1), "three", nil},
	} {
		_, err := protocol.Lockstep{}.Open(address(t, "http://host/"), nil, []byte(c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestAPageWhoseStoreIsAwayIsNotKnown(t *testing.T) {
	got, err := protocol.Lockstep{}.Open(address(t, "http://host/"), nil,
		[]byte(strings.NewReplacer(`"-3"`, `""`, `"live"`, `"degraded"`).Replace(page)))
	if err != nil || got.Known || got.Live {
		t.Errorf("got %+v, %v, want a page that knows nothing and says so", got, err)
	}
}

func TestMessagesOfLockstepAreRead(t *testing.T) {
	content, err := json.Marshal(`<hx-partial hx-target="#live">` + page + `</hx-partial>`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   string
		want protocol.Message
		err  string
	}{
		{in: `{"t":"counter:a","e":1790000000000,"v":7,"swap":"none","content":` + string(content) + `}`,
			want: protocol.Message{HasState: true, State: protocol.State{Epoch: 1790000000000, Version: 7, Count: -3}}},
		{in: `{"t":"counter:a","e":1790000000000,"v":8,"content":` + string(content) + `}`, err: "version 8 (epoch 1790000000000) shows version 7"},
		{in: `{"t":"counter:a","e":1,"v":8,"content":"<p>"}`, err: "data-count"},
		{in: `{"ack":["a","b"]}`, want: protocol.Message{Acks: []string{"a", "b"}}},
		{in: `{"error":"no","op":"a","retry":true}`, want: protocol.Message{Error: "no", Refused: "a", Retry: true}},
		{in: `{"status":"degraded"}`, want: protocol.Message{Status: protocol.StatusDegraded}},
		{in: `{"status":"live","content":"x"}`, want: protocol.Message{Status: protocol.StatusLive}},
		{in: `{"status":"live","beat":0.5}`, want: protocol.Message{Status: protocol.StatusLive, Beat: time.Second / 2}},
		{in: `{"t":"tabs:a","content":"<p>"}`},
		{in: `<p>`, err: "not of the wire"},
	} {
		got, err := protocol.Lockstep{}.Read(nil, []byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want an error with %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.in, got, err, c.want)
		}
	}
}

func TestLockstepSaysWhatATabSays(t *testing.T) {
	var p protocol.Lockstep
	for got, want := range map[string]string{
		string(p.Hello("t", protocol.State{Epoch: 1, Version: 2})): `{"hello":1,"tab":"t","e":1,"v":2}`,
		string(p.Click(nil, "op", false, 0).Message):               `{"action":"increment","op":"op"}`,
		string(p.Click(nil, "op", true, 3).Message):                `{"action":"increment","op":"op","age":3}`,
		p.Page(0): "/c/load-1",
		protocol.Lockstep{Path: "/c/x-{n}"}.Page(2): "/c/x-3",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAPageOfHTMXIsRead(t *testing.T) {
	for _, c := range []struct{ name, body, socket, click string }{
		{"htmx 4, websocket", `<div hx-ws:connect="ws?x=1"><b id="n">1,234</b><form hx-ws:send><input name="a" value="1"><button name="do" value="up"></button><button name="do" value="down"></button></form></div>`,
			"ws://host/dir/ws?x=1", `{"HEADERS":{"HX-Request":"true"},"a":"1","do":"up","headers":{"HX-Request":"true"}}`},
		{"htmx 2, websocket", `<div ws-connect="/ws"><b id="n">1&#x202f;234</b><button ws-send name="do" value="up" hx-vals='{"k":5}'></button></div>`,
			"ws://host/ws", `{"HEADERS":{"HX-Request":"true"},"do":"up","headers":{"HX-Request":"true"},"k":"5"}`},
		{"htmx 4, events", `<div hx-sse:connect="/events"><b id="n">it is 1.234!</b><form><input name="_csrf" value="x"><button hx-post="/click" name="do" value="up"></form></div>`,
			"http://host/events", "POST http://host/click _csrf=x&do=up"},
		{"htmx 2, events", `<div sse-connect="/events"><b id="n">1234</b><button hx-put="/click"></div>`,
			"http://host/events", "PUT http://host/click "},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := protocol.NewHTMX("", "#n", "")
			if err != nil {
				t.Fatal(err)
			}
			v, err := h.Open(address(t, "http://host/dir/"), nil, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if v.Socket != c.socket || v.State.Count != 1234 {
				t.Errorf("got %s and %d, want %s and 1234", v.Socket, v.State.Count, c.socket)
			}
			if got := said(t, h.Click(&v, "", false, 0)); got != c.click {
				t.Errorf("got %s, want %s", got, c.click)
			}
		})
	}
}

func said(t *testing.T, s protocol.Send) string {
	t.Helper()
	if s.Request == nil {
		return string(s.Message)
	}
	body, err := io.ReadAll(s.Request.Body)
	if err != nil {
		t.Fatal(err)
	}
	return s.Request.Method + " " + s.Request.URL.String() + " " + string(body)
}

func TestMessagesOfHTMXAreRead(t *testing.T) {
	h, err := protocol.NewHTMX("", "#n", "")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]int64{
		`<hx-partial hx-target="#n">-42</hx-partial>`:              -42,
		`<p>7</p><div><b id="n" hx-swap-oob="true">9</b></div>`:    9,
		`{"content":"<b id=\"n\">11</b>"}`:                         11,
		`{"payload":"<hx-partial hx-target='#n'>12</hx-partial>"}`: 12,
		` 13 `: 13,
	} {
		m, err := h.Read(nil, []byte(in))
		if err != nil || !m.HasState || m.State.Count != want {
			t.Errorf("%s: got %+v, %v, want %d", in, m, err, want)
		}
	}
	for _, in := range []string{``, `<p>5</p>`, `<b id="n">none</b>`, `{}`, `{"content":5}`} {
		if m, err := h.Read(nil, []byte(in)); err != nil || m.HasState {
			t.Errorf("%s: got %+v, %v, want no state", in, m, err)
		}
	}
}

func TestAWrongSelectorSaysSo(t *testing.T) {
	if _, err := protocol.NewHTMX("", "#", ""); err == nil || !strings.Contains(err.Error(), "selector of the number") {
		t.Errorf("got %v", err)
	}
	if _, err := protocol.NewHTMX("", "#n", "]"); err == nil || !strings.Contains(err.Error(), "what is clicked") {
		t.Errorf("got %v", err)
	}
	h, err := protocol.NewHTMX("", "#count", "")
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		``:                                        "hx-ws:connect",
		`<p hx-ws:connect="/">`:                   "#count",
		`<p hx-ws:connect="/"><b id=count>many`:   "not a number",
		`<p hx-ws:connect="/"><b id=count>1</b>`:  "can be clicked",
		`<p hx-ws:connect="http://[">`:            "URL",
		`<p hx-sse:connect="/"><b id=count>1</b>`: "can be clicked",
	} {
		if _, err := h.Open(address(t, "http://host/"), nil, []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", body, err, want)
		}
	}
}

func TestStatesHaveAnOrder(t *testing.T) {
	a, b, c := protocol.State{Epoch: 1, Version: 9}, protocol.State{Epoch: 2, Version: 1}, protocol.State{Epoch: 2, Version: 2}
	if !a.Older(b) || !b.Older(c) || b.Older(a) || c.Older(c) || !c.Same(c) || a.Same(b) {
		t.Error("states are not ordered by epoch, then version")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"t":"c","e":1,"v":2,"content":"<p data-count='1' data-version=2 data-epoch=1>"}`))
	f.Add([]byte(`<hx-partial hx-target="#n">1</hx-partial>`))
	h, err := protocol.NewHTMX("", "#n", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, message []byte) {
		for _, p := range []protocol.Protocol{protocol.Lockstep{}, h} {
			_, _ = p.Read(&protocol.View{}, message) // it must not panic
			_, _ = p.Open(&url.URL{Scheme: "http", Host: "h"}, nil, message)
		}
	})
}
