package lanetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// Times. Virtual time costs nothing, so they are the real ones where those are
// constants; lifetimes are short for lanes to be forgotten at all.
const (
	opLifetime   = 20 * time.Minute // how old an op may be
	lifetime     = 23 * time.Minute // of a lane
	doneLifetime = 4 * time.Minute  // state.Fresh, two skews, the latest call, and little more
	skew         = 30 * time.Second // of a replica's clock, either way
	latestCall   = 30 * time.Second // how late a call of the store is executed at most
	callTimeout  = 250 * time.Millisecond
	patience     = 2 * time.Second
	beat         = 20 * time.Second // between two words of a server's clock

	topics    = 3
	window    = 8 // ops that a page may have unanswered on a topic
	histories = 14
)

// A design says what of the model is as it should be: the zero design is. Each
// field is a mutant of it.
type design struct {
	fromMemory bool // from passes an answer before its removal from the outbox is durable
	staleFrom  bool // an op that is sent again has the from of its first sending
	renumber   bool // who adopts an op gives it an identity of its own
	perTab     bool // the client lives in sessionStorage
	adoptShown bool // only ops of the topic on the page are adopted
	adoptOnce  bool // a page adopts when it starts, and never again
	noOrder    bool // outbox writes become durable in any order
	relaxed    bool // a crash may undo the outbox's newest changes
	noAge      bool // the browser's clock was set back: age is 0
	longCall   bool // a call of the store may be later than a lane that is done lives
	finMemory  bool // what is sent again is not looked up in the outbox
	lateStamp  bool // the stamp is of the moment of sending, not from before the reading
	finEarly   bool // fin is sent before the last removal is durable
	finShort   bool // lanes that are done go earlier than a stamp is too old

	// What must not matter.
	noLocks  bool // every page takes every op for an orphan
	retryOne bool // on "retry" that op alone is sent again
}

// A sim is one run. All of it belongs to the goroutine that runs it, but for
// what mu guards: batchers call from goroutines of their own.
//
// A run is the same each time for a seed as far as Go's scheduler lets it: each
// event has an instant of its own, and what batchers do then is taken in when
// all of them wait.
type sim struct {
	design
	rng   *rand.Rand
	began time.Time

	events   []event // a heap
	order    int
	calm     bool // faults have stopped
	busy     bool // people click
	level    float64
	jumped   bool // the store's clock has, forwards
	store    *store
	replicas []*replica
	closing  sync.WaitGroup // of replicas that have ended
	browsers []*browser
	ops      []*op
	byName   map[string]*op
	pages    int
	history  int // how often data were lost
	breach   string
	lines    []string
	tally    tally

	wake  chan struct{} // something is in inbox
	mu    sync.Mutex    // guards inbox
	inbox []news
}

// A tally says what has happened, so that a test sees that it did.
type tally struct {
	clicks, applied, refused, settled, old, oldApplied, lost, sends, calls, conflicts, fins, losses int
}

func (a *tally) add(b tally) {
	a.clicks += b.clicks
	a.applied += b.applied
	a.refused += b.refused
	a.settled += b.settled
	a.old += b.old
	a.oldApplied += b.oldApplied
	a.lost += b.lost
	a.sends = max(a.sends, b.sends)
	a.calls += b.calls
	a.conflicts += b.conflicts
	a.fins += b.fins
	a.losses += b.losses
}

// news is what a batcher has done.
type news struct {
	replica int
	do      func()
}

// tell puts something into the inbox, from any goroutine.
func (s *sim) tell(replica int, do func()) {
	s.mu.Lock()
	s.inbox = append(s.inbox, news{replica, do})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// collect takes in what the batchers have done, and reports whether there was
// anything.
func (s *sim) collect() bool {
	s.mu.Lock()
	list := s.inbox
	s.inbox = nil
	s.mu.Unlock()
	slices.SortStableFunc(list, func(a, b news) int { return a.replica - b.replica })
	for _, n := range list {
		n.do()
	}
	return len(list) > 0
}

// ---- time and chance ----

type event struct {
	at    time.Duration
	order int
	do    func()
}

func (e event) before(f event) bool { return e.at < f.at || e.at == f.at && e.order < f.order }

func (s *sim) now() time.Duration { return time.Since(s.began) }

// after has something done later, at an instant of its own.
func (s *sim) after(d time.Duration, do func()) {
	s.order++
	h := append(s.events, event{s.now() + max(d, 0) + time.Duration(s.rng.IntN(1000)), s.order, do})
	for i := len(h) - 1; i > 0 && h[i].before(h[(i-1)/2]); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
	s.events = h
}

// next takes the first event from the heap.
func (s *sim) next() event {
	h := s.events
	e := h[0]
	n := len(h) - 1
	h[0], h[n] = h[n], event{}
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c+1 < n && h[c+1].before(h[c]) {
			c++
		}
		if c >= n || !h[c].before(h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	s.events = h
	return e
}

// until has everything happen that is due before a time, unless something
// breaks.
func (s *sim) until(at time.Duration) {
	for s.breach == "" {
		synctest.Wait() // all batchers wait, and what they did is in the inbox
		switch {
		case s.collect():
		case len(s.events) == 0 || s.events[0].at > at:
			if s.sleep(at) {
				return
			}
		case s.sleep(s.events[0].at):
			s.next().do()
		}
	}
}

// sleep returns true at a time, or false when something is in the inbox before.
func (s *sim) sleep(at time.Duration) bool {
	d := at - s.now()
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.wake:
		return false
	}
}

func (s *sim) maybe(p float64) bool  { return s.rng.Float64() < p }
func (s *sim) chance(p float64) bool { return !s.calm && s.rng.Float64() < p*s.level } // of a fault
func (s *sim) pick(n int) int        { return s.rng.IntN(n) }

// ms is a random time, of milliseconds.
func (s *sim) ms(a, b int64) time.Duration {
	return time.Duration(a)*time.Millisecond + time.Duration(s.rng.Int64N((b-a)*int64(time.Millisecond)+1))
}

func (s *sim) log(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf("%12v  ", s.now())+fmt.Sprintf(format, args...))
}

// wire is how long a message takes.
func (s *sim) wire() time.Duration {
	if s.chance(0.08) {
		return s.ms(50, 1500)
	}
	return s.ms(1, 20)
}

// ---- what happens ----

// simulate runs a seed to its end, or until something breaks. It is called in a
// bubble.
func simulate(d design, seed uint64) *sim {
	s := &sim{design: d, rng: rand.New(rand.NewPCG(seed, 1)), began: time.Now(), byName: map[string]*op{}, wake: make(chan struct{}, 1)}
	s.level = []float64{0.3, 1, 1, 2}[s.pick(4)]
	s.store = newStore(s)
	for i := range 3 {
		s.replicas = append(s.replicas, newReplica(s, i))
	}
	defer s.end()
	for i := range 1 + s.pick(2) {
		b := &browser{sim: s, id: i}
		s.browsers = append(s.browsers, b)
		for range 1 + s.pick(3) {
			b.open(nil)
		}
	}
	clicks := []int{3, 8, 16, 30}[s.pick(4)]
	for range 1 + s.pick(3) {
		s.work(s.ms(500, 5000), clicks)
		gap := s.gap()
		if gap > 2*time.Minute {
			s.evening()
		}
		s.until(s.now() + gap)
	}
	s.settle()
	s.tally.clicks = len(s.ops)
	return s
}

// gap is the time between two spells of work.
func (s *sim) gap() time.Duration {
	switch s.pick(4) {
	case 0:
		return 0
	case 1:
		return s.ms(0, 60_000)
	case 2:
		return s.ms(120_000, 1_100_000)
	}
	return s.ms(1_200_000, 4_200_000)
}

// evening has some people close their browsers, which end before all is written.
func (s *sim) evening() {
	for _, b := range s.browsers {
		if s.maybe(0.4) {
			b.quit()
		}
	}
}

// end ends all batchers, and waits for them.
func (s *sim) end() {
	for _, r := range s.replicas {
		r.stop()
	}
	s.closing.Wait()
}

// work has people click and faults happen for a time.
func (s *sim) work(spell time.Duration, clicks int) {
	s.busy = true
	for range 1 + s.pick(clicks) {
		s.after(s.ms(0, spell.Milliseconds()), s.human)
	}
	for range int(s.level * float64(1+s.pick(8))) {
		s.after(s.ms(0, spell.Milliseconds()), s.fault)
	}
	s.until(s.now() + spell)
	s.busy = false
}

// human clicks, once or some times.
func (s *sim) human() {
	p := s.page()
	if !p.awake() {
		return
	}
	for range 1 + s.pick(3) {
		do := actions[s.pick(len(actions))]
		s.after(s.ms(0, 30), func() {
			if p.awake() {
				p.click(do)
			}
		})
	}
}

// page is any page; a browser that has none opens one.
func (s *sim) page() *page {
	b := s.browsers[s.pick(len(s.browsers))]
	if len(b.tabs) == 0 {
		return b.open(nil)
	}
	return b.tabs[s.pick(len(b.tabs))]
}

func (s *sim) fault() {
	p := s.page()
	switch s.pick(17) {
	case 0, 1, 2:
		p.disconnect(true)
	case 3: // reload
		p.end(s.maybe(0.5))
		p.open(p)
	case 4: // close; the next one who looks opens a page
		p.end(s.maybe(0.5))
	case 5:
		p.browser.crash()
	case 6: // duplicate
		p.open(p)
	case 7, 8:
		s.freeze(p)
	case 9:
		s.replicas[s.pick(len(s.replicas))].crash()
	case 10:
		s.store.backUp()
	case 11:
		s.store.lose(s.maybe(0.4))
	case 12:
		if s.maybe(0.5) {
			p.giveUp()
		} else {
			p.withdraw()
		}
	case 13: // everybody loses the connection at once
		for _, b := range s.browsers {
			for _, p := range b.tabs {
				p.disconnect(true)
			}
		}
	case 14:
		s.store.jump()
	case 15:
		s.overhear()
	case 16:
		p.leaving = true
	}
}

// freeze stops a page for a while, as browsers do.
func (s *sim) freeze(p *page) {
	if !p.awake() {
		return
	}
	if s.maybe(0.5) {
		p.click("inc") // that is not answered yet
	}
	p.freeze()
	most := int64(4000)
	if s.maybe(0.6) {
		most = 960_000
	}
	s.after(s.ms(50, most), func() {
		if !p.dead && p.frozen {
			p.thaw()
		}
	})
}

// overhear has a replica read records, as its rooms do.
func (s *sim) overhear() {
	r := s.replicas[s.pick(len(s.replicas))]
	for t := range topics {
		r.learn(t, s.store.record(t))
	}
}

// settle stops the faults, has every browser opened, and waits for everything
// to be answered.
func (s *sim) settle() {
	s.calm, s.busy = true, true
	s.log("---- faults stop")
	for _, b := range s.browsers {
		for _, p := range slices.Clone(b.tabs) {
			p.leaving = false
			switch {
			case p.frozen && s.maybe(0.5):
				p.end(true)
			case p.frozen:
				p.thaw()
			default:
				p.disconnect(true) // none sleeps
			}
		}
		if len(b.tabs) == 0 {
			b.open(nil)
		}
	}
	for end := s.now() + opLifetime/4; s.breach == "" && s.now() < end && !s.idle(); {
		s.until(s.now() + time.Second)
	}
	if o := s.owed(); o != nil {
		s.fail("2 blocked: %v is never answered", o)
	} else if !s.idle() {
		s.fail("2 blocked: the outbox is never empty")
	}
	for _, o := range s.ops {
		if !o.durable {
			s.tally.lost++
		}
		s.tally.sends = max(s.tally.sends, o.sends)
	}
}

// owed is an op that was durable and has no answer.
func (s *sim) owed() *op {
	for _, o := range s.ops {
		if o.durable && !o.answered && !o.gaveUp {
			return o
		}
	}
	return nil
}

func (s *sim) idle() bool {
	for _, b := range s.browsers {
		if len(b.outbox) > 0 {
			return false
		}
	}
	return s.owed() == nil
}
