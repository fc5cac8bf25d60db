package htmx_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
		{"a status", htmx.Welcome(htmx.Degraded), `{"status":"degraded"}`},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
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
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := htmx.ParseEvent([]byte(c.in))
			if (err != nil) != c.bad || err != nil && !errors.Is(err, htmx.ErrMalformed) {
				t.Fatalf("got error %v, want one: %v", err, c.bad)
			}
			if got.Hello != c.want.Hello || got.Tab != c.want.Tab || got.Epoch != c.want.Epoch || got.Version != c.want.Version ||
				got.Action != c.want.Action || got.Op != c.want.Op || got.Age != c.want.Age || got.As != c.want.As {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
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
	for _, s := range []string{`{"action":"increment","op":"aaaaaaaaaaaaaaaa","age":1}`, `{"hello":1,"tab":"x","e":1,"v":2}`, `{"action":"\ud800"}`, `{"__proto__":{}}`, `{"e":1e400}`} {
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
	})
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

func BenchmarkState(b *testing.B) {
	html := strings.Repeat("x", 220)
	b.ReportAllocs()
	for b.Loop() {
		htmx.State("counter:lobby", 1, 2, htmx.Partial{Target: "#live", HTML: html})
	}
}
