package htmx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
)

func TestMessagesHaveTheFormOfTheContract(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"a state", htmx.State("counter:a", 7, 0, htmx.Partial{Target: "#live", HTML: "<p>1 & 2</p>"}),
			`{"t":"counter:a","e":7,"v":0,"swap":"none","content":"<hx-partial hx-target=\"#live\" hx-swap=\"innerMorph\"><p>1 & 2</p></hx-partial>"}`},
		{"a state for a tab that renders itself", htmx.Data("counter:a", 7, 1<<60, `{"n":"<1>"}`),
			`{"t":"counter:a","e":7,"v":1152921504606846976,"state":"{\"n\":\"<1>\"}"}`},
		{"an empty state", htmx.Data("a", 1, 1, ""), `{"t":"a","e":1,"v":1,"state":""}`},
		{"a fragment", htmx.Fragment("tabs", htmx.Partial{Target: "#tabs", HTML: "3"}),
			`{"t":"tabs","swap":"none","content":"<hx-partial hx-target=\"#tabs\" hx-swap=\"innerMorph\">3</hx-partial>"}`},
		{"an acknowledgement", htmx.Ack("a", "b"), `{"ack":["a","b"]}`},
		{"a refusal", htmx.Refuse("no", "a", true), `{"error":"no","op":"a","retry":true}`},
		{"a status", htmx.Welcome(htmx.Degraded, 20*time.Second), `{"status":"degraded","beat":20}`},
		{"a beat of less than a second", htmx.Welcome(htmx.Live, 250*time.Millisecond), `{"status":"live","beat":0.25}`},
		{"a status that says nothing of a beat", htmx.Welcome(htmx.Live, 0), `{"status":"live"}`},
		{"a proof", htmx.Proof(htmx.Live, 20*time.Second), `{"status":"live","beat":20,"proof":true}`},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestTheLimitOfSilenceFollowsTheBeat(t *testing.T) {
	for beat, want := range map[time.Duration]time.Duration{
		0: htmx.SilenceTimeout, htmx.StatusInterval: htmx.SilenceTimeout,
		time.Millisecond: htmx.SilenceTimeoutMin, time.Minute: 135 * time.Second, 1000 * time.Hour: 2250 * time.Hour,
	} {
		if got := htmx.SilenceLimit(beat); got != want {
			t.Errorf("got %s for a beat of %s, want %s", got, beat, want)
		}
	}
}

func TestParseEvent(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     htmx.Event // without fields
		bad      bool
	}{
		{"a click", `{"action":"increment","op":"x"}`, htmx.Event{Action: "increment", Op: "x"}, false},
		{"a click with its age", `{"action":"reset","op":"x","age":12}`, htmx.Event{Action: "reset", Op: "x", Age: 12}, false},
		{"a hello", `{"hello":1,"tab":"t","e":18446744073709551615,"v":2}`, htmx.Event{Hello: true, Tab: "t", Epoch: 1<<64 - 1, Version: 2}, false},
		{"a hello of a tab that renders itself", `{"hello":1,"as":"data"}`, htmx.Event{Hello: true, As: htmx.AsData}, false},
		{"a hello that asks for a proof", `{"hello":1,"prove":true}`, htmx.Event{Hello: true, Prove: true}, false},
		{"a hello that asks for what is no proof", `{"hello":1,"prove":1}`, htmx.Event{}, true},
		{"a hello that wants what is not a name", `{"hello":1,"as":1}`, htmx.Event{}, true},
		{"unknown fields are kept for the view", `{"action":"a","x":[1]}`, htmx.Event{Action: "a"}, false},
		{"names are matched with their case", `{"ACTION":"increment"}`, htmx.Event{}, true},
		{"nothing", ``, htmx.Event{}, true},
		{"null", `null`, htmx.Event{}, true},
		{"an empty object", `{}`, htmx.Event{}, true},
		{"an array", `[]`, htmx.Event{}, true},
		{"a wrong type", `{"action":1}`, htmx.Event{}, true},
		{"a negative version", `{"hello":1,"v":-1}`, htmx.Event{}, true},
		{"a fractional version", `{"hello":1,"v":1.5}`, htmx.Event{}, true},
		{"two documents", `{"action":"a"}{"action":"b"}`, htmx.Event{}, true},
		{"invalid UTF-8", "{\"action\":\"\xff\"}", htmx.Event{}, true},
		{"too long", `{"action":"` + strings.Repeat("a", htmx.MaxEvent) + `"}`, htmx.Event{}, true},
		{"deep nesting", strings.Repeat("[", 4000), htmx.Event{}, true},
		{"as deep as may be", `{"action":"a","x":` + nested(htmx.MaxDepth-1) + `}`, htmx.Event{Action: "a"}, false},
		{"deeper", `{"action":"a","x":` + nested(htmx.MaxDepth) + `}`, htmx.Event{}, true},
		{"objects that are deeper", `{"action":"a","x":` + strings.Repeat(`{"x":`, 8) + `1` + strings.Repeat("}", 8) + `}`, htmx.Event{}, true},
		{"brackets in a string", `{"action":"a","x":"\\\"` + strings.Repeat("[{", 20) + `"}`, htmx.Event{Action: "a"}, false},
		{"brackets in a name", `{"action":"a","` + strings.Repeat("[{", 20) + `":1}`, htmx.Event{Action: "a"}, false},
		{"many that are not deep", `{"action":"a","x":[` + strings.Repeat("[],{},", 500) + `1]}`, htmx.Event{Action: "a"}, false},
		{"the same field twice", `{"action":"a","op":"x","action":"b","op":"y"}`, htmx.Event{Action: "b", Op: "y"}, false},
		{"names that mean something to JavaScript", `{"action":"a","__proto__":{"action":"b","op":"x"},"constructor":{"prototype":{"op":"y"}},"toString":1}`, htmx.Event{Action: "a"}, false},
		{"an action of JavaScript's", `{"action":"__proto__","op":"constructor"}`, htmx.Event{Action: "__proto__", Op: "constructor"}, false},
		{"no name at all", `{"":1,"action":"a"}`, htmx.Event{Action: "a"}, false},
		{"a huge number", `{"hello":1,"v":1e400}`, htmx.Event{}, true},
		{"a version that does not fit", `{"hello":1,"v":18446744073709551616}`, htmx.Event{}, true},
		{"a number of four thousand digits", `{"hello":1,"v":` + strings.Repeat("9", 4000) + `}`, htmx.Event{}, true},
		{"an age with an exponent", `{"action":"a","age":1e2}`, htmx.Event{}, true},
		{"a hello that is no number", `{"hello":true}`, htmx.Event{}, true},
		{"a hello of 0", `{"hello":0}`, htmx.Event{}, true},
		{"an op that is an object", `{"action":"a","op":{}}`, htmx.Event{}, true},
		{"half of a pair of UTF-16", `{"action":"\ud800"}`, htmx.Event{Action: "\ufffd"}, false},
		{"an escaped zero", `{"action":"a\u0000"}`, htmx.Event{Action: "a\x00"}, false},
		{"a zero", "{\"action\":\"a\x00\"}", htmx.Event{}, true},
		{"a mark of the byte order", "\ufeff{\"action\":\"a\"}", htmx.Event{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := htmx.ParseEvent([]byte(c.in))
			if (err != nil) != c.bad || err != nil && !errors.Is(err, htmx.ErrMalformed) {
				t.Fatalf("got error %v, want one: %v", err, c.bad)
			}
			if got.Hello != c.want.Hello || got.Tab != c.want.Tab || got.Epoch != c.want.Epoch || got.Version != c.want.Version ||
				got.Action != c.want.Action || got.Op != c.want.Op || got.Age != c.want.Age || got.As != c.want.As || got.Prove != c.want.Prove {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// nested is an array in an array, and so on.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestFieldsOfAnyNameArePlainFields(t *testing.T) {
	in := []byte(`{"action":"a","__proto__":"one","constructor":"two","":"three","x":"four","x":"five"}`)
	e, err := htmx.ParseEvent(in)
	if err != nil {
		t.Fatal(err)
	}
	clear(in) // what was returned must not alias it
	for name, want := range map[string]string{"__proto__": "one", "constructor": "two", "": "three", "x": "five"} {
		var got string
		if err := e.Decode(name, &got); err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
	if err := e.Decode("toString", new(any)); !errors.Is(err, htmx.ErrMalformed) {
		t.Errorf("got %v for a field that is not there, want ErrMalformed", err)
	}
}

func TestOpOf(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"action":"a","op":"x"}`, "x"},
		{`{"action":7,"age":-1.5,"op":"x"}`, "x"}, // it is not parsed further
		{`{"op":"x","op":"y"}`, "y"},
		{`{"OP":"x"}`, ""},
		{`{"op":7}`, ""},
		{`{"x":{"op":"x"}}`, ""},
		{`{"action":"a"}`, ""},
		{`{"op":"x"`, ""},
		{`null`, ""},
		{``, ""},
		{`{"op":"x","y":` + nested(htmx.MaxDepth) + `}`, ""},
		{`{"op":"` + strings.Repeat("x", htmx.MaxEvent) + `"}`, ""},
	} {
		if got := htmx.OpOf([]byte(c.in)); got != c.want {
			t.Errorf("%.80s: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestAViewDecodesItsOwnFields(t *testing.T) {
	e, err := htmx.ParseEvent([]byte(`{"action":"say","text":"hi","n":3}`))
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := e.Decode("text", &text); err != nil || text != "hi" {
		t.Errorf("got %q, %v, want hi", text, err)
	}
	if err := e.Decode("n", &text); !errors.Is(err, htmx.ErrMalformed) {
		t.Errorf("got %v for a wrong type, want ErrMalformed", err)
	}
	if err := e.Decode("none", &text); !errors.Is(err, htmx.ErrMalformed) {
		t.Errorf("got %v for a missing field, want ErrMalformed", err)
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, s := range []string{
		`{"action":"increment","op":"aaaaaaaaaaaaaaaa","age":1}`, `{"hello":1,"tab":"x","e":1,"v":2,"as":"data"}`,
		`{"action":"\ud800"}`, `{"__proto__":{}}`, `{"e":1e400}`, `{"action":"a","x":"\\\"[["}`, `{"action":"a","x":` + nested(htmx.MaxDepth) + `}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := htmx.ParseEvent(p)
		if err != nil {
			if !errors.Is(err, htmx.ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		if len(p) > htmx.MaxEvent || !json.Valid(p) || !e.Hello && e.Action == "" {
			t.Fatalf("accepted %q as %+v", p, e)
		}
		if got := depth(t, p); got > htmx.MaxDepth {
			t.Fatalf("accepted %q, which is %d deep", p, got)
		}
		if got := htmx.OpOf(p); got != e.Op {
			t.Fatalf("%q: got the op %q, want %q", p, got, e.Op)
		}
	})
}

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
	in := []byte(`{"action":"increment","op":"AAAAAAAAAAAAAAAAAAAAAA","age":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := htmx.ParseEvent(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpOf(b *testing.B) {
	in := []byte(`{"action":"increment","op":"AAAAAAAAAAAAAAAAAAAAAA","age":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if htmx.OpOf(in) == "" {
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
