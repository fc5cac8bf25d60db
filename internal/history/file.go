package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Format is the version of the file of a Recording: one JSON object a line (docs/loadgen.md).
const Format = 1

// Bounds of a file, in bytes.
const (
	MaxFile = 64 << 20
	MaxLine = 16 << 10
)

// ErrFile means that a file is no recording that this program can read.
var ErrFile = errors.New("history: this is no recording")

// A line is one line of the file. Which of its fields there are says what it is.
type line struct {
	// Of the first line. Since is when its times begin, and From when its first chapter does.
	Format int       `json:"lockstep_history,omitempty"`
	Kind   string    `json:"kind,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	From   time.Time `json:"from,omitzero"`

	At        int64     `json:"ms,omitempty"` // since the beginning
	Tab       string    `json:"tab,omitempty"`
	Begin     *wireText `json:"begin,omitempty"`
	End       *wireText `json:"end,omitempty"`
	Connected []string  `json:"connected,omitempty"`
	Sent      *wireID   `json:"sent,omitempty"`
	Do        string    `json:"do,omitempty"`
	Acked     *wireID   `json:"acked,omitempty"`
	Refused   *wireID   `json:"refused,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Forgotten *wireID   `json:"forgotten,omitempty"`
	Shown     *wireText `json:"shown,omitempty"`
	Joined    *wireText `json:"joined,omitempty"`
	Replica   string    `json:"replica,omitempty"`
	Left      bool      `json:"left,omitempty"`
	Fault     string    `json:"fault,omitempty"`
	Lasts     int64     `json:"lasts,omitempty"` // ms
}

// A wireID is an ID as ["client",seq].
type wireID ID

// MarshalJSON implements json.Marshaler.
func (id wireID) MarshalJSON() ([]byte, error) { return json.Marshal([]any{id.Client, id.Seq}) }

// UnmarshalJSON implements json.Unmarshaler.
func (id *wireID) UnmarshalJSON(raw []byte) error { return readTuple(raw, &id.Client, &id.Seq) }

// A wireText is a State as [epoch,version,"value"].
type wireText State

// MarshalJSON implements json.Marshaler.
func (s wireText) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{s.Epoch, s.Version, s.Value})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *wireText) UnmarshalJSON(raw []byte) error {
	return readTuple(raw, &s.Epoch, &s.Version, &s.Value)
}

// readTuple reads an array of as many parts as there are places for them.
func readTuple(raw []byte, into ...any) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != len(into) {
		return fmt.Errorf("%d parts, want %d", len(parts), len(into))
	}
	for i, part := range parts {
		if err := json.Unmarshal(part, into[i]); err != nil {
			return err
		}
	}
	return nil
}

// writeLine writes one line.
func writeLine(b *bytes.Buffer, l *line) {
	_ = json.NewEncoder(b).Encode(l) // texts and numbers can be encoded, and a buffer written to
}

func writeHead(b *bytes.Buffer, since, from time.Time) {
	writeLine(b, &line{Format: Format, Kind: "counter", Since: since.UTC(), From: from.UTC()})
}

// write writes an event.
func (e *event) write(b *bytes.Buffer) {
	l := line{At: e.at.Milliseconds(), Tab: e.tab}
	id, state := wireID(e.op.ID), wireText(e.state)
	switch e.kind {
	case began:
		l.Begin = &state
	case ended:
		l.End, l.Connected = &state, e.tabs
	case sent:
		l.Sent, l.Do = &id, e.op.Do
	case acked:
		l.Acked = &id
	case refused:
		l.Refused, l.Reason = &id, e.reason
	case forgotten:
		l.Forgotten = &id
	case shown:
		l.Shown = &state
	case joined:
		l.Joined, l.Replica = &state, e.reason
	case left:
		l.Left = true
	case fault:
		l.Tab, l.Replica, l.Fault, l.Lasts = "", e.tab, e.reason, e.lasts.Milliseconds()
	}
	writeLine(b, &l)
}

// event is what a line says; false: it is none, or more than one.
func (l *line) event() (e event, ok bool) {
	e = event{at: time.Duration(l.At) * time.Millisecond, tab: l.Tab}
	n := 0
	is := func(there bool, k kind) bool {
		if there {
			n++
			e.kind = k
		}
		return there
	}
	if is(l.Begin != nil, began) {
		e.state = State(*l.Begin)
	}
	if is(l.End != nil, ended) {
		e.state, e.tabs = State(*l.End), l.Connected
	}
	if is(l.Sent != nil, sent) {
		e.op = Op{ID: ID(*l.Sent), Do: l.Do}
	}
	if is(l.Acked != nil, acked) {
		e.op.ID = ID(*l.Acked)
	}
	if is(l.Refused != nil, refused) {
		e.op.ID, e.reason = ID(*l.Refused), l.Reason
	}
	if is(l.Forgotten != nil, forgotten) {
		e.op.ID = ID(*l.Forgotten)
	}
	if is(l.Shown != nil, shown) {
		e.state = State(*l.Shown)
	}
	if is(l.Joined != nil, joined) {
		e.state, e.reason = State(*l.Joined), l.Replica
	}
	is(l.Left, left)
	if is(l.Fault != "", fault) {
		e.tab, e.reason, e.lasts = l.Replica, l.Fault, time.Duration(l.Lasts)*time.Millisecond
	}
	return e, n == 1
}

// A reader reads a file line by line.
type reader struct {
	lines   *bufio.Scanner
	n       int // lines read; one more than that is how many events there may be
	read    int // bytes
	verdict Verdict
	open    *chapter      // nil: none has begun
	last    time.Duration // of an event
}

// ReadVerdict judges the file that Recording.WriteTo has written. The error is an ErrFile with the
// line that is wrong, or that of r.
func ReadVerdict(r io.Reader) (Verdict, error) {
	f := reader{lines: bufio.NewScanner(r)}
	f.lines.Buffer(nil, MaxLine)
	if err := f.head(); err != nil {
		return Verdict{}, err
	}
	for {
		l, err := f.next()
		switch {
		case errors.Is(err, io.EOF) && f.open != nil:
			return Verdict{}, f.bad("the last chapter has no end: the file was cut off")
		case errors.Is(err, io.EOF):
			return f.verdict, nil
		case err != nil:
			return Verdict{}, err
		}
		if err := f.take(l); err != nil {
			return Verdict{}, err
		}
	}
}

// bad is the error of the line that was read last.
func (f *reader) bad(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrFile, f.n, fmt.Sprintf(format, args...))
}

// next reads a line; io.EOF: there is none.
func (f *reader) next() (*line, error) {
	f.n++
	if !f.lines.Scan() {
		if err := f.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			return nil, f.bad("it is longer than %d bytes", MaxLine)
		} else if err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	if f.n > MaxEvents+1 {
		return nil, f.bad("there are more than %d events", MaxEvents)
	}
	if f.read += len(f.lines.Bytes()) + 1; f.read > MaxFile {
		return nil, f.bad("the file is longer than %d bytes", MaxFile)
	}
	l := new(line)
	d := json.NewDecoder(bytes.NewReader(f.lines.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(l); err != nil {
		return nil, f.bad("%v", err)
	}
	if d.More() {
		return nil, f.bad("there is more than one object")
	}
	return l, nil
}

// head reads the first line.
func (f *reader) head() error {
	l, err := f.next()
	switch {
	case errors.Is(err, io.EOF):
		return f.bad("the file is empty")
	case err != nil:
		return err
	case l.Format == 0:
		return f.bad("it does not begin with lockstep_history")
	case l.Format != Format:
		return f.bad("it is of format %d, and this program reads %d", l.Format, Format)
	case l.Kind != "counter":
		return f.bad("it is of a %q, and only those of a counter are judged", l.Kind)
	}
	f.verdict.Since = l.From
	return nil
}

// take takes in one event.
func (f *reader) take(l *line) error {
	e, ok := l.event()
	switch {
	case !ok || l.Format != 0:
		return f.bad("it is no event")
	case e.at < f.last || l.At > time.Hour.Milliseconds()*24*366 || e.lasts < 0:
		return f.bad("its time is not after those before")
	case (f.open == nil) != (e.kind == began):
		return f.bad("a chapter begins and ends once")
	case f.open != nil && len(f.open.events) >= MaxChapter:
		return f.bad("the chapter has more than %d events", MaxChapter)
	case e.kind == sent && e.op.Do != "increment":
		return f.bad("%q is nothing that the fleet does", e.op.Do)
	}
	f.last = e.at
	switch e.kind {
	case began, shown, joined, ended:
		if _, err := readCount(e.state.Value); err != nil {
			return f.bad("%v", err)
		}
	}
	if e.kind == began {
		f.open = &chapter{base: e.state}
	}
	f.open.events = append(f.open.events, e)
	if e.kind == ended {
		f.open.final, f.open.connected = e.state, e.tabs
		v := f.open.judge()
		f.verdict.add(&v)
		f.open = nil
	}
	return nil
}
