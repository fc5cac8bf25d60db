package former

import "container/list"

// A fairQueue holds ops until their store call. Turns go around the senders
// that have something waiting, and of each around its counters: whoever sends
// a thousand times as much waits for that alone. A turn is one call, and takes
// what waits for its counter from all senders, so many at one counter are as
// cheap as one. It is not safe for concurrent use.
//
// A sender's place is refused when it has as many ops waiting as there is room
// left for all (dynamic thresholds, Choudhury and Hahne 1998): one alone gets
// half of the queue, two a third each, and there is always room for a sender
// that has little.
type fairQueue struct {
	max    int // ops
	n      int // ops in it
	shares map[any]*share
	names  map[string]*waiting
	// turns are the shares that have a ready lane, in the order of their turns.
	turns *list.List
}

// A share is what waits of one sender. It exists while something does.
type share struct {
	key   any
	n     int        // ops
	ready *list.List // lanes whose turn may come, in that order
	turn  *list.Element
}

// A waiting is what waits for one counter. It exists while something does, or
// a call is under way.
type waiting struct {
	name    string
	calling bool // a call is under way; the next one comes after it
	lanes   *list.List
	by      map[*share]*lane
}

// A lane is what waits of one sender for one counter, in the order of Submit.
// It exists while something does.
type lane struct {
	share   *share
	waiting *waiting
	ops     []submitted
	place   *list.Element // in waiting.lanes
	ready   *list.Element // in share.ready; nil: parked until the call under way has ended
}

func newFairQueue(most int) *fairQueue {
	return &fairQueue{max: most, shares: make(map[any]*share), names: make(map[string]*waiting), turns: list.New()}
}

// full reports whether there is no room for an op of a share.
func (q *fairQueue) full(key any) bool {
	sh := q.shares[key]
	return q.n >= q.max || sh != nil && sh.n >= q.max-q.n
}

// push adds an op. There must be room for it.
func (q *fairQueue) push(name string, s submitted) {
	sh := q.shares[s.share]
	if sh == nil {
		sh = &share{key: s.share, ready: list.New()}
		q.shares[s.share] = sh
	}
	w := q.names[name]
	if w == nil {
		w = &waiting{name: name, lanes: list.New(), by: make(map[*share]*lane)}
		q.names[name] = w
	}
	l := w.by[sh]
	if l == nil {
		l = &lane{share: sh, waiting: w}
		l.place = w.lanes.PushBack(l)
		w.by[sh] = l
		if !w.calling {
			q.makeReady(l)
		}
	}
	l.ops = append(l.ops, s)
	sh.n++
	q.n++
}

// isReady reports whether next would return something.
func (q *fairQueue) isReady() bool {
	for e := q.turns.Front(); e != nil; e = q.turns.Front() {
		if sh, _ := e.Value.(*share); q.readyLane(sh) != nil {
			return true
		}
	}
	return false
}

// next takes the ops of the next call, up to maxOps, and the name of their
// counter; no ops means that there is none. finish must follow when the call
// has ended.
func (q *fairQueue) next() (string, []submitted) {
	if !q.isReady() {
		return "", nil
	}
	sh, _ := q.turns.Front().Value.(*share)
	l := q.readyLane(sh)
	sh.ready.MoveToBack(l.ready)
	q.turns.MoveToBack(sh.turn)
	l.waiting.calling = true
	l.waiting.lanes.MoveToFront(l.place) // it is its turn
	return l.waiting.name, q.take(l.waiting)
}

// readyLane returns the lane of a share whose turn is next. It parks those of
// counters with a call under way, and ends the share's turns when none is left.
func (q *fairQueue) readyLane(sh *share) *lane {
	for e := sh.ready.Front(); e != nil; e = sh.ready.Front() {
		l, _ := e.Value.(*lane)
		if !l.waiting.calling {
			return l
		}
		q.park(l)
	}
	return nil
}

// take removes up to maxOps of a counter's ops, as many of each sender as of
// every other, and those of a sender in their order.
func (q *fairQueue) take(w *waiting) []submitted {
	var batch []submitted
	for w.lanes.Len() > 0 && len(batch) < maxOps {
		each := max(1, (maxOps-len(batch))/w.lanes.Len())
		for range w.lanes.Len() {
			l, _ := w.lanes.Front().Value.(*lane)
			n := min(each, len(l.ops), maxOps-len(batch))
			batch = append(batch, l.ops[:n]...)
			q.drop(l, n)
			if len(batch) == maxOps {
				break
			}
		}
	}
	return batch
}

// drop removes the first n ops of a lane, which then is the last in its
// counter's order.
func (q *fairQueue) drop(l *lane, n int) {
	clear(l.ops[:n]) // what they hold may go
	l.ops = l.ops[n:]
	l.share.n -= n
	q.n -= n
	if len(l.ops) > 0 {
		l.waiting.lanes.MoveToBack(l.place)
		return
	}
	q.park(l)
	l.waiting.lanes.Remove(l.place)
	delete(l.waiting.by, l.share)
	if l.share.n == 0 {
		delete(q.shares, l.share.key)
	}
}

// finish lets the next call for a counter come.
func (q *fairQueue) finish(name string) {
	w := q.names[name]
	w.calling = false
	if w.lanes.Len() == 0 {
		delete(q.names, name)
		return
	}
	for e := w.lanes.Front(); e != nil; e = e.Next() {
		if l, _ := e.Value.(*lane); l.ready == nil {
			q.makeReady(l)
		}
	}
}

// makeReady puts a lane among those whose turn may come.
func (q *fairQueue) makeReady(l *lane) {
	l.ready = l.share.ready.PushBack(l)
	if l.share.turn == nil {
		l.share.turn = q.turns.PushBack(l.share)
	}
}

// park takes a lane from among those whose turn may come.
func (q *fairQueue) park(l *lane) {
	if l.ready == nil {
		return
	}
	l.share.ready.Remove(l.ready)
	l.ready = nil
	if l.share.ready.Len() == 0 {
		q.turns.Remove(l.share.turn)
		l.share.turn = nil
	}
}
