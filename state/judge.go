package state

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what is judged. Seqs from From to the newest are at most Window;
// ops whose stamp (Op.Seen) differs from the replica's clock by more than Fresh
// are to be read from the outbox again. DoneLifetime must exceed Fresh by the
// greatest difference of two replicas' clocks and the latest time at which a store
// executes a call that was given up.
const (
	Window = 200
	Fresh  = 2 * time.Minute
)

// maxReason bounds a reason of a refusal, in bytes as JSON.
const maxReason = 200

// laneUnit is how many bytes of refusals cost a sender as much as one more lane.
const laneUnit = 100

// A laneView is what a run knows of a client's lane: what the store has said, or
// what must be so for the op to be the next, which the store confirms by the
// guards of the move.
type laneView struct {
	client Client
	Lane
	refused refusals
	// guessed: the store has not said it in this try.
	guessed  bool
	asked    time.Time // before the store was asked, if it has said it
	min, max uint64    // of the move, when it was guessed
	moved    bool      // an op of this try has moved it
	was      []byte    // Refused as the store has it
}

// guess makes the view that of a client of which nothing is known, for its op to
// be the next: one that is not known or has not got so far, or, when From says
// that others are open, one that is just before it.
func (l *laneView) guess(op *Op) {
	l.guessed, l.Last, l.min, l.max = true, op.Seq-1, op.Seq-1, op.Seq-1
	if op.Seq == op.From {
		l.min = 0
	}
}

// see makes the view that of a client's lane as the store has said it.
func (l *laneView) see(said *saidLane) {
	l.Lane, l.asked, l.guessed = said.Lane, said.asked, false
	l.refused, l.was = parseRefusals(said.Refused), said.Refused
	l.min, l.max = said.Last, said.Last
}

// A judge says what becomes of ops: lines 11 to 15 and 21 of the specification
// (docs/exactly-once.md).
type judge struct {
	now      time.Time // by this replica's clock
	lifetime time.Duration
}

// judgement is what a judge says of an op.
type judgement uint8

const (
	isDone  judgement = iota // the lane knows the answer
	isNext                   // it is to be applied
	isEarly                  // seqs before it are missing, or too many are open
	isStale                  // it was not read from the outbox for a while
	isOld                    // its lane may have been forgotten
)

// of judges an op that arrived at a time.
func (j judge) of(op *Op, arrived time.Time, l *laneView) judgement {
	if l.Last > 0 && op.Seq <= l.Last {
		return isDone
	}
	switch {
	case !op.Seen.IsZero() && j.now.Sub(op.Seen).Abs() > Fresh:
		return isStale
	case op.Age+j.now.Sub(arrived) > j.lifetime:
		return isOld
	case op.Seq-op.From >= Window:
		return isEarly
	case op.Seq == op.From, l.Last > 0 && op.Seq == l.Last+1:
		return isNext
	}
	return isEarly
}

// done is the answer that the lane knows to an op that was dealt with.
func (l *laneView) done(op *Op) Answer {
	if op.Seq < l.From {
		return Answer{Verdict: Settled, Again: true}
	}
	if reason, ok := l.refused.reason(op.Seq); ok {
		return Answer{Verdict: Refused, Reason: reason, Again: true}
	}
	return Answer{Verdict: Ack, Again: true}
}

// move takes in that an op is dealt with; refused is why it is refused, clipped,
// or nil.
// It reports false, and nothing has changed, when the lane can't remember any
// more refusals: the client has to say first which answers it knows.
func (l *laneView) move(op *Op, refused *string) bool {
	from := max(l.From, op.From)
	list, raw := l.refused.from(from), l.Refused
	if refused != nil {
		list = append(list, refusal{op.Seq, *refused})
	}
	if refused != nil || len(list) < len(l.refused) {
		raw = list.encode()
	}
	if refused != nil && len(raw) > MaxRefused {
		return false
	}
	l.Lane = Lane{Last: op.Seq, From: from, Refused: raw}
	l.refused, l.moved = list, true
	return true
}

// grown is how many lanes' worth of room the refusals of the lane take more than
// before its moves; it is negative when they take less.
func (l *laneView) grown() int { return units(l.Refused) - units(l.was) }

func units(refused []byte) int { return (len(refused) + laneUnit - 1) / laneUnit }

// step fills in the move that the run makes of the lane.
func (l *laneView) step(m *Move) {
	m.Client, m.Min, m.Max, m.Was, m.To = l.client, l.min, l.max, l.was, l.Lane
}

// A refusal says why a seq was refused.
type refusal struct {
	seq    uint64
	reason string
}

// refusals are those of a lane, by seq. As bytes they are JSON: an object with
// the seqs of each reason. No refusals are no bytes.
type refusals []refusal

func parseRefusals(raw []byte) (list refusals) {
	var by map[string][]uint64
	if len(raw) == 0 || json.Unmarshal(raw, &by) != nil {
		return nil
	}
	for reason, seqs := range by {
		for _, seq := range seqs {
			list = append(list, refusal{seq, reason})
		}
	}
	slices.SortFunc(list, func(a, b refusal) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return list
}

func (r refusals) encode() []byte {
	if len(r) == 0 {
		return nil
	}
	by := make(map[string][]uint64)
	for _, one := range r {
		by[one.reason] = append(by[one.reason], one.seq)
	}
	raw, err := json.Marshal(by)
	if err != nil {
		panic("state: " + err.Error()) // strings and numbers always can be
	}
	return raw
}

// from returns a copy of those whose seq is not below from.
func (r refusals) from(from uint64) (list refusals) {
	for _, one := range r {
		if one.seq >= from {
			list = append(list, one)
		}
	}
	return list
}

func (r refusals) reason(seq uint64) (string, bool) {
	for _, one := range r {
		if one.seq == seq {
			return one.reason, true
		}
	}
	return "", false
}

// clip returns a reason as it is kept: valid UTF-8 of maxReason bytes at most, as
// JSON. There < and what is not printed take six, and reasons quote what people
// send.
func clip(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	size := 0
	for i, c := range reason {
		if size += jsonSize(c); size > maxReason {
			return reason[:i]
		}
	}
	return reason
}

// jsonSize is how many bytes a character takes in a string of JSON.
func jsonSize(c rune) int {
	switch {
	case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
		return 2
	case c < ' ' || c == '<' || c == '>' || c == '&' || c == '\u2028' || c == '\u2029':
		return 6
	}
	return utf8.RuneLen(c)
}
