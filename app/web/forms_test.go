package web_test

import (
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/internal/short"
	"lockstep/serve"
	"lockstep/state"
)

func TestAFormCountsOnceAndLeadsBack(t *testing.T) {
	base, store := serving(t)
	c := browser(t)
	address := form(t, c, base+"/c/a")
	for _, outcome := range []string{"That was done.", "That came twice, and was done once."} {
		resp, _ := press(t, c, base+address) // the second is a repeated post: the same op
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/c/a" {
			t.Fatalf("got %d to %q, want 303 to /c/a", resp.StatusCode, resp.Header.Get("Location"))
		}
		if p := open(t, c, base+"/c/a"); !strings.Contains(p.body, outcome) {
			t.Errorf("the page does not say %q", outcome)
		}
		if p := open(t, c, base+"/c/a"); strings.Contains(p.body, `class="outcome"`) {
			t.Error("the page says it again")
		}
	}
	if n := counted(t, store, "a"); n != 1 {
		t.Errorf("a form that was posted twice counted %d", n)
	}
	resp, _ := press(t, c, base+open(t, c, base).forms["reset"])
	if got := resp.Header.Get("Location"); got != "/" {
		t.Errorf("the lobby's form leads to %q, want /", got)
	}
}

// TestFormsOfAllKindsWorkWithoutJavaScript: with what the person filled in, as the person.
func TestFormsOfAllKindsWorkWithoutJavaScript(t *testing.T) {
	base, store := serving(t)
	ann, bob := browser(t), browser(t)
	annVotes, bobVotes := open(t, ann, base+"/poll/x"), open(t, bob, base+"/poll/x")
	for _, v := range []struct {
		c       *http.Client
		address string
		option  string
	}{
		{ann, annVotes.forms["vote"], "spring"}, {bob, bobVotes.forms["vote"], "spring"}, {ann, open(t, ann, base+"/poll/x").forms["vote"], "winter"},
	} {
		resp, body := press(t, v.c, base+v.address, "option", v.option, "user", "eve")
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/poll/x" {
			t.Fatalf("got %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
	votes := stateOf(t, store, app.Polls(), "x").Votes
	if len(votes) != 2 || votes[annVotes.user] != "winter" || votes[bobVotes.user] != "spring" {
		t.Errorf("got %v, want winter of %s and spring of %s", votes, annVotes.user, bobVotes.user)
	}
	if annVotes.user == bobVotes.user || len(annVotes.user) < 16 {
		t.Errorf("got the persons %q and %q", annVotes.user, bobVotes.user)
	}

	transfer := open(t, ann, base+"/bank/x").forms["transfer"]
	if resp, _ := press(t, ann, base+transfer, "from", "1", "to", "2", "amount", "30"); resp.Header.Get("Location") != "/bank/x" {
		t.Errorf("got %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	resp, body := press(t, ann, base+open(t, ann, base+"/bank/x").forms["transfer"], "from", "1", "to", "2", "amount", "71")
	if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "account 1 has only 70") || !strings.Contains(body, `href="/bank/x"`) ||
		strings.Contains(body, "<form") {
		t.Errorf("got %d for an overdraft, want 409, why, the way back and no form: %s", resp.StatusCode, body)
	}
	resp, body = press(t, ann, base+transfer, "from", "1", "to", "2", "amount", "70")
	if resp.StatusCode != http.StatusSeeOther || !strings.Contains(open(t, ann, base+"/bank/x").body, "was done once") {
		t.Errorf("got %d for a form that was sent before with something else in it: %s", resp.StatusCode, body)
	}
	b := stateOf(t, store, app.Banks(), "x").Balances
	if b[0] != 70 || b[1] != 130 {
		t.Errorf("got %v, want one transfer of 30", b)
	}
}

// TestARefusedFormIsRefusedAgain: the answer to a form is for good.
func TestARefusedFormIsRefusedAgain(t *testing.T) {
	base, _ := serving(t)
	c := browser(t)
	overdraft := open(t, c, base+"/bank/x").forms["transfer"]
	for range 2 {
		resp, body := press(t, c, base+overdraft, "from", "1", "to", "2", "amount", "101")
		if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "account 1 has only 100") {
			t.Errorf("got %d %s", resp.StatusCode, body)
		}
		if resp, _ := press(t, c, base+open(t, c, base+"/bank/x").forms["transfer"], "from", "2", "to", "1", "amount", "50"); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("got %d for a transfer that could have made it possible", resp.StatusCode)
		}
	}
}

func TestAFormThatWouldMakeTooManyTopicsWaits(t *testing.T) {
	srv, store := serveWith(t, &serve.Options{Limits: serve.Limits{NamesPerAddr: 2, Exempt: []netip.Prefix{}}})
	srv.Start()
	out := store.Commit(t.Context(), state.Step{
		Topic: "counter:old", Base: state.Record{Epoch: epochOf(t, store)}, Data: []byte("1 1"),
		Moves: []state.Move{{Client: state.Client{1}, To: state.Lane{Last: 1, From: 1}}},
	})
	if out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
	c := browser(t)
	for _, step := range []struct {
		path, do string
		want     int
	}{
		{"/c/a", "increment", 303}, {"/c/b", "increment", 429}, {"/poll/b", "vote", 429}, {"/bank/b", "transfer", 429}, {"/c/a", "increment", 303}, {"/c/old", "increment", 303},
	} {
		p := open(t, c, srv.URL+step.path)
		resp, body := press(t, c, srv.URL+p.forms[step.do], "option", "spring", "from", "1", "to", "2", "amount", "1")
		if resp.StatusCode != step.want {
			t.Errorf("%s: got %d, want %d", step.path, resp.StatusCode, step.want)
		}
		if step.want == 429 && !strings.Contains(body, "too many new pages from your network. Try again in 24 hours: it counts once") {
			t.Errorf("the page does not say why: %s", body)
		}
	}
	for _, topic := range []string{"counter:b", "poll:b", "bank:b"} {
		if records, err := store.Read(t.Context(), topic); err != nil || records[0].Version != 0 {
			t.Errorf("got %+v, %v for %s, which was put off, want none", records, err, topic)
		}
	}
}

func epochOf(t *testing.T, store state.Store) uint64 {
	t.Helper()
	records, err := store.Read(t.Context(), "counter:old")
	if err != nil {
		t.Fatal(err)
	}
	return records[0].Epoch
}

// Each form is a lane of its own, which the store keeps for days.
func TestAFormThatWouldMakeTooManyLanesWaits(t *testing.T) {
	srv, store := serveWith(t, &serve.Options{Limits: serve.Limits{LanesPerAddr: 4, Exempt: []netip.Prefix{}}})
	srv.Start()
	c := browser(t)
	last := ""
	for i, want := range []int{303, 303, 429} {
		last = form(t, c, srv.URL+"/c/a")
		resp, body := press(t, c, srv.URL+last)
		if resp.StatusCode != want {
			t.Errorf("form %d: got %d, want %d", i, resp.StatusCode, want)
		}
		if wait, err := strconv.Atoi(resp.Header.Get("Retry-After")); want == 429 && (err != nil || wait < 12*3600-60 || wait > 12*3600 ||
			!strings.Contains(body, "too many new visitors from your network. Try again in 12 hours: it counts once")) {
			t.Errorf("got %q, %v: %s", resp.Header.Get("Retry-After"), err, body)
		}
	}
	if n := counted(t, store, "a"); n != 2 {
		t.Errorf("got %d, want 2", n)
	}
	first := form(t, browser(t), srv.URL+"/c/a")
	if resp, _ := press(t, browser(t), srv.URL+first); resp.StatusCode != 403 {
		t.Errorf("got %d for another session's form, want 403", resp.StatusCode)
	}
}

// A person without JavaScript who shares an address with many learns that, and how long it takes.
func TestAFormOfAnAddressThatClicksTooMuchSaysWhenItMayAgain(t *testing.T) {
	for _, tc := range []struct {
		name        string
		perAddr     int
		least, most int // seconds
		says        string
	}{
		{"soon", 18, 80, 100, "Try again in "},
		{"later", 6, 250, 300, "Try again in 5 minutes: it counts once"},
		{"much later", 2, 860, 900, "Try again in 15 minutes: it counts once"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := serveWith(t, &serve.Options{Limits: serve.Limits{ClicksPerAddr: tc.perAddr, Exempt: []netip.Prefix{}}})
			srv.Start()
			c := browser(t)
			for range tc.perAddr / 2 {
				if resp, _ := press(t, c, srv.URL+form(t, c, srv.URL+"/c/a")); resp.StatusCode != http.StatusSeeOther {
					t.Fatalf("got %d for a click that an address may make, want 303", resp.StatusCode)
				}
			}
			address := form(t, c, srv.URL+"/c/a")
			resp, body := press(t, c, srv.URL+address)
			wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if resp.StatusCode != http.StatusTooManyRequests || err != nil || wait < tc.least || wait > tc.most {
				t.Errorf("got %d to be sent again after %q s, want 429 and %d to %d s", resp.StatusCode, resp.Header.Get("Retry-After"), tc.least, tc.most)
			}
			if !strings.Contains(body, "too many changes from your network") || !strings.Contains(body, tc.says) || !strings.Contains(body, `href="/c/a"`) {
				t.Errorf("the page does not say why, when, or lead back: %s", body)
			}
			if !strings.Contains(body, `action="`+html.EscapeString(address)+`"`) {
				t.Errorf("the page can't send the same click again: %s", body)
			}
		})
	}
}

func TestAForgedFormIsRefusedAndCountsNothing(t *testing.T) {
	base, store := serving(t)
	c, other := browser(t), browser(t)
	p, foreign := open(t, c, base), open(t, other, base)
	good, theirs := p.forms["increment"], foreign.forms["increment"]
	text, signature, _ := strings.Cut(lane(t, good), ".")
	with := func(lane string) string { return "/c/lobby/increment?" + url.Values{"lane": {lane}}.Encode() }
	for _, tc := range []struct {
		name    string
		client  *http.Client
		address string
		header  http.Header
		want    int
	}{
		{"no lane", c, "/c/lobby/increment", nil, 403},
		{"an empty lane", c, with(""), nil, 403},
		{"another session's", c, theirs, nil, 403},
		{"its own, in another session", other, good, nil, 403},
		{"of another topic", c, strings.Replace(good, "/c/lobby/", "/c/other/", 1), nil, 403},
		{"of another kind", c, strings.Replace(good, "/c/lobby/increment", "/poll/lobby/vote", 1), nil, 403},
		{"with another signature", c, with(text + "." + strings.Repeat("A", len(signature))), nil, 403},
		{"without a signature", c, with(text), nil, 403},
		{"with more behind it", c, good + "x", nil, 403},
		{"with another time", c, with(text[:22] + "AAAAAAAAAA" + "." + signature), nil, 403},
		{"with another client", c, with("AAAAAAAAAAAAAAAAAAAAAA" + text[22:] + "." + signature), nil, 403},
		{"a lane that is too short", c, with(text[:20] + "." + signature), nil, 403},
		{"no base64url", c, with("<script>." + signature), nil, 403},
		{"the token of a socket", c, with(strings.Split(p.socket, "&t=")[1]), nil, 403},
		{"a grant", c, with(p.grants["counter:lobby"]), nil, 403},
		{"no session", browser(t), good, nil, 403},
		{"a page of another origin", c, good, http.Header{"Origin": {"https://evil.example"}}, 403},
		{"another site by fetch metadata", c, good, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a forged cookie", &http.Client{}, good, http.Header{"Cookie": {"sid=AAAAAAAAAAAAAAAAAAAAAA.BBBB"}}, 403},
		{"a name that is none", c, strings.Replace(good, "/c/lobby/", "/c/LOBBY/", 1), nil, 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := do(t, tc.client, "POST", base+tc.address, url.Values{}, tc.header)
			if resp.StatusCode != tc.want {
				t.Errorf("got %d, want %d", resp.StatusCode, tc.want)
			}
			if strings.Contains(body, "<script>") || strings.Contains(body, "goroutine") {
				t.Errorf("the answer shows what it must not: %s", body)
			}
		})
	}
	if resp, _ := press(t, c, base+good, "x", strings.Repeat("x", 20000)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d for a huge form, want 413", resp.StatusCode)
	}
	for _, topic := range []string{"counter:lobby", "counter:other", "poll:lobby"} {
		if records, err := store.Read(t.Context(), topic); err != nil || records[0].Version != 0 {
			t.Errorf("%s: got %+v, %v, want that nothing was counted", topic, records, err)
		}
	}
	if resp, _ := press(t, c, base+good); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d for the form as it was, want 303", resp.StatusCode)
	}
}

// TestABlockedCookieIsNamed: to load the page again would not help.
func TestABlockedCookieIsNamed(t *testing.T) {
	site, _ := serving(t)
	address := form(t, browser(t), site+"/c/top")
	resp, body := press(t, &http.Client{}, site+address)
	if resp.StatusCode != 403 || !strings.Contains(body, "Allow cookies") || strings.Contains(body, "Reload") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	resp, body = do(t, &http.Client{}, "POST", site+address, url.Values{}, http.Header{"Cookie": {"sid=x.y"}})
	if resp.StatusCode != 403 || strings.Contains(body, "Allow cookies") {
		t.Errorf("got %d %s for a cookie of another time", resp.StatusCode, body)
	}
}

// TestAFormThatIsTriedAgainCountsOnce: the page that says that it was not counted yet has the same
// form, with the same identity and fields.
func TestAFormThatIsTriedAgainCountsOnce(t *testing.T) {
	short.Skip(t, "waits until the batcher gives a click up")
	site, store := serving(t)
	c := browser(t)
	address := open(t, c, site+"/bank/top").forms["transfer"]
	store.away.Store(true)
	resp, body := press(t, c, site+address, "from", "1", "to", "2", "amount", "30", "note", `<"&>`)
	again := regexp.MustCompile(`<form method="post" action="([^"]+)"`).FindStringSubmatch(body)
	if resp.StatusCode != 503 || again == nil || html.UnescapeString(again[1]) != address || links(body)["Back to top"] != "/bank/top" {
		t.Fatalf("got %d: %s", resp.StatusCode, body)
	}
	var fields []string
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		fields = append(fields, m[1], html.UnescapeString(m[2]))
	}
	if len(fields) != 8 || !strings.Contains(strings.Join(fields, " "), `note <"&>`) {
		t.Errorf("got the fields %q, want those that were sent", fields)
	}
	store.away.Store(false)
	for range 2 {
		if resp, _ = press(t, c, site+address, fields...); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %d, want 303", resp.StatusCode)
		}
	}
	if b := stateOf(t, store, app.Banks(), "top").Balances; b[0] != 70 || b[1] != 130 {
		t.Errorf("got %v, want that it counted once", b)
	}
}
