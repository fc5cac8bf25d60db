package history

import (
	"fmt"

	"lockstep/counter"
)

// A check is one walk through a history.
type check struct {
	opts Options
	// unit is what every op adds, and 0 when they differ or one is a reset:
	// then a value does not follow from its version.
	unit  int64
	ops   map[string]*opState
	acked int // different ops
	tabs  map[string]*tabState
	// values are the states that were shown, by epoch and version.
	values map[[2]uint64]int64
	found  []Violation
}

type opState struct {
	tab    string
	op     counter.Op
	before int // ops acknowledged when it was sent
	acked  bool
	gaveUp bool
}

type tabState struct {
	shown counter.Value
	any   bool           // something was shown
	floor *counter.Value // of a connect whose first state has not come
}

func newCheck(opts Options, events []event) *check {
	c := &check{
		opts: opts, unit: unitOf(events),
		ops: make(map[string]*opState), tabs: make(map[string]*tabState), values: make(map[[2]uint64]int64),
	}
	c.remember("", opts.Base)
	return c
}

// unitOf returns what every op of a history adds, or 0.
func unitOf(events []event) int64 {
	var unit int64
	for _, e := range events {
		if e.kind != sent {
			continue
		}
		amount := e.op.Amount()
		if unit == 0 {
			unit = amount
		}
		if amount != unit {
			return 0
		}
	}
	return unit
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
			c.ops[e.op.ID] = &opState{tab: e.tab, op: e.op, before: c.acked}
		}
	case acked:
		c.ack(e)
	case refused:
		if o := c.ops[e.op.ID]; o != nil {
			o.gaveUp = true
		}
	case shown:
		c.show(e)
	case joined:
		c.tab(e.tab).floor = &e.value
	}
}

func (c *check) ack(e event) {
	o := c.ops[e.op.ID]
	if o == nil {
		c.breach(ExactlyOnce, e.tab, "got an acknowledgement of %q, which nobody sent", e.op.ID)
		return
	}
	if o.acked {
		return
	}
	o.acked = true
	c.acked++
	if c.opts.Lossy {
		return
	}
	has := c.applied(c.tab(e.tab).shown)
	if need := int64(o.before) + 1; has < need {
		c.breach(OwnWrite, e.tab, "shows %d applied ops with the acknowledgement of %q, which is at least the %d.", has, e.op.ID, need)
	}
}

// applied is how many ops a state contains, in a store that loses nothing.
func (c *check) applied(v counter.Value) int64 {
	return int64(v.Version) - int64(c.opts.Base.Version)
}

func (c *check) show(e event) {
	t, v := c.tab(e.tab), e.value
	if t.any && t.shown.Newer(v) {
		c.breach(Monotonic, e.tab, "went back from %+v to %+v", t.shown, v)
	}
	if t.floor != nil && t.floor.Newer(v) {
		c.breach(LateJoin, e.tab, "was first shown %+v, but the store had %+v before", v, *t.floor)
	}
	t.shown, t.any, t.floor = v, true, nil
	c.remember(e.tab, v)
}

// remember finds states that never were: of one version there is one value.
func (c *check) remember(tab string, v counter.Value) {
	key := [2]uint64{v.Epoch, v.Version}
	if n, ok := c.values[key]; ok && n != v.N {
		c.breach(Phantom, tab, "shows %+v, which was %d elsewhere", v, n)
	}
	c.values[key] = v.N
	if c.unit == 0 || c.opts.Lossy {
		return
	}
	if want := c.opts.Base.N + c.unit*c.applied(v); v.N != want {
		c.breach(Phantom, tab, "shows %+v, but that version is %d", v, want)
	}
}

// count compares the store's value with what was sent and acknowledged.
func (c *check) count(final counter.Value) {
	for key := range c.values {
		if v := (counter.Value{Epoch: key[0], Version: key[1]}); v.Newer(final) {
			c.breach(Phantom, "", "version %d of epoch %d was shown, but the store has %+v", v.Version, v.Epoch, final)
		}
	}
	c.remember("", final)
	if c.opts.Lossy {
		return
	}
	if n := c.applied(final); n < int64(c.acked) || n > int64(len(c.ops)) {
		c.breach(ExactlyOnce, "", "the store has applied %d ops; %d were acknowledged of %d sent", n, c.acked, len(c.ops))
	}
	least, most, ok := c.bounds()
	if n := final.N - c.opts.Base.N; ok && (n < least || n > most) {
		c.breach(ExactlyOnce, "", "the store has counted %d; what was acknowledged and sent allows %d to %d", n, least, most)
	}
}

// bounds are the least and the most that the ops can add up to. A reset makes
// them unknown.
func (c *check) bounds() (least, most int64, ok bool) {
	for _, o := range c.ops {
		if o.op.Kind == counter.Reset {
			return 0, 0, false
		}
		amount := o.op.Amount()
		if o.acked || amount < 0 {
			least += amount
		}
		if o.acked || amount > 0 {
			most += amount
		}
	}
	return least, most, true
}

// converged judges the tabs that are connected at the end.
func (c *check) converged(final counter.Value, connected []string) {
	there := make(map[string]bool, len(connected))
	for _, name := range connected {
		there[name] = true
		if got := c.tab(name).shown; got != final {
			c.breach(Convergence, name, "shows %+v, but the store has %+v", got, final)
		}
	}
	for id, o := range c.ops {
		if there[o.tab] && !o.acked && !o.gaveUp {
			c.breach(Answered, o.tab, "waits for an answer to %q", id)
		}
	}
}
