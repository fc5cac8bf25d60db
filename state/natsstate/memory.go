package natsstate

import "lockstep/state"

const (
	// maxTopics and maxLanes bound what is remembered: 20 MB or so at most.
	maxTopics = 4096
	maxLanes  = 1 << 16
	// maxData is the most bytes of a record's data, and maxRefused of a lane's
	// refusals, that are remembered.
	maxData    = 2 << 10
	maxRefused = 64
)

// A memory is what was seen of topics last. What it says may be out of date: whoever
// acts on it has the stream compare the sequences.
type memory struct {
	topics map[string]record
	lanes  map[laneKey]lane
}

// A laneKey names a lane.
type laneKey struct {
	topic  string
	client state.Client
}

func newMemory() memory {
	return memory{make(map[string]record), make(map[laneKey]lane)}
}

// remember keeps a value, and drops any others where there are too many.
func remember[K comparable, V any](m map[K]V, key K, value V, most int) {
	if _, has := m[key]; !has && len(m) >= most {
		for other := range m {
			if delete(m, other); len(m) < most*3/4 {
				break
			}
		}
	}
	m[key] = value
}

// learn remembers a record of an epoch.
func (s *Store) learn(topic string, epoch uint64, r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.life.epoch || r.version < s.memory.topics[topic].version {
		return
	}
	if len(r.data) > maxData {
		delete(s.memory.topics, topic)
		return
	}
	remember(s.memory.topics, topic, *r, maxTopics)
}

// learnLane remembers a lane, or forgets it where it is too large.
func (s *Store) learnLane(topic string, client state.Client, epoch uint64, l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := laneKey{topic, client}
	if epoch != s.life.epoch || len(l.Refused) > maxRefused || l.seq == 0 {
		delete(s.memory.lanes, key)
		return
	}
	remember(s.memory.lanes, key, *l, maxLanes)
}

// forget drops what was remembered of a step's topic and lanes: it was wrong.
func (s *Store) forget(step *state.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.memory.topics, step.Topic)
	for i := range step.Moves {
		delete(s.memory.lanes, laneKey{step.Topic, step.Moves[i].Client})
	}
}

// recall returns a step's topic and lanes as they may be, if that is enough to do it.
// A client of whom nothing is remembered is taken for one that is not known.
func (s *Store) recall(step *state.Step) (v view, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if step.Base.Epoch != s.life.epoch {
		return v, false
	}
	r, known := s.memory.topics[step.Topic]
	if step.Base.Version == 0 {
		r, known = record{first: 1, next: 1}, true
	}
	if !known || r.version != step.Base.Version {
		return v, false
	}
	v = view{epoch: s.life.epoch, record: r, lanes: make([]lane, len(step.Moves))}
	for i := range step.Moves {
		v.lanes[i] = s.memory.lanes[laneKey{step.Topic, step.Moves[i].Client}]
	}
	return v, true
}
