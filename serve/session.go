package serve

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the session cookie. It names a browser, not a person: it ties forms
// and sockets to the browser that was given them. The prefix has browsers
// refuse one that was set by a neighbour below the same domain, or without TLS
// (RFC 6265bis §4.1.3).
const (
	plainCookie  = "sid"
	secureCookie = "__Host-sid"
)

// sessionLifetime is how long a cookie is believed: a stolen one is of no use
// after that.
const sessionLifetime = 30 * 24 * time.Hour

// What is signed for one purpose is not valid for another.
const (
	forSession = "session"
	forForm    = "form"
	forSocket  = "socket"
	forRooms   = "rooms"
	forGrant   = "grant"
	forOlder   = "older"
)

// A signer makes and checks what this application signs. All replicas must
// share its keys.
type signer struct {
	keys [][]byte // at least one; the first signs, all are believed
	now  func() time.Time
}

func newSigner(keys [][]byte) signer { return signer{keys, time.Now} }

// sign returns the signature of value for one purpose.
func (s signer) sign(purpose, value string) string { return signWith(s.keys[0], purpose, value) }

func signWith(key []byte, purpose, value string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(purpose))
	m.Write([]byte{0})
	m.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// signedBy returns which key has made a signature, or -1.
func (s signer) signedBy(purpose, value, signature string) int {
	return slices.IndexFunc(s.keys, func(key []byte) bool {
		return subtle.ConstantTimeCompare([]byte(signWith(key, purpose, value)), []byte(signature)) == 1
	})
}

// A session is what a cookie says: "id.begun.signature". begun is in seconds
// since 1970, and the signature is of what stands before it.
type session struct {
	id     string
	signed string // what the signature is of
	begun  time.Time
	old    bool // a key has signed it that signs no more
}

// Sessions are what a browser has sent: the one that its next page is given for,
// and those of pages that it opened at the same time.
//
// Pages that a browser opens together are each its first: each is given a session
// of its own, and the last cookie wins. So each is also kept in a cookie of its
// own, named after it, a spare: the token of a page holds for the session that the
// page was given for, and no other, whichever cookie has won since.
type sessions struct {
	main   session
	ok     bool // there is a main one
	spares map[string]session
	waste  []string // names of spare cookies that are of no use any more
	sent   bool     // there is a cookie of a session, valid or not
	// foreign are the names of spare cookies that this application has not signed. They
	// may be of a server on another port of the host: browsers don't tell ports apart.
	foreign []string
	// former is the id that the main cookie names when it is not believed: another
	// secret has signed it, or it is too old.
	former string
}

const (
	// spareMark stands between the name of the cookie and that of a session.
	spareMark = "~"
	// maxSpares is how many spare cookies are looked at in a request, and kept by
	// a browser: so many pages may be opened together.
	maxSpares = 32
	// maxForeign is how many foreign ones a browser is let keep.
	maxForeign = 8
	// spareTime is how long a spare stays that has the same session as the main
	// one: a page that was asked for before may still be on its way, and take
	// its place.
	spareTime = time.Minute
)

// cookieName is the name of the main cookie. Servers below different paths of one
// host don't share it.
func cookieName(who client) string {
	name := plainCookie
	if who.secure {
		name = secureCookie
	}
	return name + strings.ReplaceAll(who.base, "/", ".")
}

// spareName is the name of the cookie that only this session has.
func spareName(who client, id string) string {
	return cookieName(who) + spareMark + id[:min(len(id), 8)]
}

// parse returns the session of a cookie's value. ok is false when it is none that
// this application has signed, which leaves its id empty, or too old.
func (s signer) parse(value string) (_ session, ok bool) {
	i := max(strings.LastIndexByte(value, '.'), 0)
	signed, signature := value[:i], strings.TrimPrefix(value[i:], ".")
	key := s.signedBy(forSession, signed, signature)
	id, begun, _ := strings.Cut(signed, ".")
	seconds, err := strconv.ParseInt(begun, 10, 64)
	if key < 0 || err != nil {
		return session{}, false
	}
	one := session{id: id, signed: signed, begun: time.Unix(seconds, 0), old: key > 0}
	if s.now().Sub(time.Unix(seconds, 0)) > sessionLifetime {
		return one, false
	}
	return one, true
}

// read returns the sessions of a request.
func (s signer) read(r *http.Request, who client) (all sessions) {
	name := cookieName(who)
	for _, c := range r.Cookies() {
		switch spare := strings.HasPrefix(c.Name, name+spareMark); {
		case c.Name == name && !all.ok:
			all.sent = true
			if all.main, all.ok = s.parse(c.Value); !all.ok {
				all.former = idOf(c.Value)
			}
		case spare && len(all.spares)+len(all.waste)+len(all.foreign) < maxSpares:
			all.sent = true
			all.addSpare(c.Name, c.Value, s)
		case spare:
			all.waste = append(all.waste, c.Name)
		}
	}
	return all
}

// idOf returns the id that the value of a cookie begins with, whoever has signed it;
// "": none.
func idOf(value string) string {
	id, _, _ := strings.Cut(value, ".")
	if raw, err := base64.RawURLEncoding.DecodeString(id); err != nil || len(raw) != idBytes {
		return ""
	}
	return id
}

func (all *sessions) addSpare(name, value string, s signer) {
	one, ok := s.parse(value)
	switch {
	case !ok && one.id == "" && len(all.foreign) < maxForeign:
		all.foreign = append(all.foreign, name)
		return
	case !ok:
		all.waste = append(all.waste, name)
		return
	}
	if all.spares == nil {
		all.spares = make(map[string]session)
	}
	all.spares[name] = one
}

// owner returns which of the sessions, bound so, a token was given to a page of; false: none.
func (s signer) owner(all sessions, bound, purpose, about, token string) (id string, ok bool) {
	return all.whose(func(id string) bool { return s.validToken(purpose, id+bound+"\x00"+about, token) })
}

// whose returns the id of the first of the sessions for which something holds.
func (all sessions) whose(holds func(id string) bool) (id string, ok bool) {
	if all.ok && holds(all.main.id) {
		return all.main.id, true
	}
	for _, one := range all.spares {
		if holds(one.id) {
			return one.id, true
		}
	}
	return "", false
}

// adopt makes the newest spare the main session, if there is none and a spare: a
// server on another port of the host has put its own in the place.
func (all *sessions) adopt() (adopted bool) {
	if all.ok {
		return false
	}
	for _, one := range all.spares {
		if !adopted || one.begun.After(all.main.begun) {
			all.main, all.ok, adopted = one, true, true
		}
	}
	return adopted
}

// ensure returns the session of a request; a new one is set as a cookie, and as a
// spare. One that an old key has signed is signed anew: so the old key can be
// dropped some time after the new one came. former is the id of the session whose
// place a new one takes, as the browser says; "": none.
func (s signer) ensure(w http.ResponseWriter, r *http.Request, who client) (id, former string) {
	all := s.read(r, who)
	adopted := all.adopt()
	s.clean(w, all, who)
	if all.ok && !all.main.old && !adopted {
		return all.main.id, ""
	}
	if !all.ok {
		former = all.former
		all.main.id = randomID()
		all.main.signed = all.main.id + "." + strconv.FormatInt(s.now().Unix(), 10)
	}
	value := all.main.signed + "." + s.sign(forSession, all.main.signed)
	setCookie(w, who, cookieName(who), value, int(sessionLifetime/time.Second))
	if !all.ok {
		setCookie(w, who, spareName(who, all.main.id), value, 0)
	}
	return all.main.id, former
}

// clean takes back the spares that are of no use: most browsers have no other
// session than the main one, and are to keep one cookie. Where another server puts
// its own in place of the main one, the spare is what remains.
func (s signer) clean(w http.ResponseWriter, all sessions, who client) {
	for name, one := range all.spares {
		if all.ok && len(all.foreign) == 0 && one.id == all.main.id && s.now().Sub(one.begun) > spareTime {
			all.waste = append(all.waste, name)
		}
	}
	for _, name := range all.waste[:min(len(all.waste), maxSpares)] {
		setCookie(w, who, name, "", -1)
	}
}

// setCookie sets a cookie. age < 0 takes it back, 0 keeps it until
// the browser ends. One with the prefix __Host- must be for all paths.
func setCookie(w http.ResponseWriter, who client, name, value string, age int) {
	path := who.base
	if path == "" || who.secure {
		path = "/"
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: who.secure,
	})
}

// userOf is how a session is known to actions, and may be shown to everybody: the id
// can't be found from it. No secret is in it, so a person stays the same under the next
// one; and a page can say who somebody was whose cookie is not believed any more.
func userOf(id string) string {
	sum := sha256.Sum256([]byte("user\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:16]
}

// token is what the address of a socket carries, or an op of a page that was closed,
// to show that this application gave something to this session. It is another one
// each time: from the lengths of compressed pages that have one and the same,
// somebody who sees them pass could guess it (BREACH).
func (s signer) token(purpose, id, about string) string {
	signature, _ := base64.RawURLEncoding.DecodeString(s.sign(purpose, id+"\x00"+about)) // it is one
	masked := make([]byte, 2*len(signature))
	_, _ = rand.Read(masked[:len(signature)]) // never fails (crypto/rand)
	subtle.XORBytes(masked[len(signature):], masked, signature)
	return base64.RawURLEncoding.EncodeToString(masked)
}

func (s signer) validToken(purpose, id, token string) bool {
	masked, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(masked) != 2*sha256.Size {
		return false
	}
	signature := make([]byte, sha256.Size)
	subtle.XORBytes(signature, masked[:sha256.Size], masked[sha256.Size:])
	return s.signedBy(purpose, id, base64.RawURLEncoding.EncodeToString(signature)) >= 0
}

// idBytes is how long an id is.
const idBytes = 16

// randomID returns 128 random bits as 22 characters of [A-Za-z0-9_-].
func randomID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
