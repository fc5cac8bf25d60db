package live

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestTurnsLoseNothingAndKeepNothing drives them at random: a key that waits is
// served once, none twice at a time, and nothing is left when all have been.
func TestTurnsLoseNothingAndKeepNothing(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		q := newTurns(40)
		waiting, served := make(map[string]bool), make(map[string]bool)
		next := func() {
			key, ok := q.next()
			if ok && (!waiting[key] || served[key]) {
				t.Fatalf("seed %d: %s has a turn: it waits %v, and is being served %v", seed, key, waiting[key], served[key])
			}
			if ok {
				delete(waiting, key)
				served[key] = true
			}
		}
		finish := func() {
			for key := range served {
				q.finish(key)
				delete(served, key)
				return
			}
		}
		for range 5000 {
			switch n := r.IntN(10); {
			case n < 6:
				key := strconv.Itoa(r.IntN(60))
				shares := []any{r.IntN(5), nil, r.IntN(5)}[:r.IntN(4)]
				switch ok := q.wait(key, shares); {
				case ok:
					waiting[key] = true
				case waiting[key]:
					t.Fatalf("seed %d: %s waits, and there is no room for it", seed, key)
				}
			case n < 8 && len(served) < 4:
				next()
			default:
				finish()
			}
			if q.n != len(waiting) || q.n > 40 {
				t.Fatalf("seed %d: %d keys wait, and it says %d", seed, len(waiting), q.n)
			}
		}
		for i := 0; len(waiting)+len(served) > 0; i++ {
			if i == 1000 {
				t.Fatalf("seed %d: %d keys never have their turn", seed, len(waiting))
			}
			next()
			finish()
		}
		if len(q.places)+len(q.lines)+q.order.Len() > 0 {
			t.Fatalf("seed %d: nothing waits, and %d places, %d lines and %d turns are kept", seed, len(q.places), len(q.lines), q.order.Len())
		}
	}
}
