package web

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
)

// A signer makes and checks what this application signs. All replicas must
// share its keys.
type signer struct {
	keys [][]byte // at least one; the first signs, all are believed
	now  func() time.Time
}

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
	old    bool   // a key has signed it that signs no more
}

func cookieName(who client) string {
	if who.secure {
		return secureCookie
	}
	return plainCookie
}

// read returns the session of a request. ok is false when the cookie is none
// that this application has signed, or too old; sent whether there is one at
// all.
func (s signer) read(r *http.Request, who client) (_ session, ok, sent bool) {
	c, err := r.Cookie(cookieName(who))
	if err != nil {
		return session{}, false, false
	}
	i := max(strings.LastIndexByte(c.Value, '.'), 0)
	signed, signature := c.Value[:i], strings.TrimPrefix(c.Value[i:], ".")
	key := s.signedBy(forSession, signed, signature)
	id, begun, _ := strings.Cut(signed, ".")
	seconds, err := strconv.ParseInt(begun, 10, 64)
	if key < 0 || err != nil || s.now().Sub(time.Unix(seconds, 0)) > sessionLifetime {
		return session{}, false, true
	}
	return session{id: id, signed: signed, old: key > 0}, true, true
}

// ensure returns the session of a request; a new one is set as a cookie. One
// that an old key has signed is signed anew: so the old key can be dropped
// some time after the new one came.
func (s signer) ensure(w http.ResponseWriter, r *http.Request, who client) (id string) {
	cookie, ok, _ := s.read(r, who)
	if ok && !cookie.old {
		return cookie.id
	}
	if !ok {
		cookie.id = randomID()
		cookie.signed = cookie.id + "." + strconv.FormatInt(s.now().Unix(), 10)
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(who), Value: cookie.signed + "." + s.sign(forSession, cookie.signed), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: who.secure,
	})
	return cookie.id
}

// token is what a form or the address of a socket carries to show that this
// application gave it to this session. It is another one each time: from the
// lengths of compressed pages that have one and the same, somebody who sees
// them pass could guess it (BREACH).
func (s signer) token(purpose, id string) string {
	signature, _ := base64.RawURLEncoding.DecodeString(s.sign(purpose, id)) // it is one
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

// randomID returns 128 random bits as 22 characters of [A-Za-z0-9_-].
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
