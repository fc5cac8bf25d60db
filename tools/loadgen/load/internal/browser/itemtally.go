package browser

import (
	"fmt"
	"sync"

	"lockstep/tools/loadgen/load/protocol"
)

// chores is the tally of a list: which items somebody may have taken out.
type chores struct {
	mu      sync.Mutex
	removed map[string]bool
	ticked  map[string]bool
	cleared bool
}

func (c *chores) made(op *protocol.Op, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch op.Do {
	case "remove":
		c.removed[op.In["id"]] = true
	case "toggle":
		c.ticked[op.In["id"]] = true
	case "clear":
		c.cleared = true
	}
}

func (*chores) acked(*protocol.Op, string)   {}
func (*chores) refused(*protocol.Op, string) {}

// floor implements tally: own needs none.
func (*chores) floor(*protocol.Op, string) floor { return floor{} }

// own compares what the tab shows with what its person has added or removed.
func (c *chores) own(_ protocol.State, click *click, shown protocol.State, items *protocol.Items) string {
	op := &click.op
	switch {
	case items == nil:
		return ""
	case op.Do == "remove" && items.Index(op.In["id"]) >= 0:
		return fmt.Sprintf("showed item %s in version %d, when op %s was acknowledged, which removes it", op.In["id"], shown.Version, op.ID)
	case op.Do == "add" && items.Index(op.Name()) < 0 && !c.mayBeGone(op.Name()):
		return fmt.Sprintf("did not show item %s in version %d, when op %s was acknowledged, which adds it", op.Name(), shown.Version, op.ID)
	}
	return ""
}

func (c *chores) mayBeGone(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed[id] || c.cleared && c.ticked[id]
}

// partial implements tally: another process may have removed what a tab has added.
func (*chores) partial() bool { return false }

// excess implements tally: there is no sum that is right.
func (*chores) excess(protocol.State, protocol.State) (n int64, of string) { return 0, "" }

func (*chores) unsound(protocol.State, protocol.State) string { return "" }

// sayings is the tally of a log: how many entries, and in which order.
type sayings struct {
	additions
	order   sync.Mutex // guards the rest
	entries map[uint64]protocol.Item
	numbers map[string]uint64 // by id
	newest  uint64
}

// learn takes in the entries that a tab is shown. It returns those that are new, and what can't be.
func (s *sayings) learn(all []protocol.Item) (fresh []protocol.Item, wrong string) {
	s.order.Lock()
	defer s.order.Unlock()
	for _, item := range all {
		was, known := s.entries[item.N]
		n, numbered := s.numbers[item.ID]
		switch {
		case known && was != item:
			wrong = fmt.Sprintf("shows %s, %q as entry %d, another tab %s, %q", item.ID, item.Text, item.N, was.ID, was.Text)
		case numbered && n != item.N:
			wrong = fmt.Sprintf("shows %s as entry %d, another tab as entry %d", item.ID, item.N, n)
		case !known:
			s.entries[item.N], s.numbers[item.ID] = item, item.N
			fresh = append(fresh, item)
		}
		s.newest = max(s.newest, item.N)
	}
	return fresh, wrong
}

// own wants all that additions do, and the entry of the op where it can be seen.
func (s *sayings) own(before protocol.State, c *click, shown protocol.State, items *protocol.Items) string {
	if wrong := s.additions.own(before, c, shown, items); wrong != "" || items == nil {
		return wrong
	}
	s.order.Lock()
	defer s.order.Unlock()
	name := c.op.Name()
	switch n, ok := s.numbers[name]; {
	case items.Index(name) >= 0, ok && n <= items.Last():
		return ""
	case uint64(len(s.entries)) < s.newest:
		return "" // nobody has been shown all entries
	}
	return fmt.Sprintf("did not show entry %s, up to entry %d, when op %s was acknowledged", name, items.Last(), c.op.ID)
}
