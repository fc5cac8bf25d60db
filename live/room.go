package live

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A member is one session's place in one room.
type member struct {
	session *Session
	sent    uint64      // seq of the newest frame sent, or of what the tab shows; guarded by session.mu
	index   int32       // in shard.members; guarded by shard.mu
	floor   uint16      // so many frames behind sent are older than the join; guarded by session.mu
	phase   memberPhase // guarded by session.mu
	basis   basis       // guarded by session.mu
	room    *room
}

// A basis is what is known of what a tab shows: see book.go.
type basis uint8

const (
	basisSent    basis = iota // the state numbered sent
	basisNothing              // nothing is known
	basisStray                // it has said that it shows what this replica has not passed
)

// A memberPhase is how far a member has come. Before phaseReady it is sent nothing.
type memberPhase uint8

const (
	phaseJoining memberPhase = iota // Join has not returned
	phaseWaiting                    // the tab has not yet said what it shows: rooms of items wait for that
	phaseAhead                      // it shows what is newer than what is known here
	phaseReady
	phaseBegun // something was sent
)

// done reports whether a member needs no frame of that seq.
func (m *member) done(seq uint64) bool { return m.sent+uint64(m.floor) >= seq }

// took records that a member was sent a frame.
func (m *member) took(f *frame) { m.sent, m.floor, m.basis, m.phase = f.seq, 0, basisSent, phaseBegun }

// A room renders its newest state once and makes the writers send it. It does not
// know what the state is: the stateRoom around it does.
type room struct {
	// set once
	rt          *Runtime
	topic       string
	versioned   bool                                        // its states have an order
	renderState func() (*frame, error)                      // of the newest state; called by one goroutine at a time
	claimed     func(*member, revision) (asks bool)         // takes in what a tab says that it shows; nil: it means nothing
	locate      func(revision) (seq uint64, ok, ahead bool) // the state that a tab says that it shows; nil: it has no items
	wantsData   atomic.Bool                                 // a tab here renders itself
	shards      []shard                                     // one for each writer

	// at least, between two frames; perTab is added for each member
	interval, perTab time.Duration

	frame  atomic.Pointer[frame] // newest; nil before the first
	paints paints

	mu       sync.Mutex // guards the rest, and the typed state
	members  int
	seq      uint64 // counts accepted states; 0: none is known
	flushing bool   // a goroutine is in flush
	again    uint64 // a seq whose state is the one before, to be rendered in more forms
	shown    time.Time
	deserted time.Time         // when the last member left
	claims   map[*member]claim // that the store has not been asked about
	asking   bool              // a goroutine asks it
}

// accept records that the state has changed, and starts to render it. The caller
// holds mu.
func (r *room) accept() {
	r.seq++
	if r.members > 0 {
		r.rt.stats.states.Add(1)
	}
	r.startFlush()
}

// renderData has the newest state rendered again when the first tab comes that renders itself. It
// gets a seq of its own, so that the tab is sent it.
func (r *room) renderData() {
	if r.locate == nil || r.wantsData.Swap(true) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq > 0 {
		r.accept()
		r.again = r.seq
	}
}

// startFlush starts flush unless it runs or there is nobody to render for. The
// caller holds mu.
func (r *room) startFlush() {
	if r.flushing || r.members == 0 || r.seq == 0 {
		return
	}
	r.flushing = r.rt.spawn(r.flush)
}

// flush renders the newest state and has it sent, not more often than once in
// an interval, and ends when nothing newer has come. The first change after a
// pause is shown at once.
func (r *room) flush() {
	for {
		r.mu.Lock()
		due := time.Until(r.shown.Add(r.interval + time.Duration(r.members)*r.perTab))
		r.mu.Unlock()
		if !r.rt.pause(due) {
			r.mu.Lock()
			r.flushing = false
			r.mu.Unlock()
			return
		}
		rendered := r.rt.follow(r.topic, Rendered)
		f, err := r.render()
		if err == nil {
			rendered(f.at)
		}
		if r.offer(f, err) {
			return
		}
	}
}

// offer makes the writers send a new frame. It reports whether nothing newer has come.
func (r *room) offer(f *frame, err error) (done bool) {
	if err == nil && r.versioned && r.rt.opts.Painters > 0 {
		r.paints.shown(f)
	}
	r.mu.Lock()
	r.shown = time.Now()
	if err == nil {
		r.frame.Store(f)
	}
	done = err != nil || f.seq == r.seq
	r.flushing = !done
	r.mu.Unlock()
	if err == nil {
		for _, w := range r.rt.writers {
			w.offerRoom(r)
		}
	}
	return done
}

// render renders the newest state. A panic of a component is an error of this
// room alone, and has been logged; every other error too.
func (r *room) render() (*frame, error) { return r.renderWith(r.renderState) }

func (r *room) renderWith(state func() (*frame, error)) (f *frame, err error) {
	defer r.rt.guard.Caught("Render", &err)
	r.rt.stats.renders.Add(1)
	if f, err = state(); err != nil {
		err = fmt.Errorf("live: render %q: %w", r.topic, err)
		r.rt.guard.Report("Render", err, nil)
	}
	return f, err
}

func (r *room) add(m *member) {
	sh := &r.shards[m.session.writer.index]
	sh.mu.Lock()
	m.index = int32(len(sh.members))
	sh.members = append(sh.members, m)
	sh.mu.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	r.members++
	if f := r.frame.Load(); f == nil || f.seq != r.seq {
		r.startFlush() // nobody was here to render for
	}
}

func (r *room) remove(m *member) {
	moved, ok := r.shards[m.session.writer.index].remove(m)
	if !ok {
		return // join has not called add yet: it sees that the session is gone
	}
	if moved != nil {
		moved.session.wake() // a pass may be beyond its new place already
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.claims, m)
	if r.members--; r.members == 0 {
		r.deserted = time.Now()
	}
}

// remove takes a member out, and returns the one that has taken its place.
func (sh *shard) remove(m *member) (moved *member, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	last := int32(len(sh.members) - 1)
	if m.index > last || sh.members[m.index] != m {
		return nil, false
	}
	if m.index < last {
		moved = sh.members[last]
		sh.members[m.index] = moved
		moved.index = m.index
	}
	sh.members[last] = nil
	sh.members = sh.members[:last]
	return moved, true
}

// empty reports whether nobody has been here for d.
func (r *room) empty(d time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members == 0 && time.Since(r.deserted) >= d
}
