//go:build !js

// bbolt does not build for the browser.

package counter_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
	"lockstep/counter/memcounter"
)

// clickers is how many goroutines for each core submit ops, one after the
// other, as many tabs do.
const clickers = 64

// BenchmarkApply compares group commit with one store call for each op, on one
// counter that many change at once.
func BenchmarkApply(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) counter.Store{
		"mem": func(*testing.B) counter.Store { return memcounter.New(nil) },
		"bolt": func(b *testing.B) counter.Store {
			s, err := boltcounter.Open(filepath.Join(b.TempDir(), "counters.db"), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() }) // the file is thrown away
			return s
		},
	} {
		b.Run(name+"/single", func(b *testing.B) {
			s := open(b)
			runApply(b, func(ctx context.Context, op counter.Op) error {
				_, _, err := s.Apply(ctx, "bench", op)
				return err
			})
		})
		b.Run(name+"/grouped", func(b *testing.B) {
			batcher := counter.NewBatcher(open(b), nil)
			runApply(b, func(ctx context.Context, op counter.Op) error {
				_, err := batcher.Apply(ctx, nil, "bench", op)
				return err
			})
			if err := batcher.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func runApply(b *testing.B, apply func(ctx context.Context, op counter.Op) error) {
	var last atomic.Int64
	b.SetParallelism(clickers)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op := counter.Op{ID: fmt.Sprintf("bench-%016d", last.Add(1)), Kind: counter.Increment}
			if err := apply(b.Context(), op); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
