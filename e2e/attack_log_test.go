package e2e_test

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
)

// Guards of logs whose pages the kit makes.

func olderGuard() guard {
	return guard{
		"older entries need the link of a page of this session", "serve/page.go",
		`id, ok := s.sign.owner(all, bound, forOlder, topic, q.Get("of"))`,
		"id, ok := s.sign.owner(all, bound, forOlder, topic, q.Get(\"of\"))\n\tok = ok || WITHOUT",
	}
}

// logAttacks are on logs whose pages the kit makes, and on what many write at once.
func logAttacks() []attack {
	return []attack{
		{
			name: "older entries that no page gave", needs: "older", guards: []guard{olderGuard()},
			refused: `lockstep_turned_away_total{reason="token"`, run: readOlder,
		},
		{
			name: "a line in somebody else's name", needs: "author", why: "who speaks is the session's, and nothing in a message says it", run: speakAsAnother,
		},
		{
			name: "clicks that overwrite each other, of many tabs of two replicas at once", flags: []string{"-replicas", "2"},
			guards: []guard{compareGuard()}, run: overwrite,
		},
	}
}

var olderPattern = regexp.MustCompile(`<a class="older" href="([^"]+)"`)

// olderOf is where a page has the older entries of its log.
func olderOf(v *victim, p opened) *url.URL {
	v.Helper()
	m := olderPattern.FindStringSubmatch(p.html)
	if m == nil {
		v.Fatal("the page has no older entries")
	}
	u, err := url.Parse(html.UnescapeString(m[1]))
	if err != nil {
		v.Fatal(err)
	}
	return u
}

// readOlder reads what was said elsewhere by what was signed for another session, for another
// topic, for something else, or by nobody who may.
func readOlder(v *victim) error {
	private := v.topic("private")
	if why := v.from(honest).connect("private").does(private, v.app.do, "text", "a secret"); why != "" {
		v.Fatal(why)
	}
	theirs, own := v.from(honest).mustVisit(v.page("private")), v.from(hostile).mustVisit(v.page("lobby"))
	stolen, given := olderOf(v, theirs), olderOf(v, own)
	socket, err := url.Parse(own.socket)
	if err != nil {
		v.Fatal(err)
	}
	for what, of := range map[string]string{
		"nothing": "", "another session's link": stolen.Query().Get("of"), "the link of another topic": given.Query().Get("of"),
		"a grant": own.grants[v.topic("lobby")], "a socket's token": socket.Query().Get("t"), "a guess": forgeToken("a guess", "older", own.session(), private),
	} {
		to := given.Path + "?" + url.Values{"topic": {private}, "before": {"2"}, "of": {of}}.Encode()
		if a := v.from(hostile).get(to, "Cookie: "+own.cookie); strings.Contains(a.body, "a secret") {
			return fmt.Errorf("with %s they are shown", what)
		}
	}
	return nil
}

// speakAsAnother says something, and in all ways that somebody else does.
func speakAsAnother(v *victim) error {
	theirs, own := v.from(honest).mustVisit(v.page("lobby")), v.from(hostile).mustVisit(v.page("lobby"))
	name := lockstep.Pseudonym(theirs.user)
	ws, status := v.from(hostile).upgrade(own.socket, "Cookie: "+own.cookie, "Origin: "+v.p.url)
	if ws == nil {
		v.Fatalf("no socket: %d", status)
	}
	for i, rest := range []string{
		`"in":{"text":"%d","who":` + asJSON(name) + `,"Who":` + asJSON(name) + `}`, `"in":{"text":"%d","user":"` + theirs.user + `"},"user":"` + theirs.user + `"`,
		`"in":{"text":"%d"},"userName":` + asJSON(name) + `,"UserName":` + asJSON(name), `"in":{"text":"%d","User":"` + theirs.user + `"},"by":"` + theirs.user + `"`,
	} {
		ws.text(fmt.Sprintf(`{"op":[%q,1,1],"seen":%d,"t":%q,"do":%q,`+rest+`}`, newClientID(), time.Now().UnixMilli(), v.topic("lobby"), v.app.do, i))
		if m := ws.verdict(); len(m.Ack) == 0 {
			v.Fatalf("the line is %s", m)
		}
	}
	if strings.Contains(v.from(auditor).get(v.page("lobby")).body, name) {
		return errors.New("the page has a line in the name of somebody who said nothing")
	}
	return nil
}

// overwrite has tabs of two replicas click at once, on one thing after the other: replicas that
// take turns seldom compute from the same state.
func overwrite(v *victim) error {
	const things, tabs, each = 20, 10, 20
	for i := range things {
		name := fmt.Sprintf("shared-%d", i)
		var acked atomic.Int64
		var all sync.WaitGroup
		for range tabs {
			ws := v.from(hostile).connect(name)
			all.Go(func() { v.doAll(ws, v.newOpOn(name), each, &acked) })
		}
		all.Wait()
		if n := v.count(name); n != acked.Load() {
			return fmt.Errorf("%d clicks are acknowledged, and %d counted", acked.Load(), n)
		}
	}
	return nil
}
