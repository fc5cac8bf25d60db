// Package pages is what the pages look like: templ components that are
// pure functions of plain values. They know nothing of stores, sessions or
// HTTP, and each has a golden file in testdata.
//
// The ids and data attributes are a contract with static/live.js, with the frames that package app
// pushes, and with tests and tools that read a page: #counter, #poll, #bank, #list, #items, #head,
// #log-room, #log, #signup, #live, #status, #replica, #replicas, #visitors, #acts, #tabs, #waiting,
// #unkept, #lost, #notice, #said, #ask.
package pages

//go:generate ../../bin/templ generate -include-version=false

import (
	"strconv"
	"strings"

	"github.com/a-h/templ"
)

// A Counter is what is shown of a counter.
type Counter struct {
	Name, Topic    string
	N              int64
	Epoch, Version uint64
	// Known is false while the store could not be read: a dash is shown.
	Known bool
	// Waiting is how many clicks N has that only this tab knows of.
	Waiting int
}

// Connecting is the state of a page whose socket has not spoken yet.
const Connecting = "connecting"

// A Page is a page whose rooms are live, apart from what is in them.
type Page struct {
	Kind string // what is on it, for people: "counter"
	Name string // of what is on it
	// Sum is what the document's title begins with; "": its name.
	Sum    string
	Socket string // path of the websocket
	// Grants say, as a JSON object, that this page was given its topics, and User who
	// it was given to. Former is who that was before, in this browser, when their session
	// has ended; "": nobody else.
	Grants, User, Former string
	Links                Links
	Replica              string
	// State is Connecting or degraded. The server that renders a page can't say more: whether the
	// tab is in step is known when its socket has spoken, and to the tab alone.
	State string
	Tabs  int
	// Around is what it shows beside what is on it.
	Around Around
	// Share is for those who want others to come; its zero value has nothing for them.
	Share Share
	// Renderer has what a tab needs to render itself; its zero value offers no
	// such thing.
	Renderer Renderer

	Script, Style, Icon string // paths
	// Scripts and Styles are the paths of more of them, for what is on this page alone.
	Scripts, Styles []string
	Install         Install
	// Plain is the path of the script for networks without websockets; "": the
	// page has none.
	Plain string
	// Others is the path of the script for browsers with clicks of another session; "": those are
	// kept, and nothing is said of them.
	Others string
	// XRay shows people how far their clicks come. Nil: nothing does. It can be compared.
	XRay templ.Component
	// Lane is what the ops of its forms are named by, when they are sent without JavaScript.
	Lane    string
	Version string // of the program; "" shows nothing
	// Outcome is what became of a click without JavaScript, which has led to this page. "":
	// nothing.
	Outcome string
	// Filled is what a person has filled in, by the names of the fields, and what is wrong with it:
	// of a form without JavaScript that was not accepted. Nil: the forms are new.
	Filled map[string]Filled
	// Upload is where the files of its forms go; "": they take none.
	Upload string
	// Small is a page that is shown in a frame: it has nothing that opens over it.
	Small bool
	// Panel breaks replicas on purpose, and shows what comes of it; nil: it is not open.
	Panel templ.Component
}

// A Filled is a field as it was sent.
type Filled struct {
	Value string
	Error string // "": nothing is wrong with it
}

// A Form has an action done to a topic.
type Form struct {
	To        string // where it posts to, without JavaScript
	Topic, Do string
	// ID is what buttons outside of the form know it by; "": there are none.
	ID string
	// Preview is a CSS selector of the list in which what is sent is shown at once, as the form's
	// template has it; "": it is not.
	Preview string
	// Resets is true when its fields are empty again as soon as what was in them is kept.
	Resets bool
	// Check is the cast that has the server check it while it is filled in; "": nothing does.
	Check string
	// Once is a form with fields that a person fills in: while it waits for its answer it is not
	// sent again, and what is typed into it outlives the page. See static/forms.js.
	Once bool
}

// form returns a form of a page.
func (p Page) form(topic, do string) Form {
	return Form{To: p.Links.Do + do + "?lane=" + p.Lane, Topic: topic, Do: do}
}

// named is form, with an id for buttons elsewhere in the page.
func (p Page) named(topic, do string) Form {
	f := p.form(topic, do)
	f.ID = do
	return f
}

// resetting is form, with fields that are empty again when it was sent.
func (p Page) resetting(topic, do string) Form {
	f := p.form(topic, do)
	f.Resets = true
	return f
}

// previewed is form, with a list in which what is sent is shown at once.
func (p Page) previewed(topic, do, list string) Form {
	f := p.form(topic, do)
	f.Preview = list
	return f
}

// An Install is what a page has for those who keep it, or send its address to others. The zero
// value has nothing for them.
type Install struct {
	Manifest string // path
	Picture  string // path of the icon as a PNG of 512 pixels
	// Origin is what the picture's address begins with for others, who need all of it:
	// "https://example.org".
	Origin string
}

// A Share is what others are given of a page.
type Share struct {
	Link string // path of the page
	Code string // path of a picture of its address
}

// Links are where a page leads. Relative ones work in any folder.
type Links struct {
	Home string // the start page
	Open string // opens what is in the query's name
	// OpenKind is in the query's kind; "": Open is of one kind.
	OpenKind string
	Do       string // with the name of an action behind it: where its form posts to
	// Newest is this page, without what its query asks for. Before is what leads to older entries
	// of a log, with a number behind it.
	Newest, Before string
	// Break is this page with its Panel, and History what that rests on, as a file; "": there is no
	// such thing.
	Break, History string
	// Elsewhere are other pages.
	Elsewhere []Link
}

// A Link leads to a page.
type Link struct{ To, Text string }

// A Boot is the page that an application is loaded into, to run in the browser.
type Boot struct {
	Style, Icon string // paths
	Install     Install
	Start       string // script that loads the rest
	Policy      string // Content-Security-Policy, where no server sends it; "": none
	Worker      string // script of the worker that the application runs in
	Program     string // the application, compiled
	Size        int    // of Program, in bytes, as it is before compression
	Script      string // script of the application's pages
	// More are the scripts and style sheets that some of the pages need beside it, by their names: a
	// JSON object of paths.
	More      string
	Offline   string // script that keeps it all for when there is no network
	ServerURL string // start page of the server, which has pages too; "": there is none
	// Progress is where the server tells how far it has compiled the application,
	// and Text what it says now. Where they are not empty there is no Worker and
	// no Program yet.
	Progress, Text string
}

// A Renderer is the program by which a tab renders itself.
type Renderer struct {
	Script  string // path of the script of the switch
	Worker  string // path of the script of the worker that it runs in
	Program string // path
	// Progress is where the server tells how far it has compiled the program, and
	// then the paths. Where it is not empty there is no Worker and no Program yet.
	Progress string
}

// A Problem is a page that explains why there is nothing else.
type Problem struct {
	Status      int // of HTTP
	Title, Text string
	Home        string // the start page
	Style, Icon string // paths
	// Back leads to where the person came from, and Other to what may have been meant; its zero
	// value to nothing.
	Back, Other Way
	// Again sends a click again, as the same; its zero value is no click.
	Again Again
}

// A Way is a link.
type Way struct{ To, Text string }

// An Again is a form that could not be counted: sent with the same identity, it counts once,
// whatever became of it.
type Again struct {
	To     string // where it posts to
	Fields []Field
}

// A Field is one of a form, which is not shown.
type Field struct{ Name, Value string }

// An action is one of the forms of a counter.
type action struct {
	name, label string
	bare        bool // the icon says enough to those who see it
}

var (
	increment = action{name: "increment", label: "Increment", bare: true}
	decrement = action{name: "decrement", label: "Decrement", bare: true}
	reset     = action{name: "reset", label: "Reset"}
)

// Description is what search engines, messengers and launchers say of the application.
const Description = "Counters, polls, banks, lists and chats that everybody shares: what one person does, every open tab shows at once."

// number is the count as people write it: in groups of three digits, with a real minus.
func (c Counter) number() string {
	return strings.Replace(grouped(c.N), "-", "−", 1)
}

// grouped writes n with a comma between thousands. The pages are in English: screen readers take
// it for one number, which they don't with spaces.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	b := []byte(s[:len(s)-len(digits)])
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, digits[i])
	}
	return string(b)
}

// count is the count as programs read it; "" when it is not known.
func (c Counter) count() string {
	if !c.Known {
		return ""
	}
	return strconv.FormatInt(c.N, 10)
}

// size is how many characters the style sheet makes room for, in steps: within a room that is the
// same for all of them, so that nothing moves. A minus is wide, and counts as two.
func (c Counter) size() string {
	n := len(grouped(c.N))
	if c.N < 0 {
		n++
	}
	if !c.Known {
		return "3"
	}
	for _, step := range []int{3, 5, 7, 10, 14, 19} {
		if n <= step {
			return strconv.Itoa(step)
		}
	}
	return "26"
}

// Title is the title of the page's document. voice.js writes the same when the state changes.
func (p Page) Title() string {
	title := p.Name + " · Lockstep"
	if p.Sum != "" {
		title = p.Sum + " · " + title
	}
	return title
}

// Sum is what the title of a counter's page begins with.
func (c Counter) Sum() string {
	if !c.Known {
		return ""
	}
	return c.number()
}

func (p Page) scripts() []string {
	all := append([]string{p.Script}, p.Scripts...)
	if p.Renderer.Script != "" {
		all = append(all, p.Renderer.Script)
	}
	return all
}
