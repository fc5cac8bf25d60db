package state

import (
	"container/list"
	"time"
)

// A Sender is on whose behalf ops are sent: what is scarce at the store is
// shared out between senders, not between ops. A nil Sender is one that all
// ops without any are of, and may do everything. Its methods may be called
// concurrently and must not block. When one panics the op is not taken, and is to
// be sent again; what ReturnLane could not take back stays counted.
type Sender interface {
	// Share returns what the sender is told apart by: ops whose shares are
	// equal take their turns at the store together. It must be comparable, and
	// equal to itself. It is called once for each op.
	Share() any
	// NewTopic reports whether the sender may make one more topic, and counts it
	// if so. It is called before its op would make one.
	NewTopic() bool
	// TakeLane reports whether the store may keep one more lane of the sender, and
	// counts it if so. It is called before an op that may make one.
	TakeLane() bool
	// OweLanes takes in that lanes of the sender have grown by as much as n more
	// would take: why ops were refused is kept with them. It can't say no; a sender
	// that owes too much makes no lanes for a while.
	OweLanes(n int)
	// ReturnLane takes back one TakeLane, or one of OweLanes: the op has made no
	// lane, or it has become smaller.
	ReturnLane()
}

// A submitted op waits for its store call.
type submitted struct {
	from  Sender
	share any // of from; nil without one
	op    Op
	done  func(Answer)
	at    time.Time // of Submit
	lane  bool      // TakeLane was asked, and said yes
}

// A fairQueue holds ops until their store call. Turns go around the senders
// that have something waiting, and of each around its topics: whoever sends
// a thousand times as much waits for that alone. A turn is one call, and takes
// what waits for its topic from all senders, so many at one topic are as
// cheap as one. It is not safe for concurrent use.
//
// A sender has one call under way at a time, in which it has maxTurns turns at
// most: so the store has little to do before it comes to what somebody else has
// just sent.
//
// A sender's place is refused when it has as many ops waiting as there is room
// left for all (dynamic thresholds, Choudhury and Hahne 1998): one alone gets
// half of the queue, two a third each, and there is always room for a sender
// that has little.
type fairQueue struct {
	max    int // ops
	n      int // ops in it
	shares map[any]*share
	topics map[string]*waiting
	lines  map[lineKey]*line
	// turns are the shares that have a ready line, and may have one more turn, in the
	// order of their turns.
	turns list.List
}

// A lineKey is whose line it is, and for what.
type lineKey struct {
	share *share
	topic *waiting
}

// maxTurns is how many topics a sender has in a call. With as many as a call takes,
// in four calls, others waited ten times as long as alone, and more; now it is five
// times at most, whatever a store costs (statetest.BenchmarkShares).
const maxTurns = 4

// A share is what waits of one sender, and is under way in its turns. It exists
// while something does.
type share struct {
	key   any
	n     int       // ops
	calls int       // topics of its turns in calls under way
	sent  bool      // a call with some of them is on its way: no more go with it
	ready list.List // lines whose turn may come, in that order
	turn  *list.Element
}

// mayCall reports whether a share may have one more turn. What is nobody's in
// particular always may.
func (sh *share) mayCall() bool { return sh.key == nil || !sh.sent && sh.calls < maxTurns }

// A waiting is what waits for one topic. It exists while something does, or
// a call is under way.
type waiting struct {
	topic   string
	calling bool // a call is under way; the next one comes after it
	lines   list.List
}

// A line is what waits of one sender for one topic, in the order of Submit.
// It exists while something does.
type line struct {
	share   *share
	waiting *waiting
	ops     []submitted
	place   *list.Element // in waiting.lines
	ready   *list.Element // in share.ready; nil: parked until the call under way has ended
}

func newFairQueue(most int) *fairQueue {
	return &fairQueue{max: most, shares: make(map[any]*share), topics: make(map[string]*waiting), lines: make(map[lineKey]*line)}
}

// full reports whether there is no room for an op of a share.
func (q *fairQueue) full(key any) bool {
	sh := q.shares[key]
	return q.n >= q.max || sh != nil && sh.n >= q.max-q.n
}

// push adds an op. There must be room for it.
func (q *fairQueue) push(topic string, s submitted) {
	sh := q.shares[s.share]
	if sh == nil {
		sh = &share{key: s.share}
		q.shares[s.share] = sh
	}
	w := q.topics[topic]
	if w == nil {
		w = &waiting{topic: topic}
		q.topics[topic] = w
	}
	l := q.lines[lineKey{sh, w}]
	if l == nil {
		l = &line{share: sh, waiting: w}
		l.place = w.lines.PushBack(l)
		q.lines[lineKey{sh, w}] = l
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
		if sh, _ := e.Value.(*share); q.readyLine(sh) != nil {
			return true
		}
	}
	return false
}

// next takes the ops of the next call of a topic, up to MaxMoves, in the turn of a
// share; no ops means that there is none. back must follow when the call has ended,
// and release when the next of the topic may come.
func (q *fairQueue) next() (topic string, ops []submitted, turn *share) {
	if !q.isReady() {
		return "", nil, nil
	}
	sh, _ := q.turns.Front().Value.(*share)
	l := q.readyLine(sh)
	sh.ready.MoveToBack(l.ready)
	q.turns.MoveToBack(sh.turn)
	l.waiting.calling = true
	l.waiting.lines.MoveToFront(l.place) // it is its turn
	q.call(sh)
	return l.waiting.topic, q.take(l.waiting, MaxMoves), sh
}

// call takes in that a topic of a share's turn goes into a call, for the first
// time or again.
func (q *fairQueue) call(sh *share) {
	sh.calls++
	q.setTurn(sh)
}

// send takes in that a call with topics of a share's turns is complete.
func (q *fairQueue) send(sh *share) {
	sh.sent = true
	q.setTurn(sh)
}

// back takes in that the call has ended.
func (q *fairQueue) back(sh *share) {
	sh.calls--
	sh.sent = sh.sent && sh.calls > 0
	q.setTurn(sh)
	q.drop(sh)
}

// setTurn has a share take turns if it may and has something for them.
func (q *fairQueue) setTurn(sh *share) {
	switch may := sh.ready.Len() > 0 && sh.mayCall(); {
	case may && sh.turn == nil:
		sh.turn = q.turns.PushBack(sh)
	case !may && sh.turn != nil:
		q.turns.Remove(sh.turn)
		sh.turn = nil
	}
}

// drop forgets a share of which nothing waits and nothing is under way.
func (q *fairQueue) drop(sh *share) {
	if sh.n == 0 && sh.calls == 0 {
		delete(q.shares, sh.key)
	}
}

// readyLine returns the line of a share whose turn is next. It parks those of
// topics with a call under way, and ends the share's turns when none is left.
func (q *fairQueue) readyLine(sh *share) *line {
	for e := sh.ready.Front(); e != nil; e = sh.ready.Front() {
		l, _ := e.Value.(*line)
		if !l.waiting.calling {
			return l
		}
		q.park(l)
	}
	return nil
}

// more takes up to so many ops of a topic with a call under way.
func (q *fairQueue) more(topic string, most int) []submitted {
	return q.take(q.topics[topic], most)
}

// take removes up to so many of a topic's ops, as many of each sender as of
// every other, and those of a sender in their order.
func (q *fairQueue) take(w *waiting, most int) []submitted {
	var batch []submitted
	for w.lines.Len() > 0 && len(batch) < most {
		each := max(1, (most-len(batch))/w.lines.Len())
		for range w.lines.Len() {
			l, _ := w.lines.Front().Value.(*line)
			n := min(each, len(l.ops), most-len(batch))
			if batch == nil && n == len(l.ops) {
				batch, l.ops = l.ops, l.ops[:0:0] // whole, as it mostly is
			} else {
				batch = append(batch, l.ops[:n]...)
				clear(l.ops[:n]) // what they hold may go
				l.ops = l.ops[n:]
			}
			q.dropped(l, n)
			if len(batch) == most {
				break
			}
		}
	}
	return batch
}

// dropped takes in that n ops have left a line, which then is the last in its
// topic's order.
func (q *fairQueue) dropped(l *line, n int) {
	l.share.n -= n
	q.n -= n
	if len(l.ops) > 0 {
		l.waiting.lines.MoveToBack(l.place)
		return
	}
	q.park(l)
	l.waiting.lines.Remove(l.place)
	delete(q.lines, lineKey{l.share, l.waiting})
	q.drop(l.share)
}

// release lets the next call for a topic come.
func (q *fairQueue) release(topic string) {
	w := q.topics[topic]
	w.calling = false
	if w.lines.Len() == 0 {
		delete(q.topics, topic)
		return
	}
	for e := w.lines.Front(); e != nil; e = e.Next() {
		if l, _ := e.Value.(*line); l.ready == nil {
			q.makeReady(l)
		}
	}
}

// makeReady puts a line among those whose turn may come.
func (q *fairQueue) makeReady(l *line) {
	l.ready = l.share.ready.PushBack(l)
	q.setTurn(l.share)
}

// park takes a line from among those whose turn may come.
func (q *fairQueue) park(l *line) {
	if l.ready == nil {
		return
	}
	l.share.ready.Remove(l.ready)
	l.ready = nil
	q.setTurn(l.share)
}
