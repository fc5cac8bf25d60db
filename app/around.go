package app

import (
	"strings"

	"lockstep"
	"lockstep/app/pages"
)

// What pages show beside what they are about: which replicas there are, who is here, and what was
// done last.

// around has pages show it: those of the demo's kinds, of which there may be other rooms on a page.
func around(o *Options, has func(kind string) bool) {
	o.Around = func(topic string) bool {
		kind, _, _ := strings.Cut(topic, ":")
		return has(kind)
	}
	o.Replicas = func(all []lockstep.Member) (string, lockstep.Component) {
		return "#replicas", pages.Replicas(members(all))
	}
	o.People = func(_ string, p lockstep.People) (string, lockstep.Component) {
		return "#visitors", pages.PeopleHere(people(p))
	}
	o.Acts = func(_ string, last []lockstep.Act) (string, lockstep.Component) {
		return "#acts", pages.Acts(acts(last))
	}
}

// around is what the page of a topic shows of it now.
func (a *App) around(topic string) pages.Around {
	return pages.Around{Replicas: members(a.Members()), People: people(a.People(topic)), Acts: acts(a.Acts(topic))}
}

func members(all []lockstep.Member) (shown []pages.Member) {
	for _, m := range all {
		shown = append(shown, pages.Member(m))
	}
	return shown
}

func people(p lockstep.People) pages.People {
	shown := pages.People{Others: p.Others}
	for _, one := range p.First {
		shown.First = append(shown.First, person(one))
	}
	return shown
}

// person is somebody, under a name that they have or are given.
func person(p lockstep.Person) pages.Somebody {
	if p.Name == "" {
		p.Name = lockstep.Pseudonym(p.ID)
	}
	return pages.Somebody(p)
}

func acts(last []lockstep.Act) (shown []pages.Act) {
	for _, a := range last {
		shown = append(shown, pages.Act{By: person(a.By), Did: did(a.Do), Replica: a.Replica, At: a.At})
	}
	return shown
}

// did is what an action of the demo's is called when it was done. Others are called what they are.
func did(do string) string {
	for _, words := range [][2]string{
		{"increment", "added 1"}, {"decrement", "took 1 away"}, {"reset", "set it to 0"}, {"vote", "voted"},
		{"transfer", "moved money"}, {"say", "wrote"}, {"add", "added an item"}, {"toggle", "ticked an item"},
		{"rename", "renamed an item"}, {"remove", "removed an item"}, {"clear", "cleared what was done"}, {"signup", "signed up"},
		{"move", "moved an item"}, {"up", "moved an item up"}, {"down", "moved an item down"},
	} {
		if do == words[0] {
			return words[1]
		}
	}
	return strings.ReplaceAll(do, "-", " ")
}
