package roster

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/soft"
)

// A note is what a replica tells of itself, of one person, or of a topic: which of these says the
// owner's name. They are one type so that the program for browsers has the code once.
type note struct {
	// of a replica
	Name    string `json:"n,omitempty"` // also of a person
	Tabs    int    `json:"t,omitempty"`
	Trip    int64  `json:"r,omitempty"` // microseconds
	Trouble bool   `json:"x,omitempty"`
	// of a person
	ID string `json:"i,omitempty"`
	// of a topic
	People int    `json:"p,omitempty"` // that have tabs there, on the replica
	Acts   []said `json:"a,omitempty"` // done by the replica: the last ones, in their order
}

// A said is an act, as a replica tells it.
type said struct {
	N    uint64 `json:"k"` // grows with each act of a replica at a topic
	ID   string `json:"i,omitempty"`
	Name string `json:"n,omitempty"`
	Do   string `json:"d"`
	At   int64  `json:"t"` // Unix time in milliseconds
}

// notes are shared as they are told: package lockstep has values of the same type, so that the
// program for browsers has the code once.
type notes = soft.Soft[json.RawMessage]

// raw is the note as it is told.
func (n note) raw() json.RawMessage {
	raw, _ := json.Marshal(n) // texts and numbers
	return raw
}

// isNote reports whether what was told is a note.
func isNote(raw json.RawMessage) bool {
	var n note
	return json.Unmarshal(raw, &n) == nil && n.valid()
}

// notesOf returns all that is told of a topic, by owner.
func notesOf(s *notes, topic string) map[string]note {
	all := make(map[string]note)
	for owner, raw := range s.Values(topic) {
		var n note
		if json.Unmarshal(raw, &n) == nil { // as it was when it was found to be one
			all[owner] = n
		}
	}
	return all
}

// valid reports whether a note is within the bounds of what replicas tell.
func (n note) valid() bool {
	ok := n.Tabs >= 0 && n.Trip >= 0 && n.People >= 0 && len(n.Acts) <= MaxActs && short(n.Name) && short(n.ID)
	for _, a := range n.Acts {
		ok = ok && short(a.ID) && short(a.Name) && short(a.Do)
	}
	return ok
}

func short(text string) bool { return len(text) <= maxText && utf8.ValidString(text) }

// A crowd is who is at a topic here, and what is known of what was done there. Roster.mu guards it.
type crowd struct {
	unwatch func()
	tabs    map[string]int       // by the hash of a person
	names   map[string]Person    // likewise
	left    map[string]time.Time // who has no tab any more, and since when
	told    map[string]bool      // who is told by name
	renewed time.Time            // all that is told
	changed bool                 // the note of the topic is to be told
	serial  uint64               // of the last act here
	acts    []said               // done here; at most MaxActs
	recent  []known              // done anywhere, by their time; at most MaxActs
	seen    map[string]uint64    // by replica: the last act in recent, or that was
	people  People               // with what Options.People was called last
}

// A known is an act with who has told it.
type known struct {
	said
	replica string // its name
}

// Enter counts a tab of a person at a topic, until leave is called. Calling it again is harmless.
func (r *Roster) Enter(topic string, p Person) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.crowds[topic]
	if c == nil {
		c = &crowd{
			unwatch: r.topics.Watch(topicPrefix + topic), tabs: make(map[string]int), names: make(map[string]Person),
			left: make(map[string]time.Time), told: make(map[string]bool), seen: make(map[string]uint64),
		}
		r.crowds[topic] = c
	}
	hash := hashOf(p.ID)
	c.tabs[hash]++
	delete(c.left, hash)
	if c.tabs[hash] == 1 {
		c.names[hash], c.changed = Person{cut(p.ID), cut(p.Name)}, true
		r.name(topic, c, hash)
	}
	gone := false
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if gone {
			return
		}
		gone = true
		if c.tabs[hash]--; c.tabs[hash] == 0 {
			c.left[hash] = time.Now()
		}
	}
}

// name has somebody told by name, if there is room, or if they come before somebody who is. The
// caller holds mu.
func (r *Roster) name(topic string, c *crowd, hash string) {
	if c.told[hash] {
		return
	}
	if len(c.told) >= named {
		last := slices.Max(slices.Collect(maps.Keys(c.told)))
		if last < hash {
			return
		}
		r.unname(topic, c, last)
	}
	c.told[hash] = true
	r.tell(topic, c, hash)
}

// tell tells somebody by name. The caller holds mu.
func (r *Roster) tell(topic string, c *crowd, hash string) {
	p := c.names[hash]
	r.set(r.topics, topicPrefix+topic, r.personOwner(hash), note{ID: p.ID, Name: p.Name})
}

// unname takes back what was told of somebody. The caller holds mu.
func (r *Roster) unname(topic string, c *crowd, hash string) {
	delete(c.told, hash)
	r.topics.Drop(topicPrefix+topic, r.personOwner(hash))
}

// Owners are a person and a replica, or a replica alone.

func (r *Roster) personOwner(hash string) string { return hash + "." + r.id }

// ownerOf returns the parts of an owner's name; person is "" of a replica alone.
func ownerOf(owner string) (person, replica string) {
	person, replica, ok := strings.Cut(owner, ".")
	if !ok {
		return "", owner
	}
	return person, replica
}

// Acted says that somebody did something at a topic, on this replica. It is shown where somebody
// is.
func (r *Roster) Acted(topic string, by Person, do string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.crowds[topic]
	if c == nil {
		return
	}
	c.serial++
	one := said{c.serial, cut(by.ID), cut(by.Name), cut(do), time.Now().UnixMilli()}
	if len(c.acts) >= MaxActs {
		c.acts = append(c.acts[:0], c.acts[1:]...)
	}
	c.acts, c.changed = append(c.acts, one), true
}

// tendCrowds tells what has changed, and forgets who has gone.
func (r *Roster) tendCrowds(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic, c := range r.crowds {
		r.forgetLeft(topic, c, now)
		renew := now.Sub(c.renewed) >= renewal
		if c.changed || renew {
			c.changed = false
			r.set(r.topics, topicPrefix+topic, r.id, note{Name: cut(r.opts.Name), People: len(c.tabs), Acts: slices.Clone(c.acts)})
		}
		if renew {
			c.renewed = now
			for hash := range c.told {
				r.tell(topic, c, hash)
			}
		}
		if len(c.tabs) == 0 {
			r.topics.Drop(topicPrefix+topic, r.id)
			c.unwatch()
			delete(r.crowds, topic)
		}
	}
}

// forgetLeft forgets who has had no tab for some time. The caller holds mu.
func (r *Roster) forgetLeft(topic string, c *crowd, now time.Time) {
	room := false
	for hash, since := range c.left {
		if now.Sub(since) < hold {
			continue
		}
		delete(c.left, hash)
		delete(c.tabs, hash)
		delete(c.names, hash)
		c.changed = true
		if c.told[hash] {
			r.unname(topic, c, hash)
			room = true
		}
	}
	if !room {
		return
	}
	for _, hash := range slices.Sorted(maps.Keys(c.tabs)) {
		if len(c.told) >= named {
			return
		}
		r.name(topic, c, hash)
	}
}

// People returns who is at a topic, if somebody is there on this replica.
func (r *Roster) People(topic string) People { return peopleOf(notesOf(r.topics, topicPrefix+topic)) }

// peopleOf returns who is at a topic, by what was told.
func peopleOf(all map[string]note) People {
	persons := make(map[string]Person)
	counted, told := make(map[string]int), make(map[string]int) // by replica
	for owner, n := range all {
		person, replica := ownerOf(owner)
		if person == "" {
			counted[replica] = n.People
			continue
		}
		persons[person] = Person{n.ID, n.Name}
		told[replica]++
	}
	var p People
	for _, hash := range slices.Sorted(maps.Keys(persons)) {
		if len(p.First) == MaxPeople {
			break
		}
		p.First = append(p.First, persons[hash])
	}
	p.Others = len(persons) - len(p.First)
	for replica, n := range counted {
		p.Others += max(n-told[replica], 0)
	}
	return p
}

// Acts returns what was done last at a topic, the newest first, if somebody is there on this
// replica: no more than MaxActs.
func (r *Roster) Acts(topic string) []Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.crowds[topic]
	if c == nil {
		return nil
	}
	return c.lastActs()
}

// lastActs returns the recent acts, the newest first. The caller holds the roster's mu.
func (c *crowd) lastActs() (all []Act) {
	for _, k := range slices.Backward(c.recent) {
		all = append(all, Act{Person{k.ID, k.Name}, k.Do, k.replica, time.UnixMilli(k.At)})
	}
	return all
}

// seeTopic takes note of what was told of a topic, and reports what has changed there.
func (r *Roster) seeTopic(topic string, now time.Time) {
	told := notesOf(r.topics, topicPrefix+topic)
	people := peopleOf(told)
	r.mu.Lock()
	c := r.crowds[topic]
	if c == nil {
		r.mu.Unlock()
		return
	}
	moved := people.Others != c.people.Others || !slices.Equal(people.First, c.people.First)
	c.people = people
	var last []Act
	acted := c.takeActs(told, now)
	if acted {
		last = c.lastActs()
	}
	r.mu.Unlock()
	if moved {
		_ = r.guard.Call("People", func() { r.opts.People(topic, people) }) // it has been logged
	}
	if acted {
		_ = r.guard.Call("Acts", func() { r.opts.Acts(topic, last) }) // likewise
	}
}

// takeActs takes note of acts, and reports whether there are new ones. They are kept when their
// replica has gone. The caller holds the roster's mu.
func (c *crowd) takeActs(told map[string]note, now time.Time) (news bool) {
	for owner, n := range told {
		for _, a := range n.Acts {
			if a.N <= c.seen[owner] {
				continue
			}
			c.seen[owner], news = a.N, true
			a.At = min(a.At, now.UnixMilli()) // a clock may be wrong
			c.recent = append(c.recent, known{a, n.Name})
		}
	}
	slices.SortStableFunc(c.recent, func(a, b known) int { return cmp.Compare(a.At, b.At) })
	if more := len(c.recent) - MaxActs; more > 0 {
		c.recent = slices.Delete(c.recent, 0, more)
	}
	if len(c.seen) > MaxReplicas { // some of them are not there any more
		maps.DeleteFunc(c.seen, func(owner string, _ uint64) bool { _, there := told[owner]; return !there })
	}
	return news
}
