package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
)

// cookieName is the session cookie. It names a browser, not a person: it ties
// forms to the browser that was given them.
const cookieName = "sid"

// A signer makes and checks what this application signs. All replicas must
// share its secret.
type signer struct{ secret []byte }

// sign returns the signature of value for one purpose; signatures of
// different purposes never match.
func (s signer) sign(purpose, value string) string {
	m := hmac.New(sha256.New, s.secret)
	m.Write([]byte(purpose))
	m.Write([]byte{0})
	m.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (s signer) valid(purpose, value, signature string) bool {
	return subtle.ConstantTimeCompare([]byte(s.sign(purpose, value)), []byte(signature)) == 1
}

// session returns the id in a request's cookie, or false when there is none
// that this application has signed.
func (s signer) session(r *http.Request) (id string, ok bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	id, signature, found := strings.Cut(c.Value, ".")
	if !found || !s.valid("session", id, signature) {
		return "", false
	}
	return id, true
}

// ensure returns the session of a request; a new one is set as a cookie.
func (s signer) ensure(w http.ResponseWriter, r *http.Request) (id string) {
	if id, ok := s.session(r); ok {
		return id
	}
	id = randomID()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id + "." + s.sign("session", id), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
	return id
}

// token is what a form carries to show that this application gave it to this
// session.
func (s signer) token(session string) string { return s.sign("form", session) }

func (s signer) validToken(session, token string) bool { return s.valid("form", session, token) }

// randomID returns 128 random bits as 22 characters of [A-Za-z0-9_-].
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
