package lockstep

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"lockstep/state"
)

// folded are the states of topics with the changes that have come since, as a tab has them that
// renders itself. It remembers the last of each, so that the next change costs no more than itself.
// Its methods may be called concurrently.
type folded struct {
	mu   sync.Mutex // guards all
	last map[string]fold
}

// A fold is a text, and the state that it says.
type fold struct {
	text []byte
	l    loaded
}

// maxFolds is how many topics are remembered: a page shows few.
const maxFolds = 64

var errNoChange = errors.New("lockstep: not a change of this state")

// fold returns the state that a text says: a record, and in each line behind it a change.
func (c *folded) fold(f *family, topic string, text []byte) (loaded, error) {
	c.mu.Lock()
	was, known := c.last[topic]
	c.mu.Unlock()
	rest, goesOn := bytes.CutPrefix(text, was.text)
	l := was.l
	if !known || !goesOn || len(rest) > 0 && rest[0] != '\n' {
		var whole []byte
		whole, rest, _ = bytes.Cut(text, []byte("\n"))
		h, err := decodeMessage(whole)
		if err != nil {
			return loaded{}, err
		}
		if h.Data == nil {
			return loaded{}, errNoChange
		}
		l = f.kind.read(h.Record)
		if l.log, err = state.ReadEntries[json.RawMessage](h.delta.first, h.delta.entries); err != nil {
			return loaded{}, err
		}
		was = fold{}
	}
	for change := range bytes.SplitSeq(rest, []byte("\n")) {
		if len(change) == 0 {
			continue
		}
		var err error
		if l, err = f.changed(l, change); err != nil {
			return loaded{}, err
		}
	}
	l.log = f.fresh(was.l, l)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || len(c.last) >= maxFolds {
		c.last = make(map[string]fold)
	}
	c.last[topic] = fold{bytes.Clone(text), l}
	return l, nil
}

// changed returns the state to which a change leads.
func (f *family) changed(l loaded, change []byte) (loaded, error) {
	h, err := decodeMessage(change)
	switch {
	case err != nil:
		return l, err
	case h.delta.base != l.Version || h.Epoch != l.Epoch || l.readable() == nil:
		return l, errNoChange
	}
	if f.kind.hasLog() && h.Data != nil {
		next := f.kind.read(h.Record)
		next.delta = h.delta
		next, ok := f.apply(l, next)
		if !ok {
			return l, errNoChange
		}
		return next, next.err
	}
	if h.Data != nil {
		return l, errNoChange
	}
	s, err := f.kind.apply(l.state, h.delta.change)
	return loaded{Record: state.Record{Epoch: h.Epoch, Version: h.Version}, state: s}, err
}

// fresh are the entries of a log that a tab is to show that has shown it as it was: the newest of a
// page, or all that have come since, and one more that has been shown.
func (f *family) fresh(was, l loaded) []entry {
	n := f.kind.window()
	if was.state != nil && len(l.log) > 0 {
		n = max(n, int(min(l.log[len(l.log)-1].N-f.kind.entries(was.state), roomEntries))+1)
	}
	return l.log[max(len(l.log)-n, 0):]
}
