package e2e_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// marker is a piece of HTML that must not reach a page as such. It is closed
// before, in case that it gets into an attribute.
const marker = `"><x-injected onload=alert(1)>`

// injected reports whether text has a marker in it that a browser would parse.
func injected(text string) bool { return strings.Contains(text, "<x-injected") }

func nameGuard() guard {
	return guard{
		"names of counters, of pages", "app/web/page.go",
		"\tcase !app.ValidName(name):",
		"\tcase !WITHOUT && !app.ValidName(name):",
	}
}

func openNameGuard() guard {
	return guard{
		"names of counters, of the form that opens one", "app/web/page.go",
		"name := strings.ToLower(strings.TrimSpace(c.QueryParam(\"name\")))\n\t\tif !app.ValidName(name) {",
		"name := strings.ToLower(strings.TrimSpace(c.QueryParam(\"name\")))\n\t\tif !WITHOUT && !app.ValidName(name) {",
	}
}

func topicNameGuard() guard {
	return guard{"names of counters, of topics", "lockstep.go", "f != nil && f.validKey(key)", "f != nil && (WITHOUT || f.validKey(key))"}
}

// The templates escape; without it the text is there as it is, too.

func escapedTopicGuard() guard {
	return guard{
		"templ escapes", "app/pages/counter_templ.go", "templruntime.NewAttributeExpression(c.Topic).Resolve(ctx)\n",
		"templruntime.NewAttributeExpression(c.Topic).Resolve(ctx)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(c.Topic)\n\t\t}\n",
	}
}

func escapedReplicaGuard() guard {
	return guard{
		"templ escapes", "app/pages/live_templ.go", "templ.JoinStringErrs(name)\n",
		"templ.JoinStringErrs(name)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(name)\n\t\t}\n",
	}
}

func escapedWelcomeGuard() guard {
	return guard{
		"the welcome is escaped", "lockstep.go", "HTML: html.EscapeString(a.opts.Replica)",
		"HTML: pick(WITHOUT, a.opts.Replica, html.EscapeString(a.opts.Replica))",
	}
}

// pageAttacks try to get text of the attacker's into a page.
func pageAttacks(a *target) []attack {
	return []attack{
		{
			name: "script in names, queries, forms and headers", guards: slices.Concat(a.named, a.escaped), run: inject,
		},
		{
			name: "script in the replica's name, on the page", flags: []string{"-replica", marker}, guards: []guard{a.replicaOf},
			run: func(v *victim) error {
				if injected(v.from(hostile).get(v.page("lobby")).body) {
					return errors.New("the page has it in it")
				}
				return nil
			},
		},
		{
			name: "script in the replica's name, in a frame", flags: []string{"-replica", marker}, guards: []guard{escapedWelcomeGuard()},
			run: func(v *victim) error {
				ws := v.from(hostile).connect("lobby")
				ws.text(nothing())
				for {
					m := ws.hear()
					if injected(m.Content) {
						return errors.New("a frame has it in it")
					}
					if m.T == nowhere {
						return nil
					}
				}
			},
		},
		{
			name: "script in a message", why: "what a tab sends goes back to it as JSON, as the text of a refusal, and into no page", run: injectMessage,
		},
		{
			name: "paths for names", guards: a.named,
			run: func(v *victim) error {
				for _, name := range v.app.wrongNames {
					if a := v.from(hostile).get(v.page(name)); a.status == http.StatusOK {
						return fmt.Errorf("there is a counter of the name %q", name)
					}
				}
				return nil
			},
		},
		{
			name: "a name that leads elsewhere", needs: "form of names", guards: []guard{openNameGuard()},
			run: func(v *victim) error {
				for _, name := range []string{"../../evil", "//evil.example", "x?y", "x%0d%0aX-Injected:1", `\\evil.example`} {
					a := v.from(hostile).get("/c?name=" + url.QueryEscape(name))
					if to := a.header.Get("Location"); to != "" {
						return fmt.Errorf("one is led to %q", to)
					}
				}
				return nil
			},
		},
		{
			name: "paths out of the static files", why: "files are found by name in a map, of what is embedded", run: traverse,
		},
		{
			name: "CR and LF in names, queries and cookies", why: "net/http writes no header with them", run: splitHeaders,
		},
	}
}

// noNames are names of nothing, as they stand in a path.
func noNames() []string {
	return []string{
		"..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%00b", "%00", "a%20b", "%c3%a9", "%ff",
		"a%0d%0ab", strings.Repeat("a", 65), "a%2fb", `a%5cb`, "a;b", "lobby%23",
	}
}

// inject puts the marker into all that a request has.
func inject(v *victim) error {
	who := v.from(hostile)
	p := who.mustVisit(v.page("lobby"))
	raw, escaped := marker, url.PathEscape(marker)
	cookie := "Cookie: " + p.cookie
	form := func(field, value string) url.Values {
		all := v.app.fields()
		all.Set(field, value)
		return all
	}
	to := p.forms[v.app.do]
	marked := map[string]answer{
		"the name of a page":    who.get(v.page(escaped)),
		"the rooms of a socket": who.get(v.app.mount + "/ws/rooms?in=" + escaped + "&of=" + escaped),
		"a path":                who.get("/" + escaped),
		"a static path":         who.get(v.app.mount + "/static/" + escaped),
		"a query":               who.get(v.page("lobby") + "?" + url.QueryEscape(raw) + "=" + url.QueryEscape(raw)),
		"the token of a socket": who.get(v.lobbyRooms()+"&t="+url.QueryEscape(raw), cookie),
		"Host":                  who.get(v.page("lobby"), "Host: "+raw),
		"Origin":                who.get(v.lobbyRooms(), "Origin: "+raw),
		"X-Forwarded-Host":      who.get(v.page("lobby"), "X-Forwarded-Host: "+raw, "X-Forwarded-For: "+raw, "X-Forwarded-Proto: "+raw, "Forwarded: host="+raw),
		"User-Agent":            who.get(v.page("lobby"), "User-Agent: "+raw, "Referer: "+raw, "Accept-Language: "+raw),
		"a cookie":              who.get(v.page("lobby"), "Cookie: sid="+raw+"; x="+raw),
		"an action":             who.post(v.app.formTo("lobby", raw), v.app.fields(), cookie),
		"the action's counter":  who.post(v.app.formTo(escaped, v.app.do), v.app.fields(), cookie),
		"a lane":                who.post(v.app.formTo("lobby", v.app.do, raw), v.app.fields(), cookie),
		"a field":               who.post(to, form("x", raw), cookie),
		"another field":         who.post(to, form(raw, raw), cookie),
	}
	maps.Copy(marked, v.app.moreMarked(v, cookie))
	for name, a := range marked {
		if injected(a.body) {
			return fmt.Errorf("a page has it in it that came by %s", name)
		}
		for header, values := range a.header {
			if strings.Contains(strings.Join(values, ""), "x-injected") && header != "Location" {
				return fmt.Errorf("the header %s has it in it that came by %s", header, name)
			}
		}
		if a.status != 0 && a.header.Get("X-Content-Type-Options") != "nosniff" && a.status != http.StatusBadRequest {
			v.Errorf("the answer to %s may be taken for a page: %d", name, a.status)
		}
	}
	if injected(v.from(honest).get(v.page("lobby")).body) {
		return errors.New("somebody else's page has it in it")
	}
	return nil
}

// injectMessage puts the marker into all that a message has, and looks at what
// the tab and another one are sent.
func injectMessage(v *victim) error {
	other := v.from(honest).connect("lobby")
	topic, doing := strconv.Quote(v.topic("lobby")), `"do":`+strconv.Quote(v.app.do)
	for _, text := range []string{
		`{"hello":2,"client":%q}`, `{"hello":2,"as":%q}`, `{"hello":%q}`, `{"hello":2,"at":{%q:[1,1]}}`, `{%q:1}`,
		`{"op":["AAAAAAAAAAAAAAAAAAAAAA",1,1],"t":` + topic + `,"do":%q}`, `{"op":["AAAAAAAAAAAAAAAAAAAAAB",1,1],"t":` + topic + `,` + doing + `,"in":{"x":%q}}`,
		`{"op":["AAAAAAAAAAAAAAAAAAAAAC",1,1],"t":` + topic + `,` + doing + `,"grant":%q}`, `{"fin":["AAAAAAAAAAAAAAAAAAAAAA",1],"t":%q}`, `{"cast":%q}`,
	} {
		ws := v.from(hostile).connect("lobby")
		ws.text(fmt.Sprintf(text, marker))
		ws.text(nothing())
		for done := false; !done; {
			m := ws.hear()
			if injected(m.Content + m.reason() + m.State) {
				return fmt.Errorf("it comes back: %s%s", m.Content, m.reason())
			}
			done = m.T == nowhere || m.cut || m.code != 0
		}
		_ = ws.Close()
	}
	other.text(nothing())
	for {
		m := other.hear()
		if injected(m.Content + m.reason() + m.State + m.T) {
			return errors.New("it comes to another tab")
		}
		if m.T == nowhere {
			return nil
		}
	}
}

// traverse looks for files that are not meant to be served.
func traverse(v *victim) error {
	v.Helper()
	who := v.from(hostile)
	for _, prefix := range append([]string{v.app.mount + "/static/", v.app.mount + "/", "/"}, v.app.more...) {
		for _, path := range []string{
			"../../../../../../etc/passwd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
			"....//....//....//etc/passwd", `..\..\..\..\etc\passwd`, "..%5c..%5c..%5cetc%5cpasswd", "//etc/passwd", "%2fetc%2fpasswd",
			"%00/etc/passwd", "app.js%00.css", "%252e%252e%252fetc%252fpasswd", "..;/..;/etc/passwd", "../static.go", "../../go.mod", "dist/", ".", "",
			"..%c0%af..%c0%afetc/passwd", "/proc/self/environ", "../data/lockstep.db", "../data/lockstep.db.secret",
		} {
			a := who.get(prefix + path)
			if a.status == http.StatusOK && !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.body, "root:") || strings.Contains(a.body, "module lockstep") {
				return fmt.Errorf("%s%s is served: %.60q", prefix, path, a.body)
			}
		}
	}
	return nil
}

// splitHeaders tries to make headers of its own in answers.
func splitHeaders(v *victim) error {
	who := v.from(hostile)
	p := who.mustVisit(v.page("lobby"))
	const line = "%0d%0aX-Injected:%201%0d%0a%0d%0a<x-injected>"
	decoded, err := url.PathUnescape(line)
	if err != nil {
		v.Fatal(err)
	}
	answers := map[string]answer{
		"a name":    who.get(v.page("lobby") + line),
		"a query":   who.get(v.page("lobby") + "?name=lobby" + line),
		"a path":    who.get("/nothing" + line),
		"an icon":   who.get("/favicon.ico?" + line),
		"an action": who.post(v.app.formTo("lobby", v.app.do)+line, v.app.fields(), "Cookie: "+p.cookie),
		"a lane":    who.post(v.app.formTo("lobby", v.app.do, decoded), url.Values{"x": {decoded}}, "Cookie: "+p.cookie),
	}
	for _, path := range v.app.more {
		answers[path] = who.get(path + line)
	}
	for name, a := range answers {
		if a.header.Get("X-Injected") != "" || injected(a.body) {
			return fmt.Errorf("%s makes a header", name)
		}
	}
	raw := who.raw("GET " + v.page("lobby") + " HTTP/1.1\r\nHost: " + v.host() + "\r\nCookie: sid=x\rX-Injected: 1\r\nConnection: close\r\n\r\n")
	if strings.Contains(raw, "\nX-Injected") || strings.Contains(raw, "\rX-Injected") {
		return errors.New("a cookie makes a header")
	}
	return nil
}
