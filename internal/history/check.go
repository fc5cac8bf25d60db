package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// A check is one walk through a history.
type check struct {
	opts    Options
	ops     map[ID]*opState
	sent    []*opState // in the order of sending
	acked   []*opState // in the order of acknowledgements
	refused map[ID]bool
	tabs    map[string]*tabState
	// values are the states that were shown, by epoch and version.
	values map[[2]uint64]string
	newest State // that was shown, or read before a connect, so far
	found  []Violation
	// followed and unknown are how often a state was compared with the one before,
	// and how often that told nothing.
	followed, unknown int
}

type opState struct {
	tab      string
	op       Op
	before   int // ops acknowledged when it was sent
	acked    bool
	answered bool
	// low is the newest state that was known when it was sent, which can't have the
	// op; high is what its tab shows with the acknowledgement, which has it.
	low, high State
}

type tabState struct {
	shown State
	any   bool   // something was shown
	floor *State // of a connect whose first state has not come
}

func newCheck(opts Options, events []event) *check {
	c := &check{
		opts: opts, ops: make(map[ID]*opState), refused: make(map[ID]bool),
		tabs: make(map[string]*tabState), values: make(map[[2]uint64]string),
	}
	for _, e := range events {
		if e.kind == refused {
			c.refused[e.op.ID] = true
		}
	}
	c.values[[2]uint64{opts.Base.Epoch, opts.Base.Version}] = opts.Base.Value
	return c
}

func (c *check) breach(r Rule, tab, format string, args ...any) {
	c.found = append(c.found, Violation{Rule: r, Tab: tab, Detail: fmt.Sprintf(format, args...)})
}

func (c *check) tab(name string) *tabState {
	t := c.tabs[name]
	if t == nil {
		t = &tabState{}
		c.tabs[name] = t
	}
	return t
}

func (c *check) step(e event) {
	switch e.kind {
	case sent:
		if c.ops[e.op.ID] == nil {
			o := &opState{tab: e.tab, op: e.op, before: len(c.acked), low: c.newest}
			c.ops[e.op.ID], c.sent = o, append(c.sent, o)
		}
	case acked:
		c.ack(e)
	case refused, forgotten:
		c.refuse(e)
	case shown:
		c.show(e)
	case joined:
		c.tab(e.tab).floor = &e.state
		c.know(e.state)
	}
}

func (c *check) know(s State) {
	if s.Newer(c.newest) {
		c.newest = s
	}
}

func (c *check) refuse(e event) {
	if o := c.ops[e.op.ID]; o != nil {
		o.answered = true
	}
	if e.kind == refused && e.reason == "" {
		c.breach(Reasoned, e.tab, "is not told why %s was refused", e.op.ID)
	}
}

func (c *check) ack(e event) {
	o := c.ops[e.op.ID]
	if o == nil {
		c.breach(ExactlyOnce, e.tab, "got an acknowledgement of %s, which nobody sent", e.op.ID)
		return
	}
	if o.acked {
		return
	}
	o.acked, o.answered, o.high = true, true, c.tab(e.tab).shown
	c.acked = append(c.acked, o)
	if c.opts.Lossy {
		return
	}
	if c.refused[e.op.ID] {
		c.breach(OneAnswer, e.tab, "got an acknowledgement of %s, and a refusal", e.op.ID)
	}
	with := append(c.acked[:o.before:o.before], o)
	if err := c.can(c.tab(e.tab).shown.Value, with); err != nil {
		c.breach(OwnWrite, e.tab, "shows a state with the acknowledgement of %s that %v", e.op.ID, err)
	}
}

// can says why the topic can't have a value in which ops are, and none that was
// not sent by now.
func (c *check) can(value string, with []*opState) error {
	ledger, err := c.opts.Kind.Begin(c.opts.Base.Value)
	if err != nil {
		return err
	}
	in := make(map[*opState]bool, len(with))
	for _, o := range with {
		ledger.Apply(&o.op)
		in[o] = true
	}
	var may []*Op
	for _, o := range c.sent {
		if !in[o] && (o.acked || !c.refused[o.op.ID]) {
			may = append(may, &o.op)
		}
	}
	return ledger.Check(value, may)
}

func (c *check) show(e event) {
	t, s := c.tab(e.tab), e.state
	if t.any && t.shown.Newer(s) {
		c.breach(Monotonic, e.tab, "went back from %+v to %+v", t.shown, s)
	}
	if t.floor != nil && t.floor.Newer(s) {
		c.breach(LateJoin, e.tab, "was first shown %+v, but the store had %+v before", s, *t.floor)
	}
	t.shown, t.any, t.floor = s, true, nil
	c.know(s)
	if isNew := c.remember(e.tab, s); !isNew || c.opts.Lossy {
		return
	}
	if err := c.can(s.Value, nil); err != nil {
		c.breach(Phantom, e.tab, "shows %+v, which %v", s, err)
	}
}

// remember finds states that never were: of one version there is one value, or parts
// of one. It reports whether it is the first of the version, or shows more of it.
func (c *check) remember(tab string, s State) (isNew bool) {
	key := [2]uint64{s.Epoch, s.Version}
	value, ok := c.values[key]
	if !ok {
		c.values[key] = s.Value
		return true
	}
	joined, err := c.join(value, s.Value)
	if err != nil {
		c.breach(Phantom, tab, "shows %+v, which %v", s, err)
		c.values[key] = s.Value
		return false
	}
	c.values[key] = joined
	return joined != value
}

// join is what two values of one version say together, or why there can't be both.
func (c *check) join(a, b string) (string, error) {
	if kind, ok := c.opts.Kind.(Joiner); ok && a != b {
		return kind.Join(a, b)
	}
	if a != b {
		return b, fmt.Errorf("was %q elsewhere", a)
	}
	return a, nil
}

// count compares the store's state with what was sent and answered.
func (c *check) count(final State) {
	for key := range c.values {
		if s := (State{Epoch: key[0], Version: key[1]}); s.Newer(final) {
			c.breach(Phantom, "", "version %d of epoch %d was shown, but the store has %+v", s.Version, s.Epoch, final)
		}
	}
	c.remember("", final)
	if c.opts.Lossy {
		return
	}
	if err := c.can(final.Value, c.acked); err != nil {
		c.breach(ExactlyOnce, "", "the store %v; %d ops were acknowledged of %d sent", err, len(c.acked), len(c.sent))
	}
}

// converged judges the tabs that are connected at the end.
func (c *check) converged(final State, connected []string) {
	there := make(map[string]bool, len(connected))
	for _, name := range connected {
		there[name] = true
		got := c.tab(name).shown
		_, err := c.join(final.Value, got.Value)
		if err != nil || got.Newer(final) || final.Newer(got) {
			c.breach(Convergence, name, "shows %+v, but the store has %+v", got, final)
		}
	}
	for _, o := range c.sent {
		if there[o.tab] && !o.answered {
			c.breach(Answered, o.tab, "waits for an answer to %s", o.op.ID)
		}
	}
}

// follow goes from each state that was shown to the next, where the kind can.
func (c *check) follow() {
	kind, ok := c.opts.Kind.(Follower)
	if !ok || c.opts.Lossy {
		return
	}
	trail, err := kind.Follow(c.opts.Base.Value)
	if err != nil {
		c.breach(Follows, "", "the base %v", err)
		return
	}
	keys := slices.SortedFunc(maps.Keys(c.values), func(a, b [2]uint64) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	from := c.opts.Base
	for _, key := range keys {
		to := State{Epoch: key[0], Version: key[1], Value: c.values[key]}
		if !to.Newer(from) {
			continue
		}
		known, err := trail.Next(to.Value, c.between(from, to, true), c.between(from, to, false))
		c.followed++
		if !known {
			c.unknown++
		}
		if err != nil {
			c.breach(Follows, "", "version %d, after version %d, %v", to.Version, from.Version, err)
		}
		from = to
	}
}

// between are the ops that were applied between two states, if they must have been;
// or else those that may.
func (c *check) between(from, to State, must bool) (ops []*Op) {
	for _, o := range c.sent {
		inside := o.acked && !from.Newer(o.low) && !o.high.Newer(to)
		touches := to.Newer(o.low) && (!o.acked && !c.refused[o.op.ID] || o.acked && o.high.Newer(from))
		if must && inside || !must && touches && !inside {
			ops = append(ops, &o.op)
		}
	}
	return ops
}
