// Package protocol is what a load generator has to know of a kind of live page: where its socket
// is, what a tab sends for a click, and what the server's messages say. Lockstep is the wire of
// this project; HTMX is any page whose number arrives over htmx. For another one, implement
// Protocol: it has no connections and no clocks, only the meaning of bytes.
package protocol

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

// ErrNoSocket says that a page was read and has nothing to connect to.
var ErrNoSocket = errors.New("the page has no socket to connect to")

// A Protocol reads and writes what one kind of page does. Its methods may be called concurrently.
type Protocol interface {
	// Traits says what the wire tells, and by that which verdicts are possible.
	Traits() Traits

	// Page is the path of the page of counter n, from 0, on each target; "" is the path of the
	// target's own URL.
	Page(n int) string

	// Open reads a page. An error says for people what the page lacks, and is ErrNoSocket if that
	// is a socket.
	Open(u *url.URL, header http.Header, body []byte) (View, error)

	// Hello is what a tab sends first on each connection; nil: nothing. tab is a name that no other
	// tab has, shown the state that it shows already; Hello must not keep either.
	Hello(tab string, shown State) []byte

	// Click is what a tab sends for a click on a view. op is an id that no other click has. A click
	// that is sent again was first sent age seconds ago.
	Click(v *View, op string, again bool, age int) Send

	// Read parses a message, whose bytes it must not keep. Of equal messages only the first is
	// parsed as a rule, so the result must not depend on anything else.
	Read(v *View, message []byte) (Message, error)
}

// Traits are what a wire tells.
type Traits struct {
	// Versions says that states have an order of their own. Otherwise a number is its own
	// version, which "forward" is not judged by.
	Versions bool
	// Acks says that clicks have ids, and are acknowledged or refused by them; they are sent
	// again until they are. Otherwise a click is made once, and the next state that its tab is
	// shown counts as its answer.
	Acks bool
	// OverHTTP says that the pages can do without websockets: over plain HTTP, as docs/protocol.md
	// has it.
	OverHTTP bool
}

// A View is a page that was opened. Tabs of the same page share it: it must not be changed.
type View struct {
	Socket  string // URL, ws:, wss:, http: or https:; the latter two are a stream of server-sent events
	Cookie  string // for the socket and for clicks; "": none
	Replica string // name of the server; "": unknown
	State   State  // what the page shows, if Known
	Known   bool   // the page has a state
	Live    bool   // the page does not say that it is degraded
	Action  any    // what the protocol needs for Click
}

// A State is what a tab shows of a counter. States are ordered by epoch, then version.
type State struct {
	Epoch   uint64 // grows when a store has lost data
	Version uint64 // grows with each change
	Count   int64  // the number that people see
}

// Older reports whether s comes before t.
func (s State) Older(t State) bool {
	return s.Epoch < t.Epoch || s.Epoch == t.Epoch && s.Version < t.Version
}

// Same reports whether s and t are the same moment, whatever they say of it.
func (s State) Same(t State) bool { return s.Epoch == t.Epoch && s.Version == t.Version }

// A Send is what a tab sends for a click: a message on the socket, or a request beside it. The zero
// value sends nothing.
type Send struct {
	Message []byte        // of the socket; nil: Request
	Request *http.Request // without a context; its answer is read as a message if it is HTML
}

// A Message is what a server says. The zero value says nothing of interest.
type Message struct {
	State    State    // a new state, if HasState
	HasState bool     // there is one
	Acks     []string // ops that are in the store
	Refused  string   // an op; "": none
	Retry    bool     // Refused is to be sent again later
	Error    string   // why Refused was, or what else is wrong, for people; "": nothing is
	Status   Status   // how the server is
	// Beat is how far the server's statuses are apart, if it says that in this one; 0: it does not.
	Beat time.Duration
}

// Status is what a server says of itself.
type Status int8

// The values of Status.
const (
	StatusUnknown  Status = iota // the server says nothing about it
	StatusLive                   // all is well: clicks are answered soon
	StatusDegraded               // clicks may have to wait
)
