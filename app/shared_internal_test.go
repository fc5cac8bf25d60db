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
		raw, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		got, by, err := decodeRecord(raw)
		if err != nil || by != "" || !got.Same(r) || !bytes.Equal(got.Data, r.Data) {
			t.Errorf("%s: %s became %+v, %v", name, raw, got, err)
		}
	}
}

// What is too long to be broadcast is read from the store: its version is enough to
// know that. As JSON a sign may take six bytes.
func TestABroadcastIsNeverLongerThanABrokerCarries(t *testing.T) {
	for sign, fits := range map[string]int{"x": 3900, `"`: 1900, "<": 600, "\xff": 2900} {
		for _, n := range []int{0, 1, fits, fits + 200, 60_000} {
			r := state.Record{Epoch: 1<<64 - 1, Version: 1<<64 - 1, Data: bytes.Repeat([]byte(sign), n)}
			payload, err := encodeBroadcast(r, "3w5e11264sgsf")
			if err != nil || len(payload) > maxBroadcast {
				t.Fatalf("%d of %q became %d bytes, %v", n, sign, len(payload), err)
			}
			got, by, err := decodeRecord(payload)
			if !got.Same(r) || by != "3w5e11264sgsf" {
				t.Errorf("%d of %q became %+v of %q", n, sign, got, by)
			}
			if n <= fits && (err != nil || !bytes.Equal(got.Data, r.Data)) || n > fits && (!errors.Is(err, live.ErrReadIt) || got.Data != nil) {
				t.Errorf("%d of %q became %d bytes, %v", n, sign, len(got.Data), err)
			}
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, s := range []string{
		`{"e":1,"v":2,"s":"1 7"}`, `{"e":18446744073709551615,"v":0,"s":""}`, `{"e":1,"v":2,"b":"/w=="}`, `{"e":1,"v":2,"absent":true,"s":"x"}`,
		`{"e":1,"v":2,"s":"\ud800","b":"eA=="}`, `{"e":1,"v":2}`, `{"s":null}`, `null`, `{"b":""}`,
		`{"e":1,"v":2,"s":"1 7","r":"3w5e11264sgsf"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, by, err := decodeRecord(p)
		switch {
		case errors.Is(err, live.ErrReadIt):
			return
		case err != nil:
			if by != "" || r.Data != nil || !r.Same(state.Record{}) {
				t.Fatalf("got %+v with an error", r)
			}
			return
		}
		again, err := encodeRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, _, err := decodeRecord(again); err != nil || !s.Same(r) || !bytes.Equal(s.Data, r.Data) {
			t.Fatalf("%+v became %+v, %v", r, s, err)
		}
	})
}
