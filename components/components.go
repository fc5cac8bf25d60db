// Package components is what the pages look like: templ components that are
// pure functions of plain values. They know nothing of stores, sessions or
// HTTP, and each has a golden file in testdata.
//
// The ids and data attributes are a contract with static/live.js, with the
// frames that package app pushes, and with tests and tools that read a page:
// #counter, #live, #status, #replica, #tabs, #waiting, #notice.
package components

//go:generate ../bin/templ generate -include-version=false

import (
	"strconv"
	"strings"
	"time"

	"lockstep/htmx"
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

// A Page is the page of one counter.
type Page struct {
	Counter Counter
	Socket  string // path of the websocket
	Links   Links
	Replica string
	// State is Connecting or degraded. The server that renders a page can't say more: whether the
	// tab is in step is known when its socket has spoken, and to the tab alone.
	State string
	Tabs  int
	// Renderer has what a tab needs to render itself; its zero value offers no
	// such thing.
	Renderer Renderer

	Script, Style, Icon string // paths
	CSRF                string
	// Ops are op ids for the forms when they are sent without JavaScript, in
	// the order increment, decrement, reset.
	Ops     [3]string
	Version string // of the program; "" shows nothing
}

// Links are where a page leads. Relative ones work in any folder.
type Links struct {
	Home  string // the start page
	Open  string // opens the counter in the query's name
	Click string // with the name of an action behind it: where its form posts to
	// InBrowser is the same application in this browser, and InBrowserText what
	// is said of it. An empty InBrowser shows nothing.
	InBrowser, InBrowserText string
}

// A Boot is the page that an application is loaded into, to run in the browser.
type Boot struct {
	Style, Icon string // paths
	Start       string // script that loads the rest
	Policy      string // Content-Security-Policy, where no server sends it; "": none
	Worker      string // script of the worker that the application runs in
	Program     string // the application, compiled
	Size        int    // of Program, in bytes, as it is before compression
	Script      string // script of the application's pages
	Offline     string // script that keeps it all for when there is no network
	ServerURL   string // start page of the server, which has counters too; "": there is none
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
	Style, Icon string // paths
}

// An action is one of the forms of a counter.
type action struct {
	name, label string
	op          int  // index in Page.Ops
	bare        bool // the icon says enough to those who see it
}

var (
	increment = action{name: "increment", label: "Increment", op: 0, bare: true}
	decrement = action{name: "decrement", label: "Decrement", op: 1, bare: true}
	reset     = action{name: "reset", label: "Reset", op: 2}
)

// htmxConfig configures htmx and hx-ws. Their defaults give up for good when a
// connection is closed with some codes, and wait up to a minute otherwise.
// Full jitter spreads the tabs of a replica that went away: each waits for its
// delay and up to as much more or less, so that is half the bound. The history
// feature is off because no page is swapped as a whole.
func htmxConfig() string {
	return `{"morphIgnore":["data-htmx-powered","open"],"history":false,"includeIndicatorCSS":false,` +
		`"ws":{"reconnectCodes":[1000,1001,1005,1006,1008,1009,1011,1012,1013,1014,1015],` +
		`"reconnectDelay":` + milliseconds(htmx.ReconnectMin/2) +
		`,"reconnectMaxDelay":` + milliseconds(htmx.ReconnectMax/2) + `,"reconnectJitter":1}}`
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// number is the count as people write it, with a real minus.
func (c Counter) number() string {
	return strings.Replace(strconv.FormatInt(c.N, 10), "-", "−", 1)
}

// count is the count as programs read it; "" when it is not known.
func (c Counter) count() string {
	if !c.Known {
		return ""
	}
	return strconv.FormatInt(c.N, 10)
}

// size is how many characters the style sheet makes room for: the number
// never breaks, and steps of size keep it from jumping with each digit.
func (c Counter) size() string {
	n := len(c.count())
	for _, step := range []int{3, 5, 7, 10, 14} {
		if n <= step {
			return strconv.Itoa(step)
		}
	}
	return "20"
}

func (p Page) scripts() []string {
	if p.Renderer.Script == "" {
		return []string{p.Script}
	}
	return []string{p.Script, p.Renderer.Script}
}

// parity differs between neighbouring states, so that a style sheet can show
// that something changed although the elements stay.
func (c Counter) parity() string { return strconv.FormatUint((c.Version+uint64(c.Waiting))%2, 10) }
