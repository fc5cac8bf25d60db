package serve

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"lockstep/state"
)

// A lane is what the ops of a page's forms are named by, when they are sent without JavaScript. It
// is given out with the page, signed with its time, for one session and topic. The client of an op
// is made of it and of which form it is: so a form that is sent again, after any time and however
// it is filled in then, counts once; and one of somebody else's page is refused.
type lane struct {
	raw    [16]byte
	issued time.Time
}

// newLane returns a lane as it stands in the addresses of forms.
func (s signer) newLane(session, topic string) string {
	var raw [24]byte
	_, _ = rand.Read(raw[:16]) // never fails (crypto/rand)
	binary.BigEndian.PutUint64(raw[16:], uint64(s.now().Unix()))
	text := base64.RawURLEncoding.EncodeToString(raw[:])
	return text + "." + s.sign(forForm, laneOf(session, topic, text))
}

// readLane returns a lane, and the session that it was given to; false: to none of
// these. bound is what the session was bound to; see users.of.
func (s signer) readLane(all sessions, bound, topic, text string) (l lane, session string, ok bool) {
	text, signature, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 24 {
		return l, "", false
	}
	session, ok = all.whose(func(id string) bool {
		return s.signedBy(forForm, laneOf(id+bound, topic, text), signature) >= 0
	})
	return lane{[16]byte(raw[:16]), time.Unix(int64(binary.BigEndian.Uint64(raw[16:])), 0)}, session, ok
}

// laneOf is what the signature of a lane is of.
func laneOf(session, topic, text string) string {
	return strings.Join([]string{session, topic, text}, "\x00")
}

// op returns the op of a form, which is told from others of its action by a text.
func (l lane) op(do, form string, in state.Fields, now time.Time) state.Op {
	return state.Op{Client: l.client(do, form), Seq: 1, From: 1, Age: max(now.Sub(l.issued), 0), Do: do, In: in}
}

func (l lane) client(do, form string) state.Client {
	sum := sha256.Sum256([]byte(string(l.raw[:]) + do + "\x00" + form))
	return state.Client(sum[:16])
}

// formName tells a form from others of its action: by the fields that it has beside what a person
// fills in. "": it has none.
func formName(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(fields, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}
