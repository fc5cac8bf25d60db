package browser

import (
	"math/rand/v2"
	"slices"
	"testing"

	"lockstep/tools/loadgen/load/protocol"
)

func version(v int) protocol.State {
	return protocol.State{Epoch: 1, Version: uint64(v), Count: int64(v)}
}

// plainFrontier is what a frontier says, found out by looking at every tab each time.
type plainFrontier struct {
	tabs  []int       // version that each shows
	first map[int]int // when a version was first shown
}

// overtaken is when a version newer than v was first shown; 0: never.
func (p *plainFrontier) overtaken(v int) int {
	at := 0
	for w, t := range p.first {
		if w > v && (at == 0 || t < at) {
			at = t
		}
	}
	return at
}

func TestAFrontierAgreesWithLookingAtEveryTab(t *testing.T) {
	for seed := range uint64(50) {
		chance := rand.New(rand.NewPCG(seed, 0))
		f, p := new(frontier), &plainFrontier{first: map[int]int{0: 1}}
		for range 20 {
			f.add(version(0), 1)
			p.tabs = append(p.tabs, 0)
		}
		newest, reached := 0, 0
		for now := 2; now < 500; now++ {
			i := chance.IntN(len(p.tabs))
			from, to := p.tabs[i], p.tabs[i]
			if from == newest || chance.IntN(40) == 0 {
				newest += chance.IntN(3) + 1
				to = newest
			} else {
				to += chance.IntN(newest-from) + 1
			}
			want := 0
			if _, seen := p.first[to]; !seen {
				p.first[to] = now
			}
			if at := p.overtaken(from); at > 0 {
				want = now - at
			}
			stale, first, _ := f.move(version(from), version(to), int64(now))
			p.tabs[i] = to
			if int(stale) != want {
				t.Fatalf("seed %d: from %d to %d: got %d stale, want %d", seed, from, to, stale, want)
			}
			if first != version(to) {
				t.Fatalf("seed %d: got %+v as first seen, want version %d", seed, first, to)
			}
			oldest := slices.Min(p.tabs)
			if got := int(f.levels[0].state.Version); got != oldest {
				t.Fatalf("seed %d: got version %d as the oldest, want %d", seed, got, oldest)
			}
			if oldest > reached {
				reached = oldest
				last := f.advances[len(f.advances)-1]
				if last.State != version(oldest) || last.At != int64(now) {
					t.Fatalf("seed %d: got %+v, want all tabs to have come to %d at %d", seed, last, oldest, now)
				}
			}
		}
	}
}

func TestATabThatNeverMovesDoesNotFillAFrontier(t *testing.T) {
	f := new(frontier)
	f.add(version(0), 1)
	f.add(version(0), 1)
	for v := 1; v <= 10_000; v++ {
		f.move(version(v-1), version(v), int64(v))
	}
	if len(f.levels) > crowded {
		t.Errorf("got %d levels for two tabs", len(f.levels))
	}
	if got := f.stalest(10_001); got != 10_000 {
		t.Errorf("got %d, want the tab that never moved to have been overtaken at 1", got)
	}
	stale, _, _ := f.move(version(0), version(10_000), 10_001)
	if stale != 10_000 {
		t.Errorf("got %d, want 10000", stale)
	}
}

func TestTabsThatLeaveHoldNothingBack(t *testing.T) {
	f := new(frontier)
	f.add(version(1), 1)
	f.add(version(3), 2)
	f.remove(version(1), 5)
	last := f.advances[len(f.advances)-1]
	if last.State != version(3) || last.At != 5 {
		t.Errorf("got %+v, want all that are left to have come to 3 at 5", last)
	}
	f.remove(version(9), 6) // nobody shows it
	if len(f.levels) != 1 || f.levels[0].tabs != 1 {
		t.Errorf("got %+v", f.levels)
	}
}

func TestAnOldStateOfATabThatJoinsIsNoAdvance(t *testing.T) {
	f := new(frontier)
	f.add(version(5), 1)
	f.add(version(2), 2)
	f.move(version(2), version(4), 3)
	if len(f.advances) != 1 || f.advances[0].State != version(5) {
		t.Errorf("got %+v, want only the first", f.advances)
	}
}

func TestTheFirstToSeeAStateIsTold(t *testing.T) {
	f := new(frontier)
	if !f.add(version(1), 1) || f.add(version(1), 2) {
		t.Error("the first and only the first tab is new")
	}
	other := version(1)
	other.Count = 99
	f.add(version(0), 3)
	if _, first, isNew := f.move(version(0), other, 4); isNew || first.Count != 1 {
		t.Errorf("got %+v, want the count that was seen first", first)
	}
}
