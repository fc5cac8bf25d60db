package history

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Logs is the kind of logs: entries are appended, and stay as they are. The value has
// the newest of them, with their numbers: how many is each tab's own affair, and they
// are all there from the first of these on.
func Logs() Kind { return logs{} }

// LogsInPart is the kind of the same logs as they are known to somebody who has not
// seen all entries: what is between is not judged one by one.
func LogsInPart() Kind { return logs{parts: true} }

// An Entry is one of a log. Its number counts from 1.
type Entry struct {
	N        uint64
	ID, Text string
}

// LogValue is what a log shows of itself: entries by rising numbers.
func LogValue(entries []Entry) string {
	var b strings.Builder
	next := uint64(0)
	for _, e := range entries {
		if e.N != next {
			b.WriteString(" " + strconv.FormatUint(e.N, 10)) // what comes now begins with this number
		}
		next = e.N + 1
		b.WriteString(" " + e.ID + "=" + url.QueryEscape(e.Text))
	}
	return strings.TrimPrefix(b.String(), " ")
}

// readLog reads a value. The entries have rising numbers, and an id each of its own.
func readLog(value string) (entries []Entry, err error) {
	next, ids := uint64(0), make(map[string]uint64)
	for _, word := range words(value) {
		id, escaped, isEntry := strings.Cut(word, "=")
		if !isEntry {
			n, err := strconv.ParseUint(word, 10, 64)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q is no log", value)
			}
			if n < next {
				return nil, fmt.Errorf("has entry %d behind entry %d", n, next-1)
			}
			next = n
			continue
		}
		text, err := url.QueryUnescape(escaped)
		switch {
		case err != nil || id == "" || next == 0:
			return nil, fmt.Errorf("%q is no log", value)
		case ids[id] > 0:
			return nil, fmt.Errorf("has entry %s twice, as %d and as %d", id, ids[id], next)
		}
		ids[id] = next
		entries = append(entries, Entry{next, id, text})
		next++
	}
	return entries, nil
}

// lastOf is the number of the newest of some entries; 0: there is none.
func lastOf(entries []Entry) uint64 {
	if len(entries) == 0 {
		return 0
	}
	return entries[len(entries)-1].N
}

// hole says where entries are missing between others.
func hole(entries []Entry) error {
	for i := 1; i < len(entries); i++ {
		if a, b := entries[i-1].N, entries[i].N; a+1 != b {
			return fmt.Errorf("has entry %d right behind entry %d", b, a)
		}
	}
	return nil
}

type logs struct{ parts bool }

// Begin implements Kind.
func (k logs) Begin(value string) (Ledger, error) {
	before, err := readLog(value)
	if err == nil && !k.parts {
		err = hole(before)
	}
	l := &log{logs: k, before: make(map[uint64]Entry), last: lastOf(before), made: make(map[string]*Op)}
	for _, e := range before {
		l.before[e.N] = e
	}
	return l, err
}

// A log is the ledger of one. Its memory grows with the entries.
type log struct {
	logs
	before map[uint64]Entry // what was known at the beginning
	last   uint64           // how many there were
	made   map[string]*Op   // that were applied, by the ids of their entries
	wrong  error            // of an op that can't be, and was applied
}

// Apply implements Ledger.
func (l *log) Apply(op *Op) {
	if op.Do != "say" && l.wrong == nil {
		l.wrong = fmt.Errorf("has done %s %v, which can't be done", op.Do, op.In)
	}
	l.made[op.Name()] = op
}

// Check implements Ledger: no entry is lost, there twice, of nobody, or out of the
// order of who has made it.
func (l *log) Check(value string, may []*Op) error {
	got, err := readLog(value)
	if err == nil && !l.parts {
		err = hole(got)
	}
	switch {
	case err != nil:
		return err
	case l.wrong != nil:
		return l.wrong
	}
	open := make(map[string]*Op, len(may))
	for _, op := range may {
		if op.Do == "say" {
			open[op.Name()] = op
		}
	}
	last := lastOf(got)
	if least, most := l.last+uint64(len(l.made)), l.last+uint64(len(l.made)+len(open)); last < least || last > most {
		return fmt.Errorf("has %d entries; what was acknowledged and sent allows %s", last, span(int64(least), int64(most)))
	}
	if err := l.checkEach(got, open); err != nil {
		return err
	}
	return l.checkMissing(got, last)
}

// checkEach looks at the entries that are shown.
func (l *log) checkEach(got []Entry, open map[string]*Op) error {
	newest := make(map[string]*Op) // by client
	for _, e := range got {
		if e.N <= l.last {
			if was, ok := l.before[e.N]; ok && was != e {
				return fmt.Errorf("has %s=%q as entry %d, which was %s=%q", e.ID, e.Text, e.N, was.ID, was.Text)
			}
			continue
		}
		op := l.made[e.ID]
		if op == nil {
			op = open[e.ID]
		}
		switch {
		case op == nil:
			return fmt.Errorf("has entry %d, %s=%q, which nobody has made", e.N, e.ID, e.Text)
		case op.In["text"] != e.Text:
			return fmt.Errorf("has %q as entry %d, which op %s has made of %q", e.Text, e.N, op.ID, op.In["text"])
		case newest[op.Client] != nil && newest[op.Client].Seq > op.Seq:
			return fmt.Errorf("has the entry of op %s behind that of op %s: entry %d", op.ID, newest[op.Client].ID, e.N)
		}
		newest[op.Client] = op
	}
	return nil
}

// checkMissing looks for entries that are not shown and should be.
func (l *log) checkMissing(got []Entry, last uint64) error {
	shown := make(map[string]bool, len(got))
	unseen := last - l.last // what is not shown
	oldest := make(map[string]uint64)
	for _, e := range got {
		if e.N <= l.last {
			continue
		}
		unseen--
		shown[e.ID] = true
		if op := l.made[e.ID]; op != nil && (oldest[op.Client] == 0 || op.Seq < oldest[op.Client]) {
			oldest[op.Client] = op.Seq
		}
	}
	var missing uint64
	for name, op := range l.made {
		if shown[name] {
			continue
		}
		missing++
		if seq := oldest[op.Client]; missing > unseen || !l.parts && seq > 0 && op.Seq > seq {
			return fmt.Errorf("has lost entry %s, %q, of op %s", name, op.In["text"], op.ID)
		}
	}
	return nil
}

// Join implements Joiner: tabs show as much as they like of the same log.
func (k logs) Join(a, b string) (string, error) {
	one, err := readLog(a)
	if err != nil {
		return b, nil //nolint:nilerr // what shows it is found by itself
	}
	two, err := readLog(b)
	if err == nil && !k.parts {
		err = hole(two)
	}
	if err != nil {
		return a, err
	}
	if x, y := lastOf(one), lastOf(two); x != y {
		return a, fmt.Errorf("ends with entry %d, and elsewhere with %d", y, x)
	}
	all := make(map[uint64]Entry, len(one))
	for _, e := range one {
		all[e.N] = e
	}
	for _, e := range two {
		if was, ok := all[e.N]; ok && was != e {
			return a, fmt.Errorf("has %s=%q as entry %d, which is %s=%q elsewhere", e.ID, e.Text, e.N, was.ID, was.Text)
		}
	}
	if len(two) > len(one) {
		return b, nil
	}
	return a, nil
}

// Follow implements Follower.
func (k logs) Follow(value string) (Trail, error) {
	t := &logTrail{entries: make(map[uint64]Entry), numbers: make(map[string]uint64)}
	entries, err := readLog(value)
	return t, errors.Join(err, t.learn(entries))
}

// A logTrail is what is known of the one order of a log.
type logTrail struct {
	entries map[uint64]Entry
	numbers map[string]uint64 // by id
	last    uint64
}

func (t *logTrail) learn(entries []Entry) error {
	for _, e := range entries {
		if was, ok := t.entries[e.N]; ok && was != e {
			return fmt.Errorf("has %s=%q as entry %d, which was %s=%q", e.ID, e.Text, e.N, was.ID, was.Text)
		}
		if n := t.numbers[e.ID]; n != 0 && n != e.N {
			return fmt.Errorf("has %s as entry %d, which was entry %d", e.ID, e.N, n)
		}
		t.entries[e.N], t.numbers[e.ID] = e, e.N
	}
	t.last = max(t.last, lastOf(entries))
	return nil
}

// Next implements Trail: the log only grows, by all that must be in it by now and by
// nothing that can't, and what was shown before stays what and where it is.
func (t *logTrail) Next(value string, must, may []*Op) (known bool, err error) {
	entries, err := readLog(value)
	if err != nil {
		return true, err
	}
	before, last := t.last, lastOf(entries)
	if last < before {
		return true, fmt.Errorf("has %d entries, and had %d", last, before)
	}
	if grown := int(last - before); grown < len(must) || grown > len(must)+len(may) {
		return true, fmt.Errorf("has grown by %d entries to %d; the ops in between allow %s", grown, last, span(int64(len(must)), int64(len(must)+len(may))))
	}
	if err := t.learn(entries); err != nil {
		return true, err
	}
	between := func(op *Op) bool { return t.numbers[op.Name()] > before }
	for _, e := range entries {
		fits := func(op *Op) bool { return op.Name() == e.ID }
		if e.N > before && !slices.ContainsFunc(must, fits) && !slices.ContainsFunc(may, fits) {
			return true, fmt.Errorf("has %s=%q as entry %d, which can't have come between entry %d and this", e.ID, e.Text, e.N, before)
		}
	}
	if len(entries) == 0 || entries[0].N > before+1 {
		return true, nil // some of what is new is not shown
	}
	for _, op := range must {
		if !between(op) {
			return true, fmt.Errorf("has no entry of op %s behind entry %d", op.ID, before)
		}
	}
	return true, nil
}
