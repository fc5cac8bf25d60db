package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/items"
)

// Lockstep is the wire of this project (docs/protocol.md).
type Lockstep struct {
	// Kind is what the pages show.
	Kind Kind
	// Path of a page; "{n}" in it is its number, from 1. "": that of Kind, such as "/c/load-{n}".
	Path string
	// Own says that the page is that of the target's own URL, not of Path.
	Own bool
	// TTL is how long boards show a value that is not renewed; 0: 10 s, as in the demo.
	TTL time.Duration
}

// Traits implements Protocol.
func (l Lockstep) Traits() Traits {
	if l.Kind == Board {
		return Traits{Versions: true, OverHTTP: true, Kind: Board}
	}
	return Traits{Versions: true, Acks: true, Clocks: true, OverHTTP: true, Kind: l.Kind}
}

// Page implements Protocol.
func (l Lockstep) Page(n int) string {
	if l.Own {
		return ""
	}
	path := l.Path
	if path == "" {
		path = "/c/load-{n}"
		if l.Kind != Counter {
			path = "/" + string(l.Kind) + "/load-{n}"
		}
	}
	return strings.ReplaceAll(path, "{n}", strconv.Itoa(n+1))
}

// Open implements Protocol. The page has exactly one element with hx-ws:connect.
func (l Lockstep) Open(u *url.URL, header http.Header, body []byte) (View, error) {
	v := View{Cookie: cookies(header), Live: true, Replica: textOf(body, "replica")}
	var sockets []string
	options := make(ballot, 0, 4)
	walk(body, func(attr map[string]string) {
		if s, ok := attr["hx-ws:connect"]; ok {
			sockets, v.User = append(sockets, s), attr["data-user"]
		}
		if attr["id"] == "status" {
			v.Live = attr["data-state"] != "degraded" // a page that is well can't know that its tab is in step
		}
		if attr["name"] == "option" {
			options = append(options, attr["value"])
		}
	})
	switch len(sockets) {
	case 0:
		return View{}, fmt.Errorf("%w: no element has hx-ws:connect", ErrNoSocket)
	case 1:
	default:
		return View{}, fmt.Errorf("%d elements of the page have hx-ws:connect, one is right", len(sockets))
	}
	r, err := l.root(body)
	if err != nil {
		return View{}, err
	}
	v.State, v.Known, v.Topic, v.Items = r.state, r.known, r.topic, r.items
	switch {
	case l.Kind.Itemized():
		v.Known = r.known && (v.Live || r.state.Version > 0) // an empty list, or nothing is known of it
	case l.Kind == Poll && len(options) == 0:
		return View{}, errors.New("the poll has no options: nothing is named option")
	case l.Kind == Poll:
		v.Action = options
	case l.Kind == Bank:
		v.Action = vault{len(r.parts), r.state.Count}
	}
	v.Socket, err = socketURL(u, sockets[0], true)
	return v, err
}

// Hello implements Protocol.
func (l Lockstep) Hello(v *View, client string, shown State) []byte {
	at := map[string][2]uint64{v.Topic: {shown.Epoch, shown.Version}}
	if l.Kind == Board {
		at = nil // it has no versions
	}
	return encode(struct {
		Hello  int                  `json:"hello"`
		Client string               `json:"client"`
		At     map[string][2]uint64 `json:"at,omitempty"`
	}{2, client, at})
}

// Click implements Protocol.
func (Lockstep) Click(v *View, op *Op) Send {
	return Send{Message: encode(struct {
		Op    [3]any            `json:"op"`
		Seen  int64             `json:"seen"`
		Age   float64           `json:"age,omitempty"`
		Topic string            `json:"t"`
		Do    string            `json:"do"`
		In    map[string]string `json:"in,omitempty"`
	}{[3]any{op.Client, op.Seq, op.From}, op.Seen, op.Age.Truncate(time.Second / 10).Seconds(), v.Topic, op.Do, op.In})}
}

// Fin implements Protocol.
func (Lockstep) Fin(v *View, client string, upto uint64) []byte {
	return encode(struct {
		Fin   [2]any `json:"fin"`
		Topic string `json:"t"`
	}{[2]any{client, upto}, v.Topic})
}

func encode(message any) []byte {
	b, err := json.Marshal(message)
	if err != nil {
		panic("protocol: strings and numbers don't encode: " + err.Error())
	}
	return b
}

// wire has the fields of all messages of a server.
type wire struct {
	Epoch   uint64   `json:"e"`
	Version *uint64  `json:"v"`
	Content string   `json:"content"`
	Ack     []wireID `json:"ack"`
	Op      wireID   `json:"op"`
	Refused *string  `json:"refused"`
	Retry   bool     `json:"retry"`
	Settled bool     `json:"settled"`
	Old     bool     `json:"old"`
	Error   string   `json:"error"`
	Status  string   `json:"status"`
	Beat    float64  `json:"beat"`  // seconds
	Clock   int64    `json:"clock"` // ms
}

// A wireID is an ID as ["client",seq].
type wireID ID

// UnmarshalJSON implements json.Unmarshaler.
func (id *wireID) UnmarshalJSON(raw []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 2 {
		return errors.New("an op is named by its client and its number")
	}
	return errors.Join(json.Unmarshal(parts[0], &id.Client), json.Unmarshal(parts[1], &id.Seq))
}

// Read implements Protocol. The fragment and the envelope have to say the same.
func (l Lockstep) Read(_ *View, message []byte) (m Message, err error) {
	var w wire
	if err := json.Unmarshal(message, &w); err != nil {
		return Message{}, fmt.Errorf("a message is not of the wire: %w: %.60q", err, message)
	}
	m = Message{Status: status(w.Status), Beat: time.Duration(w.Beat * float64(time.Second)), Clock: w.Clock, Reason: w.Error}
	for _, id := range w.Ack {
		m.Acks = append(m.Acks, ID(id))
	}
	if m.Answer = w.answer(); m.Answer != NoAnswer {
		m.Op = ID(w.Op)
	}
	if w.Refused != nil {
		m.Reason = *w.Refused
	}
	if l.Kind == Board {
		m.Soft, err = readSoft(message)
		return m, err
	}
	if w.Version == nil {
		return m, nil
	}
	if l.Kind.Itemized() {
		m.Change, err = items.ReadMessage(message, l.Kind.Items())
		return m, err
	}
	r, err := l.root([]byte(w.Content))
	if err != nil {
		return Message{}, err
	}
	m.State, m.HasState = r.state, r.known
	if want := (State{Epoch: w.Epoch, Version: *w.Version}); !m.HasState || !m.State.Same(want) {
		return Message{}, fmt.Errorf("the fragment of version %d (epoch %d) shows version %d (epoch %d)",
			want.Version, want.Epoch, m.State.Version, m.State.Epoch)
	}
	return m, nil
}

func (w *wire) answer() Answer {
	switch {
	case w.Op.Client == "":
	case w.Refused != nil:
		return Refused
	case w.Retry:
		return Retry
	case w.Settled:
		return Settled
	case w.Old:
		return Old
	}
	return NoAnswer
}

func status(s string) Status {
	switch s {
	case "":
		return StatusUnknown
	case "live":
		return StatusLive
	}
	return StatusDegraded
}

// A ballot is what can be voted for.
type ballot []string

// A vault is how many accounts a bank has, and what they have together.
type vault struct {
	accounts int
	sum      int64
}

// Choose implements Protocol. A transfer in ten can't be; others may be more than the account has.
func (Lockstep) Choose(v *View, chance *rand.Rand) (do string, in map[string]string) {
	switch a := v.Action.(type) {
	case ballot:
		return "vote", map[string]string{"option": a[chance.IntN(len(a))]}
	case vault:
		return "transfer", a.transfer(chance)
	}
	return "increment", nil
}

func (a vault) transfer(chance *rand.Rand) map[string]string {
	n := max(a.accounts, 2)
	from := chance.IntN(n)
	to := (from + 1 + chance.IntN(n-1)) % n
	amount := 1 + chance.Int64N(max(1, a.sum/int64(n)))
	switch chance.IntN(20) {
	case 0:
		to = from
	case 1:
		amount = a.sum + 1
	}
	return map[string]string{
		"from": strconv.Itoa(from + 1), "to": strconv.Itoa(to + 1), "amount": strconv.FormatInt(amount, 10),
	}
}
