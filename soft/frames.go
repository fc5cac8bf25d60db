package soft

import (
	"strconv"
	"time"
)

// maxWhole is about how many bytes Whole returns at most. What does not fit is shown again
// within half a TTL.
const maxWhole = 64 << 10

// Next returns what has changed in a topic since it was called last, as JSON for those who
// were told all the while; nil: nothing has.
//
//	{"n":7,"is":{"owner":value,…},"gone":["owner",…]}
//
// n grows with each call that has something, and is not below the time in ms: a tab without a
// websocket is told by several replicas, and what one says must not be older for what another has
// said. All is repeated within half a TTL, so that one
// who has missed some knows what there is after that; what was not repeated for a whole
// TTL is gone.
func (s *Soft[V]) Next(topic string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topic]
	if t == nil {
		return nil
	}
	now := time.Now()
	if s.pull(t, now); len(t.show) == 0 {
		return nil
	}
	t.frames = max(t.frames+1, uint64(max(now.UnixMilli(), 0)))
	b := begin(t.frames, false)
	var gone []*value[V]
	comma := ""
	for n := 0; len(t.show) > 0 && n < s.opts.MaxFrame; {
		e := pop(&t.show)
		e.showing, e.shown = false, now
		s.stats.shown.Add(1)
		if e.gone {
			gone = append(gone, e)
			n += len(e.owner) + 3
			continue
		}
		b = appendValue(b, comma, e)
		comma = ","
		n += len(e.owner) + len(e.raw) + 4
	}
	s.stats.frames.Add(1)
	if len(t.show) > 0 {
		s.wakeShow(t)
	}
	return end(b, gone)
}

// Whole returns all that there is in a topic, for one who has just come: as Next, and
// "all":true. What Next has returned under this n and before is in it.
func (s *Soft[V]) Whole(topic string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[topic]
	if t == nil {
		return end[V](begin(0, true), nil)
	}
	b := begin(t.frames, true)
	comma := ""
	for _, e := range t.values {
		if e.gone {
			continue
		}
		if len(b) >= maxWhole {
			break
		}
		b = appendValue(b, comma, e)
		comma = ","
	}
	return end[V](b, nil)
}

func begin(n uint64, all bool) []byte {
	b := strconv.AppendUint([]byte(`{"n":`), n, 10)
	if all {
		b = append(b, `,"all":true`...)
	}
	return append(b, `,"is":{`...)
}

// appendValue appends a value by its owner, whose name needs no quoting.
func appendValue[V any](b []byte, comma string, e *value[V]) []byte {
	b = append(b, comma...)
	b = append(b, '"')
	b = append(b, e.owner...)
	b = append(b, `":`...)
	return append(b, e.raw...)
}

func end[V any](b []byte, gone []*value[V]) []byte {
	b = append(b, '}')
	for i, e := range gone {
		if i == 0 {
			b = append(b, `,"gone":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, e.owner...)
		b = append(b, '"')
	}
	if len(gone) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}
