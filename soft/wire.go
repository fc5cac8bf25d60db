package soft

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lockstep/pubsub/driver"
)

// maxBatch is how many bytes a broadcast has at most: every broker carries it, with a
// signature.
const maxBatch = driver.MaxPayload - 128

// maxBatchOwners is how many owners are taken from one broadcast: as many as fit into one.
const maxBatchOwners = maxBatch / 8

var errBroadcast = errors.New("soft: not a broadcast of a replica")

// A batch is what one replica broadcasts to all on a topic.
type batch struct {
	Replica string `json:"r"`
	// Number grows with each broadcast of a replica, so that one that comes again is known.
	Number uint64   `json:"n"`
	Is     []said   `json:"is,omitempty"`
	Gone   []string `json:"gone,omitempty"`
	// Ask is set by a replica that has just come: the others answer.
	Ask bool `json:"ask,omitempty"`
}

// said is what an owner has. On the wire it is an array of three.
type said struct {
	owner string
	age   time.Duration // since it was set
	raw   json.RawMessage
}

// MarshalJSON implements json.Marshaler.
func (s said) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `["%s",%d,%s]`, s.owner, s.age.Milliseconds(), s.raw), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *said) UnmarshalJSON(p []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(p, &parts); err != nil || len(parts) != 3 {
		return errBroadcast
	}
	var ms int64
	if json.Unmarshal(parts[0], &s.owner) != nil || json.Unmarshal(parts[1], &ms) != nil || ms < 0 || ms > time.Hour.Milliseconds() {
		return errBroadcast
	}
	s.age, s.raw = time.Duration(ms)*time.Millisecond, parts[2]
	return nil
}

// size is how many bytes it takes in a batch, at most.
func (s said) size() int { return len(s.owner) + len(s.raw) + 14 }

// valid reports whether a replica can have sent this.
func (b *batch) valid(maxValue int) bool {
	if b.Replica == "" || len(b.Replica) > maxName || len(b.Is)+len(b.Gone) > maxBatchOwners {
		return false
	}
	for _, one := range b.Is {
		if !validOwner(one.owner) || len(one.raw) > maxValue {
			return false
		}
	}
	for _, owner := range b.Gone {
		if !validOwner(owner) {
			return false
		}
	}
	return true
}
