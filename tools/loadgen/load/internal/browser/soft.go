package browser

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"lockstep/tools/loadgen/load/protocol"
)

// Bounds of the messages of a board: a frame, and what a tab is sent that has just come.
const (
	maxFrameOfBoard = 16 << 10
	maxWholeBoard   = 80 << 10
)

// A spots is what the tabs of this process have cast at one board. It may be used concurrently.
type spots struct {
	mu     sync.Mutex // guards the rest
	next   int        // casts so far: each is at a place of its own, until there are no more
	owners map[string]*owner
}

// An owner is what one tab has cast, by rising time.
type owner struct {
	casts []spotCast
	life  uint32 // the connection of the last
	here  bool   // it is still open
}

// A spotCast is one cast. The zero spot says that there is nothing any more.
type spotCast struct {
	spot protocol.Spot
	at   int64 // ns
	life uint32
}

// keptCasts is how many casts of an owner are remembered at least, and those that may be shown.
const keptCasts = 256

// made notes a cast, and returns where it is. One in twenty takes back what was shown.
func (s *spots) made(name string, at int64, life uint32, ttl time.Duration) protocol.Spot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	spot := protocol.Spot{X: 1 + s.next/1000%1000, Y: 1 + s.next%1000, Types: s.next%4 == 0}
	if s.next%20 == 0 {
		spot = protocol.Spot{}
	}
	o := s.owners[name]
	if o == nil {
		o = &owner{}
		s.owners[name] = o
	}
	if n := len(o.casts); n >= 2*keptCasts {
		old := slices.IndexFunc(o.casts, func(c spotCast) bool { return at-c.at < 4*int64(ttl) })
		o.casts = slices.Delete(o.casts, 0, min(max(old, 0), n-keptCasts))
	}
	o.casts = append(o.casts, spotCast{spot, at, life})
	o.life, o.here = life, true
	return spot
}

// left notes that the connection of an owner has ended, with which what it has may go.
func (s *spots) left(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.owners[name]; o != nil {
		o.here = false
	}
}

// A sight is a value that a tab is shown, as its owner has cast it.
type sight struct {
	known bool // the owner is of this process
	never bool // and has not cast that
	cast  spotCast
}

// find looks for what an owner is said to have.
func (s *spots) find(name string, spot protocol.Spot) sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.owners[name]
	if o == nil {
		return sight{}
	}
	for _, c := range slices.Backward(o.casts) {
		if c.spot == spot {
			return sight{known: true, cast: c}
		}
	}
	return sight{known: true, never: true}
}

// wrong says what a tab should show at the end of a load, and does not; "": nothing. Owners are
// left out that have cast nothing since, or have lost their connection; and unless takenBack those
// that have taken back what they had.
func (s *spots) wrong(has map[string]spotCast, since int64, takenBack bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, o := range s.owners {
		last := o.casts[len(o.casts)-1]
		if !o.here || last.at < since || !takenBack && last.spot == (protocol.Spot{}) {
			continue
		}
		if shown := has[name]; shown.spot != last.spot {
			return fmt.Sprintf("%v of %s, which has cast %v", shown.spot, name, last.spot)
		}
	}
	return ""
}

// A board is what a tab is shown of a board, and its own name there.
type board struct {
	spots       *spots // where it casts
	mark, owner string
	begun       uint64 // n of the message that had all
	any         bool   // there was one
	has         map[string]spotCast
}

// enter begins with a page. It has a name of its own, which its client gives it.
func (t *tab) enter(l *loop) {
	p, ok := l.fleet.config.Protocol.(protocol.Caster)
	if !ok || l.fleet.traits.Kind != protocol.Board {
		return
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(t.client))
	mark := strconv.FormatUint(sum.Sum64(), 36)
	mark = mark[:min(len(mark), 8)]
	t.board = &board{spots: l.fleet.spots[t.counter], mark: mark, owner: p.Owner(t.view, mark), has: make(map[string]spotCast)}
}

// cast shows others where the tab is. Without a connection nobody sees it, now or later.
func (t *tab) cast(l *loop, due int64) {
	p, ok := l.fleet.config.Protocol.(protocol.Caster)
	if !ok || t.conn == nil {
		return
	}
	now := l.fleet.now()
	l.seen.Late.Add(ms(now - due))
	l.seen.Counts.Sent++
	l.replicas[t.replica].seen.Clicks++
	spot := t.board.spots.made(t.board.owner, now, t.life, p.Forget())
	t.write(l, p.Cast(t.view, t.board.mark, spot))
}

// watch takes in what a message says of the board. inOrder: messages come in the order of their n.
func (t *tab) watch(l *loop, m *protocol.Soft, now int64, inOrder bool) {
	b := t.board
	l.seen.Counts.Deliveries++
	l.replicas[t.replica].seen.Deliveries++
	if !t.gotState {
		t.countArrival(l, now)
	}
	t.gotState = true
	if m.All && m.Size > maxWholeBoard || !m.All && m.Size > maxFrameOfBoard {
		l.violate(RuleSound, "tab %d of %s was sent %d bytes in a message", t.slot, t.view.Replica, m.Size)
	}
	switch {
	case !m.All && b.any && m.N <= b.begun:
		l.seen.Counts.Dropped++ // it was made before all was told
		return
	case m.All:
		b.begun, b.any = m.N, true
		for name := range b.has {
			if _, ok := m.Is[name]; !ok {
				delete(b.has, name)
			}
		}
	}
	for _, name := range m.Gone {
		delete(b.has, name)
	}
	for name, spot := range m.Is {
		t.see(l, name, spot, now, inOrder && !m.All)
	}
}

// see takes in one value. inOrder: none that was cast before it may come after it.
func (t *tab) see(l *loop, name string, spot protocol.Spot, now int64, inOrder bool) {
	s := t.board.spots.find(name, spot)
	if !s.known {
		return // somebody else's, or of another process
	}
	if s.never {
		l.violate(RuleSound, "tab %d of %s was shown %v of %s, which has never cast that", t.slot, t.view.Replica, spot, name)
		return
	}
	before, had := t.board.has[name]
	t.board.has[name] = s.cast
	age := time.Duration(now - s.cast.at)
	if limit := l.fleet.forget * 3 / 2; age > limit {
		l.violate(RuleForgotten, "tab %d of %s was shown %v of %s, %v after it was cast", t.slot, t.view.Replica, spot, name, age.Round(time.Millisecond))
		return
	}
	if had && inOrder && before.life == s.cast.life && before.at > s.cast.at {
		l.violate(RuleForward, "tab %d of %s was shown %v of %s after %v, which was cast later", t.slot, t.view.Replica, spot, name, before.spot)
	}
	if inOrder && !t.slow && before != s.cast {
		l.seen.Staleness.Add(ms(int64(age)))
	}
}

// misses are the tabs that do not show what owners cast last, in the last quarter of the time after
// which it is forgotten. What they show is in Shown.Value. Over plain HTTP requests come to any
// replica, and only the one that has taken a cast can take it back: it stays until it is forgotten.
func (l *loop) misses() (tabs []Tab) {
	for i := range l.tabs {
		t := &l.tabs[i]
		if t.view == nil || t.slow || t.hidden {
			continue
		}
		if wrong := t.board.spots.wrong(t.board.has, l.unloaded-int64(l.fleet.forget)/4, !l.fleet.config.OverHTTP); wrong != "" {
			tabs = append(tabs, Tab{Slot: t.slot, Replica: t.view.Replica, Counter: t.counter, Shown: protocol.State{Value: wrong}, Connected: t.conn != nil})
		}
	}
	return tabs
}

// shows counts the values that tabs show at boards.
func (l *loop) shows() (n int) {
	for i := range l.tabs {
		if b := l.tabs[i].board; b != nil && l.tabs[i].view != nil {
			n += len(b.has)
		}
	}
	return n
}
