package boltstate_test

import (
	"bytes"
	"math"
	"testing"

	"lockstep/state/boltstate"
)

func FuzzUnpack(f *testing.F) {
	f.Add([]byte(nil), 4)
	f.Add([]byte{0x80}, 1)
	f.Add(boltstate.Pack([]byte("behind"), 0, 1, math.MaxUint64), 3)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		n = min(max(n, 0), 4)
		numbers, behind, err := boltstate.Unpack(raw, n)
		if err != nil || raw == nil {
			return
		}
		again, same, err := boltstate.Unpack(boltstate.Pack(behind, numbers[:n]...), n)
		if err != nil || again != numbers || !bytes.Equal(same, behind) {
			t.Errorf("got %v and %q of what was packed, want %v and %q, %v", again, same, numbers, behind, err)
		}
	})
}
