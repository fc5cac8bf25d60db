package live

import "container/list"

// turns are the order in which keys are served. They go around those on whose
// behalf keys wait, and of each around its keys, however many each has: whoever
// has a thousand keys waiting waits for that alone. A key that waits on behalf
// of several waits in the shortest of their lines. A key that is being served is
// not served again until it is finished; then it is last of its line.
//
// A line is refused another key when as many wait in it as there is room left
// for all (dynamic thresholds, as in package state): one alone gets half of the room,
// and there is always some for a line that is short. Methods are not safe for
// concurrent use.
type turns struct {
	max    int // keys that wait
	n      int
	places map[string]*place // of keys that wait or are being served
	lines  map[any]*line     // in which keys wait
	order  list.List         // of the lines with a ready key
}

// A line is what waits on behalf of one.
type line struct {
	share any
	n     int       // keys
	ready list.List // places that are not being served
	turn  *list.Element
}

// A place is where a key is.
type place struct {
	key    string
	served bool
	line   *line         // nil: it does not wait
	ready  *list.Element // in line.ready; nil while it is being served
}

func newTurns(most int) *turns {
	return &turns{max: most, places: make(map[string]*place), lines: make(map[any]*line)}
}

// wait makes a key wait on behalf of the shares; none is as one that is nil. They
// must be comparable. It reports false when there is no room for it.
func (t *turns) wait(key string, shares []any) bool {
	share, n := t.shortest(shares)
	p := t.places[key]
	switch {
	case p == nil || p.line == nil:
		if n >= t.max-t.n {
			return false
		}
	case n >= p.line.n-1: // it would not be shorter with the key
		return true
	default:
		t.leave(p)
	}
	if p == nil {
		p = &place{key: key}
		t.places[key] = p
	}
	t.enter(p, share)
	return true
}

// shortest returns the share with the fewest keys waiting, and how many.
func (t *turns) shortest(shares []any) (share any, n int) {
	if len(shares) == 0 {
		shares = []any{nil}
	}
	for i, s := range shares {
		m := 0
		if l := t.lines[s]; l != nil {
			m = l.n
		}
		if i == 0 || m < n {
			share, n = s, m
		}
		if n == 0 {
			break
		}
	}
	return share, n
}

// isReady reports whether next would return a key.
func (t *turns) isReady() bool { return t.order.Len() > 0 }

// next returns the key whose turn it is. finish must follow when it has been
// served. It reports false when there is none.
func (t *turns) next() (key string, ok bool) {
	e := t.order.Front()
	if e == nil {
		return "", false
	}
	l, _ := e.Value.(*line)
	t.order.MoveToBack(e)
	p, _ := l.ready.Front().Value.(*place)
	t.leave(p)
	p.served = true
	return p.key, true
}

// finish says that a key has been served.
func (t *turns) finish(key string) {
	p := t.places[key]
	p.served = false
	if p.line == nil {
		delete(t.places, key)
		return
	}
	t.makeReady(p)
}

// enter puts a key at the end of a line.
func (t *turns) enter(p *place, share any) {
	l := t.lines[share]
	if l == nil {
		l = &line{share: share}
		t.lines[share] = l
	}
	p.line = l
	l.n++
	t.n++
	if !p.served {
		t.makeReady(p)
	}
}

func (t *turns) makeReady(p *place) {
	p.ready = p.line.ready.PushBack(p)
	if p.line.turn == nil {
		p.line.turn = t.order.PushBack(p.line)
	}
}

// leave takes a key out of its line.
func (t *turns) leave(p *place) {
	l := p.line
	if p.ready != nil {
		l.ready.Remove(p.ready)
	}
	p.line, p.ready = nil, nil
	l.n--
	t.n--
	if l.ready.Len() == 0 && l.turn != nil {
		t.order.Remove(l.turn)
		l.turn = nil
	}
	if l.n == 0 {
		delete(t.lines, l.share)
	}
}
