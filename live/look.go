package live

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// A TabInfo is what a runtime knows of one of its tabs now.
type TabInfo struct {
	ID         uint64 // Session.ID
	Topics     []string
	Messages   uint64        // sent to it since WatchTab
	Bytes      uint64        // in them
	Full       time.Duration // for how long its connection has taken nothing; 0: it takes all
	Behind     uint64        // frames of its rooms that it has not been sent, conflated ones not counted
	Waiting    int           // private messages that wait
	Unanswered int           // ops without an answer
}

// slower reports, as cmp.Compare does, which of two tabs is slower.
func (t TabInfo) slower(other TabInfo) int {
	return cmp.Or(cmp.Compare(other.Full, t.Full), cmp.Compare(other.Behind, t.Behind),
		cmp.Compare(other.Waiting+other.Unanswered, t.Waiting+t.Unanswered), cmp.Compare(t.ID, other.ID))
}

// isSlow reports whether a tab waits for anything.
func (t TabInfo) isSlow() bool { return t.Full > 0 || t.Behind > 0 || t.Waiting+t.Unanswered > 0 }

// SlowestTabs returns up to n tabs to which something has not been sent, the slowest first. It
// looks at every tab: it is for people who look, not for each message.
func (r *Runtime) SlowestTabs(n int) []TabInfo {
	var all []TabInfo
	for _, s := range r.connected() {
		if t := s.info(r.now()); t.isSlow() {
			all = append(all, t)
		}
		if len(all) >= 2*n {
			slices.SortFunc(all, TabInfo.slower)
			all = all[:n]
		}
	}
	slices.SortFunc(all, TabInfo.slower)
	all = all[:min(n, len(all))]
	for i := range all {
		if s := r.session(all[i].ID); s != nil {
			all[i].Topics = s.topics()
		}
	}
	return all
}

// Tab returns a tab that is connected; false: there is none of that number.
func (r *Runtime) Tab(id uint64) (TabInfo, bool) {
	s := r.session(id)
	if s == nil {
		return TabInfo{}, false
	}
	t := s.info(r.now())
	t.Topics = s.topics()
	t.Messages, t.Bytes = r.watched.of(s)
	return t, true
}

// maxWatched is how many tabs are counted at a time: each costs a look into a map for each message.
const maxWatched = 64

// WatchTab has what is sent to a tab counted from now on, for Tab, until stop is called or the tab
// has left. It reports false when there is none of that number, or when 64 are watched.
func (r *Runtime) WatchTab(id uint64) (stop func(), ok bool) {
	s := r.session(id)
	if s == nil || !r.watched.add(s) {
		return nil, false
	}
	s.setCounted(true)
	if s.ended() {
		r.watched.forget(s) // it may have left before
	}
	return func() { s.setCounted(false); r.watched.forget(s) }, true
}

func (s *Session) setCounted(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = yes
}

// watchedTabs are sessions whose messages are counted. A session has no room for that: see
// layout_test.go. The zero value is none; it may be used concurrently, and also with a session's mu
// held.
type watchedTabs struct {
	mu   sync.Mutex
	sent map[*Session]tabCounts
}

type tabCounts struct{ messages, bytes uint64 }

// add reports whether there is room for a session, which is not in it.
func (ws *watchedTabs) add(s *Session) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, again := ws.sent[s]; again || len(ws.sent) >= maxWatched {
		return false
	}
	if ws.sent == nil {
		ws.sent = make(map[*Session]tabCounts)
	}
	ws.sent[s] = tabCounts{}
	return true
}

func (ws *watchedTabs) count(s *Session, messages, bytes int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if c, ok := ws.sent[s]; ok {
		ws.sent[s] = tabCounts{c.messages + uint64(messages), c.bytes + uint64(bytes)}
	}
}

func (ws *watchedTabs) of(s *Session) (messages, bytes uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	c := ws.sent[s]
	return c.messages, c.bytes
}

func (ws *watchedTabs) forget(s *Session) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.sent, s)
}

// connected returns the sessions of all tabs, in no order.
func (r *Runtime) connected() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Session, 0, len(r.sessions))
	for s := range r.sessions {
		if !s.Passing() {
			all = append(all, s)
		}
	}
	return all
}

// session returns the session of a number; nil: there is none.
func (r *Runtime) session(id uint64) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// info is what is known of the session's tab at a time of the runtime's clock, without its topics.
func (s *Session) info(now time.Duration) TabInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := TabInfo{
		ID: s.id, Waiting: len(s.private), Unanswered: int(s.inFlight) + len(s.acks),
	}
	if s.busy {
		t.Full = max(now-s.since, 1)
	}
	for _, m := range s.rooms {
		if f := m.room.frame.Load(); f != nil && m.phase >= phaseReady && !m.done(f.seq) {
			t.Behind++
		}
	}
	return t
}

// topics are those that the session's tab shows.
func (s *Session) topics() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]string, len(s.rooms))
	for i, m := range s.rooms {
		all[i] = m.room.topic
	}
	return all
}

// A TopicInfo is what a runtime knows of one topic that tabs show, or have shown lately.
type TopicInfo struct {
	Topic    string
	Tabs     int    // that show it here
	States   uint64 // that were to be shown, since the room is there
	Messages uint64 // sent to tabs
}

// Topics returns the topics of all rooms and feeds, in no order. It is for people who look: it
// looks at each.
func (r *Runtime) Topics() iter.Seq[TopicInfo] {
	return func(yield func(TopicInfo) bool) {
		r.mu.Lock()
		kinds := r.roomsOf
		r.mu.Unlock()
		for _, rooms := range kinds {
			for _, one := range rooms() {
				if !yield(one.info()) {
					return
				}
			}
		}
	}
}

// addRooms has Topics ask for the rooms of a kind.
func (r *Runtime) addRooms(rooms func() []*room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roomsOf = append(r.roomsOf[:len(r.roomsOf):len(r.roomsOf)], rooms) // Topics may be reading the one before
}

func (r *room) info() TopicInfo {
	r.mu.Lock()
	t := TopicInfo{Topic: r.topic, Tabs: r.members, States: r.seq}
	r.mu.Unlock()
	for i := range r.shards {
		t.Messages += r.shards[i].sent.Load()
	}
	return t
}

// CloseTab has a tab connect again, because an operator says so: what it has sent before is
// finished and acknowledged. It reports false when there is none of that number.
func (r *Runtime) CloseTab(id uint64) bool {
	s := r.session(id)
	if s == nil {
		return false
	}
	s.finish(ReasonOperator, nil)
	return true
}

// CloseTopic has all tabs that show a topic connect again, as CloseTab does, spread evenly over a
// time. It returns how many they were, or early with ctx's error.
func (r *Runtime) CloseTopic(ctx context.Context, topic string, over time.Duration) (int, error) {
	some := slices.DeleteFunc(r.connected(), func(s *Session) bool { return !slices.Contains(s.topics(), topic) })
	return r.sendAway(ctx, some, over, ReasonOperator)
}
