package statetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep/state"
)

// env is what a case works with.
type env struct {
	testing.TB
	ctx    context.Context
	opts   Options
	topic  string // that nobody else uses
	store  state.Store
	stores []state.Store // to be closed
}

// own closes s at the end of the case.
func (e *env) own(s state.Store) state.Store {
	e.stores = append(e.stores, s)
	return s
}

func (e *env) close() {
	for _, s := range slices.Backward(e.stores) {
		if err := closeInTime(s); err != nil {
			e.Errorf("Close: %v", err)
		}
	}
}

// closeLimit is how long Close may take: more than any server needs to say goodbye.
const closeLimit = 20 * time.Second

// closeInTime closes a store. One that does not return is left behind with an error: else the test
// program would be ended by its own timeout, and say nothing.
func closeInTime(s state.Store) error {
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }() // ends with Close
	late := time.NewTimer(closeLimit)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		return fmt.Errorf("it did not return within %v: does it wait for calls under way, or for a server that does not answer?", closeLimit)
	}
}

// second opens another store on the data.
func (e *env) second() state.Store { return e.own(e.opts.Second(e, e.store)) }

// reopen closes the store and opens it again.
func (e *env) reopen() {
	e.Helper()
	e.store = e.own(e.opts.Reopen(e, e.store))
}

// commit commits steps, which none of the errors that are the store's own may
// come of.
func (e *env) commit(steps ...state.Step) []state.Outcome {
	e.Helper()
	return e.commitTo(e.store, steps...)
}

func (e *env) commitTo(s state.Store, steps ...state.Step) []state.Outcome {
	e.Helper()
	outcomes := s.Commit(e.ctx, steps...)
	if len(outcomes) != len(steps) {
		e.Fatalf("Commit of %d steps returned %d outcomes", len(steps), len(outcomes))
	}
	for i := range outcomes {
		if wrong := shape(&steps[i], &outcomes[i]); wrong != "" {
			e.Fatalf("step %d of %d: %s", i+1, len(steps), wrong)
		}
	}
	return outcomes
}

// conflicts reports whether a step was not done because another came first.
func conflicts(o state.Outcome) bool { return errors.Is(o.Err, state.ErrConflict) }

// shape returns what is wrong with an outcome whatever the state is, or "".
func shape(step *state.Step, o *state.Outcome) string {
	switch {
	case o.Err == nil && len(o.Made) != len(step.Moves):
		return fmt.Sprintf("Made of %d moves, want %d", len(o.Made), len(step.Moves))
	case o.Err == nil && o.Record.Data != nil:
		return "the data came back though the step was done"
	case o.Err == nil && (o.Record.Epoch != step.Base.Epoch || o.Record.Version <= step.Base.Version):
		return fmt.Sprintf("done as %d.%d, on %d.%d", o.Record.Epoch, o.Record.Version, step.Base.Epoch, step.Base.Version)
	case o.Err == nil:
		return ""
	case !conflicts(*o) && !errors.Is(o.Err, state.ErrBadStep):
		return o.Err.Error()
	case conflicts(*o) && o.Err != state.ErrConflict: //nolint:errorlint // it comes as it is: callers compare it
		return "ErrConflict is wrapped"
	case conflicts(*o) && len(o.Lanes) != len(step.Moves):
		return fmt.Sprintf("%d lanes of %d moves", len(o.Lanes), len(step.Moves))
	case conflicts(*o) && o.Record.Same(step.Base) && o.Record.Data != nil:
		return "the data came back though Base is the newest still"
	}
	return ""
}

// do commits a step that has to be done, and returns the record that it makes,
// with its data.
func (e *env) do(step state.Step) state.Record {
	e.Helper()
	record, _ := e.doMade(step)
	return record
}

func (e *env) doMade(step state.Step) (state.Record, []bool) {
	e.Helper()
	o := e.commit(step)[0]
	if o.Err != nil {
		e.Fatalf("got %v, record %s, lanes %s, want it done: %s", o.Err, show(o.Record), showLanes(o.Lanes), showStep(&step))
	}
	record := o.Record
	record.Data = step.Base.Data
	if step.Data != nil {
		record.Data = step.Data
	}
	return record, o.Made
}

// conflict commits a step that must conflict, and returns the outcome. It
// checks that the newest record came back, and is what it was.
func (e *env) conflict(step state.Step, newest state.Record, lanes ...state.Lane) {
	e.Helper()
	o := e.commit(step)[0]
	if o.Err == nil {
		e.Fatalf("done, want a conflict: %s", showStep(&step))
	}
	e.wantConflict(&step, o, newest, lanes...)
	e.wantRecord(e.read(), newest)
}

// wantConflict compares the outcome of a step that conflicts.
func (e *env) wantConflict(step *state.Step, o state.Outcome, newest state.Record, lanes ...state.Lane) {
	e.Helper()
	if !conflicts(o) {
		e.Fatalf("got %v, want a conflict: %s", o.Err, showStep(step))
	}
	if step.Base.Same(newest) {
		newest.Data = nil
	}
	e.wantRecord(o.Record, newest)
	e.wantLanes(o.Lanes, lanes...)
}

func (e *env) wantRecord(got, want state.Record) {
	e.Helper()
	if !got.Same(want) || !bytes.Equal(got.Data, want.Data) {
		e.Fatalf("got record %s, want %s", show(got), show(want))
	}
}

func (e *env) wantLanes(got []state.Lane, want ...state.Lane) {
	e.Helper()
	if !slices.EqualFunc(got, want, sameLane) {
		e.Fatalf("got lanes %s, want %s", showLanes(got), showLanes(want))
	}
}

func sameLane(a, b state.Lane) bool {
	return a.Last == b.Last && a.From == b.From && bytes.Equal(a.Refused, b.Refused)
}

// read returns the newest record of the case's topic.
func (e *env) read() state.Record {
	e.Helper()
	return e.readAt(e.store, e.topic)[0]
}

// readAt returns the newest records of topics of any store.
func (e *env) readAt(s state.Store, topics ...string) []state.Record {
	e.Helper()
	records, err := s.Read(e.ctx, topics...)
	if err != nil {
		e.Fatalf("Read of %d topics: %v", len(topics), err)
	}
	if len(records) != len(topics) {
		e.Fatalf("Read of %d topics returned %d records", len(topics), len(records))
	}
	return records
}

// peek returns what the store knows of clients on the case's topic. It is a
// step that never holds.
func (e *env) peek(clients ...state.Client) []state.Lane {
	e.Helper()
	return e.peekAt(e.store, e.topic, clients...)
}

func (e *env) peekAt(s state.Store, topic string, clients ...state.Client) []state.Lane {
	e.Helper()
	step := state.Step{Topic: topic, Moves: peeks(clients)}
	o := e.commitTo(s, step)[0]
	if o.Err == nil {
		e.Fatal("a move whose Min is greater than its Max was done")
	}
	return o.Lanes
}

// peeks are moves that never hold.
func peeks(clients []state.Client) []state.Move {
	moves := make([]state.Move, len(clients))
	for i, c := range clients {
		moves[i] = state.Move{Client: c, Min: 1, Max: 0, To: state.Lane{Last: 1, From: 1}}
	}
	return moves
}

// finish marks a lane of the case's topic.
func (e *env) finish(c state.Client, upTo uint64) {
	e.Helper()
	if err := e.store.Finish(e.ctx, state.Mark{Topic: e.topic, Client: c, UpTo: upTo}); err != nil {
		e.Fatalf("Finish: %v", err)
	}
}

// entries returns log entries of the case's topic.
func (e *env) entries(after uint64, most int) (uint64, []string) {
	e.Helper()
	return e.entriesAt(e.store, e.topic, after, most)
}

func (e *env) entriesAt(s state.Store, topic string, after uint64, most int) (uint64, []string) {
	e.Helper()
	first, entries, err := s.Entries(e.ctx, topic, after, most)
	if err != nil {
		e.Fatalf("Entries: %v", err)
	}
	texts := make([]string, len(entries))
	for i, entry := range entries {
		texts[i] = string(entry)
	}
	return first, texts
}

// step makes a step of the case's topic. Data "" leaves the data as it is.
func (e *env) step(base state.Record, data string, moves ...state.Move) state.Step {
	s := state.Step{Topic: e.topic, Base: base, Moves: moves}
	if data != "" {
		s.Data = []byte(data)
	}
	return s
}

// click is the move of an op of which everything is known: the ones before it
// were dealt with, and their answers came.
func click(c state.Client, seq uint64) state.Move {
	return state.Move{Client: c, Min: seq - 1, Max: seq - 1, To: lane(seq)}
}

// jump is the move of an op that all before may have been dealt with or not:
// its from is its seq.
func jump(c state.Client, seq uint64) state.Move {
	return state.Move{Client: c, Min: 0, Max: seq - 1, To: lane(seq)}
}

// lane is that of a client who needs the answer to its last op only.
func lane(last uint64) state.Lane { return state.Lane{Last: last, From: last} }

func freshTopic() string { return "t:" + rand.Text() }

func freshClient() (c state.Client) {
	_, _ = rand.Read(c[:]) // never fails
	return c
}

func freshClients(n int) []state.Client {
	clients := make([]state.Client, n)
	for i := range clients {
		clients[i] = freshClient()
	}
	return clients
}

func show(r state.Record) string {
	data := fmt.Sprintf("%.40q", r.Data)
	if len(r.Data) > 40 {
		data += fmt.Sprintf(" (%d bytes)", len(r.Data))
	}
	return fmt.Sprintf("%d.%d %s", r.Epoch, r.Version, data)
}

func showStep(s *state.Step) string {
	text := fmt.Sprintf("on %d.%d, %d bytes of data, %d entries, %d moves", s.Base.Epoch, s.Base.Version, len(s.Data), len(s.Log), len(s.Moves))
	for _, m := range s.Moves[:min(len(s.Moves), 3)] {
		text += fmt.Sprintf(" [%d..%d was %.20q to %d from %d refused %.20q]", m.Min, m.Max, m.Was, m.To.Last, m.To.From, m.To.Refused)
	}
	return text
}

func showLanes(lanes []state.Lane) string {
	text := fmt.Sprintf("of %d:", len(lanes))
	for _, l := range lanes[:min(len(lanes), 5)] {
		text += fmt.Sprintf(" [%d from %d refused %.20q]", l.Last, l.From, l.Refused)
	}
	return text
}
