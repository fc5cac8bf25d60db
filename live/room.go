package live

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A frame is one rendering of a room: immutable, shared by every tab.
type frame struct {
	seq     uint64 // of the state it shows
	message []byte
}

// A member is one session's place in one room.
type member struct {
	room    *room
	session *Session
	index   int    // in room.members; guarded by room.mu
	sent    uint64 // seq of the newest frame sent; guarded by session.mu
	held    bool   // send nothing yet; guarded by session.mu
}

// A room renders its newest state once and wakes its members. What the state
// is, the typed Room around it knows.
type room struct {
	// set once
	rt     *Runtime
	topic  string
	render func() (*frame, error) // of the newest state; called by one goroutine at a time

	frame atomic.Pointer[frame] // newest; nil before the first

	mu       sync.Mutex // guards the rest, and the typed state
	members  []*member
	seq      uint64 // counts accepted states; 0: none is known
	flushing bool   // a goroutine is in flush
	shown    time.Time
	deserted time.Time // when the last member left
}

// accept records, under mu, that the state has changed, and has it shown.
func (r *room) accept() {
	r.seq++
	r.show()
}

// show starts flush unless it runs or there is nobody to show to. The caller
// holds mu.
func (r *room) show() {
	if r.flushing || len(r.members) == 0 || r.seq == 0 {
		return
	}
	r.flushing = r.rt.spawn(r.flush)
}

// flush renders and shows the newest state, not more often than once in a
// FrameInterval, and ends when nothing newer has come. The first change after
// a pause is shown at once.
func (r *room) flush() {
	for {
		r.mu.Lock()
		due := time.Until(r.shown.Add(r.rt.opts.FrameInterval))
		r.mu.Unlock()
		if !r.rt.pause(due) {
			r.mu.Lock()
			r.flushing = false
			r.mu.Unlock()
			return
		}
		f, err := r.paint()
		if err != nil {
			r.rt.stats.failures.Add(1)
			r.rt.log.Error("component failed", "topic", r.topic, "err", err)
		}
		r.mu.Lock()
		r.shown = time.Now()
		if err == nil {
			r.frame.Store(f)
		}
		done := err != nil || f.seq == r.seq
		if done {
			r.flushing = false
		}
		members := slices.Clone(r.members)
		r.mu.Unlock()
		for _, m := range members {
			m.session.wake()
		}
		if done {
			return
		}
	}
}

// paint renders; a panic of a component is an error of this room alone.
func (r *room) paint() (f *frame, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r.rt.stats.renders.Add(1)
	return r.render()
}

func (r *room) add(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.index = len(r.members)
	r.members = append(r.members, m)
	if f := r.frame.Load(); f == nil || f.seq != r.seq {
		r.show() // nobody was here to render for
	}
}

func (r *room) remove(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.members) - 1
	if m.index > last || r.members[m.index] != m {
		return // join has not come to add yet: it sees that the session has gone
	}
	r.members[m.index] = r.members[last]
	r.members[m.index].index = m.index
	r.members[last] = nil
	r.members = r.members[:last]
	if last == 0 {
		r.deserted = time.Now()
	}
}

// empty reports whether nobody has been here for d.
func (r *room) empty(d time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members) == 0 && time.Since(r.deserted) >= d
}
