package lanetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"lockstep/state"
	"lockstep/state/memstate"
)

// A store is the one that all replicas share: a memstate, which is lost and
// restored now and then.
type store struct {
	*sim
	mem     *memstate.Store
	ahead   time.Duration // its clock
	journal []deed        // that made mem what it is
	backup  []deed
	lostAt  time.Duration
}

// A deed is something that was done in the store.
type deed struct {
	step  state.Step
	marks []state.Mark
}

func newStore(s *sim) *store {
	st := &store{sim: s}
	st.mem = st.open()
	st.tick()
	return st
}

func (st *store) open() *memstate.Store {
	done := doneLifetime
	if st.finShort {
		done = state.Fresh / 12
	}
	return memstate.New(&memstate.Options{
		Lifetime: lifetime, DoneLifetime: done, Now: func() time.Time { return time.Now().Add(st.ahead) },
	})
}

// tick has the store see the time pass: it forgets while it is used.
func (st *store) tick() {
	st.lane(topicOf(0), state.Client{})
	st.after(10*time.Second, st.tick)
}

// record is the newest of a topic.
func (st *store) record(t int) state.Record {
	records, err := st.mem.Read(context.Background(), topicOf(t))
	if err != nil {
		panic(err)
	}
	return records[0]
}

// lane is that of a client.
func (st *store) lane(topic string, client state.Client) state.Lane {
	look := state.Move{Client: client, Min: 1, To: state.Lane{Last: 1, From: 1}}
	return st.mem.Commit(context.Background(), state.Step{Topic: topic, Moves: []state.Move{look}})[0].Lanes[0]
}

// entries are the ops of the log of a topic.
func (st *store) entries(topic string) []string {
	first, raw, err := st.mem.Entries(context.Background(), topic, 0, math.MaxInt)
	if err != nil || first != 1 {
		panic(fmt.Sprint("the log begins with ", first, ": ", err))
	}
	entries, err := state.ReadEntries[string](first, raw)
	if err != nil {
		return []string{err.Error()}
	}
	ops := make([]string, len(entries))
	for i, e := range entries {
		ops[i] = e.M
	}
	return ops
}

// A reply is what a call of the store returns, and for the ground truth what it
// rests on.
type reply struct {
	outcomes []state.Outcome
	sights   []sight
}

// commit does steps, and looks at each that was done.
func (st *store) commit(steps []state.Step) reply {
	before := make([][]string, len(steps))
	for i := range steps {
		before[i] = opsOf(st.record(numberOf(steps[i].Topic)))
	}
	r := reply{st.mem.Commit(context.Background(), steps...), make([]sight, len(steps))}
	for i := range steps {
		now := st.record(numberOf(steps[i].Topic))
		after := opsOf(now)
		r.sights[i] = sight{st.history, now.Epoch, after}
		if r.outcomes[i].Err != nil {
			st.tally.conflicts++
			continue
		}
		st.journal = append(st.journal, deed{step: steps[i]})
		st.committed(&steps[i], before[i], after)
		st.logged(steps[i].Topic, after)
	}
	return r
}

func (st *store) finish(marks []state.Mark) {
	st.tally.fins += len(marks)
	if err := st.mem.Finish(context.Background(), marks...); err != nil {
		panic(err)
	}
	st.journal = append(st.journal, deed{marks: marks})
}

func (st *store) backUp() {
	st.log("store: backup")
	st.backup = slices.Clone(st.journal)
}

// lose flushes the store, or restores the backup, in a new epoch. What is
// restored is done again: so its lanes live a little longer than they would.
func (st *store) lose(flush bool) {
	if st.history == histories || st.now()-st.lostAt < 2*time.Millisecond {
		return
	}
	deeds := st.backup
	if flush {
		deeds = nil
	}
	st.history++
	st.tally.losses++
	st.lostAt = st.now()
	st.mem, st.journal = st.open(), slices.Clone(deeds)
	st.log("store: %d deeds are left, epoch %d", len(deeds), st.record(0).Epoch)
	for _, d := range deeds {
		st.again(d)
	}
}

// again does a deed in a store that was restored.
func (st *store) again(d deed) {
	if d.marks != nil {
		_ = st.mem.Finish(context.Background(), d.marks...) // it does not fail
		return
	}
	d.step.Moves = slices.Clone(d.step.Moves)
	d.step.Base = st.record(numberOf(d.step.Topic))
	for i := range d.step.Moves {
		m := &d.step.Moves[i]
		l := st.lane(d.step.Topic, m.Client)
		m.Min, m.Max, m.Was = l.Last, l.Last, l.Refused // it may have been forgotten in between
	}
	if err := st.mem.Commit(context.Background(), d.step)[0].Err; err != nil {
		st.fail("1 twice: a step that was done can't be done again: %v", err)
	}
}

// jump changes the store's clock: back as often as may be, and forwards once.
func (st *store) jump() {
	by := st.ms(1000, 3_600_000)
	if st.jumped || st.maybe(0.5) {
		by = -by
	} else {
		st.jumped = true
	}
	st.ahead += by
	st.log("store: its clock jumps by %v", by)
}

// A line is how one life of a replica reaches the store.
type line struct {
	r    *replica
	life int
}

var errLost = errors.New("the answer is lost")

// Commit implements state.Store.
func (l line) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	steps = clone(steps) // they may be done after this call has returned
	answer := make(chan []state.Outcome, 1)
	failed := func() { answer <- state.Failed(len(steps), errLost) }
	l.r.tell(l.r.id, func() {
		l.r.tally.calls++
		l.r.store.call(l, func() func() {
			got := l.r.store.commit(steps)
			return func() {
				for i := range steps {
					l.r.see(steps[i], got.outcomes[i], got.sights[i])
				}
				answer <- got.outcomes
			}
		}, failed)
	})
	select {
	case outcomes := <-answer:
		return outcomes
	case <-ctx.Done():
		return state.Failed(len(steps), ctx.Err())
	}
}

// clone copies steps: a store keeps nothing of what it was given.
func clone(steps []state.Step) []state.Step {
	all := slices.Clone(steps)
	for i := range all {
		all[i].Data, all[i].Moves, all[i].Log = slices.Clone(all[i].Data), slices.Clone(all[i].Moves), slices.Clone(all[i].Log)
	}
	return all
}

// Finish implements state.Store. Whether it was done nobody learns.
func (l line) Finish(_ context.Context, marks ...state.Mark) error {
	marks = slices.Clone(marks)
	sort.SliceStable(marks, func(i, j int) bool { return marks[i].Topic < marks[j].Topic })
	l.r.tell(l.r.id, func() {
		l.r.store.call(l, func() func() {
			l.r.store.finish(marks)
			return func() {}
		}, func() {})
	})
	return nil
}

// Read implements state.Store. Batchers don't call it.
func (l line) Read(context.Context, ...string) ([]state.Record, error) { panic("not called") }

// Entries implements state.Store. Batchers don't call it.
func (l line) Entries(context.Context, string, uint64, int) (uint64, [][]byte, error) {
	panic("not called")
}

// Close implements state.Store.
func (l line) Close() error { return nil }

// call has something done in the store, and then the caller answered by what that
// returns, if neither is lost on its way; each may be late. failed says that the
// outcome is unknown. Both may be called when nobody listens any more.
func (st *store) call(l line, do func() (answer func()), failed func()) {
	if l.life != l.r.life {
		return // it ended before it could call
	}
	var over bool // the caller has been answered
	fail := func() { over = true; failed() }
	if st.chance(0.06) { // the request is lost
		if st.maybe(0.5) {
			fail()
		}
		return
	}
	if st.chance(0.02) { // the caller gives up before it is done
		fail()
	}
	st.after(st.delay(true), func() {
		answer := do()
		if st.chance(0.003) { // what the answer says is lost while it is on its way
			st.after(st.ms(0, 5), func() { st.lose(st.maybe(0.4)) })
		}
		if st.chance(0.03) { // a driver or a proxy sends it twice
			st.after(st.delay(true), func() { do() })
		}
		if over || st.chance(0.06) { // the answer is lost
			if !over && st.maybe(0.5) {
				fail()
			}
			return
		}
		st.after(st.delay(false), func() {
			if l.life == l.r.life {
				answer()
			}
		})
	})
}

func (st *store) delay(call bool) time.Duration {
	switch d := st.rng.Float64(); {
	case st.calm || d > 0.08:
		return st.ms(1, 8)
	case d > 0.02:
		return st.ms(10, 1500)
	case call && st.longCall:
		return st.ms(1000, 1_200_000)
	}
	return st.ms(1000, latestCall.Milliseconds())
}
