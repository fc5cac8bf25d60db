package counter

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// TestAFairQueueLosesNothingAndKeepsNothing drives a queue at random: every op
// comes out once, those of one sender and counter in their order, no counter
// twice at a time, and nothing is left when it is empty.
func TestAFairQueueLosesNothingAndKeepsNothing(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		q := newFairQueue(3000)
		want := make(map[[2]int][]string) // by sender and counter
		var calling []string
		take := func() {
			name, batch := q.next()
			if len(batch) == 0 {
				return
			}
			if slices.Contains(calling, name) {
				t.Fatalf("seed %d: %s has two calls at a time", seed, name)
			}
			if len(batch) > MaxOps {
				t.Fatalf("seed %d: a call of %d ops", seed, len(batch))
			}
			calling = append(calling, name)
			counter, _ := strconv.Atoi(name)
			for _, s := range batch {
				from, _ := strconv.Atoi(s.op.ID[:1])
				key := [2]int{from, counter}
				if len(want[key]) == 0 || want[key][0] != s.op.ID {
					t.Fatalf("seed %d: got %s out of its order", seed, s.op.ID)
				}
				want[key] = want[key][1:]
			}
		}
		finish := func() {
			if len(calling) > 0 {
				i := r.IntN(len(calling))
				q.finish(calling[i])
				calling = slices.Delete(calling, i, i+1)
			}
		}
		for i := range 5000 {
			switch n := r.IntN(100); {
			case n < 90:
				from, counter := r.IntN(9), r.IntN(1+int(seed)%12)
				if !q.full(from) {
					id := strconv.Itoa(from) + "-" + strconv.Itoa(i)
					q.push(strconv.Itoa(counter), submitted{share: from, op: Op{ID: id}})
					want[[2]int{from, counter}] = append(want[[2]int{from, counter}], id)
				}
			case n < 91 && len(calling) < 4:
				take()
			default:
				finish()
			}
		}
		for i := 0; q.n > 0 || len(calling) > 0; i++ {
			if i == 10_000 {
				t.Fatalf("seed %d: %d ops never have their turn", seed, q.n)
			}
			take()
			take() // of another counter, or nothing
			finish()
		}
		for key, left := range want {
			if len(left) > 0 {
				t.Fatalf("seed %d: %d ops of %v are lost", seed, len(left), key)
			}
		}
		if len(q.shares)+len(q.names)+q.turns.Len() > 0 {
			t.Fatalf("seed %d: an empty queue keeps %d shares, %d counters and %d turns", seed, len(q.shares), len(q.names), q.turns.Len())
		}
	}
}
