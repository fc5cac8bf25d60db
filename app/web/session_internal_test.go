package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAStolenCookieIsOfNoUseAfterAMonth(t *testing.T) {
	now := time.Now()
	s := signer{keys: [][]byte{[]byte("a key")}, now: func() time.Time { return now }}
	w := httptest.NewRecorder()
	id := s.ensure(w, httptest.NewRequest("GET", "/", nil), client{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", w.Header().Get("Set-Cookie"))
	now = now.Add(29 * 24 * time.Hour)
	if got, ok, _ := s.read(r, client{}); !ok || got.id != id {
		t.Errorf("got %v, %v before it ends, want session %s", got, ok, id)
	}
	now = now.Add(2 * 24 * time.Hour)
	if got, ok, sent := s.read(r, client{}); ok || !sent {
		t.Errorf("got %v, %v, %v after it ended, want none that is valid", got, ok, sent)
	}
	w = httptest.NewRecorder()
	if again := s.ensure(w, r, client{}); again == id || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("got session %s again, want a new one", again)
	}
}

func TestWithTLSACookieOfANeighbourIsNotRead(t *testing.T) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	w := httptest.NewRecorder()
	s.ensure(w, httptest.NewRequest("GET", "/", nil), client{}) // set without TLS: anybody below the domain may
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: plainCookie, Value: w.Result().Cookies()[0].Value})
	if _, ok, _ := s.read(r, client{secure: true}); ok {
		t.Error("it is read")
	}
}

func FuzzCookie(f *testing.F) {
	s := signer{keys: [][]byte{[]byte("a key"), []byte("an older key")}, now: time.Now}
	for _, seed := range []string{"", ".", "..", "a.b.c", "a.1700000000." + s.sign(forSession, "a.1600000000"), "a.x." + s.sign(forSession, "a.x")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", plainCookie+"="+value)
		got, ok, _ := s.read(r, client{})
		if ok && s.signedBy(forSession, got.signed, value[len(got.signed)+1:]) < 0 {
			t.Fatalf("%q is believed, and nobody has signed it", value)
		}
	})
}

func TestATokenLooksDifferentEachTime(t *testing.T) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	one, other := s.token(forForm, "x"), s.token(forForm, "x")
	if one == other {
		t.Error("it does not")
	}
	for _, token := range []string{one, other} {
		if !s.validToken(forForm, "x", token) || s.validToken(forSocket, "x", token) || s.validToken(forForm, "y", token) {
			t.Errorf("%s is not valid for what it was made for, or for something else", token)
		}
	}
	for _, token := range []string{"", s.sign(forForm, "x"), one[:len(one)-1], one + "AA", "*" + one[1:]} {
		if s.validToken(forForm, "x", token) {
			t.Errorf("%q is believed", token)
		}
	}
}
