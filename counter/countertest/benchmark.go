package countertest

import (
	"fmt"
	"testing"

	"lockstep/counter"
)

// Benchmark measures Get for one counter, as a page reads it, and for 256, as
// a replica does every 2 s to find what no broadcast brought.
func Benchmark(b *testing.B, s counter.Store) {
	for _, n := range []int{1, counter.MaxOps} {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("bench-%d", i)
			if _, _, err := s.Apply(b.Context(), names[i], increment(1)); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("Get/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Get(b.Context(), names...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
