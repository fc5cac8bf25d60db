package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Lockstep is the wire of this project (docs/protocol.md).
type Lockstep struct {
	// Path of the page of a counter; "{n}" in it is its number, from 1. "": "/c/load-{n}".
	Path string
	// Own says that the page is that of the target's own URL, not of Path.
	Own bool
}

// Traits implements Protocol.
func (Lockstep) Traits() Traits { return Traits{Versions: true, Acks: true, OverHTTP: true} }

// Page implements Protocol.
func (l Lockstep) Page(n int) string {
	if l.Own {
		return ""
	}
	path := l.Path
	if path == "" {
		path = "/c/load-{n}"
	}
	return strings.ReplaceAll(path, "{n}", strconv.Itoa(n+1))
}

// Open implements Protocol. The page has exactly one element with hx-ws:connect.
func (Lockstep) Open(u *url.URL, header http.Header, body []byte) (View, error) {
	v := View{Cookie: cookies(header), Live: true, Replica: textOf(body, "replica")}
	var sockets []string
	walk(body, func(attr map[string]string) {
		if s, ok := attr["hx-ws:connect"]; ok {
			sockets = append(sockets, s)
		}
		if attr["id"] == "status" {
			v.Live = attr["data-state"] != "degraded" // a page that is well can't know that its tab is in step
		}
	})
	switch len(sockets) {
	case 0:
		return View{}, fmt.Errorf("%w: no element has hx-ws:connect", ErrNoSocket)
	case 1:
	default:
		return View{}, fmt.Errorf("%d elements of the page have hx-ws:connect, one is right", len(sockets))
	}
	var err error
	if v.State, v.Known, err = rootState(body); err != nil {
		return View{}, err
	}
	v.Socket, err = socketURL(u, sockets[0], true)
	return v, err
}

// Hello implements Protocol.
func (Lockstep) Hello(tab string, shown State) []byte {
	return fmt.Appendf(nil, `{"hello":1,"tab":%q,"e":%d,"v":%d}`, tab, shown.Epoch, shown.Version)
}

// Click implements Protocol.
func (Lockstep) Click(_ *View, op string, again bool, age int) Send {
	if again {
		return Send{Message: fmt.Appendf(nil, `{"action":"increment","op":%q,"age":%d}`, op, age)}
	}
	return Send{Message: fmt.Appendf(nil, `{"action":"increment","op":%q}`, op)}
}

// wire has the fields of all messages of a server.
type wire struct {
	Topic   string   `json:"t"`
	Epoch   uint64   `json:"e"`
	Version *uint64  `json:"v"`
	Content string   `json:"content"`
	Ack     []string `json:"ack"`
	Error   *string  `json:"error"`
	Op      string   `json:"op"`
	Retry   bool     `json:"retry"`
	Status  string   `json:"status"`
	Beat    float64  `json:"beat"` // seconds
}

// Read implements Protocol. The fragment and the envelope have to say the same.
func (Lockstep) Read(_ *View, message []byte) (Message, error) {
	var w wire
	if err := json.Unmarshal(message, &w); err != nil {
		return Message{}, fmt.Errorf("a message is not of the wire: %w: %.60q", err, message)
	}
	m := Message{Acks: w.Ack, Status: status(w.Status), Beat: time.Duration(w.Beat * float64(time.Second))}
	if w.Error != nil {
		m.Error, m.Refused, m.Retry = *w.Error, w.Op, w.Retry
	}
	if w.Version == nil {
		return m, nil
	}
	var err error
	m.State, m.HasState, err = rootState([]byte(w.Content))
	if err != nil {
		return Message{}, err
	}
	if want := (State{Epoch: w.Epoch, Version: *w.Version}); !m.HasState || !m.State.Same(want) {
		return Message{}, fmt.Errorf("the fragment of version %d (epoch %d) shows version %d (epoch %d)",
			want.Version, want.Epoch, m.State.Version, m.State.Epoch)
	}
	return m, nil
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

// rootState is what the element that has it says of the counter, and false if it says that it is
// not known.
func rootState(body []byte) (s State, known bool, err error) {
	if !bytes.Contains(body, []byte("data-count")) {
		return State{}, false, errors.New("nothing has data-count: is this the page of a counter?")
	}
	walk(body, func(attr map[string]string) {
		count, ok := attr["data-count"]
		if !ok || known || err != nil || count == "" {
			return
		}
		known = true
		var errs [3]error
		s.Count, errs[0] = strconv.ParseInt(count, 10, 64)
		s.Version, errs[1] = strconv.ParseUint(attr["data-version"], 10, 64)
		s.Epoch, errs[2] = strconv.ParseUint(attr["data-epoch"], 10, 64)
		err = errors.Join(errs[:]...)
	})
	return s, known && err == nil, err
}
