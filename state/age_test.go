package state_test

import (
	"testing"
	"time"

	"lockstep/state"
)

const lifetime = 7 * time.Hour

// steps returns ages one behind the other, as a store in use goes through them.
func steps(from state.Age, now time.Time, d, step time.Duration) (state.Age, time.Time) {
	for end := now.Add(d); now.Before(end); {
		now = now.Add(step)
		from = from.At(now, lifetime)
	}
	return from, now
}

func TestAMarkIsKnownForALifetimeAndNotMuchLonger(t *testing.T) {
	start := time.Unix(1e9, 0)
	for phase := time.Duration(0); phase < 2*time.Hour; phase += 13 * time.Minute {
		marked, now := steps(state.Age{Since: start}, start, phase, time.Minute)
		if a, _ := steps(marked, now, lifetime+time.Hour-time.Minute, time.Minute); !a.Knows(marked.N) {
			t.Errorf("phase %v: forgotten before 8/7 of a lifetime", phase)
		}
		if a, _ := steps(marked, now, lifetime+2*time.Hour, time.Minute); a.Knows(marked.N) {
			t.Errorf("phase %v: known after 9/7 of a lifetime", phase)
		}
	}
}

func TestAMarkIsKnownForALifetimeWhenTheClockJumps(t *testing.T) {
	start := time.Unix(1e9, 0)
	for phase := time.Duration(0); phase < 2*time.Hour; phase += 13 * time.Minute {
		for before := time.Duration(0); before < lifetime; before += 59 * time.Minute {
			for _, jump := range []time.Duration{time.Hour, lifetime, 1000 * lifetime, -time.Minute, -lifetime, -1000 * lifetime} {
				marked, now := steps(state.Age{Since: start}, start, phase, time.Minute)
				a, now := steps(marked, now, before, time.Minute)
				a, now = steps(a, now.Add(jump), time.Minute, time.Minute)
				a, _ = steps(a, now, lifetime-before-2*time.Minute, time.Minute)
				if !a.Knows(marked.N) {
					t.Fatalf("phase %v, jump of %v after %v: forgotten before a lifetime", phase, jump, before)
				}
			}
		}
	}
}

func TestGenerationsKeepWhatAgesKnow(t *testing.T) {
	for n := range uint64(100) {
		for m := range n + 1 {
			if (state.Age{N: n}).Knows(m) && (state.Age{N: m}).Generation()+1 < (state.Age{N: n}).Generation() {
				t.Errorf("at %d, %d is known, and its generation is not", n, m)
			}
		}
	}
}
