// Package precondition has one small vocabulary for what the promises of this
// program rest on and that only somebody else can set: how a server is
// configured, and what it is. A backend says what it finds on each server that
// it meets, and others what they hear of those around them; a program shows it
// in its log, metrics and admin page. It refuses nothing: what makes work
// impossible is an error of the backend.
package precondition

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxPlaces bounds how many servers of one part are remembered: more than a
// cluster has nodes that count.
const maxPlaces = 64

// An Unmet is one precondition that a server does not meet.
type Unmet struct {
	// Name is constant and in snake_case: it is the label of a metric.
	Name string
	// Text is one sentence for people: what is, what it should be, and what may
	// come of it. It has no secrets.
	Text string
}

// A Part collects what the servers behind one part of a program, such as its
// store, do not meet. Its methods may be called concurrently. Nil is a part
// that nobody asks about: its methods do nothing.
type Part struct {
	// set once
	name string
	log  *slog.Logger

	mu     sync.Mutex // guards the rest
	places map[string]place
	order  []string // of places, the oldest first
}

// place is what was found at one address.
type place struct {
	server string // which of all servers that the address has led to
	unmet  []Unmet
	until  time.Time // when it is forgotten; zero: never
}

// past reports whether the place is forgotten.
func (p *place) past(now time.Time) bool { return !p.until.IsZero() && !now.Before(p.until) }

// maxSkew is how much the clock of a store's machine and a replica's may
// differ. A click is taken two minutes after its page has looked whether it
// still waits, by the clocks of two replicas, and a store forgets ten minutes
// after a page has said that it is done: so two replicas, which may be off to
// both sides, must not differ by more than some minutes.
const maxSkew = 30 * time.Second

// Clock returns what is wrong with a server's clock, or nothing. theirs was
// read between two moments of ours. The text does not say by how much they
// differ: that is never the same twice.
func Clock(name string, before, theirs, after time.Time) []Unmet {
	way := ""
	switch {
	case theirs.Before(before.Add(-maxSkew)):
		way = "behind"
	case theirs.After(after.Add(maxSkew)):
		way = "ahead of"
	default:
		return nil
	}
	return []Unmet{{Name: name, Text: "the server's clock is more than " + maxSkew.String() + " " + way + " this replica's: " +
		"a click that is sent again by a page that was asleep, or after a failover, may count twice if it is minutes; have both machines' clocks set (NTP)"}}
}

// NewPart returns a part with a name such as "store". log is told of each
// unmet precondition, once for each server; nil: slog.Default().
func NewPart(name string, log *slog.Logger) *Part {
	if log == nil {
		log = slog.Default()
	}
	return &Part{name: name, log: log, places: make(map[string]place)}
}

// Name is the part's name; "" for nil.
func (p *Part) Name() string {
	if p == nil {
		return ""
	}
	return p.name
}

// Saw notes what the server that an address leads to now does not meet; it
// replaces what was found there before. at names the address: "" where there
// is only one. server tells one run of one server from all others. To say the
// same again is harmless and cheap.
func (p *Part) Saw(at, server string, unmet ...Unmet) {
	p.say(at, place{server: server, unmet: slices.Clone(unmet)})
}

// SawFor is Saw for what is known by signs that come again and again while it
// lasts: it is forgotten after a time, unless it is said again before.
func (p *Part) SawFor(lasts time.Duration, at, server string, unmet ...Unmet) {
	p.say(at, place{server: server, unmet: slices.Clone(unmet), until: time.Now().Add(lasts)})
}

// say records a place and tells the log what is news.
func (p *Part) say(at string, now place) {
	if p == nil {
		return
	}
	for _, u := range p.note(at, now) {
		p.log.Warn("a precondition is not met", "part", p.name, "name", u.Name, "what", u.Text)
	}
}

// note records a place and returns what is news.
func (p *Part) note(at string, now place) (news []Unmet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.places[at]
	if !known {
		p.makeRoom()
		p.order = append(p.order, at)
	}
	p.places[at] = now
	if before.past(time.Now()) {
		return now.unmet
	}
	if before.server != now.server {
		return now.unmet
	}
	return slices.DeleteFunc(slices.Clone(now.unmet), func(u Unmet) bool { return slices.Contains(before.unmet, u) })
}

// makeRoom forgets the oldest place when there are too many. The caller holds
// mu.
func (p *Part) makeRoom() {
	if len(p.order) < maxPlaces {
		return
	}
	delete(p.places, p.order[0])
	p.order = p.order[1:]
}

// Unmet returns what is not met now, each name once, in the order of the names.
func (p *Part) Unmet() []Unmet {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Unmet
	now := time.Now()
	for _, at := range p.order {
		if one := p.places[at]; !one.past(now) {
			all = append(all, one.unmet...)
		}
	}
	slices.SortStableFunc(all, func(a, b Unmet) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Unmet) bool { return a.Name == b.Name })
}
