package statetest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"lockstep/state"
)

const (
	scripts       = 4
	callsOfScript = 120
)

// randomCases run scripts of calls that nobody thought of, beside a model.
func randomCases() []testCase {
	return []testCase{
		{name: "scripts of random calls do what the model says", run: randomScripts},
	}
}

func randomScripts(e *env) {
	for seed := range uint64(scripts) {
		newScript(e, seed).run()
	}
}

// A script is a sequence of calls that its seed decides, and the model.
type script struct {
	*env
	seed    uint64
	rand    *rand.Rand
	handles []state.Store
	topics  []string
	clients []state.Client
	model   map[string]*modelTopic
	sent    []state.Step // that may come again, late
}

// A modelTopic is what a topic must be.
type modelTopic struct {
	record state.Record
	lanes  map[state.Client]state.Lane
	log    []string
	gone   int // entries of log that are trimmed
}

func newScript(e *env, seed uint64) *script {
	s := &script{
		env: e, seed: seed, rand: rand.New(rand.NewPCG(seed, 18)), topics: topicsOf(3), clients: freshClients(5),
		handles: e.handles(), model: make(map[string]*modelTopic),
	}
	for i, record := range e.readAt(e.store, s.topics...) {
		s.model[s.topics[i]] = &modelTopic{record: record, lanes: make(map[state.Client]state.Lane)}
	}
	return s
}

func (s *script) run() {
	s.Helper()
	for n := range callsOfScript {
		store := s.handles[s.rand.IntN(len(s.handles))]
		if wrong := s.call(store); wrong != "" {
			s.Fatalf("seed %d, call %d: %s", s.seed, n+1, wrong)
		}
	}
}

// call makes one call and returns what is wrong with its answer, or "".
func (s *script) call(store state.Store) string {
	if s.opts.Reopen != nil && s.rand.IntN(40) == 0 {
		return s.restart()
	}
	switch s.rand.IntN(10) {
	case 0:
		return s.readAll(store)
	case 1:
		topic := s.topics[s.rand.IntN(len(s.topics))]
		return s.readLog(store, topic)
	case 2:
		mark := state.Mark{Topic: s.topics[0], Client: s.clients[s.rand.IntN(len(s.clients))], UpTo: s.rand.Uint64N(9)}
		if err := store.Finish(s.ctx, mark); err != nil {
			return err.Error()
		}
		return ""
	}
	var steps []state.Step
	for _, i := range s.rand.Perm(len(s.topics))[:1+s.rand.IntN(len(s.topics))] {
		steps = append(steps, s.randomStep(s.topics[i]))
	}
	for i, o := range s.commitTo(store, steps...) {
		if wrong := s.model[steps[i].Topic].judge(&steps[i], o); wrong != "" {
			return fmt.Sprintf("%s: %s", showStep(&steps[i]), wrong)
		}
	}
	s.sent = append(s.sent, steps...)
	return ""
}

// restart opens a store anew, whose epoch may be later.
func (s *script) restart() string {
	s.reopen()
	s.handles = s.env.handles() // another handle may have been the same store
	for i, record := range s.readAt(s.store, s.topics...) {
		t := s.model[s.topics[i]]
		if record.Epoch < t.record.Epoch {
			return fmt.Sprintf("got %s after a restart, before it was %s", show(record), show(t.record))
		}
		t.record.Epoch = record.Epoch
	}
	return ""
}

// randomStep returns a step that may hold, or one that was sent before.
func (s *script) randomStep(topic string) state.Step {
	if len(s.sent) > 0 && s.rand.IntN(4) == 0 {
		if again := s.sent[s.rand.IntN(len(s.sent))]; again.Topic == topic {
			if s.rand.IntN(2) == 0 {
				again.Base = s.model[topic].record
			}
			return again
		}
	}
	t := s.model[topic]
	step := state.Step{Topic: topic, Base: t.record, Keep: s.rand.IntN(4)}
	if s.rand.IntN(6) == 0 {
		step.Base.Version -= min(step.Base.Version, 1+s.rand.Uint64N(2))
	}
	if s.rand.IntN(4) > 0 {
		step.Data = fmt.Appendf(nil, "data %d", s.rand.Uint32())
	}
	for range s.rand.IntN(3) {
		step.Log = append(step.Log, fmt.Appendf(nil, "entry %d", s.rand.Uint32()))
	}
	for _, i := range s.rand.Perm(len(s.clients))[:1+s.rand.IntN(3)] {
		step.Moves = append(step.Moves, s.randomMove(s.clients[i], t.lanes[s.clients[i]]))
	}
	return step
}

func (s *script) randomMove(c state.Client, l state.Lane) state.Move {
	m := state.Move{Client: c, Was: l.Refused}
	m.Max = l.Last + s.rand.Uint64N(3)
	m.Min = s.rand.Uint64N(l.Last + 2)
	if s.rand.IntN(8) == 0 {
		m.Max -= min(m.Max, 2)
	}
	if s.rand.IntN(8) == 0 {
		m.Was = []byte("else")
	}
	m.To.Last = m.Max + 1 + s.rand.Uint64N(2)
	m.To.From = 1 + s.rand.Uint64N(m.To.Last)
	if s.rand.IntN(3) == 0 {
		m.To.Refused = fmt.Appendf(nil, "%d=no", s.rand.Uint32N(3))
	}
	return m
}

func (s *script) readAll(store state.Store) string {
	for i, record := range s.readAt(store, s.topics...) {
		want := s.model[s.topics[i]].record
		if !record.Same(want) || string(record.Data) != string(want.Data) {
			return fmt.Sprintf("Read returned %s, want %s", show(record), show(want))
		}
	}
	return ""
}

func (s *script) readLog(store state.Store, topic string) string {
	t := s.model[topic]
	after, most := s.rand.IntN(len(t.log)+2), 1+s.rand.IntN(4)
	first := max(after, t.gone)
	var want []string
	if after >= len(t.log) {
		first = after
	} else {
		want = t.log[first:min(len(t.log), first+most)]
	}
	got, entries := s.entriesAt(store, topic, uint64(after), most)
	if got != uint64(first)+1 || !slices.Equal(entries, want) {
		return fmt.Sprintf("Entries after %d, %d at most, returned %d %q, want %d %q", after, most, got, entries, first+1, want)
	}
	return ""
}

// judge returns what is wrong with an outcome, or "", and does the step.
func (t *modelTopic) judge(step *state.Step, o state.Outcome) string {
	holds := step.Base.Same(t.record)
	made := make([]bool, len(step.Moves))
	lanes := make([]state.Lane, len(step.Moves))
	for i := range step.Moves {
		l, known := t.lanes[step.Moves[i].Client]
		lanes[i], made[i] = l, !known
		holds = holds && step.Moves[i].Holds(l)
	}
	switch {
	case holds != (o.Err == nil):
		return fmt.Sprintf("got %v, and it is %v that it holds", o.Err, holds)
	case holds:
		return t.done(step, o, lanes, made)
	case !o.Record.Same(t.record):
		return fmt.Sprintf("a conflict was answered with %s, want %s", show(o.Record), show(t.record))
	case !step.Base.Same(t.record) && string(o.Record.Data) != string(t.record.Data):
		return fmt.Sprintf("a conflict was answered with %s, want %s", show(o.Record), show(t.record))
	case !slices.EqualFunc(o.Lanes, lanes, sameLane):
		return fmt.Sprintf("a conflict was answered with %+v, want %+v", o.Lanes, lanes)
	}
	return ""
}

// done does a step that holds.
func (t *modelTopic) done(step *state.Step, o state.Outcome, lanes []state.Lane, made []bool) string {
	if !slices.Equal(o.Made, made) {
		return fmt.Sprintf("made %v, want %v", o.Made, made)
	}
	for i := range step.Moves {
		t.lanes[step.Moves[i].Client] = step.Moves[i].Moved(lanes[i])
	}
	for _, entry := range step.Log {
		t.log = append(t.log, string(entry))
	}
	if step.Keep > 0 {
		t.gone = max(t.gone, len(t.log)-step.Keep)
	}
	data := t.record.Data
	if step.Data != nil {
		data = step.Data
	}
	t.record = state.Record{Epoch: o.Record.Epoch, Version: o.Record.Version, Data: data}
	return ""
}
