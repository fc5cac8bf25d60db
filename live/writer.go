package live

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How a change reaches the tabs.
//
// There is one writer for each core, a goroutine that lives as long as the
// runtime. Each session belongs to one writer, and so does its place in every
// room: a room keeps its members in one dense slice for each writer, its
// shard. A tab costs no goroutine, channel, timer or deadline of its own.
//
// When a room has a new frame it puts itself on the list of every writer with
// members in it. The writer then makes a pass: it walks its shard of the room
// and gives each connection the same bytes. A connection takes them without
// waiting (for a socket that is one write(2), which is nearly all that a
// delivery costs), or says that it is full. A full one is passed over until it
// says that it can take more, and then gets the newest state only: nothing
// queues behind a slow tab, and it delays nobody. One that stays full for
// Options.SendTimeout is closed.
//
// What is not the same for everybody (acknowledgements, private messages,
// closing) and tabs that several rooms have something for are dealt with after
// the walk, one session at a time and with one write for all that it has. While
// a pass runs, rooms that change again just wait for the next one with their
// newest frame. So the work does not grow with the rate of changes, and
// staleness is at most two passes.
//
// Locks, in their order: shard.mu, session.mu. A writer holds the shard's for
// at most passChunk deliveries, so that joins go on during a pass. Connections
// are closed outside of both.

// passChunk is how many deliveries a writer makes before it lets joins in.
const passChunk = 256

// A shard is the members of a room that one writer serves.
type shard struct {
	sent    atomic.Uint64 // messages to its members; only its writer adds
	mu      sync.Mutex    // guards members, and index in each
	members []*member
	offered bool // on the writer's list; guarded by writer.mu
}

// coalesced are several frames as one run of bytes: the same for all tabs that
// are in the same rooms.
type coalesced struct {
	wire   *Wire
	frames []*frame
	bytes  []byte
}

// A writer delivers to the sessions that belong to it.
type writer struct {
	// set once
	rt    *Runtime
	index int
	kick  chan struct{} // of size 1: there is something to do

	// owned by run
	later   []*Session // have more than the frame of the pass
	frames  []*frame   // of the session that is served
	last    coalesced  // what coalesce returned for several frames
	walked  []Mark     // of rooms that are watched, in this pass
	blocked []*Session // full, or were when last looked at

	mu       sync.Mutex // guards the rest
	rooms    []*room    // have a new frame; shard.offered
	sessions []*Session // have something of their own; Session.queued
}

func newWriters(rt *Runtime) []*writer {
	ws := make([]*writer, runtime.GOMAXPROCS(0))
	for i := range ws {
		ws[i] = &writer{rt: rt, index: i, kick: make(chan struct{}, 1)}
	}
	return ws
}

// offerRoom makes the writer deliver the newest frame of a room.
func (w *writer) offerRoom(r *room) {
	w.mu.Lock()
	if sh := &r.shards[w.index]; !sh.offered {
		sh.offered = true
		w.rooms = append(w.rooms, r)
	}
	w.mu.Unlock()
	w.wake()
}

// offerSession makes the writer deliver what a session has to send.
func (w *writer) offerSession(s *Session) {
	w.mu.Lock()
	w.sessions = append(w.sessions, s)
	w.mu.Unlock()
	w.wake()
}

func (w *writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run makes passes until the runtime stops.
func (w *writer) run() {
	sweep := time.NewTimer(w.rt.opts.SendTimeout)
	defer sweep.Stop()
	sweep.Stop()
	armed := false // nobody is blocked, nothing to look at
	for {
		select {
		case <-w.kick:
			w.passes()
			if len(w.blocked) > 0 && !armed {
				sweep.Reset(w.rt.opts.SendTimeout)
				armed = true
			}
		case <-sweep.C:
			if armed = w.closeStalled(); armed {
				sweep.Reset(w.rt.opts.SendTimeout / 8)
			}
		case <-w.rt.stopped:
			return
		}
	}
}

// passes works until nothing is left.
func (w *writer) passes() {
	for {
		// Rooms that have changed together are rendered one by one. To let the
		// others finish is to send all their frames in one write: with 16 rooms
		// that is an eighth of the cost (make bench-peers).
		runtime.Gosched()
		rooms, sessions := w.take()
		if len(rooms) == 0 && len(sessions) == 0 {
			return
		}
		w.later = append(w.later[:0], sessions...)
		for _, r := range rooms {
			w.walk(r, len(rooms) > 1)
		}
		for i, s := range w.later {
			w.serve(s)
			w.later[i] = nil
		}
		w.last = coalesced{}
		for _, m := range w.walked {
			w.rt.reached(m)
		}
		w.walked = w.walked[:0]
	}
}

// take empties the lists.
func (w *writer) take() (rooms []*room, sessions []*Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rooms, sessions = w.rooms, w.sessions
	w.rooms, w.sessions = nil, nil
	for _, r := range rooms {
		r.shards[w.index].offered = false
	}
	return rooms, sessions
}

// walk gives the newest frame of a room to the members in this writer's shard.
// With several it only collects them, because they may be in several rooms.
func (w *writer) walk(r *room, several bool) {
	sh := &r.shards[w.index]
	f := r.frame.Load()
	if w.rt.hooked(r.topic) {
		w.walked = append(w.walked, w.begin(r, f))
	}
	var sent, bytes uint64
	for i := 0; ; {
		sh.mu.Lock()
		for end := min(i+passChunk, len(sh.members)); i < end; i++ {
			m := sh.members[i]
			if n := w.deliver(m, f, several); n > 0 {
				sent++
				bytes += uint64(n)
			}
		}
		done := i >= len(sh.members)
		sh.mu.Unlock()
		if done {
			break
		}
	}
	r.sent(w, sent)
	w.rt.stats.messages.Add(sent)
	w.rt.stats.bytes.Add(bytes)
}

// sent counts messages that a writer has sent of the room.
func (r *room) sent(w *writer, n uint64) {
	r.shards[w.index].sent.Add(n)
	if r.versioned {
		w.rt.stats.deliveries.Add(n)
	}
}

// deliver gives a frame to one member and returns its length; 0 if nothing
// was sent now.
func (w *writer) deliver(m *member, f *frame, several bool) int {
	s := m.session
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.busy || s.stage >= stageShut || m.phase < phaseReady || m.done(f.seq):
		return 0
	case several || s.own || !f.leads(m):
		if !s.queued {
			s.queued = true
			w.later = append(w.later, s)
		}
		return 0
	}
	b := f.on(s.wire)
	m.took(f)
	s.count(1, len(b))
	if !s.conn.Send(b) {
		w.block(s)
	}
	return len(b)
}

// serve sends all that a session has to send, in one write.
func (w *writer) serve(s *Session) {
	s.mu.Lock()
	s.queued = false
	end := s.flush(w)
	s.mu.Unlock()
	if end {
		s.conn.Close(s.ending.why) // at stageShut it doesn't change any more
	}
}

// send sends w.frames to a session. The caller holds the session's mu.
func (w *writer) send(s *Session) {
	b := w.coalesce(s.wire)
	w.rt.stats.messages.Add(uint64(len(w.frames)))
	w.rt.stats.bytes.Add(uint64(len(b)))
	s.count(len(w.frames), len(b))
	if !s.conn.Send(b) {
		w.block(s)
	}
}

// coalesce returns w.frames as they go out together.
func (w *writer) coalesce(wire *Wire) []byte {
	if len(w.frames) == 1 {
		return w.frames[0].on(wire)
	}
	if w.last.wire == wire && slices.Equal(w.last.frames, w.frames) {
		return w.last.bytes
	}
	var b []byte
	for _, f := range w.frames {
		b = append(b, f.on(wire)...)
	}
	w.last = coalesced{wire, append(w.last.frames[:0], w.frames...), b}
	return b
}

// block notes that a session's connection is full. The caller holds the
// session's mu.
func (w *writer) block(s *Session) {
	s.busy, s.since = true, w.rt.now()
	if !s.tracked {
		s.tracked = true
		w.blocked = append(w.blocked, s)
	}
}

// closeStalled closes the sessions whose connection has been full for too
// long, and reports whether others are full.
func (w *writer) closeStalled() (blocked bool) {
	w.blocked = slices.DeleteFunc(w.blocked, func(s *Session) bool {
		s.mu.Lock()
		full := s.busy && s.stage < stageShut
		stalled := full && w.rt.now()-s.since >= w.rt.opts.SendTimeout && s.shut(ReasonSendTimeout, nil)
		s.tracked = full && !stalled
		tracked := s.tracked
		s.mu.Unlock()
		if stalled {
			w.rt.stats.stalled.Add(1)
			s.conn.Close(ReasonSendTimeout)
		}
		return !tracked
	})
	return len(w.blocked) > 0
}
