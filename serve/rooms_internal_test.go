package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/app"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/static"
)

// A roomsSite is a server whose key the test knows: so it can give sockets to pages that there are
// not in the demo.
type roomsSite struct {
	t     *testing.T
	sign  signer
	store *memstate.Store
	url   string
}

func newRoomsSite(t *testing.T) *roomsSite {
	t.Helper()
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &roomsSite{t: t, sign: signer{[][]byte{[]byte("a key")}, time.Now}, store: memstate.New(nil)}
	a := app.New(mempubsub.NewBus(), s.store, nil)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := New(a.App, assets, &Options{Mount: "/", Keys: s.sign.keys})
	srv := httptest.NewServer(h)
	s.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return s
}

// A roomsTab is a tab of a session.
type roomsTab struct {
	t    *testing.T
	ws   *websocket.Conn
	id   string // of the session
	seen int64
}

// session returns a new one, and its cookie.
func (s *roomsSite) session() (id, cookie string) {
	w := httptest.NewRecorder()
	id, _ = s.sign.ensure(w, httptest.NewRequest("GET", "/", nil), client{})
	return id, w.Result().Cookies()[0].String()
}

// dial opens the socket of a page of topics, as a session ("": none, and no cookie).
func (s *roomsSite) dial(id, cookie string, topics ...string) (tab *roomsTab, status int) {
	s.t.Helper()
	path, header := socketPath(s.sign, topics...), http.Header{}
	if cookie != "" {
		path += "&t=" + s.sign.token(forSocket, id, strings.Join(topics, ","))
		header.Set("Cookie", cookie)
	}
	ws, resp, err := websocket.Dial(s.t.Context(), s.url+path, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		if resp == nil {
			s.t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	s.t.Cleanup(func() { _ = ws.CloseNow() })
	tab = &roomsTab{t: s.t, ws: ws, id: id}
	tab.until(`"clock"`)
	return tab, http.StatusSwitchingProtocols
}

// say sends a message, whose stamp is the clock that was heard last.
func (tab *roomsTab) say(format string, args ...any) {
	tab.t.Helper()
	m := strings.Replace(fmt.Sprintf(format, args...), "CLOCK", fmt.Sprint(tab.seen), 1)
	if err := tab.ws.Write(tab.t.Context(), websocket.MessageText, []byte(m)); err != nil {
		tab.t.Fatal(err)
	}
}

// until reads until a message has all of these, and returns it.
func (tab *roomsTab) until(all ...string) string {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.t.Context(), 20*time.Second)
	defer cancel()
next:
	for {
		_, m, err := tab.ws.Read(ctx)
		if err != nil {
			tab.t.Fatalf("waiting for %q: %v", all, err)
		}
		var status struct{ Clock int64 }
		if err := json.Unmarshal(m, &status); err != nil {
			tab.t.Fatal(err)
		}
		tab.seen = max(tab.seen, status.Clock)
		for _, part := range all {
			if !strings.Contains(string(m), part) {
				continue next
			}
		}
		return string(m)
	}
}

const roomsClient = "AAAAAAAAAAAAAAAAAAAAAA"

func (s *roomsSite) versionOf(topic string) uint64 {
	s.t.Helper()
	records, err := s.store.Read(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return records[0].Version
}

func TestASocketMayHaveSeveralRooms(t *testing.T) {
	s := newRoomsSite(t)
	id, cookie := s.session()
	tab, status := s.dial(id, cookie, "counter:a", "poll:b", "bank:c")
	if status != 101 {
		t.Fatalf("got %d", status)
	}
	tab.say(`{"op":["%s",1,1],"seen":CLOCK,"t":"counter:a","do":"increment","in":{}}`, roomsClient)
	tab.until(`{"t":"counter:a","ack":[["` + roomsClient + `",1]]`)
	tab.say(`{"op":["%s",1,1],"seen":CLOCK,"t":"poll:b","do":"vote","in":{"option":"spring"}}`, roomsClient)
	tab.until(`{"t":"poll:b","ack":[["` + roomsClient + `",1]]`)
	tab.say(`{"op":["%s",1,1],"seen":CLOCK,"t":"bank:c","do":"transfer","in":{"from":1,"to":"2","amount":["500"]}}`, roomsClient)
	tab.until(`{"t":"bank:c","op":["`+roomsClient+`",1]`, `"refused":"account 1 has only 100"`)
	for topic, user := range map[string]string{"poll:b": userOf(id)} {
		records, err := s.store.Read(t.Context(), topic)
		if err != nil || !strings.Contains(string(records[0].Data), user) {
			t.Errorf("%s: got %s, %v, want a vote of %s", topic, records[0].Data, err, user)
		}
	}
}

func TestASocketHasAsManyRoomsAsItMay(t *testing.T) {
	s := newRoomsSite(t)
	many := func(n int) (topics []string) {
		for i := range n {
			topics = append(topics, fmt.Sprintf("counter:%d", i))
		}
		return topics
	}
	if _, status := s.dial("", "", many(maxRooms)...); status != 101 {
		t.Errorf("got %d for %d rooms, want 101", status, maxRooms)
	}
	if _, status := s.dial("", "", many(maxRooms+1)...); status != 403 {
		t.Errorf("got %d for one more, want 403", status)
	}
	for _, topic := range []string{"nothing:x", "counter:A", ""} { // of another version, perhaps
		if _, status := s.dial("", "", "counter:a", topic); status != 403 {
			t.Errorf("%q: got %d for what there is not, want 403", topic, status)
		}
	}
}

// TestAGrantIsForATopicAndASession: what a closed tab has left may be sent by another page of the
// same person, and of nobody else.
func TestAGrantIsForATopicAndASession(t *testing.T) {
	s := newRoomsSite(t)
	id, cookie := s.session()
	otherID, otherCookie := s.session()
	own, _ := s.dial(id, cookie, "counter:shown")
	other, _ := s.dial(otherID, otherCookie, "counter:shown")
	nobody, _ := s.dial("", "", "counter:shown")
	grant := s.sign.token(forGrant, id, "counter:left")
	send := func(tab *roomsTab, seq int, grant string) string {
		tab.say(`{"op":["%s",%d,%d],"seen":CLOCK,"t":"counter:left","grant":"%s","do":"increment","in":{}}`, roomsClient, seq, seq, grant)
		return tab.until(`"t":"counter:left"`, fmt.Sprintf(`["%s",%d]`, roomsClient, seq))
	}
	for name, c := range map[string]struct {
		tab   *roomsTab
		grant string
	}{
		"no grant":                      {own, ""},
		"a grant of another topic":      {own, s.sign.token(forGrant, id, "counter:other")},
		"a grant of another session":    {own, s.sign.token(forGrant, otherID, "counter:left")},
		"in another session":            {other, grant},
		"without a session":             {nobody, grant},
		"a grant of nobody":             {nobody, s.sign.token(forGrant, "", "counter:left")},
		"the token of a socket":         {own, s.sign.token(forSocket, id, "counter:left")},
		"a grant with something behind": {own, grant + "AA"},
		"a signature that is no grant":  {own, s.sign.sign(forGrant, id+"\x00counter:left")},
	} {
		if got := send(c.tab, 7, c.grant); !strings.Contains(got, `"refused":"this page may not do that here"`) {
			t.Errorf("%s: got %s, want a refusal", name, got)
		}
	}
	own.say(`{"op":["%s",1,1],"seen":CLOCK,"t":"counter:right","grant":"%s","do":"increment","in":{}}`, roomsClient, grant)
	if got := own.until(`"t":"counter:right"`, roomsClient); !strings.Contains(got, `"refused":"this page may not do that here"`) {
		t.Errorf("got %s for another topic with the grant, want a refusal", got)
	}
	if got := s.versionOf("counter:left"); got != 0 {
		t.Fatalf("got version %d, want that nothing was counted", got)
	}
	if got := send(own, 1, grant); !strings.Contains(got, `"ack"`) {
		t.Errorf("got %s, want an acknowledgement", got)
	}
	if got := s.versionOf("counter:left"); got != 1 {
		t.Errorf("got version %d, want 1", got)
	}
}

// TestAFormIsTakenForAWeek: after that it is not guessed whether it was counted before. (That one
// which was is known for longer is for package app to test.)
func TestAFormIsTakenForAWeek(t *testing.T) {
	const day = 24 * time.Hour
	s := newRoomsSite(t)
	id, cookie := s.session()
	for _, c := range []struct {
		age  time.Duration // of the page
		want int
		says string
	}{
		{0, http.StatusSeeOther, ""},
		{-time.Hour, http.StatusSeeOther, ""}, // another replica's clock
		{6 * day, http.StatusSeeOther, ""},
		{8 * day, http.StatusConflict, "nobody knows any more whether it was counted"},
		{365 * day, http.StatusConflict, "nobody knows any more whether it was counted"},
	} {
		then := signer{s.sign.keys, func() time.Time { return time.Now().Add(-c.age) }}
		path := "/do?topic=counter:x&do=increment&lane=" + then.newLane(id, "counter:x")
		for range 2 {
			before := s.versionOf("counter:x")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", cookie)
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != c.want || !strings.Contains(string(body), c.says) {
				t.Errorf("after %v: got %d %s, want %d", c.age, resp.StatusCode, body, c.want)
			}
			if c.want == http.StatusConflict && s.versionOf("counter:x") != before {
				t.Errorf("after %v: it was counted", c.age)
			}
		}
	}
	if got := s.versionOf("counter:x"); got != 3 {
		t.Errorf("got version %d, want 3: each form that was taken once", got)
	}
}

// A lane is signed as a whole: what is believed of it is what was given out.
func TestALaneIsReadAsItWasGiven(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := signer{[][]byte{[]byte("new"), []byte("old")}, func() time.Time { return now }}
	old := signer{s.keys[1:], s.now}
	all := sessions{main: session{id: "me"}, ok: true}
	for name, text := range map[string]string{"its own": s.newLane("me", "counter:a"), "an old key's": old.newLane("me", "counter:a")} {
		l, id, ok := s.readLane(all, "", "counter:a", text)
		if !ok || id != "me" || !l.issued.Equal(now) || l.raw == [16]byte{} {
			t.Errorf("%s: got %+v of %q, %v", name, l, id, ok)
		}
		op := l.op("reset", "", nil, now.Add(90*time.Second))
		if op.Seq != 1 || op.From != 1 || op.Age != 90*time.Second || !op.Seen.IsZero() || op.Client != l.client("reset", "") {
			t.Errorf("%s: got the op %+v", name, op)
		}
		if op := l.op("reset", "", nil, now.Add(-time.Hour)); op.Age != 0 {
			t.Errorf("%s: got the age %v of one that is from the future", name, op.Age)
		}
		for wrong, read := range map[string]func() bool{
			"another topic": func() bool { _, _, ok := s.readLane(all, "", "counter:b", text); return ok },
			"another session": func() bool {
				_, _, ok := s.readLane(sessions{main: session{id: "you"}, ok: true}, "", "counter:a", text)
				return ok
			},
			"no session": func() bool {
				_, _, ok := s.readLane(sessions{main: session{id: "me"}}, "", "counter:a", text)
				return ok
			},
			"a dropped key": func() bool {
				_, _, ok := signer{[][]byte{[]byte("x")}, s.now}.readLane(all, "", "counter:a", text)
				return ok
			},
		} {
			if read() {
				t.Errorf("%s is believed with %s", name, wrong)
			}
		}
	}
}

// TestAFormHasOneOp, whatever is filled in, and another form has another.
func TestAFormHasOneOp(t *testing.T) {
	now := time.Now()
	l, other := lane{raw: [16]byte{1}, issued: now}, lane{raw: [16]byte{2}, issued: now}
	all := map[state.Client]string{}
	for name, op := range map[string]state.Op{
		"a form": l.op("say", formName(nil), nil, now), "another action": l.op("shout", formName(nil), nil, now),
		"another page": other.op("say", formName(nil), nil, now), "of an item": l.op("say", formName([]string{"id", "1"}), nil, now),
		"of another item": l.op("say", formName([]string{"id", "2"}), nil, now),
	} {
		if same, ok := all[op.Client]; ok {
			t.Errorf("%s and %s are one op", name, same)
		}
		all[op.Client] = name
	}
	if l.op("say", "", state.Fields{"text": {"b"}}, now.Add(time.Hour)).Client != l.op("say", "", state.Fields{"text": {"a"}}, now).Client {
		t.Error("a form that is filled in otherwise is another op")
	}
}

func FuzzLane(f *testing.F) {
	s := signer{[][]byte{[]byte("a key")}, time.Now}
	all := sessions{main: session{id: "me"}, ok: true}
	good := s.newLane("me", "counter:a")
	for _, seed := range []string{"", ".", good, good[:40], strings.Replace(good, ".", "=.", 1), "AAAA." + strings.Repeat("A", 43)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, _, ok := s.readLane(all, "", "counter:a", text)
		body, signature, _ := strings.Cut(text, ".")
		if ok && signature != s.sign(forForm, laneOf("me", "counter:a", body)) {
			t.Fatalf("%q is believed, and nobody has signed it", text)
		}
	})
}
