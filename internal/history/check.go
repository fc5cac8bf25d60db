package history

import "fmt"

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
	found  []Violation
}

type opState struct {
	tab      string
	op       Op
	before   int // ops acknowledged when it was sent
	acked    bool
	answered bool
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
			o := &opState{tab: e.tab, op: e.op, before: len(c.acked)}
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
	o.acked, o.answered = true, true
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
	if isNew := c.remember(e.tab, s); !isNew || c.opts.Lossy {
		return
	}
	if err := c.can(s.Value, nil); err != nil {
		c.breach(Phantom, e.tab, "shows %+v, which %v", s, err)
	}
}

// remember finds states that never were: of one version there is one value. It
// reports whether it is the first of the version.
func (c *check) remember(tab string, s State) (isNew bool) {
	key := [2]uint64{s.Epoch, s.Version}
	value, ok := c.values[key]
	if ok && value != s.Value {
		c.breach(Phantom, tab, "shows %+v, which was %q elsewhere", s, value)
	}
	c.values[key] = s.Value
	return !ok
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
		if got := c.tab(name).shown; got != final {
			c.breach(Convergence, name, "shows %+v, but the store has %+v", got, final)
		}
	}
	for _, o := range c.sent {
		if there[o.tab] && !o.answered {
			c.breach(Answered, o.tab, "waits for an answer to %s", o.op.ID)
		}
	}
}
