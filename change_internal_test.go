package lockstep

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/live"
	"lockstep/state"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": "", "text": `1 {"x":"<é>"}`, "bytes": "1 \xff\x00", "a lone quote": `"`, "what is long": strings.Repeat("x", 4096),
	} {
		r := state.Record{Epoch: 1<<64 - 1, Version: 1<<64 - 2, Data: []byte(data)}
		raw, err := encodeRecord(r, delta{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMessage(raw)
		if err != nil || got.by != "" || !got.Same(r) || !bytes.Equal(got.Data, r.Data) || !reflect.DeepEqual(got.delta, delta{}) {
			t.Errorf("%s: %s became %+v, %v", name, raw, got, err)
		}
	}
}

// What is too long to be broadcast is read from the store: its version is enough to
// know that. As JSON a sign may take six bytes.
func TestABroadcastIsNeverLongerThanABrokerCarries(t *testing.T) {
	for sign, fits := range map[string]int{"x": 3900, `"`: 1900, "<": 3900, "\x01": 600, "\xff": 2900} {
		for _, n := range []int{0, 1, fits, fits + 200, 60_000} {
			r := state.Record{Epoch: 1<<64 - 1, Version: 1<<64 - 1, Data: bytes.Repeat([]byte(sign), n)}
			payload, err := encodeBroadcast(r, delta{}, "3w5e11264sgsf")
			if err != nil || len(payload) > maxBroadcast {
				t.Fatalf("%d of %q became %d bytes, %v", n, sign, len(payload), err)
			}
			got, err := decodeMessage(payload)
			if !got.Same(r) || got.by != "3w5e11264sgsf" {
				t.Errorf("%d of %q became %+v", n, sign, got)
			}
			if n <= fits && (err != nil || !bytes.Equal(got.Data, r.Data)) || n > fits && (!errors.Is(err, live.ErrReadIt) || got.Data != nil) {
				t.Errorf("%d of %q became %d bytes, %v", n, sign, len(got.Data), err)
			}
		}
	}
}

// TestABroadcastHasWhatFits: the change before the whole, the whole before nothing, and with it the
// entries if there is room.
func TestABroadcastHasWhatFits(t *testing.T) {
	small, large := []byte(`1 {"n":7}`), bytes.Repeat([]byte("x"), 5000)
	entries := [][]byte{[]byte(`{"id":"a"}`), []byte(`{"id":"b"}`)}
	for name, c := range map[string]struct {
		data []byte
		d    delta
		want string
	}{
		"a change":                       {large, delta{base: 3, change: small}, `{"e":2,"v":4,"a":3,"d":"1 {\"n\":7}","r":"x"}`},
		"a change that is too long":      {small, delta{base: 3, change: large}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
		"both too long":                  {large, delta{base: 3, change: large}, `{"e":2,"v":4,"absent":true,"r":"x"}`},
		"a change that is no text":       {small, delta{base: 3, change: []byte("\xff")}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
		"a change of what never was":     {small, delta{base: 0, change: small}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
		"a change of a later state":      {small, delta{base: 4, change: small}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
		"entries":                        {small, delta{first: 6, entries: entries}, `{"e":2,"v":4,"s":"1 {\"n\":7}","n":6,"l":["{\"id\":\"a\"}","{\"id\":\"b\"}"],"r":"x"}`},
		"entries with a change":          {large, delta{base: 3, change: small, first: 6, entries: entries}, `{"e":2,"v":4,"a":3,"d":"1 {\"n\":7}","n":6,"l":["{\"id\":\"a\"}","{\"id\":\"b\"}"],"r":"x"}`},
		"entries that are too long":      {small, delta{first: 6, entries: [][]byte{large}}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
		"entries of which one is binary": {small, delta{first: 6, entries: [][]byte{small, []byte("\xff")}}, `{"e":2,"v":4,"s":"1 {\"n\":7}","r":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			payload, err := encodeBroadcast(state.Record{Epoch: 2, Version: 4, Data: c.data}, c.d, "x")
			if err != nil || string(payload) != c.want {
				t.Fatalf("got %s, %v, want %s", payload, err, c.want)
			}
			got, err := decodeMessage(payload)
			if strings.Contains(c.want, "absent") {
				if !errors.Is(err, live.ErrReadIt) {
					t.Errorf("got %v, want that it is read", err)
				}
				return
			}
			if hasIt := strings.Contains(c.want, `"l"`); err != nil || hasIt != reflect.DeepEqual(got.delta.entries, c.d.entries) && len(c.d.entries) > 0 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestTabsThatRenderThemselvesGetChanges in the form of a broadcast.
func TestTabsThatRenderThemselvesGetChanges(t *testing.T) {
	r := state.Record{Epoch: 2, Version: 4, Data: bytes.Repeat([]byte("x"), 5000)}
	d := delta{base: 3, change: []byte(`1 {"gone":["a"]}`), first: 1, entries: [][]byte{[]byte(`{"id":"<"}`)}}
	payload, err := encodeChange(r, d)
	if want := `{"e":2,"v":4,"a":3,"d":"1 {\"gone\":[\"a\"]}","n":1,"l":["{\"id\":\"<\"}"]}`; err != nil || string(payload) != want {
		t.Errorf("got %s, %v, want %s", payload, err, want)
	}
	got, err := decodeMessage(payload)
	if err != nil || !got.Same(r) || got.Data != nil || !reflect.DeepEqual(got.delta, d) {
		t.Errorf("got %+v, %v", got, err)
	}
	if payload, err := encodeChange(r, delta{}); payload != nil || err != nil {
		t.Errorf("got %s, %v for no change", payload, err)
	}
}

func TestACommitOfAnotherEpochHasNoChange(t *testing.T) {
	c := state.Commit{Record: state.Record{Epoch: 2, Version: 4}, Base: state.Record{Epoch: 1, Version: 3}, Change: []byte("1 {}")}
	if d := deltaOf(c); d.change != nil {
		t.Errorf("got %+v", d)
	}
	c.Base.Epoch = 2
	if d := deltaOf(c); d.base != 3 || string(d.change) != "1 {}" {
		t.Errorf("got %+v", d)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`"x",`, state.MaxLog+1), ",")
	for _, payload := range []string{
		``, `x`, `null`, `[]`, `{"e":1,"v":2}`, `{"e":1,"v":2,"d":"1 {}"}`, `{"e":1,"v":2,"a":1}`, `{"e":1,"v":2,"a":2,"d":"1 {}"}`, `{"e":1,"v":2,"a":3,"s":"1 7"}`,
		`{"e":-1,"v":2,"s":""}`, `{"e":1,"v":2,"s":"","l":[1]}`, fmt.Sprintf(`{"e":1,"v":2,"s":"","n":1,"l":[%s]}`, many), `{"e":1,"v":2,"s":"","n":-1,"l":["x"]}`,
	} {
		if got, err := decodeMessage([]byte(payload)); err == nil || !reflect.DeepEqual(got, heard{}) {
			t.Errorf("%s became %+v, %v", payload, got, err)
		}
	}
	got, err := decodeMessage([]byte(`{"e":1,"v":2,"s":"1 7","l":["x"]}`)) // nobody knows which they are
	if err != nil || got.delta.entries != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, s := range []string{
		`{"e":1,"v":2,"s":"1 7"}`, `{"e":18446744073709551615,"v":0,"s":""}`, `{"e":1,"v":2,"b":"/w=="}`, `{"e":1,"v":2,"absent":true,"s":"x"}`,
		`{"e":1,"v":2,"s":"\ud800","b":"eA=="}`, `{"e":1,"v":2}`, `{"s":null}`, `null`, `{"b":""}`,
		`{"e":1,"v":2,"s":"1 7","r":"3w5e11264sgsf"}`, `{"e":1,"v":2,"a":1,"d":"1 {}"}`, `{"e":1,"v":2,"s":"1 {}","n":3,"l":["{}","\ud800"]}`,
		`{"e":1,"v":2,"a":1,"s":"x","d":"y","n":18446744073709551615,"l":[""]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := decodeMessage(p)
		switch {
		case errors.Is(err, live.ErrReadIt):
			return
		case err != nil:
			if !reflect.DeepEqual(h, heard{}) {
				t.Fatalf("got %+v with an error", h)
			}
			return
		}
		again, err := encodeRecord(h.Record, h.delta)
		if h.Data == nil {
			again, err = encodeChange(h.Record, h.delta)
		}
		if err != nil || again == nil {
			t.Fatal(err)
		}
		s, err := decodeMessage(again)
		if err != nil || !s.Same(h.Record) || !bytes.Equal(s.Data, h.Data) || !slices.EqualFunc(s.delta.entries, h.delta.entries, bytes.Equal) {
			t.Fatalf("%+v became %+v, %v", h, s, err)
		}
	})
}
