package browser

import (
	"container/heap"
	"fmt"
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
	buffer   []byte
	stop     bool
	waiting  []int32 // tabs that want to join or connect, in turn
	inFlight int     // of these, that do

	clicks  *schedule.Clicks // nil: no load
	next    schedule.Click
	moves   []schedule.Move // that are still to come
	origin  int64           // of the load, ns
	before  []int64         // of each counter, when the load began
	watched int64           // when hanging connections were last looked for

	seen     Observation // since the last
	fronts   []front     // by counter
	replicas []server    // by the number that tabs have of theirs
	excess   []int64     // by counter: how much more than had been clicked was seen
	lastOp   string
	broken   map[Rule]int
	observed int64 // when the last was taken
	idle     int64 // ns waited since
}

// A timer is something that a tab does at a time.
type timer struct {
	at   int64
	tab  int32
	life uint32 // of the tab: a timer of an earlier one is nothing
	what chore
}

// A chore is what a timer is for.
type chore int8

const (
	choreOpen   chore = iota // connect, or join if there is no page
	choreResend              // what the server could not take
	choreRead                // as a slow tab does
)

type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	next, _ := x.(timer) // nothing else is pushed
	*t = append(*t, next)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
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

// ask has f run on the loop and waits for it. False: the loop has ended.
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
		l.tabs[i].disconnect(l)
	}
	l.poll.close()
}

// work does all that is due.
func (l *loop) work() {
	l.mu.Lock()
	posts := l.posts
	l.posts = nil
	l.mu.Unlock()
	for _, f := range posts {
		f()
	}
	now := l.fleet.now()
	for len(l.timers) > 0 && l.timers[0].at <= now {
		t, _ := heap.Pop(&l.timers).(timer) // nothing else was pushed
		if tab := &l.tabs[t.tab]; tab.life == t.life {
			tab.fire(l, t.what, now)
		}
	}
	l.move(now)
	l.click(now)
	if now-l.watched >= int64(time.Second) {
		l.watched = now
		for i := range l.tabs {
			l.tabs[i].watch(l, now)
		}
	}
	l.dial()
}

// due is when there is something to do without being told.
func (l *loop) due() int64 {
	at := l.watched + int64(time.Second)
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

// after has a tab do something later.
func (l *loop) after(t *tab, d time.Duration, what chore) {
	heap.Push(&l.timers, timer{at: l.fleet.now() + int64(d), tab: t.index, life: t.life, what: what})
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
		l.after(t, slowPause, choreRead)
		return
	}
	t.read(l)
}

// load begins: clicks and moves are due from origin on.
func (l *loop) load(origin int64, before []int64) {
	l.origin, l.before = origin, before
	l.clicks = schedule.NewClicks(l.fleet.config.Plan)
	for _, m := range schedule.Moves(l.fleet.config.Plan) {
		if l.fleet.owner(m.Slot) == l.number {
			l.moves = append(l.moves, m)
		}
	}
	l.nextClick()
}

// unload lets go of all clicks and moves to come.
func (l *loop) unload() { l.clicks, l.moves = nil, nil }

// nextClick finds the next click of a tab of this loop. All loops of all processes go through the
// same clicks, so nobody has to tell them which are theirs.
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

// click makes what is due.
func (l *loop) click(now int64) {
	for l.clicks != nil && l.origin+int64(l.next.Due) <= now {
		l.seen.Counts.Due++
		due := l.origin + int64(l.next.Due)
		if t := l.clicker(l.fleet.index(l.next.Slot)); t != nil {
			t.click(l, due)
		} else {
			l.mishap("a click was due and no tab was open")
		}
		l.nextClick()
	}
}

// clicker is the tab that a click is for, or the next whose page is open.
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

// dial lets the next tabs join or connect, not too many at once.
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

// mishap counts what went wrong.
func (l *loop) mishap(cause string) {
	if len(l.seen.Errors) < maxCauses || l.seen.Errors[cause] > 0 {
		l.seen.Errors[cause]++
		return
	}
	l.seen.Errors["others"]++
}

// maxCauses is how many are told apart between two observations.
const maxCauses = 50

// violate notes that a rule was broken.
func (l *loop) violate(rule Rule, format string, args ...any) {
	l.broken[rule]++
	if l.broken[rule] <= maxViolations {
		l.seen.Violations = append(l.seen.Violations, Violation{Rule: rule, Detail: fmt.Sprintf(format, args...)})
	}
}

// observe takes what was seen since the last time.
func (l *loop) observe() Observation {
	now := l.fleet.now()
	o := l.seen
	l.seen = l.emptyObservation()
	l.seen.LastAck = o.LastAck
	clear(l.broken)
	for i := range l.tabs {
		t := &l.tabs[i]
		o.Outstanding += len(t.outbox)
		o.Counters[t.counter].Outstanding += len(t.outbox)
		if !t.wanted {
			continue
		}
		if t.view == nil {
			o.Absent++
			continue
		}
		o.Joined++
		if t.conn != nil {
			o.Connected++
			l.replicas[t.replica].seen.Tabs++
		}
	}
	for i := range l.replicas {
		seen := l.replicas[i].seen
		o.Replicas[l.replicas[i].name] = &seen
		l.replicas[i].seen = Replica{}
	}
	o.Planned = l.clicks == nil && len(l.moves) == 0
	for i := range l.fronts {
		l.fronts[i].observe(&o.Counters[i], now)
	}
	if now > l.observed {
		o.Busy = 1 - float64(l.idle)/float64(now-l.observed)
	}
	l.idle, l.observed = 0, now
	return o
}

func (l *loop) emptyObservation() Observation {
	return Observation{
		Replicas: make(map[string]*Replica), Errors: make(map[string]int), Counters: make([]Counter, len(l.fronts)),
	}
}

// A server is a replica by its name, and what came from it.
type server struct {
	name string
	seen Replica // since the last observation
}

// server is the number of one, which may be new.
func (l *loop) server(name string) int {
	for i := range l.replicas {
		if l.replicas[i].name == name {
			return i
		}
	}
	l.replicas = append(l.replicas, server{name: name})
	return len(l.replicas) - 1
}

// observe adds what the tabs show.
func (f *front) observe(c *Counter, now int64) {
	for _, r := range f.rows {
		c.Tabs += r.tabs
	}
	c.Advances, f.advances = f.advances, nil
	if len(f.rows) > 0 {
		c.Oldest, c.Newest = f.rows[0].state, f.rows[len(f.rows)-1].state
		c.Stalest = float64(f.stalest(now)) / 1e6
	}
}

// behind are the tabs that don't show the state which is wanted of their counter. Slow ones count, too.
func (l *loop) behind(wanted []protocol.State) (tabs []Tab) {
	for i := range l.tabs {
		t := &l.tabs[i]
		if t.view == nil || t.known && t.shown == wanted[t.counter] {
			continue
		}
		tabs = append(tabs, Tab{Slot: t.slot, Replica: t.view.Replica, Counter: t.counter, Shown: t.shown, Connected: t.conn != nil})
	}
	return tabs
}
