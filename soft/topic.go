package soft

import "time"

// peerMemory is how long a replica is remembered after its last word, so that what it has
// said does not count when it comes again.
const peerMemory = 10 * time.Minute

// maxPeers is how many other replicas are listened to in one topic.
const maxPeers = 1024

// A topic is what is known of one. Soft.mu guards it.
type topic[V any] struct {
	// set once
	name   string
	handle string // its session at the hub

	watchers  int
	deserted  time.Time // when the last watcher has left
	listening bool      // subscribed at the hub
	ask       bool      // the others are to be asked what they have
	answer    bool      // another has asked
	answered  time.Time

	values  map[string]*value[V] // by owner
	origins map[any]int          // how many of them are of each
	peers   map[string]peer      // by replica
	// tell are values to be broadcast, and show those for Next: the one that waits longest
	// first, each once. What it is is looked up when its turn has come: the newest wins.
	tell, show []*value[V]
	frames     uint64    // that Next has returned
	pulled     time.Time // when Next was called last; zero: nobody calls it, and show is empty
}

// A value is what an owner has.
type value[V any] struct {
	owner string
	v     V
	raw   []byte // v as JSON; not changed, but replaced
	from  string // the replica that has said it; "": this one

	origin any // on whose behalf it was set here; nil: nobody's in particular
	set    time.Time
	gone   bool // there is none any more; kept until all have been told

	telling, showing bool // in topic.tell, topic.show
	told, shown      time.Time
}

// A peer is another replica.
type peer struct {
	number uint64 // of its last broadcast
	heard  time.Time
}

func newTopic[V any](name string, serial uint64) *topic[V] {
	return &topic[V]{
		name: name, handle: handleOf(name, serial), values: make(map[string]*value[V]), origins: make(map[any]int), peers: make(map[string]peer),
	}
}

// count makes a value one of an origin.
func (t *topic[V]) count(e *value[V], origin any) {
	if e.origin == origin {
		return
	}
	if e.origin != nil {
		if t.origins[e.origin]--; t.origins[e.origin] == 0 {
			delete(t.origins, e.origin)
		}
	}
	if e.origin = origin; origin != nil {
		t.origins[origin]++
	}
}

// news takes note of a broadcast. It reports false when it is not news: its number is not
// beyond the last one's, or there are too many replicas.
func (t *topic[V]) news(replica string, number uint64, now time.Time) bool {
	one, known := t.peers[replica]
	if known && number <= one.number || !known && len(t.peers) >= maxPeers {
		return false
	}
	t.peers[replica] = peer{number, now}
	return true
}

// forget removes what is gone and waits for nothing, and replicas that are silent.
func (t *topic[V]) forget(now time.Time) {
	for owner, e := range t.values {
		if e.gone && !e.telling && !e.showing {
			t.count(e, nil)
			delete(t.values, owner)
		}
	}
	for replica, one := range t.peers {
		if now.Sub(one.heard) > peerMemory {
			delete(t.peers, replica)
		}
	}
}

// pop takes the first value of a queue.
func pop[V any](queue *[]*value[V]) *value[V] {
	e := (*queue)[0]
	(*queue)[0] = nil
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil
	}
	return e
}

// queueTell has a value broadcast. The caller holds mu.
func (s *Soft[V]) queueTell(t *topic[V], e *value[V]) {
	if !e.telling {
		e.telling = true
		t.tell = append(t.tell, e)
	}
	s.wakeTell(t)
}

// queueShow has a value in what Next returns. The caller holds mu.
func (s *Soft[V]) queueShow(t *topic[V], e *value[V]) {
	if !e.showing && !t.pulled.IsZero() {
		e.showing = true
		t.show = append(t.show, e)
	}
	s.wakeShow(t)
}

// remove makes a value one that is gone, and has it shown. The caller holds mu.
func (s *Soft[V]) remove(t *topic[V], e *value[V]) {
	var none V
	e.gone, e.v, e.raw = true, none, nil
	s.queueShow(t, e)
}

func (s *Soft[V]) wakeTell(t *topic[V]) {
	s.loud[t] = struct{}{}
	wake(s.tell)
}

func (s *Soft[V]) wakeShow(t *topic[V]) {
	s.fresh[t] = struct{}{}
	wake(s.show)
}

func wake(kick chan struct{}) {
	select {
	case kick <- struct{}{}:
	default: // it is awake
	}
}

// pull takes note of a call of Next. The first is told everything. The caller holds mu.
func (s *Soft[V]) pull(t *topic[V], now time.Time) {
	first := t.pulled.IsZero()
	t.pulled = now
	for _, e := range t.values {
		if first && !e.gone {
			s.queueShow(t, e)
		}
	}
}

// release forgets what waits for Next: nobody calls it any more. The caller holds mu.
func (t *topic[V]) release() {
	for _, e := range t.show {
		e.showing = false
	}
	t.show, t.pulled = nil, time.Time{}
}

// sweep forgets what is too old, and has repeated what may have been lost: it tells of the
// values of this replica again, and shows all again, well before others forget them.
func (s *Soft[V]) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.topics {
		for _, e := range t.values {
			s.review(t, e, now)
		}
		if len(t.show) > 0 && now.Sub(t.pulled) >= s.opts.TTL {
			t.release()
		}
		t.forget(now)
		if !t.listening || t.watchers == 0 && now.Sub(t.deserted) >= s.opts.TTL {
			s.wakeTell(t)
		}
	}
}

// review is sweep for one value. The caller holds mu.
func (s *Soft[V]) review(t *topic[V], e *value[V], now time.Time) {
	switch {
	case e.gone:
	case now.Sub(e.set) >= s.opts.TTL: // the others know it by themselves
		s.remove(t, e)
	default:
		if e.from == "" && now.Sub(e.told) >= s.opts.TTL/3 {
			s.queueTell(t, e)
		}
		if !t.pulled.IsZero() && now.Sub(e.shown) >= s.opts.TTL/2 {
			s.queueShow(t, e)
		}
	}
}
