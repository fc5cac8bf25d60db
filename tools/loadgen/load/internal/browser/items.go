package browser

import (
	"time"

	"lockstep/tools/loadgen/load/protocol"
)

// A models has what the tabs of a loop show of lists and logs. Tabs that show the same share it,
// and so a change is made once for all of them.
type models struct {
	shown map[moment]*protocol.Items
	made  map[step]made
}

// A moment is what is shown of a counter.
type moment struct {
	counter int
	state   protocol.State
	first   uint64 // number of the first entry of a log
}

// A step leads from what is shown to something newer.
type step struct {
	from *protocol.Items
	by   *protocol.Change
}

type made struct {
	items *protocol.Items
	wrong error // what does not fit
}

// maxModels bounds what is remembered of each.
const maxModels = 256

// page is what a page shows; nil: it has no items.
func (m *models) page(counter int, v *protocol.View) *protocol.Items {
	if v.Items == nil {
		return nil
	}
	return m.share(counter, v.Items, v.State)
}

// share is the same items, as others show them.
func (m *models) share(counter int, items *protocol.Items, s protocol.State) *protocol.Items {
	at := moment{counter: counter, state: s}
	if len(items.All) > 0 {
		at.first = items.All[0].N
	}
	if same := m.shown[at]; same != nil {
		return same
	}
	if m.shown == nil || len(m.shown) >= maxModels {
		m.shown = make(map[moment]*protocol.Items)
	}
	m.shown[at] = items
	return items
}

// take is what a change makes of what a tab shows. isNew: it was not made before.
func (m *models) take(counter int, from *protocol.Items, c *protocol.Change, k protocol.Kind) (to *protocol.Items, wrong error, isNew bool) {
	if r, ok := m.made[step{from, c}]; ok {
		return r.items, r.wrong, false
	}
	to, wrong = from.Take(c, k.Items())
	to = m.share(counter, to, protocol.StateOf(to, c.Epoch, c.Version))
	if m.made == nil || len(m.made) >= maxModels {
		m.made = make(map[step]made)
	}
	m.made[step{from, c}] = made{to, wrong}
	return to, wrong, true
}

// change takes a change of what the tab shows. One from another version than the tab has, or had
// and went on from, is no use: the tab asks for all there is.
func (t *tab) change(l *loop, c *protocol.Change, now int64) {
	to := protocol.State{Epoch: c.Epoch, Version: c.Version}
	switch {
	case !c.Fits(t.shown.Epoch, t.shown.Version, t.known):
		l.seen.Counts.Afresh++
		if !t.lacks || now-t.askedAt >= int64(time.Second) {
			t.lacks, t.askedAt = true, now
			t.again(l)
		}
		return
	case c.HasBase && to.Same(t.shown):
		return // what it has is right already
	}
	items, wrong, isNew := l.models.take(t.counter, t.items, c, l.fleet.traits.Kind)
	if wrong != nil {
		l.violate(RuleSound, "tab %d of %s, which shows version %d, was sent version %d, which %v", t.slot, t.view.Replica, t.shown.Version, c.Version, wrong)
	}
	t.items, t.lacks = items, false
	if isNew {
		l.learn(t, items)
	}
	t.show(l, protocol.StateOf(items, c.Epoch, c.Version), now)
}

// again says hello on a connection that has had it: the tab is sent all there is.
func (t *tab) again(l *loop) {
	if c, ok := t.conn.(*overHTTP); ok {
		c.hello = nil // requests begin with the newer one
	}
	t.hello(l)
}

// learn compares the entries of a log with those that other tabs were shown.
func (l *loop) learn(t *tab, items *protocol.Items) {
	log, ok := l.fleet.tallies[t.counter].(*sayings)
	if !ok || items == nil {
		return
	}
	fresh, wrong := log.learn(items.All)
	seen := &l.seen.Counters[t.counter]
	seen.Entries = append(seen.Entries, fresh...)
	if wrong != "" {
		l.violate(RuleForward, "tab %d of %s %s", t.slot, t.view.Replica, wrong)
	}
}
