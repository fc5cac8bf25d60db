package serve

import (
	"sync"
	"time"

	"lockstep/precondition"
)

const (
	// majorityOf is how many are counted before it is said what is so with most of them.
	majorityOf = 20
	// majorityMemory is how long what was said holds.
	majorityMemory = 5 * time.Minute
)

// A majority finds out what is so with most of what comes: with more than half of each twenty. What
// is so with a few may be a visitor's doing, and what is so with most is how the server is set up,
// or a flood: so it is a warning and no more. It may be used concurrently. Nil counts nothing.
type majority struct {
	// set once
	part  *precondition.Part
	at    string // the replica's name
	unmet precondition.Unmet

	mu     sync.Mutex // guards the rest
	all, n int        // of this twenty
}

// newMajority returns what tells a part of what is not met; nil: nobody.
func newMajority(part *precondition.Part, at, name, text string) *majority {
	if part == nil {
		return nil
	}
	return &majority{part: part, at: name + " " + at, unmet: precondition.Unmet{Name: name, Text: text}}
}

// count counts one more, with which it is so or not.
func (m *majority) count(so bool) {
	if m != nil && m.most(so) {
		m.part.SawFor(majorityMemory, m.at, "", m.unmet)
	}
}

// most counts one more, and reports whether twenty are full of which it is so with most.
func (m *majority) most(so bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all++
	if so {
		m.n++
	}
	if m.all < majorityOf {
		return false
	}
	most := m.n > majorityOf/2
	m.all, m.n = 0, 0
	return most
}
