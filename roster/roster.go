// Package roster says who takes part, on all replicas together: the replicas themselves, the people
// at a topic, and what was done there last.
//
// It is soft state over pubsub and nothing else: an estimate that is right within seconds, not a
// store, and not for decisions. What a replica tells the others is bounded, however many people are
// there: how many they are, and some of them by name.
package roster

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/callback"
	"lockstep/soft"
)

// Times of what is told. Each is the same on all replicas.
const (
	// beat is how often a roster sees to what has changed by itself.
	beat = 250 * time.Millisecond
	// announce is the time between two announcements of a replica, and replicaTTL that after which one
	// that is silent is taken to be gone.
	announce   = time.Second
	replicaTTL = 4 * time.Second
	// mourning is how long a replica that has gone is still shown.
	mourning = time.Minute
	// peopleTTL is how long people are shown after the last word of their replica, which says them
	// again each renewal.
	peopleTTL = 12 * time.Second
	renewal   = 4 * time.Second
	// hold is how long somebody without a tab is still there: who reloads a page has not gone.
	hold = time.Second
)

// Bounds of what a roster knows and tells.
const (
	MaxReplicas = 64 // that are shown
	MaxActs     = 8  // that are shown of a topic
	// named is how many people of a topic each replica tells by name: those with the smallest hashes,
	// so that replicas with the same people choose the same.
	named = 32
	// MaxPeople is how many people of a topic are known by name, at most.
	MaxPeople = 24
	// maxText is how many bytes a name, or an action, has at most in what is told.
	maxText = 64
	// maxValue is how many bytes a note has at most, so that every broker carries two.
	maxValue = 1984
	// maxOwners is how many notes there may be of a topic: those of 64 replicas.
	maxOwners = MaxReplicas * (named + 1)
)

// A Replica is one, as another sees it.
type Replica struct {
	Name string // as people know it; two may have the same
	Tabs int    // that are connected to it
	// RoundTrip is about how long a message takes to the broker and back, rounded up to a step; 0: it
	// is not known.
	RoundTrip time.Duration
	Trouble   bool // it is degraded, or shuts down
	Self      bool // it is this one
	Gone      bool // it was there, less than a minute ago
}

// A Person is somebody at a topic, however many tabs they have there.
type Person struct {
	ID   string // may be shown to everybody
	Name string // as people call them; "": nothing
}

// People are who is at a topic. People of whom a replica has told the number alone are counted on
// each of the replicas on which they have tabs.
type People struct {
	First  []Person // some of them: on all replicas the same, and in the same order
	Others int      // how many more there are
}

// An Act is something that somebody did.
type Act struct {
	By      Person
	Do      string // the action
	Replica string // that did it, by its name
	At      time.Time
}

// Options of a Roster. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	Name   string       // of this replica, as people know it
	// Self says how this replica is: its Tabs, RoundTrip and Trouble. It is called once a second, from
	// one goroutine. Nil: nothing is said of that.
	Self func() Replica
	// Replicas, People and Acts are called with what the methods of these names return, when that has
	// changed: each from one goroutine at a time. One that panics is logged, once in ten seconds. Nil:
	// it is not called.
	Replicas func(all []Replica)
	People   func(topic string, p People)
	Acts     func(topic string, last []Act)
	// Unsigned takes also what is not known to come from a replica; see pubsub.Message.Trusted.
	Unsigned bool
}

// A Roster is that of one replica. Its methods may be called concurrently, except Start; callbacks
// may call all but Stop.
type Roster struct {
	// set once
	opts     Options
	id       string // of this replica, in the names of owners
	replicas *notes // topic replicasTopic, an owner for each replica
	topics   *notes // topics of topicPrefix, an owner for each replica and each of its named people
	unwatch  func() // ends that of the replicas
	stop     chan struct{}
	done     sync.WaitGroup
	guard    callback.Guard

	stopOnce sync.Once

	steady steady // owned by run

	mu     sync.Mutex // guards the rest
	known  map[string]sighting
	crowds map[string]*crowd
	shown  []Replica // with what Options.Replicas was called last
}

// Names of topics on the broker.
const (
	replicasTopic = "_roster"
	topicPrefix   = "_roster:"
)

// A sighting is a replica that was seen.
type sighting struct {
	note note
	gone time.Time // when it was missed; zero: it is there
}

// New returns a roster for the replica of that name, which must be unique among those that share
// the broker. It panics without a hub or a name.
func New(hub soft.Hub, replica string, opts *Options) *Roster {
	r := &Roster{
		id: hashOf(replica), stop: make(chan struct{}), known: make(map[string]sighting), crowds: make(map[string]*crowd),
	}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Logger == nil {
		r.opts.Logger = slog.Default()
	}
	if r.opts.Self == nil {
		r.opts.Self = func() Replica { return Replica{} }
	}
	if r.opts.Replicas == nil {
		r.opts.Replicas = func([]Replica) {}
	}
	if r.opts.People == nil {
		r.opts.People = func(string, People) {}
	}
	if r.opts.Acts == nil {
		r.opts.Acts = func(string, []Act) {}
	}
	r.guard.Log, r.guard.Package = r.opts.Logger, "roster"
	o := soft.Options[json.RawMessage]{
		Logger: r.opts.Logger, Interval: beat, MaxOwners: maxOwners, MaxValue: maxValue, Valid: isNote, Unsigned: r.opts.Unsigned,
	}
	o.TTL, o.Changed = replicaTTL, func(string) { r.seeReplicas(time.Now()) }
	r.replicas = soft.New(hub, replica, &o)
	o.TTL, o.Changed = peopleTTL, func(name string) { r.seeTopic(strings.TrimPrefix(name, topicPrefix), time.Now()) }
	r.topics = soft.New(hub, replica, &o)
	return r
}

// Start begins to tell and to listen. It is called once.
func (r *Roster) Start() {
	r.unwatch = r.replicas.Watch(replicasTopic)
	r.replicas.Start()
	r.topics.Start()
	r.announceSelf()
	r.done.Go(r.run)
}

// Stop tells the others that this replica and its people are gone, and ends all goroutines. It
// waits for them. Stopping twice is harmless.
func (r *Roster) Stop() {
	r.stopOnce.Do(func() { close(r.stop) })
	r.done.Wait()
	r.replicas.Stop()
	r.topics.Stop()
}

// run tells what is to be told until Stop.
func (r *Roster) run() {
	every := time.NewTicker(beat)
	defer every.Stop()
	announced := time.Now()
	for {
		select {
		case <-r.stop:
			return
		case <-every.C:
		}
		now := time.Now()
		if now.Sub(announced) >= announce {
			announced = now
			r.announceSelf()
			r.seeReplicas(now)
		}
		r.tendCrowds(now)
	}
}

// announceSelf tells the others of this replica.
func (r *Roster) announceSelf() {
	var self Replica
	if r.guard.Call("Self", func() { self = r.opts.Self() }) != nil {
		return // the others take it to be gone if that goes on
	}
	n := note{
		Name: cut(r.opts.Name), Tabs: max(self.Tabs, 0), Trip: r.steady.next(step(self.RoundTrip)), Trouble: self.Trouble,
	}
	r.set(r.replicas, replicasTopic, r.id, n)
}

// set shares a note, without the first of its acts if it is too long with all of them.
func (r *Roster) set(s *notes, topic, owner string, n note) {
	err := s.Set(topic, owner, n.raw())
	for errors.Is(err, soft.ErrValue) && len(n.Acts) > 0 {
		n.Acts = n.Acts[1:]
		err = s.Set(topic, owner, n.raw())
	}
	if err != nil {
		r.opts.Logger.Debug("not told", "topic", topic, "err", err)
	}
}

// Replicas returns all that are there, and those that have gone less than a minute ago, by their
// names: no more than MaxReplicas.
func (r *Roster) Replicas() []Replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list()
}

// list is Replicas. The caller holds mu.
func (r *Roster) list() []Replica {
	ids := make([]string, 0, len(r.known))
	for id := range r.known {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(natural(r.known[a].note.Name, r.known[b].note.Name), cmp.Compare(a, b))
	})
	all := make([]Replica, 0, min(len(ids), MaxReplicas))
	for _, id := range ids[:min(len(ids), MaxReplicas)] {
		s := r.known[id]
		one := Replica{
			Name: s.note.Name, Tabs: s.note.Tabs, RoundTrip: time.Duration(s.note.Trip) * time.Microsecond, Trouble: s.note.Trouble,
			Self: id == r.id, Gone: !s.gone.IsZero(),
		}
		if one.Gone {
			one.Tabs, one.RoundTrip = 0, 0
		}
		all = append(all, one)
	}
	return all
}

// natural orders names as people do: what has fewer bytes first, so that 2 is before 10.
func natural(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// seeReplicas takes note of which replicas there are, and reports a change.
func (r *Roster) seeReplicas(now time.Time) {
	here := notesOf(r.replicas, replicasTopic)
	if all, news := r.takeReplicas(here, now); news {
		_ = r.guard.Call("Replicas", func() { r.opts.Replicas(all) }) // it has been logged
	}
}

// takeReplicas returns what is to be seen, and whether any of it is new.
func (r *Roster) takeReplicas(here map[string]note, now time.Time) (all []Replica, news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make(map[string]bool)
	for id, n := range here {
		r.known[id] = sighting{note: n}
		names[n.Name] = true
	}
	for id, s := range r.known {
		_, there := here[id]
		switch {
		case there:
		case s.gone.IsZero():
			s.gone = now
			r.known[id] = s
		case now.Sub(s.gone) >= mourning:
			delete(r.known, id)
		}
		if !there && names[s.note.Name] { // it has been started again
			delete(r.known, id)
		}
	}
	before := r.shown
	r.shown = r.list()
	return r.shown, !slices.Equal(r.shown, before)
}

// hashOf is a short name for what has any: two do not have the same.
func hashOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// cut is a text as it is told: valid, and not longer than others take.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "")
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

// step rounds a duration up to 1, 2 or 5 of a unit, in microseconds, so that what is shown does not
// change all the time: from half a millisecond on. 0 stays 0.
func step(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	for unit := 100 * time.Microsecond; unit <= time.Second; unit *= 10 {
		for _, n := range []time.Duration{5, 10, 20} {
			if d <= n*unit {
				return (n * unit).Microseconds()
			}
		}
	}
	return (time.Minute).Microseconds()
}

// A steady is a step that does not go to and fro: a new one has to be there three times in a row.
type steady struct {
	shown, candidate int64
	times            int // that the candidate was measured in a row
}

// next returns what to show when a step was measured.
func (s *steady) next(measured int64) int64 {
	const enough = 3
	switch {
	case measured == s.shown || s.shown == 0:
		s.shown, s.times = measured, 0
	case measured == s.candidate:
		if s.times++; s.times >= enough {
			s.shown, s.times = measured, 0
		}
	default:
		s.candidate, s.times = measured, 1
	}
	return s.shown
}
