package app

import (
	"testing"

	"lockstep/counter"
)

func FuzzDecodeCounter(f *testing.F) {
	f.Add([]byte(`{"n":1,"v":2,"e":3}`))
	f.Add([]byte(`{"n":-9223372036854775808,"v":18446744073709551615,"e":1}`))
	f.Add([]byte(`{"n":null}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := decodeCounter(p)
		if err != nil {
			if v != (counter.Value{}) {
				t.Fatalf("got %+v with an error", v)
			}
			return
		}
		again, err := encodeCounter(v)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := decodeCounter(again); err != nil || w != v {
			t.Fatalf("%+v became %+v, %v", v, w, err)
		}
	})
}
