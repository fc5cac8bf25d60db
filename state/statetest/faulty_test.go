package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"lockstep/state"
)

const (
	testLifetime     = 7 * 24 * time.Hour
	testDoneLifetime = 7 * time.Minute
)

// A faulty store is a small one that keeps the contract, but for its bug. Its
// handles share a disk.
type faulty struct {
	bug  string // "": none
	disk *disk

	mu      sync.Mutex // guards the rest
	closing bool
	closed  bool
	cache   map[string]state.Record
}

// A disk is what is shared by stores, and outlives them.
type disk struct {
	mu    sync.Mutex // guards the rest
	ahead time.Duration
	epoch uint64 // the last that was given
	data  contents
}

type contents struct {
	topics       map[string]*faultyTopic
	age, doneAge state.Age
	doomed       []doomed
}

// doomed is a lane that a bug is going to delete.
type doomed struct {
	topic  *faultyTopic
	client state.Client
	left   int // commits
}

type faultyTopic struct {
	record  state.Record
	lanes   map[state.Client]faultyLane
	trimmed int
	log     [][]byte
}

type faultyLane struct {
	state.Lane
	age, done uint64
	isDone    bool
}

var errFaultyClosed = errors.New("closed")

func newDisk() *disk {
	now := state.Age{Since: time.Now()}
	return &disk{epoch: 7, data: contents{topics: make(map[string]*faultyTopic), age: now, doneAge: now}}
}

func (d *disk) open(bug string) *faulty { return &faulty{bug: bug, disk: d} }

// copy returns a deep copy.
func (c contents) copy() contents {
	topics := make(map[string]*faultyTopic, len(c.topics))
	for name, t := range c.topics {
		copied := *t
		copied.lanes, copied.log = maps.Clone(t.lanes), slices.Clone(t.log)
		topics[name] = &copied
	}
	c.topics = topics
	return c
}

func (f *faulty) is(bug string) bool { return f.bug == bug }

// begin locks the disk for a call.
func (f *faulty) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil && !f.is("ignores a cancelled context") {
		return err
	}
	if f.isClosed() && !f.is("works after Close") {
		return errFaultyClosed
	}
	time.Sleep(10 * time.Millisecond) // so that time goes by in a bubble, whatever a case waits for
	if !f.is("gives up when another is there") {
		f.disk.mu.Lock()
	} else if !f.disk.mu.TryLock() {
		return errors.New("deadlock")
	}
	f.forget()
	return nil
}

// forget begins new ages.
func (f *faulty) forget() {
	d := f.disk
	now := time.Now().Add(d.ahead)
	lifetime, doneLifetime := testLifetime, testDoneLifetime
	switch {
	case f.is("forgets lanes too early"):
		lifetime = lifetime * 3 / 4
	case f.is("forgets lanes that are done too early"):
		doneLifetime = doneLifetime * 3 / 4
	case f.is("forgets lanes too late"):
		lifetime *= 4
	case f.is("forgets lanes that are done too late"):
		doneLifetime *= 4
	}
	at := state.Age.At
	switch {
	case f.is("believes its clock"):
		at = func(a state.Age, now time.Time, l time.Duration) state.Age {
			if n := now.Sub(a.Since) / (l / 7); n > 0 {
				return state.Age{N: a.N + uint64(n), Since: now}
			}
			return a
		}
	case f.is("waits for a clock that was ahead"):
		at = func(a state.Age, now time.Time, l time.Duration) state.Age {
			if now.Before(a.Since) {
				return a
			}
			return a.At(now, l)
		}
	case f.is("has two ages in a lifetime"): // each a lifetime long, and eight are one here
		at = func(a state.Age, now time.Time, l time.Duration) state.Age {
			if a.At(now, 7*l) != a && !now.Before(a.Since) {
				return state.Age{N: a.N + 8, Since: now}
			}
			return a
		}
	}
	d.data.age, d.data.doneAge = at(d.data.age, now, lifetime), at(d.data.doneAge, now, doneLifetime)
}

func (f *faulty) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := f.check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	if err := f.begin(ctx); err != nil {
		return state.Failed(len(steps), err)
	}
	defer f.disk.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Second && f.losesAnswers() {
		for i := range steps {
			f.step(&steps[i], f.is("loses answers, and lanes"))
		}
		return state.Failed(len(steps), context.DeadlineExceeded)
	}
	if f.is("gives up when another is there") {
		time.Sleep(time.Millisecond)
	}
	f.sweep()
	if f.is("acknowledges what it drops at Close") && f.isClosed() {
		for i := range steps {
			steps[i].Base.Version++
		}
		return dropped(steps)
	}
	outcomes := make([]state.Outcome, len(steps))
	if len(steps) == 0 && f.is("has an outcome for nothing") {
		return make([]state.Outcome, 1)
	}
	failed := false
	for i := range steps {
		outcomes[i] = f.step(&steps[i], false)
		failed = failed || outcomes[i].Err != nil
		if failed && f.is("stops at the first conflict") {
			for j := i + 1; j < len(steps); j++ {
				outcomes[j] = state.Outcome{Err: state.ErrConflict, Record: f.record(steps[j].Topic), Lanes: make([]state.Lane, len(steps[j].Moves))}
			}
			break
		}
	}
	if f.is("answers steps in the order of topics") {
		slices.SortFunc(outcomes, func(a, b state.Outcome) int { return bytes.Compare(a.Record.Data, b.Record.Data) })
	}
	return outcomes
}

func (f *faulty) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// dropped are outcomes of steps that were not done.
func dropped(steps []state.Step) []state.Outcome {
	outcomes := make([]state.Outcome, len(steps))
	for i := range steps {
		record := steps[i].Base
		record.Data = nil
		outcomes[i] = state.Outcome{Record: record, Made: make([]bool, len(steps[i].Moves))}
	}
	return outcomes
}

// losesAnswers reports whether a call that is cancelled is done.
func (f *faulty) losesAnswers() bool {
	return f.is("loses answers") || f.is("loses answers, and lanes")
}

// check is state.Check, but for bugs.
func (f *faulty) check(steps []state.Step) error {
	err := state.Check(steps)
	if err == nil {
		return nil
	}
	switch {
	case f.is("checks nothing"):
		return nil
	case f.is("takes empty data"):
		for i := range steps {
			if steps[i].Data != nil && len(steps[i].Data) == 0 {
				return nil
			}
		}
	case f.is("takes one move too many"):
		if len(steps) == 1 && len(steps[0].Moves) == state.MaxMoves+1 {
			return nil
		}
	case f.is("takes long data"):
		if len(steps) == 1 && len(steps[0].Data) > state.MaxData {
			return nil
		}
	case f.is("takes long refusals"):
		if len(steps) == 1 && len(steps[0].Moves) == 1 && len(steps[0].Moves[0].To.Refused) > state.MaxRefused {
			return nil
		}
	case f.is("takes long logs"):
		if len(steps) == 1 && len(steps[0].Log) > state.MaxLog {
			return nil
		}
	case f.is("takes too many steps"):
		if len(steps) > state.MaxSteps {
			return nil
		}
	case f.is("takes any topic"):
		if state.CheckTopic(steps[0].Topic) != nil {
			return nil
		}
	case f.is("takes a topic twice"):
		if len(steps) == 2 && steps[0].Topic == steps[1].Topic {
			return nil
		}
	case f.is("does what is valid of a call"):
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		for i := range steps {
			if state.Check(steps[i:i+1]) == nil {
				f.step(&steps[i], false)
			}
		}
	}
	return err
}

// record returns that of a topic as it is now.
func (f *faulty) record(topic string) state.Record {
	r := state.Record{Epoch: f.disk.epoch}
	if t := f.disk.data.topics[f.name(topic)]; t != nil {
		r.Version, r.Data = t.record.Version, t.record.Data
	}
	if f.is("knows no epoch") {
		r.Epoch = 7
	}
	return r
}

// name is what a topic is kept under.
func (f *faulty) name(topic string) string {
	switch {
	case f.is("ends topics at a zero byte"):
		before, _, _ := bytes.Cut([]byte(topic), []byte{0})
		return string(before)
	case f.is("takes only so much of a topic"):
		return topic[:min(len(topic), state.MaxTopic-1)]
	case f.is("folds the case of topics"):
		return string(bytes.ToLower([]byte(topic)))
	}
	return topic
}

// client is what a client is kept under.
func (f *faulty) client(c state.Client) state.Client {
	switch {
	case f.is("ends clients at a zero byte"):
		if i := bytes.IndexByte(c[:], 0); i >= 0 {
			clear(c[i:])
		}
	case f.is("keeps clients as text"):
		copy(c[:], bytes.ToValidUTF8(c[:], []byte{'?'}))
	}
	return c
}

// lane returns what is known of a client.
func (f *faulty) lane(t *faultyTopic, c state.Client) (faultyLane, bool) {
	l, ok := t.lanes[f.client(c)]
	d := &f.disk.data
	if !ok || !d.age.Knows(l.age) || l.isDone && !d.doneAge.Knows(l.done) {
		return faultyLane{}, false
	}
	return l, true
}

// holds reports whether a move holds.
func (f *faulty) holds(m *state.Move, l state.Lane) bool {
	switch {
	case f.is("ignores Min"):
		return l.Last <= m.Max && m.Min <= m.Max && bytes.Equal(m.Was, l.Refused)
	case f.is("ignores Max"):
		return m.Min <= l.Last && m.Min <= m.Max && bytes.Equal(m.Was, l.Refused)
	case f.is("ignores Was"):
		return m.Min <= l.Last && l.Last <= m.Max
	case f.is("compares the lengths of Was"):
		return m.Min <= l.Last && l.Last <= m.Max && len(m.Was) == len(l.Refused)
	case f.is("rounds seqs"):
		return float32(m.Min) <= float32(l.Last) && float32(l.Last) <= float32(m.Max) && bytes.Equal(m.Was, l.Refused)
	case f.is("does what never holds"):
		return m.Holds(l) || m.Min > m.Max && l.Last <= m.Min
	case f.is("takes unknown clients for anything"):
		return m.Holds(l) || l.Last == 0 && m.Min <= m.Max && len(m.Was) == 0
	}
	return m.Holds(l)
}

// base reports whether a base is the newest record.
func (f *faulty) base(base, newest state.Record) bool {
	switch {
	case f.is("compares versions only"):
		return base.Version == newest.Version
	case f.is("compares epochs only"):
		return base.Epoch == newest.Epoch
	case f.is("takes any newer base"):
		return base.Same(newest) || base.Newer(newest)
	case f.is("takes a zero base"):
		return base.Same(newest) || base.Same(state.Record{}) && newest.Version == 0
	}
	return base.Same(newest)
}

// step does one step, without its moves when they are lost.
func (f *faulty) step(step *state.Step, lost bool) state.Outcome {
	topics := f.disk.data.topics
	t := topics[f.name(step.Topic)]
	if t == nil {
		t = &faultyTopic{lanes: make(map[state.Client]faultyLane)}
		if f.is("makes topics of conflicts") {
			t.record.Version = 1
			topics[f.name(step.Topic)] = t
		}
	}
	newest := f.record(step.Topic)
	lanes := make([]state.Lane, len(step.Moves))
	made := make([]bool, len(step.Moves))
	holds := f.base(step.Base, newest)
	for i := range step.Moves {
		l, known := f.lane(t, step.Moves[i].Client)
		lanes[i], made[i] = l.Lane, !known
		holds = holds && f.holds(&step.Moves[i], l.Lane)
		if holds && f.is("moves one after the other") {
			f.move(t, &step.Moves[i], l.Lane)
		}
	}
	if !holds {
		return f.conflict(step, t, newest, lanes)
	}
	if f.is("is not atomic") {
		f.pause()
	}
	for i := range step.Moves {
		if !f.is("moves one after the other") && !lost {
			f.move(t, &step.Moves[i], lanes[i])
		}
	}
	f.apply(t, step)
	topics[f.name(step.Topic)] = t
	if f.is("says that each move makes a lane") {
		for i := range made {
			made[i] = true
		}
	}
	if f.is("says that only the first move makes a lane") {
		clear(made[1:])
	}
	record := state.Record{Epoch: newest.Epoch, Version: t.record.Version}
	if f.is("returns the data that it got") {
		record.Data = t.record.Data
	}
	return state.Outcome{Record: record, Made: made}
}

// pause lets others make calls. The caller holds the disk.
func (f *faulty) pause() {
	f.disk.mu.Unlock()
	time.Sleep(35 * time.Millisecond)
	f.disk.mu.Lock()
}

// sweep deletes lanes that a bug deletes.
func (f *faulty) sweep() {
	d := &f.disk.data
	for i := range d.doomed {
		if d.doomed[i].left--; d.doomed[i].left == 0 {
			delete(d.doomed[i].topic.lanes, d.doomed[i].client)
		}
	}
}

func (f *faulty) conflict(step *state.Step, t *faultyTopic, newest state.Record, lanes []state.Lane) state.Outcome {
	same := step.Base.Same(newest)
	if same && !f.is("always returns the data") || f.is("never returns the data") {
		newest.Data = nil
	}
	switch {
	case f.is("reads lanes after the record") && !same:
		f.pause()
		for i := range step.Moves {
			l, _ := f.lane(t, step.Moves[i].Client)
			lanes[i] = l.Lane
		}
	case f.is("leaves lanes out when the base is old") && !same:
		lanes = make([]state.Lane, len(lanes))
	case f.is("sorts lanes"):
		slices.SortFunc(lanes, func(a, b state.Lane) int { return int(a.Last) - int(b.Last) })
	case f.is("leaves From out"):
		for i := range lanes {
			lanes[i].From = 0
		}
	case f.is("appends in spite of a conflict"):
		t.log = append(t.log, step.Log...)
	case f.is("trims in spite of a conflict") && step.Keep > 0:
		t.trim(step.Keep)
	case f.is("answers conflicts with the base"):
		newest = step.Base
	}
	err := state.ErrConflict
	if f.is("wraps errors") {
		err = fmt.Errorf("faulty: %w", err)
	}
	return state.Outcome{Err: err, Record: newest, Lanes: lanes}
}

// move makes a move.
func (f *faulty) move(t *faultyTopic, m *state.Move, before state.Lane) {
	d := &f.disk.data
	l := faultyLane{Lane: m.Moved(before), age: d.age.N}
	if !f.is("keeps slices that it is given") {
		l.Refused = bytes.Clone(l.Refused)
	}
	old, there := t.lanes[f.client(m.Client)]
	if there && before.Last == 0 && f.is("sweeps what was made anew") {
		d.doomed = append(d.doomed, doomed{t, f.client(m.Client), 6})
	}
	switch {
	case f.is("lets From fall"):
		l.From = m.To.From
	case f.is("forgets refusals"):
		l.Refused = nil
	case f.is("never takes refusals back") && len(l.Refused) == 0:
		l.Refused = old.Refused
	case f.is("keeps refusals as text"):
		l.Refused = bytes.ToValidUTF8(l.Refused, []byte{'?'})
	case f.is("keeps marks") && old.isDone:
		l.isDone, l.done = true, old.done
	case f.is("marks lanes with their first move") && before.Last > 0:
		l.age = old.age
	case f.is("keeps the From of a lane that is forgotten"):
		l.From = max(l.From, old.From)
	}
	t.lanes[f.client(m.Client)] = l
}

// apply does the rest of a step that holds.
func (f *faulty) apply(t *faultyTopic, step *state.Step) {
	if !f.is("makes no version of a step without data") || step.Data != nil {
		t.record.Version++
	}
	if f.is("counts ops") {
		t.record.Version += uint64(len(step.Moves)) - 1
	}
	switch {
	case step.Data != nil && f.is("keeps slices that it is given"):
		t.record.Data = step.Data
	case step.Data != nil && f.is("keeps data as text"):
		t.record.Data = bytes.ToValidUTF8(step.Data, []byte{'?'})
	case step.Data != nil && f.is("cuts long data"):
		t.record.Data = bytes.Clone(step.Data[:min(len(step.Data), state.MaxData-1)])
	case step.Data != nil:
		t.record.Data = bytes.Clone(step.Data)
	case f.is("takes nil data for none"):
		t.record.Data = nil
	}
	for _, entry := range step.Log {
		if f.is("skips empty entries") && len(entry) == 0 {
			continue
		}
		t.log = append(t.log, bytes.Clone(entry))
	}
	if f.is("trims only what it appends to") && len(step.Log) == 0 || f.is("never trims") {
		return
	}
	keep := step.Keep
	if f.is("keeps twice as much") {
		keep *= 2
	}
	if over := len(t.log) - keep; keep > 0 && over > 0 && f.is("takes back what it returned") {
		clear(t.log[:over])
	}
	if keep > 0 {
		t.trim(keep)
	}
	if f.is("numbers what stays") {
		t.trimmed = 0
	}
	if keep == 0 && f.is("takes no Keep for none") {
		t.trim(0)
	}
}

func (t *faultyTopic) trim(keep int) {
	if over := len(t.log) - keep; over > 0 {
		t.log, t.trimmed = t.log[over:], t.trimmed+over
	}
}

func (f *faulty) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil && !f.is("reads anything") {
		return nil, err
	}
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	defer f.disk.mu.Unlock()
	if f.is("reads each topic once") {
		topics = slices.Compact(slices.Sorted(slices.Values(topics)))
	}
	if f.is("reads in the order of topics") {
		topics = slices.Sorted(slices.Values(topics))
	}
	records := make([]state.Record, len(topics))
	for i, topic := range topics {
		records[i] = f.record(topic)
		if f.is("reads from a cache") {
			records[i] = f.cached(topic, records[i])
		}
		if f.is("has no epoch for unknown topics") && records[i].Version == 0 {
			records[i].Epoch = 0
		}
		if f.is("makes topics of reads") && records[i].Version == 0 {
			f.disk.data.topics[f.name(topic)] = &faultyTopic{record: state.Record{Version: 1}, lanes: make(map[state.Client]faultyLane)}
		}
	}
	return records, nil
}

// cached returns what was read first of a topic.
func (f *faulty) cached(topic string, r state.Record) state.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cache == nil {
		f.cache = make(map[string]state.Record)
	}
	if _, known := f.cache[topic]; !known || r.Version%4 == 0 {
		f.cache[topic] = r
	}
	return f.cache[topic]
}

func (f *faulty) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	if err := f.begin(ctx); err != nil {
		return 0, nil, err
	}
	defer f.disk.mu.Unlock()
	t := f.disk.data.topics[f.name(topic)]
	if t == nil {
		return after + 1, nil, nil
	}
	if f.is("shares a log") {
		for _, other := range f.disk.data.topics {
			if len(other.log) > len(t.log) {
				t = other
			}
		}
	}
	first := max(int(min(after, math.MaxInt32)), t.trimmed)
	if first >= t.trimmed+len(t.log) || most < 1 && !f.is("returns all entries") {
		return after + 1, nil, nil
	}
	if f.is("reads a log in two steps") {
		at := first - t.trimmed
		f.pause()
		return uint64(first) + 1, t.log[min(at, len(t.log)):min(at+most, len(t.log))], nil
	}
	entries := t.log[first-t.trimmed:]
	switch {
	case f.is("returns the newest entries first"):
		entries = slices.Clone(entries)
		slices.Reverse(entries)
	case f.is("returns all entries"):
		most = len(entries)
	case f.is("says no gaps"):
		first = int(after)
	}
	return uint64(first) + 1, entries[:min(len(entries), most)], nil
}

func (f *faulty) Finish(ctx context.Context, marks ...state.Mark) error {
	topics := make([]string, len(marks))
	for i := range marks {
		topics[i] = marks[i].Topic
	}
	if err := state.CheckRead(topics...); err != nil && !f.is("marks anything") {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.disk.mu.Unlock()
	for i, m := range marks {
		if i > 0 && f.is("makes one mark only") {
			break
		}
		f.finish(m)
	}
	return nil
}

func (f *faulty) finish(m state.Mark) {
	t := f.disk.data.topics[f.name(m.Topic)]
	if t == nil {
		return
	}
	l, known := f.lane(t, m.Client)
	switch {
	case f.is("marks whole topics"):
		for c, other := range t.lanes {
			other.isDone, other.done = true, f.disk.data.doneAge.N
			t.lanes[c] = other
		}
	case !known && f.is("makes lanes of marks"):
		t.lanes[m.Client] = faultyLane{Lane: lane(max(m.UpTo, 1)), age: f.disk.data.age.N}
	case f.is("marks lanes that went on"):
		m.UpTo = state.MaxSeq
	case f.is("makes versions of marks"):
		t.record.Version++
	case f.is("deletes what is marked"):
		delete(t.lanes, m.Client)
		return
	case f.is("ignores marks"):
		return
	}
	if !known || l.Last > m.UpTo || l.age+3 < f.disk.data.age.N && f.is("marks young lanes only") {
		return
	}
	if l.isDone && f.is("marks a lane once") {
		return
	}
	if f.is("marks in two steps") {
		f.pause()
	}
	l.isDone, l.done = true, f.disk.data.doneAge.N
	if f.is("forgets refusals with a mark") {
		l.Refused = nil
	}
	t.lanes[m.Client] = l
}

func (f *faulty) Close() error {
	if f.is("takes too long to close") {
		time.Sleep(f.closingTakes())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed && f.is("can't be closed twice") {
		return errFaultyClosed
	}
	f.closed = true
	return nil
}

// closingTakes is too long for the first Close, and lets the second outlive it: a bubble must not
// end before all in it has ended.
func (f *faulty) closingTakes() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return 10 * time.Millisecond
	}
	f.closing = true
	return closeLimit + 5*time.Millisecond
}
