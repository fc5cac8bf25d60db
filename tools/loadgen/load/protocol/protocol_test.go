package protocol_test

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/tools/loadgen/load/protocol"
)

const page = `<!doctype html><body><span id="status" data-state="live"></span><main hx-ws:connect="/ws/c/a" data-user="me">
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
	want := protocol.View{Socket: "wss://host:8/ws/c/a", Cookie: "s=1; c=2", Replica: "replica-2", Known: true, Live: true, Topic: "counter:a", User: "me",
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
	id := protocol.ID{Client: "a", Seq: 1}
	for _, c := range []struct {
		in   string
		want protocol.Message
		err  string
	}{
		{in: `{"t":"counter:a","e":1790000000000,"v":7,"swap":"none","content":` + string(content) + `}`,
			want: protocol.Message{HasState: true, State: protocol.State{Epoch: 1790000000000, Version: 7, Count: -3}}},
		{in: `{"t":"counter:a","e":1790000000000,"v":8,"content":` + string(content) + `}`, err: "version 8 (epoch 1790000000000) shows version 7"},
		{in: `{"t":"counter:a","e":1,"v":8,"content":"<p>"}`, err: "data-count"},
		{in: `{"t":"counter:a","ack":[["a",1],["b",2]],"clock":5}`,
			want: protocol.Message{Acks: []protocol.ID{{Client: "a", Seq: 1}, {Client: "b", Seq: 2}}, Clock: 5}},
		{in: `{"t":"counter:a","op":["a",1],"retry":true,"error":"busy"}`, want: protocol.Message{Op: id, Answer: protocol.Retry, Reason: "busy"}},
		{in: `{"t":"counter:a","op":["a",1],"retry":true}`, want: protocol.Message{Op: id, Answer: protocol.Retry}},
		{in: `{"t":"counter:a","op":["a",1],"refused":"no"}`, want: protocol.Message{Op: id, Answer: protocol.Refused, Reason: "no"}},
		{in: `{"t":"counter:a","op":["a",1],"refused":""}`, want: protocol.Message{Op: id, Answer: protocol.Refused}},
		{in: `{"t":"counter:a","op":["a",1],"settled":true}`, want: protocol.Message{Op: id, Answer: protocol.Settled}},
		{in: `{"t":"counter:a","op":["a",1],"old":true}`, want: protocol.Message{Op: id, Answer: protocol.Old}},
		{in: `{"error":"malformed"}`, want: protocol.Message{Reason: "malformed"}},
		{in: `{"ack":["a","b"]}`, err: "not of the wire"},
		{in: `{"ack":[["a"]]}`, err: "named by its client and its number"},
		{in: `{"status":"degraded"}`, want: protocol.Message{Status: protocol.StatusDegraded}},
		{in: `{"status":"live","content":"x"}`, want: protocol.Message{Status: protocol.StatusLive}},
		{in: `{"status":"live","beat":0.5}`, want: protocol.Message{Status: protocol.StatusLive, Beat: time.Second / 2}},
		{in: `{"status":"live","beat":20,"clock":1790000000000}`,
			want: protocol.Message{Status: protocol.StatusLive, Beat: 20 * time.Second, Clock: 1790000000000}},
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
	v := &protocol.View{Topic: `counter:"a"`}
	op := &protocol.Op{ID: protocol.ID{Client: "c", Seq: 7}, From: 5, Seen: 1790000000000, Do: "increment"}
	later := &protocol.Op{ID: op.ID, From: 7, Seen: 8, Age: 3456 * time.Millisecond, Do: "vote", In: map[string]string{"option": "a"}}
	for got, want := range map[string]string{
		string(p.Hello(v, "c", protocol.State{Epoch: 1, Version: 2})): `{"hello":2,"client":"c","at":{"counter:\"a\"":[1,2]}}`,
		string(p.Click(v, op).Message):                                `{"op":["c",7,5],"seen":1790000000000,"t":"counter:\"a\"","do":"increment"}`,
		string(p.Click(v, later).Message):                             `{"op":["c",7,7],"seen":8,"age":3.4,"t":"counter:\"a\"","do":"vote","in":{"option":"a"}}`,
		string(p.Fin(v, "c", 9)):                                      `{"fin":["c",9],"t":"counter:\"a\""}`,
		p.Page(0):                                                     "/c/load-1",
		protocol.Lockstep{Kind: protocol.Poll}.Page(1):                "/poll/load-2",
		protocol.Lockstep{Kind: protocol.Bank}.Page(1):                "/bank/load-2",
		protocol.Lockstep{Path: "/c/x-{n}"}.Page(2):                   "/c/x-3",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

const (
	pollPage = `<main hx-ws:connect="/ws" data-user="me"><section id="poll" data-topic="poll:a" data-version="3" data-epoch="2" data-sum="5 votes">
<div id="option-spring" data-votes="3"></div><div id="option-fall" data-votes="2"></div><div id="option-winter" data-votes="0"></div></section>
<button name="option" value="spring"><button name="option" value="fall"><button name="option" value="winter"></main>`
	bankPage = `<main hx-ws:connect="/ws"><section id="bank" data-topic="bank:a" data-version="3" data-epoch="2" data-sum="30">
<li id="account-1" data-balance="10"><li id="account-2" data-balance="15"><li id="account-3" data-balance="5"></section></main>`
)

func TestPagesOfOtherKindsAreRead(t *testing.T) {
	for _, c := range []struct {
		kind  protocol.Kind
		page  string
		state protocol.State
	}{
		{protocol.Poll, pollPage, protocol.State{Epoch: 2, Version: 3, Count: 5, Value: "fall=2 spring=3"}},
		{protocol.Bank, bankPage, protocol.State{Epoch: 2, Version: 3, Count: 30, Value: "10 15 5"}},
	} {
		p := protocol.Lockstep{Kind: c.kind}
		v, err := p.Open(address(t, "http://host/"), nil, []byte(c.page))
		if err != nil || !v.Known || v.State != c.state || v.Topic != string(c.kind)+":a" {
			t.Errorf("%s: got %+v, %v, want %+v", c.kind, v, err, c.state)
		}
		content, err := json.Marshal(c.page)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Read(&v, []byte(`{"t":"`+v.Topic+`","e":2,"v":3,"content":`+string(content)+`}`))
		if err != nil || m.State != c.state {
			t.Errorf("%s: got %+v, %v, want %+v", c.kind, m, err, c.state)
		}
		numbers := regexp.MustCompile(`data-(votes|balance)="[^"]*"`)
		silent := regexp.MustCompile(`data-sum="[^"]*"`).ReplaceAllString(c.page, `data-sum=""`)
		for _, page := range []string{silent, numbers.ReplaceAllString(silent, `data-$1=""`)} {
			if unknown, err := p.Open(address(t, "http://host/"), nil, []byte(page)); err != nil || unknown.Known {
				t.Errorf("%s: got %+v, %v, want that nothing is known", c.kind, unknown, err)
			}
		}
		if _, err := p.Open(address(t, "http://host/"), nil, []byte(numbers.ReplaceAllString(c.page, `data-$1=""`))); err == nil {
			t.Errorf("%s: a page that knows its sum and not what it is of was read", c.kind)
		}
		if _, err := p.Open(address(t, "http://host/"), nil, []byte(page)); err == nil || !strings.Contains(err.Error(), "is this the page of a "+string(c.kind)) {
			t.Errorf("%s: got %v of a counter's page", c.kind, err)
		}
	}
}

func TestPeopleChooseWhatThereIs(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 1))
	open := func(kind protocol.Kind, page string) (protocol.Protocol, *protocol.View) {
		p := protocol.Lockstep{Kind: kind}
		v, err := p.Open(address(t, "http://host/"), nil, []byte(page))
		if err != nil {
			t.Fatal(err)
		}
		return p, &v
	}
	votes, never := map[string]int{}, 0
	poll, ballot := open(protocol.Poll, pollPage)
	bank, vault := open(protocol.Bank, bankPage)
	for range 1000 {
		do, in := poll.Choose(ballot, chance)
		votes[do+" "+in["option"]]++
		do, in = bank.Choose(vault, chance)
		from, _ := strconv.Atoi(in["from"])
		to, _ := strconv.Atoi(in["to"])
		amount, _ := strconv.Atoi(in["amount"])
		if do != "transfer" || from < 1 || from > 3 || to < 1 || to > 3 || amount < 1 {
			t.Fatalf("got %s %v", do, in)
		}
		if from == to || amount > 30 {
			never++
		}
	}
	if len(votes) != 3 || votes["vote fall"] < 200 || never < 50 || never > 200 {
		t.Errorf("got %v and %d transfers that can't be, want three options and 100 or so", votes, never)
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
			if got := said(t, h.Click(&v, new(protocol.Op))); got != c.click {
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
	f.Add([]byte(`{"op":["c",1],"refused":"no"}`))
	f.Add([]byte(pollPage))
	f.Add([]byte(bankPage))
	f.Add([]byte(`<hx-partial hx-target="#n">1</hx-partial>`))
	h, err := protocol.NewHTMX("", "#n", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(_ *testing.T, message []byte) {
		for _, p := range []protocol.Protocol{
			protocol.Lockstep{}, protocol.Lockstep{Kind: protocol.Poll}, protocol.Lockstep{Kind: protocol.Bank}, h,
		} {
			_, _ = p.Read(&protocol.View{}, message) // it must not panic
			_, _ = p.Open(&url.URL{Scheme: "http", Host: "h"}, nil, message)
		}
	})
}
