// Package protocol is what a load generator has to know of a kind of live page: where its socket
// is, what a tab sends for a click, and what the server's messages say. Lockstep is the wire of
// this project; HTMX is any page whose number arrives over htmx. For another one, implement
// Protocol: it has no connections and no clocks, only the meaning of bytes.
package protocol

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
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

	// Hello is what a tab sends first on each connection; nil: nothing. client names the page load,
	// shown is the state it shows already; Hello must not keep either.
	Hello(v *View, client string, shown State) []byte

	// Choose is what a person does next on a view, as Op.Do and Op.In have it.
	Choose(v *View, chance *rand.Rand) (do string, in map[string]string)

	// Click is what a tab sends for an op on a view, each time. It must keep nothing of it.
	Click(v *View, op *Op) Send

	// Fin is what a tab sends when it needs no more answers to its ops, of which upto is the last;
	// nil: nothing.
	Fin(v *View, client string, upto uint64) []byte

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
	// Clocks says that ops carry the server's clock, and none is sent before it was heard.
	Clocks bool
	// Kind is what the pages show.
	Kind Kind
	// OverHTTP says that the pages can do without websockets: over plain HTTP, as docs/protocol.md
	// has it.
	OverHTTP bool
}

// A Kind is what a page shows, and so what its clicks come to.
type Kind string

// The kinds.
const (
	Counter Kind = ""     // a number, to which each click adds one
	Poll    Kind = "poll" // votes for options, one for each person
	Bank    Kind = "bank" // balances of accounts, between which clicks move money
	List    Kind = "list" // things to do, in an order
	Log     Kind = "log"  // entries, which stay as they are
	Board   Kind = "soft" // what people do for a moment: a click is a cast, which nobody answers
)

// Itemized reports whether what the pages show are items, of which messages say what has changed.
func (k Kind) Itemized() bool { return k == List || k == Log }

// String is its name for people, and on the wire.
func (k Kind) String() string {
	if k == Counter {
		return "counter"
	}
	return string(k)
}

// An ID names an op among all of its page: a page load counts its ops from 1.
type ID struct {
	Client string
	Seq    uint64
}

func (id ID) String() string { return id.Client + "/" + strconv.FormatUint(id.Seq, 10) }

// An Op is something that a person did once, however often it is sent.
type Op struct {
	ID
	From uint64            // the lowest seq whose answer the client has not had
	Seen int64             // the server's clock, in ms since 1970, when the op was last looked for
	Age  time.Duration     // since it was made
	Do   string            // the action
	In   map[string]string // what was filled in; nil: nothing
}

// A View is a page that was opened. Tabs of the same page share it: it must not be changed.
type View struct {
	Socket  string // URL, ws:, wss:, http: or https:; the latter two are a stream of server-sent events
	Cookie  string // for the socket and for clicks; "": none
	Replica string // name of the server; "": unknown
	State   State  // what the page shows, if Known
	Known   bool   // the page has a state
	Topic   string // what the page shows, on the wire; "": the wire has no names
	User    string // the person that it was given to; "": unknown
	Live    bool   // the page does not say that it is degraded
	Action  any    // what the protocol needs for Choose and Click
	Items   *Items // of a list or a log; nil: the page has none
}

// A State is what a tab shows. States are ordered by epoch, then version.
type State struct {
	Epoch   uint64 // grows when a store has lost data
	Version uint64 // grows with each change
	Count   int64  // the number that people see: of a poll the votes, of a bank the sum
	// Value are votes and balances, as internal/history has them, and of items what Items.State says;
	// "": there is only Count.
	Value string
}

// Text is what is shown, for people.
func (s State) Text() string {
	if s.Value != "" {
		return s.Value
	}
	return strconv.FormatInt(s.Count, 10)
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
	State    State // a new state, if HasState
	HasState bool  // there is one
	// Change is how the items of an older state become those of a newer one; nil: it is not said.
	Change *Change
	Soft   *Soft  // what there is at a board; nil: it is not said
	Acks   []ID   // ops that are in the store
	Op     ID     // an op that has another answer, if Answer
	Answer Answer // that answer
	Reason string // why, or what else is wrong, for people; "": nothing is said
	Status Status // how the server is
	// Beat is how far the server's statuses are apart, if it says that in this one; 0: it does not.
	Beat  time.Duration
	Clock int64 // the server's, in ms since 1970; 0: it is not said
}

// An Answer is what becomes of an op that is not acknowledged. All but Retry are final.
type Answer int8

// The values of Answer.
const (
	NoAnswer Answer = iota
	Refused         // it is not applied, and never will be
	Retry           // it is to be sent again
	Settled         // the client had said that it knows the answer
	Old             // nobody knows any more
)

// Status is what a server says of itself.
type Status int8

// The values of Status.
const (
	StatusUnknown  Status = iota // the server says nothing about it
	StatusLive                   // all is well: clicks are answered soon
	StatusDegraded               // clicks may have to wait
)
