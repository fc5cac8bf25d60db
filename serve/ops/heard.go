package ops

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxReplicas is how many replicas are remembered, those that are gone among them.
	maxReplicas = 64
	// goneFor is how long one is remembered that is gone.
	goneFor = steps * step
	// pointsKept is how many seconds of a course are kept.
	pointsKept = 60
	// silentAfter is how long a replica may say nothing until that is shown.
	silentAfter = 2500 * time.Millisecond
	// maxGone is how many events are remembered that others tell of nobody.
	maxGone = 50
)

// heard is what this replica has heard of all, itself among them, while somebody looked. It may be
// used concurrently.
type heard struct {
	mu       sync.Mutex
	replicas map[string]*replica // by id
	went     []event
	courses  map[string]*course // by key: of topics and tabs
}

// A replica is one that was heard.
type replica struct {
	row    row
	seen   time.Time // when it has said something new
	gone   bool      // it says nothing any more
	course course
	top    top
	lines  map[string]line
	events []event
}

// A course is what a counter was in the last minute.
type course struct{ points []point }

// A point is one of them.
type point struct {
	at                      int64 // ms of the replica's clock
	clicks, messages, bytes uint64
}

func newHeard() *heard {
	return &heard{replicas: make(map[string]*replica), courses: make(map[string]*course)}
}

// take takes in what a replica says.
func (h *heard) take(v said, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := v.from()
	r := h.replicas[id]
	if r == nil {
		if id == "" || v.Row == nil && v.Line == nil || len(h.replicas) >= maxReplicas {
			return
		}
		r = &replica{lines: make(map[string]line), seen: now}
		h.replicas[id] = r
	}
	switch {
	case v.Row != nil && (v.Row.At != r.row.At || r.row.ID == ""):
		r.row, r.seen, r.gone = *v.Row, now, false
		r.course.add(point{v.Row.At, v.Row.Clicks, v.Row.Messages, v.Row.Bytes})
	case v.Top != nil:
		r.top = *v.Top
	case v.Line != nil && slices.Contains(lines(), v.Line.Of) && len(v.Line.Values) <= steps:
		r.lines[v.Line.Of] = *v.Line
		r.row.ID, r.row.Name = id, cmp.Or(r.row.Name, v.Line.Name)
	case v.Events != nil:
		r.events = v.Events[:min(len(v.Events), maxEvents)]
	}
}

// add adds a point, if it is about a second after the last.
func (c *course) add(p point) {
	if n := len(c.points); n > 0 && p.at-c.points[n-1].at < (every-every/10).Milliseconds() {
		return
	}
	c.points = append(c.points, p)
	c.points = slices.Clone(c.points[max(0, len(c.points)-pointsKept-1):])
}

// rate is by how much something grows in a second now.
func (c *course) rate(of func(point) uint64) float64 {
	n := len(c.points)
	if n < 2 {
		return 0
	}
	from, to := c.points[max(0, n-3)], c.points[n-1] // of two seconds: a row may come a little late
	return perSecond(of(from), of(to), from.at, to.at)
}

// values are by how much it has grown in each second of the last minute.
func (c *course) values(of func(point) uint64) (all []float64) {
	for i := 1; i < len(c.points); i++ {
		from, to := c.points[i-1], c.points[i]
		all = append(all, digits(perSecond(of(from), of(to), from.at, to.at)))
	}
	return all
}

func clicksOf(p point) uint64   { return p.clicks }
func messagesOf(p point) uint64 { return p.messages }
func bytesOf(p point) uint64    { return p.bytes }

// keep adds to the course of a topic or a tab.
func (h *heard) keep(key string, values iter.Seq2[string, said], now time.Time) {
	if !strings.HasPrefix(key, topicKey) && !strings.HasPrefix(key, tabKey) {
		return
	}
	p := point{at: now.UnixMilli()}
	for _, v := range values {
		if v.Topic != nil {
			p.messages += v.Topic.Messages
		}
		if v.Tab != nil {
			p.messages, p.bytes = v.Tab.Messages, v.Tab.Bytes
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.courses[key]
	if c == nil && len(h.courses) >= maxKeys {
		return
	}
	if c == nil {
		c = new(course)
		h.courses[key] = c
	}
	c.add(p)
}

// judge finds out which replicas are gone, and forgets what is old.
func (h *heard) judge(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.replicas {
		quiet := now.Sub(r.seen)
		if !r.gone && r.row.At > 0 && quiet > ttl+every {
			r.gone = true
			h.went = append(h.went, event{r.seen.UnixMilli(), id, r.row.Name, "says nothing any more"})
			h.went = slices.Clone(h.went[max(0, len(h.went)-maxGone):])
		}
		if quiet > goneFor {
			delete(h.replicas, id)
		}
	}
	for key, c := range h.courses {
		if n := len(c.points); n > 0 && now.UnixMilli()-c.points[n-1].at > ttl.Milliseconds() {
			delete(h.courses, key)
		}
	}
}

// rest is the beginning of a time in which nobody looks: that others say nothing means nothing.
func (h *heard) rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.replicas {
		if !r.gone {
			delete(h.replicas, id)
		}
	}
	clear(h.courses)
}

// all returns what is known of the replicas, in the order of their names, those that are there
// first.
func (h *heard) all() []replica {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []replica
	for _, r := range h.replicas {
		c := *r
		c.lines = maps.Clone(r.lines)
		c.course.points = slices.Clone(r.course.points)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b replica) int {
		return cmp.Or(compareBool(a.gone, b.gone), cmp.Compare(a.row.Name, b.row.Name), cmp.Compare(a.row.ID, b.row.ID))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// course returns that of a topic or a tab.
func (h *heard) course(key string) course {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.courses[key]; c != nil {
		return course{slices.Clone(c.points)}
	}
	return course{}
}

// events returns what has happened in the last fifteen minutes, the newest first.
func (h *heard) events(now time.Time) (all []event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all = slices.Clone(h.went)
	for _, r := range h.replicas {
		all = append(all, r.events...)
	}
	all = slices.DeleteFunc(all, func(e event) bool { return now.Sub(time.UnixMilli(e.At)) > goneFor })
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Text, b.Text))
	})
	return all
}
