package redisstate

import (
	"errors"
	"strconv"
	"strings"

	"lockstep/state"
)

// commitCall writes a step as commitScript takes it.
func (s *Store) commitCall(step *state.Step) call {
	args := make([]any, 0, 8+len(step.Log)+4*len(step.Moves))
	args = append(args, s.ahead.Load(), s.lifetime.Milliseconds(), s.done.Milliseconds(),
		step.Base.Epoch, step.Base.Version, step.Data, step.Keep, len(step.Log))
	for _, entry := range step.Log {
		args = append(args, entry)
	}
	for i := range step.Moves {
		m := &step.Moves[i]
		from := strconv.FormatUint(m.Min, 10)
		if len(m.Was) > 0 {
			from += ":" + string(m.Was)
		}
		args = append(args, m.Client[:], from, m.Max, formatLane(m.To))
	}
	return call{append(s.withLanes(step.Topic), s.fence(tagOf(step.Topic)), s.log(step.Topic)), args}
}

// readCall writes groups as readScript takes them.
func (s *Store) readCall(topics []string, groups []group) call {
	c := call{args: []any{s.ahead.Load(), len(groups)}}
	for _, g := range groups {
		c.keys, c.args = append(c.keys, s.fence(g.tag)), append(c.args, s.seen[g.tag].Load())
	}
	for _, g := range groups {
		for _, i := range g.topics {
			c.keys = append(c.keys, s.record(topics[i]))
		}
	}
	return c
}

// readReply reads the reply of readScript to readCall.
func readReply(reply []any, groups []group, records []state.Record) error {
	at := len(groups)
	for n, g := range groups {
		for _, i := range g.topics {
			if len(reply) < at+2 {
				return errReply
			}
			var err error
			if records[i], err = readRecord(reply[n], reply[at], reply[at+1]); err != nil {
				return err
			}
			at += 2
		}
	}
	return nil
}

// readOutcome reads the reply of commitScript.
func readOutcome(reply []any, step *state.Step) (o state.Outcome, err error) {
	if len(reply) >= 3 && reply[0] == int64(1) {
		if o.Record, err = readRecord(reply[1], reply[2], ""); err != nil {
			return o, err
		}
		o.Made, err = readMade(reply[3:], len(step.Moves))
		return o, err
	}
	if len(reply) != 4+len(step.Moves) {
		return o, errReply
	}
	if o.Record, err = readRecord(reply[1], reply[2], reply[3]); err != nil {
		return o, err
	}
	o.Err, o.Lanes = state.ErrConflict, make([]state.Lane, len(step.Moves))
	for i := range o.Lanes {
		if o.Lanes[i], err = parseLane(reply[4+i]); err != nil {
			return o, err
		}
	}
	return o, nil
}

// readMade reads the numbers of those moves, of n, that made a lane.
func readMade(reply []any, n int) ([]bool, error) {
	made := make([]bool, n)
	for _, value := range reply {
		i, ok := value.(int64)
		if !ok || i < 1 || i > int64(n) {
			return nil, errReply
		}
		made[i-1] = true
	}
	return made, nil
}

var errReply = errors.New("not the reply of our script")

// readRecord reads what the scripts return as text: Lua's numbers are doubles.
func readRecord(epoch, version, data any) (r state.Record, err error) {
	e, ok1 := epoch.(string)
	v, ok2 := version.(string)
	d, ok3 := data.(string)
	if !ok1 || !ok2 || !ok3 {
		return r, errReply
	}
	var errs [2]error
	r.Epoch, errs[0] = strconv.ParseUint(e, 10, 64)
	r.Version, errs[1] = strconv.ParseUint(v, 10, 64)
	if d != "" {
		r.Data = []byte(d)
	}
	return r, errors.Join(errs[:]...)
}

// formatLane writes a lane as short as can be: a hot topic has millions.
func formatLane(l state.Lane) string {
	text := strconv.FormatUint(l.Last, 10)
	if l.From == l.Last && len(l.Refused) == 0 {
		return text
	}
	text += "-" + strconv.FormatUint(l.Last-l.From, 10)
	if len(l.Refused) > 0 {
		text += ":" + string(l.Refused)
	}
	return text
}

// parseLane reads what formatLane wrote; "" is the zero Lane.
func parseLane(value any) (l state.Lane, err error) {
	text, ok := value.(string)
	if !ok {
		return l, errReply
	}
	if text == "" {
		return l, nil
	}
	numbers, refused, _ := strings.Cut(text, ":")
	last, behind, _ := strings.Cut(numbers, "-")
	var errs [2]error
	l.Last, errs[0] = strconv.ParseUint(last, 10, 64)
	l.From = l.Last
	if behind != "" {
		var n uint64
		n, errs[1] = strconv.ParseUint(behind, 10, 64)
		l.From -= n
	}
	if refused != "" {
		l.Refused = []byte(refused)
	}
	return l, errors.Join(errs[:]...)
}

// readEntries reads the reply of entriesScript.
func readEntries(reply []any, after uint64) (first uint64, entries [][]byte, err error) {
	first = after + 1
	for i, value := range reply {
		text, ok := value.(string)
		switch {
		case !ok:
			return 0, nil, errReply
		case i > 0:
			entries = append(entries, []byte(text))
		case text != "":
			if first, err = strconv.ParseUint(text, 10, 64); err != nil {
				return 0, nil, errReply
			}
		}
	}
	return first, entries, nil
}
