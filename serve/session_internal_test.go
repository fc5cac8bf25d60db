package serve

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAStolenCookieIsOfNoUseAfterAMonth(t *testing.T) {
	now := time.Now()
	s := signer{keys: [][]byte{[]byte("a key")}, now: func() time.Time { return now }}
	w := httptest.NewRecorder()
	id, _ := s.ensure(w, httptest.NewRequest("GET", "/", nil), client{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", w.Header().Get("Set-Cookie"))
	now = now.Add(29 * 24 * time.Hour)
	if got := s.read(r, client{}); !got.ok || got.main.id != id {
		t.Errorf("got %v before it ends, want session %s", got, id)
	}
	now = now.Add(2 * 24 * time.Hour)
	if got := s.read(r, client{}); got.ok || !got.sent {
		t.Errorf("got %v after it ended, want none that is valid", got)
	}
	w = httptest.NewRecorder()
	if again, former := s.ensure(w, r, client{}); again == id || former != id || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("got session %s in place of %s, want a new one in place of %s", again, former, id)
	}
}

// TestASessionThatHasEndedSaysWhoItWas and one that goes on is the same person under the next key.
func TestASessionThatHasEndedSaysWhoItWas(t *testing.T) {
	one, two := []byte("a key"), []byte("another key")
	w := httptest.NewRecorder()
	id, former := signer{keys: [][]byte{one}, now: time.Now}.ensure(w, httptest.NewRequest("GET", "/", nil), client{})
	if former != "" {
		t.Errorf("the first session takes the place of %s", former)
	}
	cookie := w.Result().Cookies()[0]
	for name, c := range map[string]struct {
		keys   [][]byte
		cookie string
		stays  bool
		former string
	}{
		"next key":      {[][]byte{two, one}, cookie.Value, true, ""},
		"other key":     {[][]byte{two}, cookie.Value, false, id},
		"no cookie":     {[][]byte{two}, "", false, ""},
		"no id":         {[][]byte{two}, "<b>." + cookie.Value, false, ""},
		"an id, longer": {[][]byte{two}, "A" + cookie.Value, false, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: c.cookie})
		got, former := signer{keys: c.keys, now: time.Now}.ensure(httptest.NewRecorder(), r, client{})
		if former != c.former || (got == id) != c.stays {
			t.Errorf("%s: got %s in place of %q, want that it is %s: %t, and in place of %q", name, got, former, id, c.stays, c.former)
		}
	}
}

func TestWithTLSACookieOfANeighbourIsNotRead(t *testing.T) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	w := httptest.NewRecorder()
	s.ensure(w, httptest.NewRequest("GET", "/", nil), client{}) // set without TLS: anybody below the domain may
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: plainCookie, Value: w.Result().Cookies()[0].Value})
	if s.read(r, client{secure: true}).ok {
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
		got := s.read(r, client{})
		if got.ok && !strings.Contains(value, got.main.signed+"."+s.sign(forSession, got.main.signed)) &&
			!strings.Contains(value, got.main.signed+"."+signWith(s.keys[1], forSession, got.main.signed)) {
			t.Fatalf("%q is believed, and nobody has signed it", value)
		}
	})
}

func TestATokenLooksDifferentEachTime(t *testing.T) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	one, other := s.token(forGrant, "x", "a"), s.token(forGrant, "x", "a")
	if one == other {
		t.Error("it does not")
	}
	for _, token := range []string{one, other} {
		if !s.validToken(forGrant, "x\x00a", token) {
			t.Errorf("%s is not valid for what it was made for", token)
		}
		for name, valid := range map[string]bool{
			"another purpose": s.validToken(forSocket, "x\x00a", token), "another session": s.validToken(forGrant, "y\x00a", token),
			"another topic": s.validToken(forGrant, "x\x00b", token), "no topic": s.validToken(forGrant, "x", token),
		} {
			if valid {
				t.Errorf("%s is valid for %s", token, name)
			}
		}
	}
	for _, token := range []string{"", s.sign(forGrant, "x\x00a"), one[:len(one)-1], one + "AA", "*" + one[1:]} {
		if s.validToken(forGrant, "x\x00a", token) {
			t.Errorf("%q is believed", token)
		}
	}
}

// kept are the cookies of a browser after an answer.
func kept(cookies map[string]string, w *httptest.ResponseRecorder) map[string]string {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(cookies, c.Name)
		} else {
			cookies[c.Name] = c.Value
		}
	}
	return cookies
}

func with(cookies map[string]string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func TestASpareGoesWhenItsSessionHasWon(t *testing.T) {
	now := time.Now().Truncate(time.Second) // a cookie knows no less
	s := signer{keys: [][]byte{[]byte("a key")}, now: func() time.Time { return now }}
	visit := func(cookies map[string]string) string {
		w := httptest.NewRecorder()
		id, _ := s.ensure(w, with(cookies), client{})
		kept(cookies, w)
		return id
	}
	cookies := map[string]string{}
	lost, won := visit(map[string]string{}), visit(cookies)
	visitLost := httptest.NewRecorder()
	s.ensure(visitLost, with(nil), client{}) // its answer comes late
	now = now.Add(spareTime)
	if visit(cookies) != won || len(cookies) != 2 {
		t.Fatalf("got cookies %v after a minute, want the main one and its spare", cookies)
	}
	kept(cookies, visitLost)
	if len(cookies) != 3 {
		t.Fatalf("got cookies %v, want two spares", cookies)
	}
	if token := s.token(forSocket, won, "counter:lobby"); !owns(s, with(cookies), token) {
		t.Error("the page that came first has no session any more")
	}
	if token := s.token(forSocket, lost, "counter:lobby"); owns(s, with(cookies), token) {
		t.Error("the page of another browser has one here")
	}
	now = now.Add(2 * spareTime)
	visit(cookies)
	if len(cookies) != 2 { // the main one is the late one, and its spare is of no use
		t.Errorf("got cookies %v, want the main one and that of the first page", cookies)
	}
	now = now.Add(sessionLifetime)
	if visit(cookies); len(cookies) != 2 {
		t.Errorf("got cookies %v when all have ended, want a new session and its spare", cookies)
	}
}

func TestSparesAreBounded(t *testing.T) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	cookies := map[string]string{}
	for range 3 * maxSpares {
		w := httptest.NewRecorder()
		s.ensure(w, with(nil), client{})
		kept(cookies, w)
	}
	for visits := 0; len(cookies) > maxSpares+1; visits++ {
		if visits > 3 {
			t.Fatalf("got %d cookies, want at most %d", len(cookies), maxSpares+1)
		}
		all := s.read(with(cookies), client{})
		if len(all.spares) > maxSpares {
			t.Fatalf("got %d spares read, want at most %d", len(all.spares), maxSpares)
		}
		w := httptest.NewRecorder()
		s.ensure(w, with(cookies), client{})
		kept(cookies, w)
	}
}

func BenchmarkATabWithAllSpares(b *testing.B) {
	s := signer{keys: [][]byte{[]byte("a key")}, now: time.Now}
	cookies := map[string]string{}
	for range maxSpares {
		w := httptest.NewRecorder()
		s.ensure(w, with(nil), client{})
		kept(cookies, w)
	}
	r, token := with(cookies), s.token(forSocket, "nobody", "counter:lobby")
	for b.Loop() {
		if owns(s, r, token) {
			b.Fatal("a stranger's token is believed")
		}
	}
}

func owns(s signer, r *http.Request, token string) bool {
	_, ok := s.owner(s.read(r, client{}), "", forSocket, "counter:lobby", token)
	return ok
}

// Browsers send the cookies of a host to all its ports.
func TestTwoServersOnPortsOfOneHostLeaveEachOthersPagesAlone(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	clock := func() time.Time { return now }
	one, other := signer{keys: [][]byte{[]byte("a key")}, now: clock}, signer{keys: [][]byte{[]byte("another key")}, now: clock}
	cookies := map[string]string{}
	visit := func(s signer) string {
		w := httptest.NewRecorder()
		id, _ := s.ensure(w, with(cookies), client{})
		kept(cookies, w)
		now = now.Add(time.Second)
		return id
	}
	first, second := visit(one), visit(other)
	for range 5 {
		for s, id := range map[*signer]string{&one: first, &other: second} {
			if !owns(*s, with(cookies), s.token(forSocket, id, "counter:lobby")) {
				t.Fatalf("an open page has lost its session: %v", cookies)
			}
			now = now.Add(2 * spareTime)
			if visit(*s) != id {
				t.Fatal("a visitor has another session than before")
			}
		}
	}
	if len(cookies) != 3 {
		t.Errorf("got cookies %v, want the main one and a spare for each server", cookies)
	}
	for i := range 3 * maxForeign {
		cookies[plainCookie+spareMark+strconv.Itoa(i)] = "rubbish"
	}
	if visit(one); len(cookies) > maxForeign+3 {
		t.Errorf("got %d cookies, want that rubbish is bounded", len(cookies))
	}
}
