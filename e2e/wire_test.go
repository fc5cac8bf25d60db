package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/internal/history"
)

// What a page says, as an outsider reads it.
var (
	socketPattern = regexp.MustCompile(`hx-ws:connect="([^"]+)"`)
	userPattern   = regexp.MustCompile(`data-user="([^"]*)"`)
	grantsPattern = regexp.MustCompile(`data-grants="([^"]*)"`)
	formPattern   = regexp.MustCompile(`<form[^>]* action="([^"]+)"[^>]* data-do="([^"]+)"`)
)

// A pageWire is what a page gives to a tab.
type pageWire struct {
	socket string            // path and query
	user   string            // who the tab is of
	grants map[string]string // by topic: what shows that the page was given it
	forms  map[string]string // by action: path and query, with a lane
}

// readPage returns what a page gives.
func readPage(text string) (p pageWire, err error) {
	sockets := socketPattern.FindAllStringSubmatch(text, -1)
	if len(sockets) != 1 {
		return p, fmt.Errorf("got %d elements with hx-ws:connect, want exactly one: %s", len(sockets), text)
	}
	p.socket = html.UnescapeString(sockets[0][1])
	if m := userPattern.FindStringSubmatch(text); m != nil {
		p.user = html.UnescapeString(m[1])
	}
	if m := grantsPattern.FindStringSubmatch(text); m != nil {
		if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &p.grants); err != nil {
			return p, fmt.Errorf("data-grants: %w", err)
		}
	}
	p.forms = make(map[string]string)
	for _, m := range formPattern.FindAllStringSubmatch(text, -1) {
		p.forms[m[2]] = html.UnescapeString(m[1])
	}
	return p, nil
}

// withoutToken is the address of a socket as a client without a cookie may open it: who it is
// of, and not whose.
func withoutToken(socket string) string {
	rooms, _, _ := strings.Cut(socket, "&t=")
	return rooms
}

// socketAt returns the address of the socket of a page, for a client without a cookie.
func socketAt(t testing.TB, base, path string) string {
	t.Helper()
	var p pageWire
	eventually(t, "a page at "+base+path, func() (err error) {
		_, body := get(t, base+path)
		p, err = readPage(body)
		return err
	})
	return base + withoutToken(p.socket)
}

// newClientID returns the name of a page load.
func newClientID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// lobby is the topic of the home page.
const lobby = "counter:lobby"

// A wireOp is an op as it is sent.
type wireOp struct {
	history.ID
	topic string
	from  uint64
	seen  int64 // ms since 1970
	age   time.Duration
	grant string // "": none
	do    string
	in    map[string]string // nil: none
}

// newOp returns a click on the home page's counter by a client that has made no other.
func newOp() wireOp { return newOpOn(lobby) }

// newOpOn is newOp of another counter.
func newOpOn(topic string) wireOp {
	return wireOp{
		ID: history.ID{Client: newClientID(), Seq: 1}, topic: topic, from: 1, seen: time.Now().UnixMilli(), do: "increment",
	}
}

// next returns the next op of the same client, which knows all answers before it.
func (o wireOp) next() wireOp {
	o.Seq++
	o.from, o.seen = o.Seq, time.Now().UnixMilli()
	return o
}

// object is the op as a script sends it.
func (o wireOp) object() object {
	m := object{"op": []any{o.Client, o.Seq, o.from}, "seen": o.seen, "t": o.topic, "do": o.do}
	if o.age > 0 {
		m["age"] = o.age.Seconds()
	}
	if o.grant != "" {
		m["grant"] = o.grant
	}
	if o.in != nil {
		m["in"] = o.in
	}
	return m
}

// clickText is the message of an op.
func clickText(o wireOp) string {
	text, err := json.Marshal(o.object())
	if err != nil {
		panic(err) // strings and numbers always can be
	}
	return string(text)
}

// helloText is the first message of a connection that has shown a state of a topic.
func helloText(client, topic string, s history.State) string {
	return fmt.Sprintf(`{"hello":%d,"client":%q,"at":{%q:[%d,%d]}}`, htmx.Protocol, client, topic, s.Epoch, s.Version)
}

// An opID is how an answer names an op.
type opID history.ID

// UnmarshalJSON implements json.Unmarshaler.
func (o *opID) UnmarshalJSON(raw []byte) error {
	parts := []any{&o.Client, &o.Seq}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return fmt.Errorf("%s names no op", raw)
	}
	return nil
}

// A heard is a message of the server.
type heard struct {
	T, Content, Swap, Error string
	State                   string
	E, V                    uint64
	Ack                     []opID
	Op                      *opID
	Refused                 *string
	Settled, Old, Retry     bool
	Status                  string
	Beat                    float64
	Clock                   int64
}

// acks reports whether a message acknowledges an op.
func (m *heard) acks(id history.ID) bool {
	for _, op := range m.Ack {
		if history.ID(op) == id {
			return true
		}
	}
	return false
}

// answers reports whether a message is an answer to an op.
func (m *heard) answers() bool { return len(m.Ack) > 0 || m.Op != nil }

// reason is why an op was refused, or is to be sent again, or why a message is no op.
func (m *heard) reason() string {
	if m.Refused != nil {
		return *m.Refused
	}
	return m.Error
}

// A count is what a counter shows.
type count struct {
	N              int64
	Epoch, Version uint64
}

// parseRoot reads a counter's root element.
func parseRoot(text string) (c count, ok bool) {
	s, ok := counters().parse(text)
	if !ok {
		return c, false
	}
	n, err := strconv.ParseInt(s.Value, 10, 64)
	return count{n, s.Epoch, s.Version}, err == nil
}

// state is what the judge calls it.
func (c count) state() history.State {
	return history.State{Epoch: c.Epoch, Version: c.Version, Value: history.CounterValue(c.N)}
}
