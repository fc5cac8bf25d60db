// Package history records what happens in the tabs of one counter, as they
// see it from outside, and finds what must never happen: the invariants 1 to 4
// of the design. Tests, the model and the load generator judge by it.
//
// It knows nothing of replicas or backends: whatever is killed between, the
// same rules hold.
package history

import (
	"fmt"
	"sync"

	"lockstep/counter"
)

// A Rule is what a history must not break.
type Rule string

// The rules.
const (
	// ExactlyOnce: each acknowledged op is counted once, each other op at
	// most once, and nothing else is counted.
	ExactlyOnce Rule = "exactly once"
	// Answered: each op of a tab that is connected at the end has been
	// acknowledged or refused.
	Answered Rule = "answered"
	// Monotonic: the (epoch, version) of one tab never goes backwards.
	Monotonic Rule = "monotonic"
	// Phantom: no tab shows a value that never was.
	Phantom Rule = "phantom"
	// OwnWrite: with the acknowledgement of an op a tab shows a state that
	// contains it, and all that was acknowledged before it was sent.
	OwnWrite Rule = "own write"
	// LateJoin: the first state after a connect is not older than the
	// store's when the connect began.
	LateJoin Rule = "late join"
	// Convergence: at the end every connected tab shows the store's value.
	Convergence Rule = "convergence"
)

// A Violation is one breach of a rule.
type Violation struct {
	Rule   Rule
	Tab    string // "" if it is nobody's in particular
	Detail string
}

func (v Violation) String() string {
	if v.Tab == "" {
		return fmt.Sprintf("%s: %s", v.Rule, v.Detail)
	}
	return fmt.Sprintf("%s: tab %s %s", v.Rule, v.Tab, v.Detail)
}

// Options of a History.
type Options struct {
	// Base is the store's value before the first op.
	Base counter.Value
	// Lossy means that the store may have lost what it acknowledged, which
	// a new epoch discloses: what follows from the number of ops is not
	// checked then.
	Lossy bool
}

// A History is a record of the tabs of one counter. Its methods may be called
// concurrently; what one tab does is recorded in its order, Sent before the op
// leaves and Acked and Shown after the frame has come.
type History struct {
	opts Options

	mu     sync.Mutex
	events []event
}

type kind uint8

const (
	sent kind = iota
	acked
	refused
	shown
	joined
)

type event struct {
	kind  kind
	tab   string
	op    counter.Op    // of sent; only its ID of acked and refused
	value counter.Value // of shown and joined
}

// New returns an empty history.
func New(opts Options) *History { return &History{opts: opts} }

// Sent records that a tab sends an op for the first time, or again.
func (h *History) Sent(tab string, op counter.Op) { h.add(event{kind: sent, tab: tab, op: op}) }

// Acked records that a tab has got the acknowledgement of an op. More than one
// is no breach.
func (h *History) Acked(tab, op string) {
	h.add(event{kind: acked, tab: tab, op: counter.Op{ID: op}})
}

// Refused records that a tab learnt that its op will not be counted, and
// dropped it.
func (h *History) Refused(tab, op string) {
	h.add(event{kind: refused, tab: tab, op: counter.Op{ID: op}})
}

// Shown records what a tab shows from now on.
func (h *History) Shown(tab string, v counter.Value) { h.add(event{kind: shown, tab: tab, value: v}) }

// Joined records that a tab connects. floor is the store's value, read before
// the connect began: what the tab is shown next must not be older.
func (h *History) Joined(tab string, floor counter.Value) {
	h.add(event{kind: joined, tab: tab, value: floor})
}

func (h *History) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// Acknowledged returns how many different ops have been acknowledged.
func (h *History) Acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	ops := make(map[string]struct{})
	for _, e := range h.events {
		if e.kind == acked {
			ops[e.op.ID] = struct{}{}
		}
	}
	return len(ops)
}

// Check returns all breaches. final is the store's value at the end, connected
// are the tabs that should show it.
func (h *History) Check(final counter.Value, connected ...string) []Violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newCheck(h.opts, h.events)
	for _, e := range h.events {
		c.step(e)
	}
	c.count(final)
	c.converged(final, connected)
	return c.found
}
