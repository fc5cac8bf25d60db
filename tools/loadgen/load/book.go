package load

import (
	"fmt"
	"maps"
	"slices"

	"lockstep/internal/history"
	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// A book says what the clicks on one page come to, where they do more than count. It keeps those
// that may count or not; the rest is in the ledger.
type book struct {
	ledger  history.Ledger
	open    map[protocol.ID]*history.Op // have no answer yet
	lost    []*history.Op               // nobody says what became of them; maxLost at most
	dropped bool                        // there were more
	people  map[string]bool             // who has clicked: true if they have an acknowledgement
	kind    protocol.Kind
	entries map[uint64]protocol.Item // of a log, that any tab or page has shown
}

// maxLost bounds the clicks of which nobody says what became of them: with more, what a page can
// show can't be told.
const maxLost = 100_000

// newBook begins the book of a page that shows a state; nil: its clicks only count.
func newBook(k protocol.Kind, before *protocol.View) (*book, error) {
	kinds := map[protocol.Kind]history.Kind{
		protocol.Poll: history.Polls(), protocol.Bank: history.Banks(), protocol.List: history.Lists(), protocol.Log: history.LogsInPart(),
	}
	if kinds[k] == nil {
		return nil, nil //nolint:nilnil // it says so
	}
	b := &book{open: make(map[protocol.ID]*history.Op), people: make(map[string]bool), kind: k, entries: make(map[uint64]protocol.Item)}
	var err error
	if b.ledger, err = kinds[k].Begin(b.value(before)); err != nil {
		return nil, fmt.Errorf("the page of a %s %w", k, err)
	}
	return b, nil
}

// value is what a page shows, as the ledger has it: of a log with all entries that were shown by
// then.
func (b *book) value(v *protocol.View) string {
	switch {
	case b.kind == protocol.List && v.Items != nil:
		return v.Items.Value()
	case b.kind == protocol.Log && v.Items != nil:
		b.learn(v.Items.All)
		last := v.Items.Last()
		entries := make([]history.Entry, 0, len(b.entries))
		for _, n := range slices.Sorted(maps.Keys(b.entries)) {
			if n <= last {
				entries = append(entries, history.Entry{N: n, ID: b.entries[n].ID, Text: b.entries[n].Text})
			}
		}
		return history.LogValue(entries)
	}
	return v.State.Value
}

// learn takes in entries that were shown. What tabs show in two ways is found by themselves.
func (b *book) learn(entries []protocol.Item) {
	for _, e := range entries {
		b.entries[e.N] = e
	}
}

// take takes in what has happened to clicks.
func (b *book) take(notes []browser.Note) {
	for _, n := range notes {
		op := b.open[n.Op.ID]
		switch {
		case n.What == browser.Made:
			b.open[n.Op.ID] = &history.Op{ID: history.ID(n.Op.ID), User: n.Person, Do: n.Op.Do, In: n.Op.In}
			if !b.people[n.Person] {
				b.people[n.Person] = false // who clicks may have no acknowledgement yet
			}
			continue
		case op == nil:
			continue // a worker that is lost has made it
		case n.What == browser.Acked:
			b.ledger.Apply(op)
			b.people[op.User] = true
		case n.What == browser.Forgotten && len(b.lost) >= maxLost:
			b.dropped = true
		case n.What == browser.Forgotten:
			b.lost = append(b.lost, op)
		}
		delete(b.open, n.Op.ID)
	}
}

// check says why the page can't show what it does in the end; nil: it can.
func (b *book) check(final *protocol.View) error {
	may := b.lost[:len(b.lost):len(b.lost)]
	for _, op := range b.open {
		may = append(may, op)
	}
	return b.ledger.Check(b.value(final), may)
}

// voters is how many people have an acknowledgement, and how many have clicked.
func (b *book) voters() (sure, most int64) {
	for _, acked := range b.people {
		most++
		if acked {
			sure++
		}
	}
	return sure, most
}

// want is what the number of a page should be in the end, at least and at most.
func (r *run) want(i int) (least, most int64) {
	sum, before := &r.c.counters[i], r.before[i].Count
	switch r.Protocol.Traits().Kind {
	case protocol.Poll:
		sure, all := sum.book.voters()
		return before + sure, before + all
	case protocol.Bank:
		return before, before
	case protocol.List: // what is cleared depends on the order of clicks
		if r.final != nil {
			return r.final[i].Count, r.final[i].Count
		}
		return before, before
	}
	return before + sum.acked, before + sum.acked + sum.open()
}

// booked compares pages whose clicks do more than count with what those come to.
func (r *run) booked() Verdict {
	v := Verdict{Name: VerdictCounted, OK: true, Detail: fmt.Sprintf("%s transfers acknowledged, and the balances are what they come to", grouped(r.c.totals.Acked))}
	switch r.Protocol.Traits().Kind {
	case protocol.Poll:
		v.Detail = fmt.Sprintf("%s votes acknowledged: of each person the last counts, and no other", grouped(r.c.totals.Acked))
	case protocol.List:
		v.Detail = fmt.Sprintf("%s changes acknowledged, and the lists are what they come to", grouped(r.c.totals.Acked))
	case protocol.Log:
		v.Detail = fmt.Sprintf("%s entries acknowledged: each is there, once, and in the order of who made it", grouped(r.c.totals.Acked))
	}
	for i := range r.c.counters {
		sum := &r.c.counters[i]
		if _, clicks := sum.book.people[sum.reader]; clicks && r.Protocol.Traits().Kind == protocol.Poll {
			return v.unless(true, "the tabs are one person, who may have voted before: leave out the cookie")
		}
		if sum.book.dropped {
			return v.unless(true, "of too many clicks nobody says what became of them")
		}
		err := sum.book.check(r.finalViews[i])
		if err == nil {
			continue
		}
		v.OK = false
		v.Broken++
		if len(v.Named) < maxNamed {
			v.Named = append(v.Named, fmt.Sprintf("%s %v", r.counterName(i), err))
		}
	}
	if !v.OK {
		v.Detail = fmt.Sprintf("%s clicks acknowledged, and %s of %s pages show something else than they come to",
			grouped(r.c.totals.Acked), grouped(v.Broken), grouped(int64(len(r.c.counters))))
	}
	return v.unless(r.c.totals.Acked == 0, nothingAcked)
}
