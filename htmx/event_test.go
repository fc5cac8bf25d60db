package htmx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
)

// client is a client as it is written on the wire.
const client = "AAAAAAAAAAAAAAAAAAAAAA"

// click is an op as a test expects it.
func click(change func(e *htmx.Event)) htmx.Event {
	e := htmx.Event{Kind: htmx.OpEvent, Op: htmx.Op{Topic: "counter:a", Client: client, Seq: 1}, From: 1, Do: "increment"}
	if change != nil {
		change(&e)
	}
	return e
}

// clicked is a click as a message, with more fields.
func clicked(more string) string {
	return `{"op":["` + client + `",1,1],"t":"counter:a","do":"increment"` + more + `}`
}

// at is what a hello says that it shows.
type at = map[string][2]uint64

func TestParseEvent(t *testing.T) {
	bad := htmx.Event{}
	cases := []struct {
		name, in string
		want     htmx.Event // its zero value: malformed
	}{
		{"an op", clicked(``), click(nil)},
		{"an op with all that it can have", `{"op":["` + client + `",12,3],"seen":1700000000123,"age":1.5,"t":"bank:b","grant":"g","do":"transfer","in":{"from":"1","to":["2"]}}`,
			htmx.Event{
				Kind: htmx.OpEvent, Op: htmx.Op{Topic: "bank:b", Client: client, Seq: 12}, From: 3, Seen: 1700000000123,
				Age: 1500 * time.Millisecond, Grant: "g", Do: "transfer", In: json.RawMessage(`{"from":"1","to":["2"]}`),
			}},
		{"the greatest seq", `{"op":["c",9007199254740991,9007199254740991]}`,
			htmx.Event{Kind: htmx.OpEvent, Op: htmx.Op{Client: "c", Seq: htmx.MaxSeq}, From: htmx.MaxSeq}},
		{"an op without anything", `{"op":["",0,0]}`, htmx.Event{Kind: htmx.OpEvent}},
		{"an age with an exponent", clicked(`,"age":1e2`), click(func(e *htmx.Event) { e.Age = 100 * time.Second })},
		{"an age of a century", clicked(`,"age":3162240000`), click(func(e *htmx.Event) { e.Age = 3162240000 * time.Second })},
		{"unknown fields mean nothing", clicked(`,"x":[1],"action":"a","tab":{}`), click(nil)},
		{"input that is no object is the view's to judge", clicked(`,"in":[1]`), click(func(e *htmx.Event) { e.In = json.RawMessage(`[1]`) })},

		{"a hello", `{"hello":2}`, htmx.Event{Kind: htmx.HelloEvent}},
		{"a hello with all that it can have", `{"hello":2,"client":"c","at":{"counter:a":[18446744073709551615,2],"poll:b":[0,0]},"as":"data","prove":true}`,
			htmx.Event{
				Kind: htmx.HelloEvent, Client: "c", At: at{"counter:a": {math.MaxUint64, 2}, "poll:b": {}}, As: htmx.AsData, Prove: true,
			}},
		{"a hello of a tab that shows nothing", `{"hello":2,"at":{}}`, htmx.Event{Kind: htmx.HelloEvent, At: at{}}},

		{"a fin", `{"fin":["` + client + `",7],"t":"counter:a","grant":"g"}`,
			htmx.Event{Kind: htmx.FinEvent, Op: htmx.Op{Topic: "counter:a", Client: client, Seq: 7}, Grant: "g"}},

		{"a cast", `{"cast":"typing","t":"counter:a","in":{"x":"1"}}`,
			htmx.Event{Kind: htmx.CastEvent, Op: htmx.Op{Topic: "counter:a"}, Do: "typing", In: json.RawMessage(`{"x":"1"}`)}},

		{"names are matched with their case", `{"OP":["c",1,1]}`, bad},
		{"nothing", ``, bad},
		{"null", `null`, bad},
		{"an empty object", `{}`, bad},
		{"an array", `[]`, bad},
		{"no kind of message", `{"t":"counter:a","do":"increment"}`, bad},
		{"version 1", `{"action":"increment","op":"x"}`, bad},
		{"an op and a cast", clicked(`,"cast":"typing"`), bad},
		{"a hello and a fin", `{"hello":2,"fin":["c",1]}`, bad},
		{"all four", `{"hello":2,"op":["c",1,1],"fin":["c",1],"cast":"x"}`, bad},
		{"two documents", `{"hello":2}{"hello":2}`, bad},
		{"invalid UTF-8", "{\"cast\":\"\xff\"}", bad},
		{"too long", `{"cast":"` + strings.Repeat("a", htmx.MaxEvent) + `"}`, bad},
		{"as long as may be", `{"cast":"` + strings.Repeat("a", htmx.MaxEvent-11) + `"}`,
			htmx.Event{Kind: htmx.CastEvent, Do: strings.Repeat("a", htmx.MaxEvent-11)}},
		{"deep nesting", strings.Repeat("[", 4000), bad},
		{"as deep as may be", clicked(`,"x":` + nested(htmx.MaxDepth-1)), click(nil)},
		{"deeper", clicked(`,"x":` + nested(htmx.MaxDepth)), bad},
		{"objects that are deeper", clicked(`,"x":` + strings.Repeat(`{"x":`, 8) + `1` + strings.Repeat("}", 8)), bad},
		{"brackets in a string", clicked(`,"x":"\\\"` + strings.Repeat("[{", 20) + `"`), click(nil)},
		{"brackets in a name", clicked(`,"` + strings.Repeat("[{", 20) + `":1`), click(nil)},
		{"many that are not deep", clicked(`,"x":[` + strings.Repeat("[],{},", 500) + `1]`), click(nil)},
		{"the same field twice", clicked(`,"do":"decrement","op":["c",2,2]`),
			click(func(e *htmx.Event) { e.Do, e.Op.Client, e.Op.Seq, e.From = "decrement", "c", 2, 2 })},
		{"names that mean something to JavaScript", clicked(`,"__proto__":{"do":"b","op":["x",2,2]},"constructor":{"prototype":{"do":"y"}},"toString":1`), click(nil)},
		{"an action of JavaScript's", `{"op":["constructor",1,1],"do":"__proto__"}`,
			htmx.Event{Kind: htmx.OpEvent, Op: htmx.Op{Client: "constructor", Seq: 1}, From: 1, Do: "__proto__"}},
		{"no name at all", clicked(`,"":1`), click(nil)},
		{"half of a pair of UTF-16", `{"cast":"\ud800"}`, htmx.Event{Kind: htmx.CastEvent, Do: "\ufffd"}},
		{"an escaped zero", `{"cast":"a\u0000"}`, htmx.Event{Kind: htmx.CastEvent, Do: "a\x00"}},
		{"a zero", "{\"cast\":\"a\x00\"}", bad},
		{"a mark of the byte order", "\ufeff{\"cast\":\"a\"}", bad},
	}
	for _, in := range []string{
		// A hello.
		`{"hello":1}`, `{"hello":3}`, `{"hello":0}`, `{"hello":-2}`, `{"hello":true}`, `{"hello":"2"}`, `{"hello":null}`,
		`{"hello":2,"at":[]}`, `{"hello":2,"at":{"a":1}}`, `{"hello":2,"at":{"a":[-1,2]}}`, `{"hello":2,"at":{"a":[1.5,2]}}`,
		`{"hello":2,"at":{"a":[18446744073709551616,2]}}`, `{"hello":2,"at":{"a":[1e400,2]}}`, `{"hello":2,"at":{"a":["1",2]}}`,
		`{"hello":2,"at":{"a":[` + strings.Repeat("9", 3900) + `,1]}}`,
		`{"hello":2,"prove":1}`, `{"hello":2,"as":1}`, `{"hello":2,"client":7}`,
		// The identity of an op.
		`{"op":"x"}`, `{"op":{}}`, `{"op":null}`, `{"op":[]}`, `{"op":["c"]}`, `{"op":["c",1]}`, `{"op":["c",1,1,1]}`,
		`{"op":[1,1,1]}`, `{"op":["c","1",1]}`, `{"op":["c",1,"1"]}`, `{"op":["c",-1,1]}`, `{"op":["c",1,-1]}`,
		`{"op":["c",1.5,1]}`, `{"op":["c",1,0.5]}`, `{"op":["c",9007199254740992,1]}`, `{"op":["c",1,9007199254740992]}`,
		`{"op":["c",18446744073709551616,1]}`, `{"op":["c",1e99,1]}`,
		// What else is in one.
		clicked(`,"t":1`), clicked(`,"do":1`), clicked(`,"seen":"1"`), clicked(`,"seen":1.5`), clicked(`,"seen":1e99`),
		clicked(`,"age":"1"`), clicked(`,"age":-1`), clicked(`,"age":-0.001`), clicked(`,"age":3162240001`), clicked(`,"age":1e300`),
		clicked(`,"age":1e400`), clicked(`,"age":` + strings.Repeat("9", 3900)), clicked(`,"grant":{}`),
		// A fin and a cast.
		`{"fin":"x"}`, `{"fin":["c"]}`, `{"fin":["c",1,1]}`, `{"fin":["c",-1]}`, `{"fin":["c",9007199254740992]}`, `{"fin":["c",1],"t":1}`,
		`{"cast":1}`, `{"cast":{}}`, `{"cast":"x","t":1}`,
	} {
		cases = append(cases, struct {
			name, in string
			want     htmx.Event
		}{in[:min(len(in), 60)], in, bad})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := []byte(c.in)
			got, err := htmx.ParseEvent(in)
			clear(in) // what was returned must not alias it
			if malformed := c.want.Kind == 0; (err != nil) != malformed || err != nil && !errors.Is(err, htmx.ErrMalformed) {
				t.Fatalf("got error %v, want one: %v", err, malformed)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAPageOfAnotherVersionIsToldToReload(t *testing.T) {
	for _, in := range []string{`{"hello":1}`, `{"hello":3,"at":7}`} {
		if _, err := htmx.ParseEvent([]byte(in)); !errors.Is(err, htmx.ErrProtocol) {
			t.Errorf("%s: got %v, want ErrProtocol", in, err)
		}
	}
}

func TestAnErrorNamesNothingOfTheMessage(t *testing.T) {
	const secret = "hunter2"
	for _, in := range []string{
		`{"` + secret + `":1}`, `{"op":["` + secret + `",-1,1]}`, `{"op":"` + secret + `"}`, clicked(`,"age":"` + secret + `"`), `{"hello":"` + secret + `"}`,
		`{"cast":{"` + secret + `":1}}`, `{"hello":2,"at":{"` + secret + `":1}}`, `{"` + secret, clicked(`,"` + secret + `":` + nested(htmx.MaxDepth)),
	} {
		if _, err := htmx.ParseEvent([]byte(in)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got the error %v", in, err)
		}
	}
}

func TestOpOf(t *testing.T) {
	x := htmx.Op{Topic: "a", Client: "x", Seq: 1}
	for _, c := range []struct {
		in   string
		want htmx.Op // its zero value: none
	}{
		{`{"op":["x",1,1],"t":"a"}`, x},
		{`{"op":["x",1,1],"t":"a","do":7,"age":-1.5,"seen":"x"}`, x}, // it is not parsed further
		{`{"op":["x",1,1],"t":"a","cast":"b"}`, x},
		{`{"op":["y",1,1],"op":["x",1,1],"t":"b","t":"a"}`, x},
		{`{"op":["x",1,1]}`, htmx.Op{Client: "x", Seq: 1}},
		{`{"OP":["x",1,1],"t":"a"}`, htmx.Op{}},
		{`{"op":["x",1],"t":"a"}`, htmx.Op{}},
		{`{"op":["x",1.5,1],"t":"a"}`, htmx.Op{}},
		{`{"op":"x","t":"a"}`, htmx.Op{}},
		{`{"op":["x",1,1],"t":7}`, htmx.Op{}},
		{`{"x":{"op":["x",1,1]}}`, htmx.Op{}},
		{`{"fin":["x",1],"t":"a"}`, htmx.Op{}},
		{`{"hello":2}`, htmx.Op{}},
		{`{"op":["x",1,1]`, htmx.Op{}},
		{`null`, htmx.Op{}},
		{``, htmx.Op{}},
		{`{"op":["x",1,1],"y":` + nested(htmx.MaxDepth) + `}`, htmx.Op{}},
		{`{"op":["` + strings.Repeat("x", htmx.MaxEvent) + `",1,1]}`, htmx.Op{}},
	} {
		if got, ok := htmx.OpOf([]byte(c.in)); got != c.want && ok || ok != (c.want != htmx.Op{}) {
			t.Errorf("%.80s: got %+v, %v, want %+v", c.in, got, ok, c.want)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, s := range []string{
		clicked(`,"seen":1700000000123,"age":1.5,"in":{"x":["1",2]},"grant":"g"`), `{"hello":2,"client":"x","at":{"a":[1,2]},"as":"data","prove":true}`,
		`{"fin":["x",7],"t":"a"}`, `{"cast":"typing","t":"a","in":null}`, clicked(`,"cast":"x"`), `{"op":["x",null,1]}`, `{"hello":1}`,
		`{"cast":"\ud800"}`, `{"__proto__":{}}`, clicked(`,"age":1e400`), clicked(`,"x":"\\\"[["`), clicked(`,"x":` + nested(htmx.MaxDepth)),
	} {
		f.Add([]byte(s))
	}
	for _, s := range []string{ // found by fuzzing
		"\t0",
		"n",
		"\xf1\x89\xe70",
		"00000000\xff00000000",
		"\a",
		"{\"0000\":\"\\ua000\"}",
		"îî",
		"{ ",
		"э\xb2",
		"100",
		"{\"\"",
		"ډǰ",
		" ",
		"\"",
		"100000000000000000000000000000000",
		"{\"\":0.00}",
		"000",
		"\"0000",
		"\xd3\xd1",
		"\xe1\xbb0",
		"t",
		"{\"00000\":1,\"000\":\"0\",\"0\":1,00000000000000000",
		"[\x00",
		"0e00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := htmx.ParseEvent(p)
		op, isOp := htmx.OpOf(p)
		if err != nil {
			if !errors.Is(err, htmx.ErrMalformed) || !reflect.DeepEqual(e, htmx.Event{}) {
				t.Fatalf("got %+v, %v, want ErrMalformed", e, err)
			}
			return
		}
		if len(p) > htmx.MaxEvent || !json.Valid(p) || e.Kind < htmx.HelloEvent || e.Kind > htmx.CastEvent {
			t.Fatalf("accepted %q as %+v", p, e)
		}
		if e.Op.Seq > htmx.MaxSeq || e.From > htmx.MaxSeq || e.Age < 0 || e.In != nil && !json.Valid(e.In) {
			t.Fatalf("accepted %q as %+v", p, e)
		}
		if got := depth(t, p); got > htmx.MaxDepth {
			t.Fatalf("accepted %q, which is %d deep", p, got)
		}
		if isOp != (e.Kind == htmx.OpEvent) || isOp && op != e.Op {
			t.Fatalf("%q: got the op %+v, %v, want %+v", p, op, isOp, e)
		}
	})
}

// nested is an array in an array, and so on.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// depth is how deep JSON is nested, as the standard library sees it.
func depth(t *testing.T, p []byte) (deepest int) {
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber() // floats are not as large
	for now := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return deepest
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
			deepest = max(deepest, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}

func BenchmarkParseEvent(b *testing.B) {
	in := []byte(clicked(`,"seen":1700000000123,"in":{}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := htmx.ParseEvent(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpOf(b *testing.B) {
	in := []byte(clicked(`,"seen":1700000000123,"in":{}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := htmx.OpOf(in); !ok {
			b.Fatal("no op")
		}
	}
}

func BenchmarkState(b *testing.B) {
	html := strings.Repeat("x", 220)
	b.ReportAllocs()
	for b.Loop() {
		htmx.State("counter:lobby", 1, 2, htmx.Partial{Target: "#live", HTML: html})
	}
}
