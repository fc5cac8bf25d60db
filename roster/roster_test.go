package roster_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
	"lockstep/roster"
)

const lobby = "counter:lobby"

// A link is a hub whose link can be cut, as that of a replica that was killed is.
type link struct {
	*pubsub.Hub
	cut  atomic.Bool
	sent atomic.Int64 // bytes
}

func (l *link) Broadcast(ctx context.Context, topic string, payload []byte) error {
	if l.cut.Load() {
		return pubsub.ErrNotConnected
	}
	l.sent.Add(int64(len(payload)))
	return l.Hub.Broadcast(ctx, topic, payload)
}

// A replica is one with a roster.
type replica struct {
	*roster.Roster
	link *link
	tabs atomic.Int64
	trip atomic.Int64

	mu     sync.Mutex
	told   [][]roster.Replica
	people []roster.People
	acts   [][]roster.Act
}

// start starts a replica: id sets it apart, and name is what people call it.
func start(t *testing.T, bus *mempubsub.Bus, id, name string) *replica {
	t.Helper()
	r := &replica{link: &link{Hub: pubsub.NewHub(bus, nil)}}
	if err := r.link.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Roster = roster.New(r.link, id, &roster.Options{
		Name: name,
		Self: func() roster.Replica {
			return roster.Replica{Tabs: int(r.tabs.Load()), RoundTrip: time.Duration(r.trip.Load())}
		},
		Replicas: func(all []roster.Replica) { r.mu.Lock(); defer r.mu.Unlock(); r.told = append(r.told, all) },
		People:   func(_ string, p roster.People) { r.mu.Lock(); defer r.mu.Unlock(); r.people = append(r.people, p) },
		Acts:     func(_ string, last []roster.Act) { r.mu.Lock(); defer r.mu.Unlock(); r.acts = append(r.acts, last) },
	})
	r.Start()
	t.Cleanup(func() {
		r.Stop()
		_ = r.link.Stop(context.Background()) // it ends whatever it says
	})
	return r
}

// calls returns how often the roster has said something of each kind.
func (r *replica) calls() (replicas, people, acts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told), len(r.people), len(r.acts)
}

// names are those of replicas, with what is special about them.
func names(all []roster.Replica) (names []string) {
	for _, one := range all {
		name := one.Name + " " + strconv.Itoa(one.Tabs)
		if one.Self {
			name += " self"
		}
		if one.Gone {
			name += " gone"
		}
		names = append(names, name)
	}
	return names
}

func wantReplicas(t *testing.T, r *replica, want ...string) {
	t.Helper()
	if got := names(r.Replicas()); !slices.Equal(got, want) {
		t.Errorf("got replicas %q, want %q", got, want)
	}
}

func TestReplicasComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "web-1"), start(t, bus, "b", "web-2")
		ten := start(t, bus, "c", "web-10")
		one.tabs.Store(3)
		time.Sleep(2 * time.Second)
		wantReplicas(t, one, "web-1 3 self", "web-2 0", "web-10 0")
		wantReplicas(t, two, "web-1 3", "web-2 0 self", "web-10 0")

		ten.Stop() // says so
		time.Sleep(time.Second)
		wantReplicas(t, one, "web-1 3 self", "web-2 0", "web-10 0 gone")
		one.link.cut.Store(true) // killed: it says nothing
		time.Sleep(6 * time.Second)
		wantReplicas(t, two, "web-1 0 gone", "web-2 0 self", "web-10 0 gone")

		start(t, bus, "d", "web-1") // again, by the same name
		time.Sleep(2 * time.Second)
		wantReplicas(t, two, "web-1 0", "web-2 0 self", "web-10 0 gone")
		time.Sleep(time.Minute)
		wantReplicas(t, two, "web-1 0", "web-2 0 self")
	})
}

func TestNothingIsSaidWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "one"), start(t, bus, "b", "two")
		defer one.Enter(lobby, roster.Person{ID: "ann"})()
		defer two.Enter(lobby, roster.Person{ID: "bob"})()
		one.Acted(lobby, roster.Person{ID: "ann"}, "increment")
		one.trip.Store(int64(1200 * time.Microsecond))
		time.Sleep(5100 * time.Millisecond) // between two announcements
		replicas, people, acts := two.calls()
		for i := range 60 { // it goes to and fro between two steps
			one.trip.Store(int64([]time.Duration{1900, 2100}[i%2] * time.Microsecond))
			time.Sleep(time.Second)
		}
		r, p, a := two.calls()
		if r != replicas || p != people || a != acts {
			t.Errorf("in a quiet minute it has said %d of replicas, %d of people, %d of acts", r-replicas, p-people, a-acts)
		}
	})
}

// TestARoundTripIsShownInSteps which change when it has changed for good.
func TestARoundTripIsShownInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, mempubsub.NewBus(), "a", "one")
		for trip, want := range map[time.Duration]time.Duration{
			300 * time.Microsecond: 500 * time.Microsecond, 700 * time.Microsecond: time.Millisecond, 12 * time.Millisecond: 20 * time.Millisecond,
			300 * time.Millisecond: 500 * time.Millisecond, 40 * time.Second: time.Minute,
		} {
			r.trip.Store(int64(trip))
			time.Sleep(6 * time.Second)
			if got := r.Replicas()[0].RoundTrip; got != want {
				t.Errorf("%v is shown as %v, want %v", trip, got, want)
			}
		}
	})
}

func wantPeople(t *testing.T, r *replica, others int, ids ...string) {
	t.Helper()
	p := r.People(lobby)
	var got []string
	for _, one := range p.First {
		got = append(got, one.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) || p.Others != others {
		t.Errorf("got people %q and %d others, want %q and %d", got, p.Others, ids, others)
	}
}

func TestPeopleAreSeenOnAllReplicasOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "one"), start(t, bus, "b", "two")
		ann, bob := roster.Person{ID: "ann", Name: "Ann"}, roster.Person{ID: "bob"}
		leaveOne := one.Enter(lobby, ann)
		leaveTwo := two.Enter(lobby, ann) // a second tab
		leaveBob := two.Enter(lobby, bob)
		time.Sleep(2 * time.Second)
		wantPeople(t, one, 0, "ann", "bob")
		wantPeople(t, two, 0, "ann", "bob")
		if !slices.Equal(one.People(lobby).First, two.People(lobby).First) {
			t.Error("two replicas have them in another order")
		}

		leaveOne()
		leaveOne() // harmless
		leaveBob()
		time.Sleep(2 * time.Second)
		wantPeople(t, two, 0, "ann")
		leaveTwo()
		time.Sleep(2 * time.Second)
		wantPeople(t, two, 0)
		late := two.Enter(lobby, bob)
		time.Sleep(2 * time.Second)
		wantPeople(t, two, 0, "bob")
		late()
	})
}

func TestAReloadIsNoLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "one"), start(t, bus, "b", "two")
		defer two.Enter(lobby, roster.Person{ID: "bob"})()
		leave := one.Enter(lobby, roster.Person{ID: "ann"})
		time.Sleep(2 * time.Second)
		_, before, _ := two.calls()
		for range 5 { // to another replica and back
			leave()
			time.Sleep(500 * time.Millisecond)
			leave = one.Enter(lobby, roster.Person{ID: "ann"})
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if _, after, _ := two.calls(); after != before {
			t.Errorf("it has said %d times that people have changed", after-before)
		}
		leave()
	})
}

func TestPeopleOfAKilledReplicaGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "one"), start(t, bus, "b", "two")
		for i := range 100 {
			one.Enter(lobby, roster.Person{ID: "p" + strconv.Itoa(i)})
		}
		defer two.Enter(lobby, roster.Person{ID: "ann"})()
		time.Sleep(2 * time.Second)
		if p := two.People(lobby); len(p.First)+p.Others != 101 {
			t.Errorf("%d people are there, want 101", len(p.First)+p.Others)
		}
		one.link.cut.Store(true)
		time.Sleep(15 * time.Second)
		wantPeople(t, two, 0, "ann")
	})
}

// TestVeryManyPeopleCostNoMoreThanSome on the broker, and no replica has a list of them.
func TestVeryManyPeopleCostNoMoreThanSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		var replicas []*replica
		for i := range 3 {
			replicas = append(replicas, start(t, bus, strconv.Itoa(i), strconv.Itoa(i)))
		}
		const people = 3000
		var leave []func()
		for i := range people {
			leave = append(leave, replicas[i%3].Enter(lobby, roster.Person{ID: fmt.Sprintf("person-%d", i)}))
		}
		time.Sleep(2 * time.Second)
		for _, r := range replicas {
			p := r.People(lobby)
			if len(p.First) != roster.MaxPeople || len(p.First)+p.Others != people {
				t.Errorf("got %d by name and %d others, want %d of %d", len(p.First), p.Others, roster.MaxPeople, people)
			}
			if !slices.Equal(p.First, replicas[0].People(lobby).First) {
				t.Error("two replicas name others")
			}
		}
		before := replicas[0].link.sent.Load()
		time.Sleep(time.Minute)
		if each := (replicas[0].link.sent.Load() - before) / 60; each > 2000 {
			t.Errorf("in a quiet second a replica tells %d bytes, want 2,000 at most", each)
		}
		for i, f := range leave {
			if i%100 != 0 {
				f()
			}
		}
		time.Sleep(2 * time.Second)
		p := replicas[1].People(lobby)
		if len(p.First) != roster.MaxPeople || len(p.First)+p.Others != people/100 {
			t.Errorf("got %d by name and %d others, want %d of %d", len(p.First), p.Others, roster.MaxPeople, people/100)
		}
	})
}

func TestActsAreSeenOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		one, two := start(t, bus, "a", "one"), start(t, bus, "b", "two")
		ann := roster.Person{ID: "ann", Name: "Ann"}
		one.Acted(lobby, ann, "nobody sees this")
		defer one.Enter(lobby, ann)()
		defer two.Enter(lobby, ann)()
		for i := range 20 {
			one.Acted(lobby, ann, strconv.Itoa(i))
			time.Sleep(time.Millisecond)
		}
		two.Acted(lobby, ann, "last")
		time.Sleep(2 * time.Second)
		for _, r := range []*replica{one, two} {
			all := r.Acts(lobby)
			if len(all) != roster.MaxActs {
				t.Fatalf("got %d acts, want %d", len(all), roster.MaxActs)
			}
			if all[0].Do != "last" || all[0].Replica != "two" || all[1].Do != "19" || all[1].Replica != "one" || all[1].By != ann {
				t.Errorf("got %v, want the newest first", all[:2])
			}
		}
		one.link.cut.Store(true)
		time.Sleep(20 * time.Second)
		if all := two.Acts(lobby); len(all) != roster.MaxActs || all[1].Do != "19" {
			t.Errorf("what a replica has done is forgotten with it: %v", all)
		}
	})
}

// TestTextsAreCut because others do not take what is longer.
func TestTextsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		long := string(slices.Repeat([]byte("é"), 200)) + "\xff"
		one, two := start(t, bus, "a", long), start(t, bus, "b", "two")
		leave := one.Enter(lobby, roster.Person{ID: long, Name: long})
		defer leave()
		defer two.Enter(lobby, roster.Person{ID: "ann"})()
		for range roster.MaxActs {
			one.Acted(lobby, roster.Person{ID: long, Name: long}, long)
		}
		time.Sleep(2 * time.Second)
		if p := two.People(lobby); len(p.First) != 2 {
			t.Errorf("got people %v", p)
		}
		if all := two.Acts(lobby); len(all) == 0 || all[0].At.IsZero() {
			t.Errorf("got acts %v", all)
		}
		if n := len(two.Replicas()); n != 2 {
			t.Errorf("got %d replicas", n)
		}
	})
}

func TestACallbackThatPanicsIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := pubsub.NewHub(mempubsub.NewBus(), nil)
		if err := hub.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		r := roster.New(hub, "a", &roster.Options{
			Self:     func() roster.Replica { calls.Add(1); panic("self") },
			Replicas: func([]roster.Replica) { panic("replicas") },
			People:   func(string, roster.People) { calls.Add(1); panic("people") },
			Acts:     func(string, []roster.Act) { calls.Add(1); panic("acts") },
		})
		r.Start()
		leave := r.Enter(lobby, roster.Person{ID: "ann"})
		time.Sleep(5 * time.Second)
		r.Acted(lobby, roster.Person{ID: "ann"}, "x")
		time.Sleep(5 * time.Second)
		if calls.Load() < 10 {
			t.Errorf("after a panic it has called %d times", calls.Load())
		}
		leave()
		r.Stop()
		r.Stop()
		if err := hub.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
