package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// boardTTL is how long a value of a board is shown that its owner does not renew.
const boardTTL = 10 * time.Second

// A Spot is what an owner has at a board: where the cursor is, in thousandths from 1 on; 0: it is
// not there.
type Spot struct {
	X     int  `json:"x,omitempty"`
	Y     int  `json:"y,omitempty"`
	Types bool `json:"types,omitempty"`
}

// A Soft is what a message says of a board, by owner.
type Soft struct {
	N    uint64          `json:"n"`    // of frames with a lower one it has everything, if All
	All  bool            `json:"all"`  // there is nothing else
	Is   map[string]Spot `json:"is"`   // what owners have
	Gone []string        `json:"gone"` // owners that have nothing any more
	Size int             `json:"-"`    // bytes of the message
}

// A Caster is a Protocol whose pages are boards: what a person does there is shown for a moment,
// at most once.
type Caster interface {
	Protocol
	// Cast is what a tab sends to show a spot; mark tells the tabs of a person apart.
	Cast(v *View, mark string, s Spot) []byte
	// Owner is the name of what a tab has shown.
	Owner(v *View, mark string) string
	// Forget is how long a value is shown that is not renewed.
	Forget() time.Duration
}

// Cast implements Caster.
func (Lockstep) Cast(v *View, mark string, s Spot) []byte {
	return encode(struct {
		Cast  string `json:"cast"`
		Topic string `json:"t"`
		In    any    `json:"in"`
	}{"here", v.Topic, struct {
		Tab string `json:"tab"`
		Spot
	}{mark, s}})
}

// Owner implements Caster.
func (Lockstep) Owner(v *View, mark string) string { return v.User[:min(len(v.User), 8)] + "." + mark }

// Forget implements Caster.
func (l Lockstep) Forget() time.Duration {
	if l.TTL > 0 {
		return l.TTL
	}
	return boardTTL
}

// boardRoot reads the element that shows a board, whose values come over the socket.
func boardRoot(body []byte) (r root, err error) {
	walk(body, func(attr map[string]string) {
		if topic := attr["data-topic"]; topic != "" && r.topic == "" {
			r.topic, r.known = topic, true
		}
	})
	if r.topic == "" {
		err = errors.New("nothing has data-topic: is this the page of a board?")
	}
	return r, err
}

// readSoft reads what a message says of a board; nil: nothing.
func readSoft(message []byte) (*Soft, error) {
	var w struct {
		Soft *Soft `json:"soft"`
	}
	if err := json.Unmarshal(message, &w); err != nil {
		return nil, fmt.Errorf("a message is not of the wire: %w: %.60q", err, message)
	}
	if w.Soft != nil {
		w.Soft.Size = len(message)
	}
	return w.Soft, nil
}
