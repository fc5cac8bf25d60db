package browser

import (
	"math/rand/v2"
	"sync"
	"time"

	"lockstep/tools/loadgen/load/internal/schedule"
	"lockstep/tools/loadgen/load/protocol"
)

// A loop runs its share of the tabs: one goroutine, which waits for all their sockets at once and
// owns everything about them. Others talk to it by post.
type loop struct {
	fleet  *Fleet // set once, as all down to mu
	number int
	poll   poller
	ended  chan struct{}

	mu    sync.Mutex // guards posts
	posts []func()

	// The rest is owned by the goroutine of run.
	tabs     []tab
	timers   timers
	chance   *rand.Rand
	cache    cache
	models   models
	buffer   []byte
	stop     bool
	waiting  []int32 // tabs that are to join or connect, in this order
	inFlight int     // tabs that are joining or connecting

	clicks   *schedule.Clicks // nil: no load
	next     schedule.Click
	moves    []schedule.Move  // that are still to come
	origin   int64            // of the load, ns
	unloaded int64            // when it ended, ns
	before   []protocol.State // of each counter, when the load began; nil: it has not

	checked int64 // when the watchdogs last ran

	seen      Observation // since the last
	frontiers []frontier  // by counter
	replicas  []server    // by the number that tabs have of theirs
	excess    []int64     // by counter: how much more than had been clicked was seen
	lastOp    string
	broken    map[Rule]int
	observed  int64 // when the last was taken
	idle      int64 // ns waited since
}

// post has f run on the loop. It never waits. After the loop has ended f is dropped.
func (l *loop) post(f func()) {
	l.mu.Lock()
	l.posts = append(l.posts, f)
	first := len(l.posts) == 1
	l.mu.Unlock()
	if first {
		l.poll.wake()
	}
}

// ask has f run on the loop and waits for it. It returns false if the loop has ended.
func (l *loop) ask(f func()) bool {
	done := make(chan struct{})
	l.post(func() { f(); close(done) })
	select {
	case <-done:
		return true
	case <-l.ended:
		return false
	}
}

// run is the loop, until stop.
func (l *loop) run() {
	defer close(l.ended)
	l.observed = l.fleet.now()
	for {
		l.work()
		if l.stop {
			break
		}
		before := l.fleet.now()
		n := l.poll.wait(l.due(), before)
		l.idle += l.fleet.now() - before
		for i := range n {
			if e, ok := l.poll.event(i); ok {
				l.ready(e)
			}
		}
	}
	for i := range l.tabs {
		l.tabs[i].fin(l)
		l.tabs[i].disconnect()
	}
	l.poll.close()
}

// work does all that is due.
func (l *loop) work() {
	l.takePosts()
	now := l.fleet.now()
	l.fireTimers(now)
	l.move(now)
	l.click(now)
	if now-l.checked >= int64(time.Second) {
		l.checked = now
		for i := range l.tabs {
			l.tabs[i].watchdog(l, now)
		}
	}
	l.dial()
}

func (l *loop) takePosts() {
	l.mu.Lock()
	posts := l.posts
	l.posts = nil
	l.mu.Unlock()
	for _, f := range posts {
		f()
	}
}

// due is when the next timer, click, move or watchdog is due.
func (l *loop) due() int64 {
	at := l.checked + int64(time.Second)
	if len(l.timers) > 0 {
		at = min(at, l.timers[0].at)
	}
	if l.clicks != nil {
		at = min(at, l.origin+int64(l.next.Due))
	}
	if len(l.moves) > 0 {
		at = min(at, l.origin+int64(l.moves[0].At))
	}
	return at
}

// ready reads from the socket of a tab.
func (l *loop) ready(e event) {
	t := &l.tabs[e.tab]
	if t.conn == nil || t.life != e.life {
		return // it was closed in the same round
	}
	if e.writable {
		if err := t.conn.flush(); err != nil {
			t.lost(l, err)
			return
		}
	}
	if !e.readable {
		return
	}
	if t.slow && !e.ended {
		t.conn.pause()
		l.after(t, slowPause, timerRead)
		return
	}
	t.read(l)
}

// load begins: clicks and moves are due from origin on.
func (l *loop) load(origin int64, before []protocol.State) {
	l.origin, l.before = origin, before
	l.clicks = schedule.NewClicks(l.fleet.config.Plan)
	for _, m := range schedule.Moves(l.fleet.config.Plan) {
		if l.fleet.owner(m.Slot) == l.number {
			l.moves = append(l.moves, m)
		}
	}
	l.nextClick()
}

// unload drops all clicks and moves to come.
func (l *loop) unload() { l.clicks, l.moves, l.unloaded = nil, nil, l.fleet.now() }

// nextClick finds the next click of a tab of this loop. All loops of all processes go through the
// same clicks, so they need not be told which are theirs.
func (l *loop) nextClick() {
	for {
		c, ok := l.clicks.Next()
		if !ok {
			l.clicks = nil
			return
		}
		if l.fleet.owner(c.Slot) == l.number {
			l.next = c
			return
		}
	}
}

// click makes the clicks that are due.
func (l *loop) click(now int64) {
	for l.clicks != nil && l.origin+int64(l.next.Due) <= now {
		l.seen.Counts.Due++
		due := l.origin + int64(l.next.Due)
		if t := l.clicker(l.fleet.index(l.next.Slot)); t != nil {
			t.click(l, due)
		} else {
			l.countError("a click was due and no tab was open")
		}
		l.nextClick()
	}
}

// clicker is the tab that makes a click of the one at first: that one, or the next whose page is
// open. Nil: no page is.
func (l *loop) clicker(first int) *tab {
	for i := range l.tabs {
		t := &l.tabs[(first+i)%len(l.tabs)]
		if t.view != nil && !t.slow && !t.hidden && !t.leaving {
			return t
		}
	}
	return nil
}

// move has tabs come and go.
func (l *loop) move(now int64) {
	for len(l.moves) > 0 && l.origin+int64(l.moves[0].At) <= now {
		m := l.moves[0]
		l.moves = l.moves[1:]
		t := &l.tabs[l.fleet.index(m.Slot)]
		switch {
		case m.Leave && t.view != nil:
			t.leaving, t.returns = true, m.Join
			t.leave(l)
		case m.Leave && !m.Join:
			t.wanted = false // its page has not come yet
		case m.Join && !t.wanted:
			t.arrive(l, 0)
		}
	}
}

// dial has the next tabs join or connect, not too many at once.
func (l *loop) dial() {
	for len(l.waiting) > 0 && l.inFlight < maxInFlight {
		t := &l.tabs[l.waiting[0]]
		l.waiting = l.waiting[1:]
		if t.wanted && t.conn == nil && !t.dialing {
			t.dialing = true
			l.inFlight++
			l.fleet.open(l, t)
		}
	}
}

// maxInFlight is how many tabs of a loop join or connect at the same time.
const maxInFlight = 128
