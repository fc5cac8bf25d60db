package e2e_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A target is an application as those know it who attack it, or let a fault loose on it: where its
// pages are, what people do there, and where one reads what came of it. There are two, the demo and
// an example of the kit, so that what guards one is seen to guard all that are built as they are.
type target struct {
	name string // of the program
	// often: "make test" tries long attacks on it, too, floods one at a time, and all attacks without
	// their guards. The others share its guards, and "make attack" does it to all.
	often bool
	// program returns the path of the program, as it is released.
	program func() (string, error)
	// build builds the program with files that stand for others, and returns its path.
	build func(name string, replace map[string]string) (path string, err error)
	// backends are arguments, and the environment, of a replica that has testSecret for its key: with
	// a broker, a store and a prefix of their names. "": nothing is said of it.
	backends func(broker, store, prefix string) (args, env []string)
	// mount is the path below which the server's own addresses are; "": the root.
	mount string

	// What people share has a name, and a page of its own. Topics are family:name.

	family string
	page   func(name string) string
	// beside is the family of what else the page shows, "": nothing.
	beside string
	// wrongNames are names of nothing.
	wrongNames []string
	// do is what adds one to it, with in, and then the page counts one more.
	do string
	in map[string]string
	// form is where a form without JavaScript goes that does something: the path, and a query.
	form func(name, do string) (path string, query url.Values)
	// read returns what a page shows, if it does.
	read func(page string) (count, bool)
	// counts are what a message of that number has in it, in the one form or the other.
	counts func(n int) []string
	// press is a script that fills in what the button needs, and button its selector.
	press, button string

	// What others on the broker might say, and what a tab must then not show.

	// falsehood is a state that never was, as replicas tell it each other, which comes after now.
	falsehood func(now count, epoch, version uint64) string
	// shows finds it where it is shown.
	shows *regexp.Regexp
	// elsewhere are ops of another name after which a state of that, taken for one of the lobby, would
	// be shown as the falsehood is; and what a message with this state has in it.
	elsewhere func(op wireOp) (ops []wireOp, said string)

	// has are what only some applications have, each in a word: attacks that aim at it need it.
	has []string
	// items is a page of items that tabs are sent piece by piece, and log one of what people write.
	items, log itemsTarget
	// board is the page of what is shown for a moment, and cast what a tab says there, as its nth.
	board string
	cast  func(n int) string

	// Guards that are the application's own, or differ by how its pages are made.

	named     []guard // keep what is no name, as wrongNames are, from being one
	escaped   []guard // keep what is in a name from being markup
	replicaOf guard   // keeps what is in a replica's name from being markup
	writtenOf guard   // keeps what people write from being markup
	longForm  guard   // bounds the length of a form

	// more are paths of the application's own, and moreMarked other places for a marker.
	more       []string
	moreMarked func(v *victim, cookie string) map[string]answer

	// What is clicked on while faults last: kinds are all, pieces those that tabs are sent piece by
	// piece and one that is not, and nameless those of which an op may be anybody's.

	kinds, pieces, nameless []kind
	// usual are the backends on which a fault is tried with every "make test".
	usual func(c faultCase) []string
}

// An itemsTarget is a page of items: what is written there is shown to others.
type itemsTarget struct{ path, topic, do string }

// targets are all of them.
func targets() []*target { return []*target{demo(), chat()} }

// lacks reports whether the target has not what an attack or a fault needs; "" is nothing.
func (a *target) lacks(needs string) bool { return needs != "" && !slices.Contains(a.has, needs) }

func (a *target) allKinds() []kind      { return a.kinds }
func (a *target) pieceKinds() []kind    { return a.pieces }
func (a *target) namelessKinds() []kind { return a.nameless }

func (a *target) topic(name string) string { return a.family + ":" + name }

// rooms is the topics of a page, as its socket's address has them.
func (a *target) rooms(name string) string {
	if a.beside == "" {
		return a.topic(name)
	}
	return a.topic(name) + "," + a.beside + ":" + name
}

// op is one that adds one to what has a name, by a client that has made no other.
func (a *target) op(name string) wireOp {
	op := newOpOn(a.topic(name))
	op.do, op.in = a.do, a.in
	return op
}

// fields are those of the form that adds one.
func (a *target) fields() url.Values {
	all := url.Values{"x": {"y"}}
	for name, value := range a.in {
		all.Set(name, value)
	}
	return all
}

// hidden are the same as inputs of a form that nobody sees.
func (a *target) hidden() (inputs string) {
	for name, value := range a.in {
		inputs += `<input type=hidden name="` + name + `" value="` + value + `">`
	}
	return inputs
}

// formTo is where a form without JavaScript goes, with a lane or without.
func (a *target) formTo(name, do string, lane ...string) string {
	path, query := a.form(name, do)
	all := url.Values{}
	for key, values := range query {
		all[key] = values
	}
	if len(lane) > 0 {
		all.Set("lane", lane[0])
	}
	if len(all) == 0 {
		return path
	}
	return path + "?" + all.Encode()
}

// hasCounted reports whether a message shows a number.
func (a *target) hasCounted(message string, n int) bool {
	return slices.ContainsFunc(a.counts(n), func(text string) bool { return strings.Contains(message, text) })
}

// asJSON is the text of a value in a message.
func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always can be
	}
	return string(text)
}
