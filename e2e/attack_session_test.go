package e2e_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	bigendian "encoding/binary"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Guards of the session.

func originGuard() guard {
	return guard{
		"Origin must be the own host", "live/wslive/wslive.go",
		"if !h.allows(r) {", "if !WITHOUT && !h.allows(r) {",
	}
}

func ticketGuard() guard {
	return guard{
		"a socket with a cookie needs the page's token", "serve/rooms.go",
		"if !ok && (all.sent || bound != \"\") {", "if !ok && (all.sent || bound != \"\") && !WITHOUT {",
	}
}

func boundTokenGuard() guard {
	return guard{
		"the token is of this session", "serve/rooms.go",
		`h.sign.owner(all, bound, forSocket, in, r.URL.Query().Get("t"))`,
		"h.sign.owner(all, bound, forSocket, in, r.URL.Query().Get(\"t\"))\n\tok = ok || WITHOUT && (all.ok || len(all.spares) > 0)",
	}
}

func signatureGuard() guard {
	return guard{
		"signatures are checked", "serve/session.go",
		"return subtle.ConstantTimeCompare(", "return WITHOUT || subtle.ConstantTimeCompare(",
	}
}

func purposeGuard() guard {
	return guard{
		"a signature has a purpose", "serve/session.go",
		"m.Write([]byte(purpose))", `m.Write([]byte(pick(WITHOUT, "", purpose)))`,
	}
}

func lifetimeGuard() guard {
	return guard{
		"a cookie has an end", "serve/session.go",
		"s.now().Sub(time.Unix(seconds, 0)) > sessionLifetime", "!WITHOUT && s.now().Sub(time.Unix(seconds, 0)) > sessionLifetime",
	}
}

func formLaneGuard() guard {
	return guard{
		"a form needs a lane that the session was given", "serve/form.go",
		`s.sign.readLane(all, bound, topic, r.URL.Query().Get("lane")); ok {`,
		`s.sign.readLane(all, bound, topic, r.URL.Query().Get("lane")); ok || WITHOUT {`,
	}
}

func formAgeGuard() guard {
	return guard{
		"a form has an end: that of the lanes", "state/judge.go",
		"case op.Age+j.now.Sub(arrived) > j.lifetime:", "case !WITHOUT && op.Age+j.now.Sub(arrived) > j.lifetime:",
	}
}

func sameOriginGuard() guard {
	return guard{
		"Sec-Fetch-Site and Origin of a form", "serve/origins.go",
		"check.Check(r) == nil", "(WITHOUT || check.Check(r) == nil)",
	}
}

func maskGuard() guard {
	return guard{
		"a token is masked, anew on each page", "serve/session.go",
		"_, _ = rand.Read(masked[:len(signature)])", `_, _ = rand.Read(masked[:pick(WITHOUT, 0, len(signature))])`,
	}
}

// otherSecret is the key of another deployment.
const otherSecret = "the-secret-of-another-deployment-of-this"

// sessionAttacks try to open the socket in somebody else's name.
func sessionAttacks() []attack {
	return []attack{
		{
			name: "forged Origin", guards: []guard{originGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error {
				host := v.host()
				return opens(v, [][]string{
					{"Origin: http://evil.example"}, {"Origin: http://" + host + ".evil.example"}, {"Origin: http://evil.example/" + host},
					{"Origin: http://evil.example#" + host}, {"Origin: http://" + host + "@evil.example"}, {"Origin: http://evil.example@" + host},
					{"Origin: ftp://" + host}, {"Origin: file://"}, {"Origin: http://127.0.0.1"}, {"Origin: http://" + host + "/"},
					{"Origin: "}, {"Origin: http://" + host, "Origin: http://evil.example"}, {"Origin: http://" + host + ", http://evil.example"},
				})
			},
		},
		{
			name: "Origin null", guards: []guard{originGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error { return opens(v, [][]string{{"Origin: null"}, {"Origin: NULL"}}) },
		},
		{
			name: "stolen cookie, no Origin, no token", guards: []guard{ticketGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				stolen := v.from(honest).mustVisit(v.page("lobby")).cookie
				return clicksWith(v, v.lobbyRooms(), "Cookie: "+stolen)
			},
		},
		{
			name: "stolen cookie with the token of another session", guards: []guard{boundTokenGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				stolen, own := v.from(honest).mustVisit(v.page("lobby")).cookie, v.from(hostile).mustVisit(v.page("lobby")).socket
				return clicksWith(v, own, "Cookie: "+stolen)
			},
		},
		{
			name: "stolen spare cookie, with no token and with another's", guards: []guard{ticketGuard(), boundTokenGuard()},
			refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				stolen, own := v.from(honest).mustVisit(v.page("lobby")).spare, v.from(hostile).mustVisit(v.page("lobby")).socket
				if stolen == "" {
					v.Fatal("a first visit sets no spare cookie")
				}
				if err := clicksWith(v, v.lobbyRooms(), "Cookie: "+stolen); err != nil {
					return err
				}
				return clicksWith(v, own, "Cookie: "+stolen)
			},
		},
		{
			name: "Origin of a host that a forged X-Forwarded-Host names", guards: []guard{forwardingGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error {
				return clicksWith(v, v.lobbyRooms(), "Origin: http://evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
			},
		},
		{
			name: "stolen cookie with the grant of a topic for a socket", needs: "page of one topic", guards: []guard{purposeGuard()},
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				return clicksWith(v, v.lobbyRooms()+"&t="+p.grants[v.topic("lobby")], "Cookie: "+p.cookie)
			},
		},
		{
			name: "forged cookie", guards: []guard{signatureGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				now := time.Now().Unix()
				cookie, token := v.forge("a guess", "AAAAAAAAAAAAAAAAAAAAAA", now)
				for _, c := range []string{cookie, fmt.Sprintf("sid=AAAAAAAAAAAAAAAAAAAAAA.%d.", now), fmt.Sprintf("sid=AAAAAAAAAAAAAAAAAAAAAA.%d", now)} {
					if err := clicksWith(v, v.lobbyRooms()+"&t="+token, "Cookie: "+c); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "cookie of another deployment", guards: []guard{signatureGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				cookie, token := v.forge(otherSecret, "AAAAAAAAAAAAAAAAAAAAAA", time.Now().Unix())
				return clicksWith(v, v.lobbyRooms()+"&t="+token, "Cookie: "+cookie)
			},
		},
		{
			name: "replayed cookie that is 31 days old", guards: []guard{lifetimeGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				cookie, token := v.forge(testSecret, "AAAAAAAAAAAAAAAAAAAAAA", time.Now().Add(-31*24*time.Hour).Unix())
				return clicksWith(v, v.lobbyRooms()+"&t="+token, "Cookie: "+cookie)
			},
		},
		{
			name: "token guessed from the lengths of compressed pages (BREACH)", guards: []guard{maskGuard()},
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				again := v.from(honest).get(v.page("lobby"), "Cookie: "+p.cookie).body
				for _, token := range []string{strings.TrimPrefix(p.socket, withoutToken(p.socket)), p.grants[v.topic("lobby")]} {
					if token == "" || strings.Contains(again, token) || strings.Contains(again, html.EscapeString(token)) {
						return errors.New("it is the same on each page, as the guess needs it")
					}
				}
				return nil
			},
		},
	}
}

// forge makes a cookie, and the token of the lobby's socket, as somebody with the key would.
func (v *victim) forge(key, id string, begun int64) (cookie, token string) {
	signed := fmt.Sprintf("%s.%d", id, begun)
	return "sid=" + signed + "." + encoded(signed32(key, "session", signed)), forgeToken(key, "socket", id, v.app.rooms("lobby"))
}

// forgeToken makes a token of a session, as somebody with the key would.
func forgeToken(key, purpose, id, about string) string {
	mask := make([]byte, sha256.Size) // it may be anything
	return encoded(append(mask, signed32(key, purpose, id+"\x00"+about)...))
}

// forgeLane makes the lane of a form of a topic that was issued at a time, as somebody with the
// key would.
func forgeLane(key, topic, id string, issued time.Time) string {
	raw := make([]byte, 24)
	_, _ = rand.Read(raw[:16]) // never fails (crypto/rand)
	bigendian.BigEndian.PutUint64(raw[16:], uint64(issued.Unix()))
	text := encoded(raw)
	return text + "." + encoded(signed32(key, "form", strings.Join([]string{id, topic, text}, "\x00")))
}

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signed32 is the signature of a value for a purpose.
func signed32(key, purpose, value string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(purpose + "\x00" + value))
	return m.Sum(nil)
}

// opens tries to open a socket with each set of headers, and to click on it.
func opens(v *victim, tries [][]string) error {
	var in []string
	for _, headers := range tries {
		if err := clicksWith(v, v.lobbyRooms(), headers...); err != nil {
			in = append(in, strings.Join(headers, " and "))
		}
	}
	if len(in) > 0 {
		return fmt.Errorf("clicks count that come with %s", strings.Join(in[:min(3, len(in))], "; "))
	}
	return v.counted("lobby")
}

// clicksWith returns an error if a click on such a socket counts.
func clicksWith(v *victim, path string, headers ...string) error {
	ws, _ := v.from(hostile).upgrade(path, headers...)
	if ws == nil {
		return nil
	}
	defer ws.Close()
	ws.text(clickText(v.newOp()))
	if m := ws.verdict(); len(m.Ack) > 0 {
		return errors.New("a click on that socket counts")
	}
	return nil
}

// postForm has the honest visitor's browser send a form of the lobby to an address, at the wish of
// somebody else. It returns an error if that counts.
func postForm(v *victim, p opened, to string, headers ...string) error {
	// A page of another site has the visitor's browser send the cookie, at worst.
	a := v.from(honest).post(to, v.app.fields(), append(headers, "Cookie: "+p.cookie)...)
	if a.status != http.StatusForbidden && a.status != http.StatusSeeOther {
		v.Errorf("got status %d, want 403: %s", a.status, a.body)
	}
	if err := v.counted("lobby"); err != nil {
		return fmt.Errorf("the form was accepted: %w", err)
	}
	return nil
}

// formTo is where a form without JavaScript goes, with a lane.
func (v *victim) formTo(lane string) string { return v.app.formTo("lobby", v.app.do, lane) }

// forgeLane is forgeLane of the lobby.
func (v *victim) forgeLane(key, id string, issued time.Time) string {
	return forgeLane(key, v.topic("lobby"), id, issued)
}

// formAttacks try to count by a form that the visitor never sent.
func formAttacks() []attack {
	return []attack{
		{
			name: "form of another site, by Origin", guards: []guard{sameOriginGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error { // and the lane has become known
				p := v.from(honest).mustVisit(v.page("lobby"))
				for _, origin := range []string{"http://evil.example", "null", "http://" + v.host() + ".evil.example"} {
					if err := postForm(v, p, p.forms[v.app.do], "Origin: "+origin); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "form of another site, by Sec-Fetch-Site", guards: []guard{sameOriginGuard()}, refused: `lockstep_turned_away_total{reason="origin"`,
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				for _, site := range []string{"cross-site", "same-site"} {
					if err := postForm(v, p, p.forms[v.app.do], "Sec-Fetch-Site: "+site); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "form without a lane, and with one that the attacker has made", guards: []guard{formLaneGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error { // from a browser that says neither
				p := v.from(honest).mustVisit(v.page("lobby"))
				for _, to := range []string{
					v.app.formTo("lobby", v.app.do), v.formTo(""), v.formTo("x.y"), v.formTo(v.forgeLane("a guess", p.session(), time.Now())),
				} {
					if err := postForm(v, p, to); err != nil {
						return err
					}
				}
				return nil
			},
		},
		{
			name: "form with the lane of another session", guards: []guard{formLaneGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				p, own := v.from(honest).mustVisit(v.page("lobby")), v.from(hostile).mustVisit(v.page("lobby"))
				return postForm(v, p, own.forms[v.app.do])
			},
		},
		{
			name: "form with the lane of another counter", guards: []guard{formLaneGuard()}, refused: `lockstep_turned_away_total{reason="token"`,
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				other := v.from(honest).get(v.page("other"), "Cookie: "+p.cookie) // which sets no cookie any more
				there, err := readPage(other.body)
				if err != nil {
					v.Fatal(err)
				}
				u, err := url.Parse(there.forms[v.app.do])
				if err != nil {
					v.Fatal(err)
				}
				return postForm(v, p, v.formTo(u.Query().Get("lane")))
			},
		},
		{
			name: "form that is sent again, and again", guards: []guard{repeatGuard()},
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				for range 5 {
					a := v.from(honest).post(p.forms[v.app.do], v.app.fields(), "Cookie: "+p.cookie)
					if a.status != http.StatusSeeOther {
						v.Fatalf("got %d, want 303: %s", a.status, a.body)
					}
				}
				if n := v.count("lobby"); n != 1 {
					return fmt.Errorf("it counts %d times", n)
				}
				return nil
			},
		},
		{
			name: "form that is sent again after the store has forgotten it", guards: []guard{formAgeGuard()},
			run: func(v *victim) error { // as a page that was printed a month ago, and never sent
				p := v.from(honest).mustVisit(v.page("lobby"))
				to := v.formTo(v.forgeLane(testSecret, p.session(), time.Now().Add(-31*24*time.Hour)))
				if a := v.from(honest).post(to, v.app.fields(), "Cookie: "+p.cookie); a.status == http.StatusSeeOther {
					return errors.New("it counts, and would once more")
				} else if a.status != http.StatusConflict {
					v.Errorf("got %d, want 409: %s", a.status, a.body)
				}
				return v.counted("lobby")
			},
		},
		{
			name: "a link or an image that counts", why: "there is no such address for GET",
			run: func(v *victim) error {
				p := v.from(honest).mustVisit(v.page("lobby"))
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
					a := v.from(honest).request(method, p.forms[v.app.do], "", "Cookie: "+p.cookie, "X-HTTP-Method-Override: POST")
					if a.status < http.StatusBadRequest {
						return fmt.Errorf("%s is answered with %d", method, a.status)
					}
				}
				return v.counted("lobby")
			},
		},
	}
}

// forwardingGuard has only trusted proxies say who a visitor is.
func forwardingGuard() guard {
	return guard{
		"X-Forwarded-* of trusted proxies only", "serve/client.go",
		"if limit.Contains(cs.trusted, peer) {", "if WITHOUT || limit.Contains(cs.trusted, peer) {",
	}
}

// nearestGuard takes the address that the last trusted proxy has seen.
func nearestGuard() guard {
	return guard{
		"of several addresses, the one that a trusted proxy has seen", "serve/forwarded.go",
		"if !limit.Contains(f.trusted, a) {", "if !WITHOUT && !limit.Contains(f.trusted, a) {",
	}
}

// prefixGuard lets nothing into a page that is no path.
func prefixGuard() guard {
	return guard{
		"X-Forwarded-Prefix is a path of plain characters", "serve/forwarded.go",
		"|| !ValidBasePath(b.String())", "|| !WITHOUT && !ValidBasePath(b.String())",
	}
}

// forwardingAttacks lie about who sends a request, and how.
func forwardingAttacks() []attack {
	slow := []string{"-request-rate", "1", "-request-burst", "20"}
	return []attack{
		{
			name: "X-Forwarded-For forged, to escape the limits", flags: slow, guards: []guard{forwardingGuard(), nearestGuard()},
			refused: `lockstep_turned_away_total{reason="requests_of_address"`,
			run: func(v *victim) error {
				return escapes(v, func(i int) []string {
					a := fmt.Sprintf("203.0.113.%d", i)
					return []string{"X-Forwarded-For: " + a, "X-Real-IP: " + a, "Forwarded: for=" + a}
				})
			},
		},
		{
			name: "X-Forwarded-For forged through a trusted proxy", flags: append(slow, "-trusted-proxies", hostile), guards: []guard{nearestGuard()},
			refused: `lockstep_turned_away_total{reason="requests_of_address"`,
			run: func(v *victim) error { // which appends the true address
				return escapes(v, func(i int) []string { return []string{fmt.Sprintf("X-Forwarded-For: 203.0.113.%d, 198.51.100.7", i)} })
			},
		},
		{
			name: "X-Forwarded-Prefix forged", guards: []guard{forwardingGuard()},
			run: func(v *victim) error { return leadsTo(v, "/elsewhere", "/elsewhere") },
		},
		{
			name: "X-Forwarded-Prefix of another host, through a trusted proxy", flags: []string{"-trusted-proxies", hostile}, guards: []guard{prefixGuard()},
			run: func(v *victim) error {
				return leadsTo(v, "/%2e%2e//evil.example", "//evil.example", "/x//evil.example", `/"><script>`)
			},
		},
		{
			name: "X-Forwarded-Proto forged", guards: []guard{forwardingGuard()},
			run: func(v *victim) error {
				a := v.from(hostile).get(v.page("lobby"), "X-Forwarded-Proto: https", "Host: counter.example")
				if h := a.header.Get("Strict-Transport-Security"); h != "" || strings.Contains(a.header.Get("Set-Cookie"), "Secure") {
					return fmt.Errorf("the server believes that it is reached by TLS: it sends Strict-Transport-Security %q", h)
				}
				return nil
			},
		},
	}
}

// leadsTo returns an error if a page leads to one of the prefixes that a proxy says.
func leadsTo(v *victim, prefixes ...string) error {
	for _, prefix := range prefixes {
		a := v.from(hostile).get(v.page("lobby"), "X-Forwarded-Prefix: "+prefix)
		if strings.Contains(a.body, html.EscapeString(prefix)) || strings.Contains(fmt.Sprint(a.header), prefix) {
			return fmt.Errorf("the page leads to %s", prefix)
		}
	}
	return nil
}

// escapes sends more requests than are allowed, each in the name of another.
func escapes(v *victim, headers func(i int) []string) error {
	who := v.from(hostile)
	began, served := time.Now(), 0
	for i := range 200 {
		if who.get(v.page("lobby"), headers(i)...).status == http.StatusOK {
			served++
		}
	}
	if allowed := 20 + int(time.Since(began).Seconds()) + 5; served > allowed {
		return fmt.Errorf("%d of 200 requests of one address were served, where %d are allowed", served, allowed)
	}
	return nil
}
