package pages

import (
	"strconv"
	"strings"
	"time"
)

// An Around is what a page shows beside what it is about: which replicas there are, who is here,
// and what was done last.
type Around struct {
	Replicas []Member
	People   People
	Acts     []Act
}

// A Member is a replica.
type Member struct {
	Name      string
	Tabs      int
	RoundTrip time.Duration // to the broker and back, at most; 0: not known
	Trouble   bool
	Self      bool // it serves this tab
	Gone      bool // it is not there any more
}

// A Somebody is somebody who is here.
type Somebody struct{ ID, Name string }

// People are who is here: some by name, and how many others.
type People struct {
	First  []Somebody
	Others int
}

// An Act is something that somebody did.
type Act struct {
	By      Somebody
	Did     string // "added 1"
	Replica string // that did it
	At      time.Time
}

// shownPeople is how many people have an avatar: so many have room on the smallest phone.
const shownPeople = 6

func (p People) shown() []Somebody { return p.First[:min(len(p.First), shownPeople)] }

// more is how many there are without an avatar.
func (p People) more() int { return p.Others + len(p.First) - len(p.shown()) }

// rest says how many there are without an avatar.
func (p People) rest() string { return "and " + many(p.more(), "other", "others") }

// total is how many there are, in words.
func (p People) total() string {
	n := len(p.First) + p.Others
	if n == 1 {
		return "person"
	}
	return "people"
}

func (p People) count() string { return grouped(int64(len(p.First) + p.Others)) }

// initials are those of the first and the last word of a name.
func (p Somebody) initials() string {
	words := strings.Fields(p.Name)
	switch len(words) {
	case 0:
		return "?"
	case 1:
		return first(words[0])
	}
	return first(words[0]) + first(words[len(words)-1])
}

func first(word string) string { return strings.ToUpper(string([]rune(word)[:1])) }

// tint is one of the eight colours of around.css, always the same for a name.
func tint(name string) string { return "tint-" + colour(name) }

// state is how a replica is, as the style sheet knows it.
func (m Member) state() string {
	switch {
	case m.Gone:
		return "gone"
	case m.Trouble:
		return "trouble"
	}
	return "here"
}

// facts are what is said of a replica behind its name.
func (m Member) facts() string {
	switch {
	case m.Gone:
		return "gone"
	case m.Trouble:
		return "in trouble"
	}
	facts := many(m.Tabs, "tab", "tabs")
	if m.RoundTrip > 0 {
		facts += " · " + strconv.FormatFloat(m.RoundTrip.Seconds()*1000, 'f', -1, 64) + " ms"
	}
	return facts
}

// stamp is when something was done, as programs read it.
func (a Act) stamp() string { return a.At.UTC().Format(time.RFC3339) }

// clock is when it was done, as people read it: by the clock of Greenwich, until a script has said
// it in theirs.
func (a Act) clock() string { return a.At.UTC().Format("15:04:05") }
