//go:build js

package idbstate

import (
	"syscall/js"

	"lockstep/state"
)

// metaRequests is how many requests of a change are for what holds for all topics.
const metaRequests = 2

// A change is a transaction that is under way, with what it reads first.
type change struct {
	store    *Store
	tx       js.Value
	requests []js.Value // of the first phase: the epoch, the ages, and what look asks for

	epoch uint64
	was   ages // as the last commit has left them
	ages  ages
	made  int // lanes
	wrote bool
}

// A lookup is what a change asks about one topic.
type lookup struct {
	topic js.Value
	lanes []js.Value
}

// begin asks for what holds for all topics.
func (s *Store) begin(tx js.Value) *change {
	m := tx.Call("objectStore", meta)
	return &change{store: s, tx: tx, requests: []js.Value{m.Call("get", "epoch"), m.Call("get", "ages")}}
}

// look asks for a topic and n lanes of it.
func (c *change) look(topic string, n int, client func(int) state.Client) lookup {
	l := lookup{topic: c.tx.Call("objectStore", topics).Call("get", topicKey(topic)), lanes: make([]js.Value, n)}
	for i := range l.lanes {
		l.lanes[i] = c.tx.Call("objectStore", lanes).Call("get", laneKey(topic, client(i)))
	}
	c.requests = append(append(c.requests, l.topic), l.lanes...)
	return l
}

// read reads the epoch and the ages, which have been answered.
func (c *change) read() (err error) {
	if c.epoch, err = number(c.requests[0].Get("result")); err != nil {
		return err
	}
	c.store.met(c.epoch)
	if c.was, err = agesOf(c.requests[1].Get("result")); err != nil {
		return err
	}
	now := c.store.now()
	c.ages = ages{c.was.moved.At(now, c.store.lifetime), c.was.done.At(now, c.store.done)}
	return nil
}

// step does a step, or finds that it conflicts.
func (c *change) step(step *state.Step, found *lookup) (o state.Outcome, err error) {
	t, err := topicOf(found.topic)
	if err != nil {
		return o, err
	}
	now := state.Record{Epoch: c.epoch, Version: t.version}
	same := step.Base.Same(now)
	known, made := make([]state.Lane, len(step.Moves)), make([]bool, len(step.Moves))
	holds := same
	for i := range step.Moves {
		if known[i], made[i], err = c.lane(found.lanes[i]); err != nil {
			return o, err
		}
		holds = holds && step.Moves[i].Holds(known[i])
	}
	switch {
	case holds:
		c.do(step, t, known, made)
		now.Version++
		return state.Outcome{Record: now, Made: made}, nil
	case !same:
		now.Data = t.data
	}
	return state.Outcome{Err: state.ErrConflict, Record: now, Lanes: known}, nil
}

// do does a step that holds. It panics with what JavaScript throws.
func (c *change) do(step *state.Step, t topic, known []state.Lane, made []bool) {
	c.wrote = true
	for i := range step.Moves {
		m := &step.Moves[i]
		c.putLane(laneKey(step.Topic, m.Client), m.Moved(known[i]), moved, c.ages.moved.N)
		if made[i] {
			c.made++
		}
	}
	log := c.tx.Call("objectStore", logs)
	for _, entry := range step.Log {
		t.entries++
		log.Call("put", toJS(entry), logKey(step.Topic, t.entries))
	}
	if keep := uint64(step.Keep); keep > 0 && t.entries-t.trimmed > keep {
		log.Call("delete", logRange(step.Topic, 0, t.entries-keep))
		t.trimmed = t.entries - keep
	}
	if step.Data != nil {
		t.data = step.Data
	}
	t.version++
	c.tx.Call("objectStore", topics).Call("put", t.toJS(), topicKey(step.Topic))
}

// finish marks a lane as done, if it is known and has not gone on.
func (c *change) finish(m *state.Mark, found *lookup) error {
	l, unknown, err := c.lane(found.lanes[0])
	if err != nil || unknown || l.Last > m.UpTo {
		return err
	}
	c.wrote = true
	c.putLane(laneKey(m.Topic, m.Client), l, done, c.ages.done.N)
	return nil
}

// lane reads a lane, or finds that it is not known, or not any more.
func (c *change) lane(request js.Value) (l state.Lane, unknown bool, err error) {
	record := request.Get("result")
	if record.IsUndefined() {
		return l, true, nil
	}
	var n [2]uint64
	for i, key := range []string{"l", "f"} {
		if n[i], err = number(get(record, key)); err != nil {
			return l, false, err
		}
	}
	age, mark := c.ages.moved, get(record, moved)
	if mark.IsUndefined() {
		age, mark = c.ages.done, get(record, done)
	}
	at, err := number(mark)
	if err != nil {
		return l, false, err
	}
	if !age.Knows(at) {
		return l, true, nil
	}
	refused, err := bytesOf(get(record, "r"))
	return state.Lane{Last: n[0], From: n[1], Refused: refused}, false, err
}

// putLane writes a lane, with an age by one of the two indexes.
func (c *change) putLane(key string, l state.Lane, index string, age uint64) {
	record := map[string]any{"l": l.Last, "f": l.From, index: age}
	if len(l.Refused) > 0 {
		record["r"] = toJS(l.Refused)
	}
	c.tx.Call("objectStore", lanes).Call("put", record, key)
}

// forgetMost is how many lanes a commit forgets at most of each index, beside
// twice those that it made: so lanes that are due never pile up.
const forgetMost = 64

// finished ends what a change writes: it forgets lanes that are due.
func (c *change) finished() (phase, []js.Value, error) {
	if !c.wrote {
		return nil, nil, nil
	}
	if c.ages != c.was {
		c.tx.Call("objectStore", meta).Call("put", c.ages.toJS(), "ages")
	}
	table := c.tx.Call("objectStore", lanes)
	var requests []js.Value
	for index, age := range map[string]state.Age{moved: c.ages.moved, done: c.ages.done} {
		if n := oldest(age); n > 0 {
			due := js.Global().Get("IDBKeyRange").Call("upperBound", n, true)
			requests = append(requests, table.Call("index", index).Call("getAllKeys", due, forgetMost+2*c.made))
		}
	}
	if len(requests) == 0 {
		return nil, nil, nil
	}
	return func() (phase, []js.Value, error) {
		for _, request := range requests {
			for keys, i := request.Get("result"), 0; i < keys.Length(); i++ {
				table.Call("delete", keys.Index(i))
			}
		}
		return nil, nil, nil
	}, requests, nil
}

// oldest is the lowest number with which a lane is known in an age.
func oldest(a state.Age) uint64 {
	n := a.N
	for n > 0 && a.Knows(n-1) {
		n--
	}
	return n
}

// topicKey and laneKey begin with what is no byte order mark: one at the
// beginning of a string is lost on the way to JavaScript.

func topicKey(topic string) string { return ":" + topic }

func laneKey(topic string, c state.Client) string { return c.String() + topic }

func logKey(topic string, number uint64) []any { return []any{topicKey(topic), number} }

// logRange is the keys of the entries from one to another, both of them too.
func logRange(topic string, from, to uint64) js.Value {
	return js.Global().Get("IDBKeyRange").Call("bound", logKey(topic, from), logKey(topic, to))
}
