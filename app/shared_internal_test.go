package app

import (
	"bytes"
	"errors"
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
		raw, err := encodeRecord(r, 4096)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeRecord(raw)
		if err != nil || !got.Same(r) || !bytes.Equal(got.Data, r.Data) {
			t.Errorf("%s: %s became %+v, %v", name, raw, got, err)
		}
	}
}

// What is too long to be broadcast is read from the store: its version is enough to know that.
func TestARecordThatIsTooLongLeavesItsDataOut(t *testing.T) {
	r := state.Record{Epoch: 3, Version: 4, Data: bytes.Repeat([]byte("x"), 101)}
	raw, err := encodeRecord(r, 100)
	if err != nil || string(raw) != `{"e":3,"v":4,"absent":true}` {
		t.Fatalf("got %s, %v", raw, err)
	}
	if got, err := decodeRecord(raw); !errors.Is(err, live.ErrReadIt) || !got.Same(r) || got.Data != nil {
		t.Errorf("got %+v, %v, want the version, and that it is to be read", got, err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, s := range []string{
		`{"e":1,"v":2,"s":"1 7"}`, `{"e":18446744073709551615,"v":0,"s":""}`, `{"e":1,"v":2,"b":"/w=="}`, `{"e":1,"v":2,"absent":true,"s":"x"}`,
		`{"e":1,"v":2,"s":"\ud800","b":"eA=="}`, `{"e":1,"v":2}`, `{"s":null}`, `null`, `{"b":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := decodeRecord(p)
		switch {
		case errors.Is(err, live.ErrReadIt):
			return
		case err != nil:
			if r.Data != nil || !r.Same(state.Record{}) {
				t.Fatalf("got %+v with an error", r)
			}
			return
		}
		again, err := encodeRecord(r, len(r.Data))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := decodeRecord(again); err != nil || !s.Same(r) || !bytes.Equal(s.Data, r.Data) {
			t.Fatalf("%+v became %+v, %v", r, s, err)
		}
	})
}
