package lockstep

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"lockstep/live"
	"lockstep/roster"
	"lockstep/state"
)

// What is shown beside the rooms of a page: see package roster.
type (
	// A Member is a replica, as others see it.
	Member = roster.Replica
	// A Person is somebody who is at a topic.
	Person = roster.Person
	// People are who is at a topic, on all replicas.
	People = roster.People
	// An Act is something that somebody did.
	Act = roster.Act
)

// How often what is beside is shown at most: it matters less than the rooms, and ten thousand tabs
// are told of a change within two seconds.
const (
	besideInterval = 250 * time.Millisecond
	besidePerTab   = 150 * time.Microsecond
)

// beside shows what is beside the rooms of a page, in each tab. A nil one shows nothing.
type beside struct {
	roster   *roster.Roster
	replicas *live.Rooms[loaded] // of []Member, with one room; nil: they are not shown
	people   *live.Rooms[loaded] // of People, by topic; likewise
	acts     *live.Rooms[loaded] // of []Act, by topic; likewise
}

// newBeside returns what the options ask for; nil: nothing.
func (a *App) newBeside() *beside {
	o := &a.opts
	if o.Replicas == nil && o.People == nil && o.Acts == nil {
		return nil
	}
	b := &beside{}
	if o.Replicas != nil {
		b.replicas = a.besideRooms("replicas", func(_ string, l loaded) (string, live.Component) {
			all, _ := l.state.([]Member)
			return o.Replicas(all)
		})
	}
	if o.People != nil {
		b.people = a.besideRooms("people:", func(topic string, l loaded) (string, live.Component) {
			p, _ := l.state.(People)
			return o.People(topic, p)
		})
	}
	if o.Acts != nil {
		b.acts = a.besideRooms("acts:", func(topic string, l loaded) (string, live.Component) {
			last, _ := l.state.([]Act)
			return o.Acts(topic, last)
		})
	}
	b.roster = roster.New(a.hub, a.wireName(), &roster.Options{
		Logger: a.opts.Logger, Name: a.opts.Replica, Self: a.self,
		Replicas: func(all []Member) { show(b.replicas, "", all) },
		People:   func(topic string, p People) { show(b.people, topic, p) },
		Acts:     func(topic string, last []Act) { show(b.acts, topic, last) },
	})
	return b
}

// besideRooms are rooms of what this replica knows by itself.
func (a *App) besideRooms(prefix string, render func(topic string, l loaded) (string, live.Component)) *live.Rooms[loaded] {
	return live.NewRooms(a.rt, nil, live.RoomsOptions[loaded]{
		Topic: func(topic string) string { return prefix + topic }, Render: render,
		FrameInterval: besideInterval, PerTab: besidePerTab,
	})
}

// show has a room show something, if that is shown at all.
func show(rooms *live.Rooms[loaded], key string, what any) {
	if rooms != nil {
		rooms.Commit(key, loaded{state: what})
	}
}

// self is how this replica is, as the others are told.
func (a *App) self() Member {
	return Member{Tabs: a.rt.Stats().Sessions, RoundTrip: a.hub.Stats().RoundTrip, Trouble: a.rt.Err() != nil}
}

// enter shows a tab what is beside a topic, and counts its person there, until leave is called.
func (b *beside) enter(ctx context.Context, s *live.Session, topic string, who Visitor) (leave func(), err error) {
	if b == nil || s.Passing() { // one request of a tab is nobody, and shows nothing: the tab's stream does
		return func() {}, nil
	}
	id := who.User
	if id == "" {
		id = "-" + strconv.FormatUint(rand.Uint64(), 36) // nobody can be told by that
	}
	out := b.roster.Enter(topic, Person{ID: id, Name: who.UserName})
	leave = func() {
		out()
		for _, rooms := range []*live.Rooms[loaded]{b.people, b.acts} {
			if rooms != nil {
				rooms.Leave(s, topic)
			}
		}
	}
	if err := b.join(ctx, s, topic); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// join shows a tab what is beside a topic. The replicas it is shown once, whatever its page shows.
func (b *beside) join(ctx context.Context, s *live.Session, topic string) error {
	return errors.Join(
		joinBeside(ctx, b.replicas, s, "", func() any { return b.roster.Replicas() }),
		joinBeside(ctx, b.people, s, topic, func() any { return b.roster.People(topic) }),
		joinBeside(ctx, b.acts, s, topic, func() any { return b.roster.Acts(topic) }))
}

// joinBeside shows a room in a tab, if there is such a kind of room: what is now, if it is the
// first.
func joinBeside(ctx context.Context, rooms *live.Rooms[loaded], s *live.Session, key string, now func() any) error {
	if rooms == nil {
		return nil
	}
	if err := rooms.Join(ctx, s, key); err != nil {
		return err
	}
	if _, known, _ := rooms.Read(ctx, key); !known { // there is no store that could fail
		show(rooms, key, now())
	}
	return nil
}

// isAround reports whether tabs are shown what is around a topic.
func (a *App) isAround(topic string) (yes bool) {
	if a.opts.Around == nil {
		return true
	}
	_ = a.guard.Call("Around", func() { yes = a.opts.Around(topic) }) // it has been logged: nothing is shown
	return yes
}

// acted says that somebody's action was done, if that is the answer to it, and for the first time.
func (a *App) acted(topic string, by User, do string, answer state.Answer) {
	if a.beside != nil && answer.Verdict == state.Ack && !answer.Again {
		a.beside.roster.Acted(topic, Person{ID: by.ID, Name: by.Name}, do)
	}
}

// Members returns the replicas that share the broker, as far as this one has heard, if
// Options.Replicas, People or Acts are set: no more than roster.MaxReplicas.
func (a *App) Members() []Member {
	if a.beside == nil {
		return nil
	}
	return a.beside.roster.Replicas()
}

// People returns who is at a topic that a tab of this replica shows, likewise.
func (a *App) People(topic string) People {
	if a.beside == nil {
		return People{}
	}
	return a.beside.roster.People(topic)
}

// Acts returns what was done last at such a topic, the newest first: no more than roster.MaxActs.
func (a *App) Acts(topic string) []Act {
	if a.beside == nil {
		return nil
	}
	return a.beside.roster.Acts(topic)
}
