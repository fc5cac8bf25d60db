package web

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"lockstep/state"
)

// A lane is the identity of the op of a form that is sent without JavaScript: a
// client with one op. It is given out with the page, signed with its time, for one
// session, topic and action. So a form that is sent again, after any time, counts
// once; and one of somebody else's page is refused.
type lane struct {
	client state.Client
	issued time.Time
}

// newLane returns a lane as it stands in a form's address.
func (s signer) newLane(session, topic, do string) string {
	var raw [24]byte
	_, _ = rand.Read(raw[:16]) // never fails (crypto/rand)
	binary.BigEndian.PutUint64(raw[16:], uint64(s.now().Unix()))
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return text + "." + s.sign(forForm, laneOf(session, topic, do, text))
}

// readLane returns a lane, and the session that it was given to; false: to none of
// these.
func (s signer) readLane(all sessions, topic, do, text string) (l lane, session string, ok bool) {
	text, signature, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 24 {
		return l, "", false
	}
	session, ok = all.whose(func(id string) bool {
		return s.signedBy(forForm, laneOf(id, topic, do, text), signature) >= 0
	})
	return lane{state.Client(raw[:16]), time.Unix(int64(binary.BigEndian.Uint64(raw[16:])), 0)}, session, ok
}

// laneOf is what the signature of a lane is of.
func laneOf(session, topic, do, text string) string {
	return strings.Join([]string{session, topic, do, text}, "\x00")
}

// op returns the op of a form.
func (l lane) op(do string, in state.Fields, now time.Time) state.Op {
	return state.Op{Client: l.client, Seq: 1, From: 1, Age: max(now.Sub(l.issued), 0), Do: do, In: in}
}
