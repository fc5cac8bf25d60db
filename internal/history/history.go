// Package history records what happens in the tabs of one topic, as they see it
// from outside, and finds what must never happen: the invariants 1 to 4 of the
// design. Tests, the model and the load generator judge by it. What ops come to is
// for each kind of state to say: see Kind.
//
// It knows nothing of replicas or backends: whatever is killed between, the
// same rules hold.
package history

import (
	"fmt"
	"sync"
	"time"
)

// A Rule is what a history must not break.
type Rule string

// The rules.
const (
	// ExactlyOnce: each acknowledged op is applied once, one that was refused is
	// not, each other op at most once, those of a client in their order, and
	// nothing else is. What that comes to is the kind's rule.
	ExactlyOnce Rule = "exactly once"
	// OneAnswer: an op is acknowledged or refused, however often it is sent.
	OneAnswer Rule = "one answer"
	// Reasoned: a refusal has a reason.
	Reasoned Rule = "reasoned"
	// Answered: each op of a tab that is connected at the end has been
	// answered.
	Answered Rule = "answered"
	// Monotonic: the (epoch, version) of one tab never goes backwards.
	Monotonic Rule = "monotonic"
	// Phantom: no tab shows a state that never was.
	Phantom Rule = "phantom"
	// OwnWrite: with the acknowledgement of an op a tab shows a state that
	// contains it, and all that was acknowledged before it was sent.
	OwnWrite Rule = "own write"
	// LateJoin: the first state after a connect is not older than the
	// store's when the connect began.
	LateJoin Rule = "late join"
	// Follows: what is shown follows from what was shown of the version before, by
	// the ops in between, each once, and those of a client in their order. Only some
	// kinds can tell: see Follower.
	Follows Rule = "follows"
	// Convergence: at the end every connected tab shows the store's state.
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

// A State is what a tab shows. States are ordered by epoch, then version.
type State struct {
	Epoch, Version uint64
	Value          string // as the kind has it
}

// Newer reports whether s comes after t.
func (s State) Newer(t State) bool {
	return s.Epoch > t.Epoch || s.Epoch == t.Epoch && s.Version > t.Version
}

// Options of a History.
type Options struct {
	// Kind is that of the topic. Nil: Counters.
	Kind Kind
	// Base is the store's state before the first op. New panics if its value is
	// none of the kind.
	Base State
	// Lossy means that the store may have lost what it acknowledged, which
	// a new epoch discloses: what follows from ops and their answers is not
	// checked then.
	Lossy bool
}

// A History is a record of the tabs of one topic. Its methods may be called
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
	forgotten
	shown
	joined
	// Those of a Recording alone.
	left
	fault
	began
	ended
)

type event struct {
	kind   kind
	tab    string
	op     Op     // of sent; only its ID of acked, refused and forgotten
	reason string // of refused; of joined the replica, and of fault what it is, in a Recording
	state  State  // of shown and joined, began and ended

	// Of a Recording alone.
	at    time.Duration // since its beginning
	lasts time.Duration // of fault; its tab is the replica
	tabs  []string      // of ended: those that are connected
}

// New returns an empty history.
func New(opts Options) *History {
	if opts.Kind == nil {
		opts.Kind = Counters()
	}
	if _, err := opts.Kind.Begin(opts.Base.Value); err != nil {
		panic("history: the base: " + err.Error())
	}
	return &History{opts: opts}
}

// Sent records that a tab sends an op for the first time, or again. The op must
// not be changed any more.
func (h *History) Sent(tab string, op Op) { h.add(event{kind: sent, tab: tab, op: op}) }

// Acked records that a tab has got the acknowledgement of an op. More than one
// is no breach.
func (h *History) Acked(tab string, op ID) {
	h.add(event{kind: acked, tab: tab, op: Op{ID: op}})
}

// Refused records that a tab learnt that its op is not applied and never will be,
// and why.
func (h *History) Refused(tab string, op ID, reason string) {
	h.add(event{kind: refused, tab: tab, op: Op{ID: op}, reason: reason})
}

// Forgotten records that a tab learnt that nobody tells it any more what became of
// its op: it is old, or settled by another page, or was given up. It may be applied.
func (h *History) Forgotten(tab string, op ID) {
	h.add(event{kind: forgotten, tab: tab, op: Op{ID: op}})
}

// Shown records what a tab shows from now on.
func (h *History) Shown(tab string, s State) { h.add(event{kind: shown, tab: tab, state: s}) }

// Joined records that a tab connects. floor is the store's state, read before
// the connect began: what the tab is shown next must not be older.
func (h *History) Joined(tab string, floor State) {
	h.add(event{kind: joined, tab: tab, state: floor})
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
	ops := make(map[ID]struct{})
	for _, e := range h.events {
		if e.kind == acked {
			ops[e.op.ID] = struct{}{}
		}
	}
	return len(ops)
}

// Check returns all breaches. final is the store's state at the end, connected
// are the tabs that should show it.
func (h *History) Check(final State, connected ...string) []Violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newCheck(h.opts, h.events)
	for _, e := range h.events {
		c.step(e)
	}
	c.count(final)
	c.follow()
	c.converged(final, connected)
	return c.found
}

// Followed returns how often a state was compared with the one before it, and how
// often that told nothing, because too many ops were in between.
func (h *History) Followed(final State) (compared, unknown int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newCheck(h.opts, h.events)
	for _, e := range h.events {
		c.step(e)
	}
	c.count(final)
	c.follow()
	return c.followed, c.unknown
}
