package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	return guard{"names of counters, of topics", "app/app.go", "f != nil && ValidName(key)", "f != nil && (WITHOUT || ValidName(key))"}
}

// The templates escape; without it the text is there as it is, too.

func escapedTopicGuard() guard {
	return guard{
		"templ escapes", "components/counter_templ.go", "templruntime.NewAttributeExpression(c.Topic).Resolve(ctx)\n",
		"templruntime.NewAttributeExpression(c.Topic).Resolve(ctx)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(c.Topic)\n\t\t}\n",
	}
}

func escapedReplicaGuard() guard {
	return guard{
		"templ escapes", "components/live_templ.go", "templ.JoinStringErrs(name)\n",
		"templ.JoinStringErrs(name)\n\t\tif WITHOUT {\n\t\t\t_, _ = templ_7745c5c3_Buffer.WriteString(name)\n\t\t}\n",
	}
}

func escapedWelcomeGuard() guard {
	return guard{
		"the welcome is escaped", "app/app.go", "HTML: html.EscapeString(a.opts.Replica)",
		"HTML: pick(WITHOUT, a.opts.Replica, html.EscapeString(a.opts.Replica))",
	}
}

// pageAttacks try to get text of the attacker's into a page.
func pageAttacks() []attack {
	return []attack{
		{
			name: "script in names, queries, forms and headers", guards: []guard{nameGuard(), topicNameGuard(), escapedTopicGuard()}, run: inject,
		},
		{
			name: "script in the replica's name, on the page", flags: []string{"-replica", marker}, guards: []guard{escapedReplicaGuard()},
			run: func(v *target) error {
				if injected(v.from(hostile).get("/").body) {
					return errors.New("the page has it in it")
				}
				return nil
			},
		},
		{
			name: "script in the replica's name, in a frame", flags: []string{"-replica", marker}, guards: []guard{escapedWelcomeGuard()},
			run: func(v *target) error {
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
			name: "paths for names", guards: []guard{nameGuard(), topicNameGuard()},
			run: func(v *target) error {
				for _, name := range wrongNames() {
					if a := v.from(hostile).get("/c/" + name); a.status == http.StatusOK {
						return fmt.Errorf("there is a counter of the name %q", name)
					}
				}
				return nil
			},
		},
		{
			name: "a name that leads elsewhere", guards: []guard{openNameGuard()},
			run: func(v *target) error {
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

// wrongNames are not names of counters, as they stand in a path.
func wrongNames() []string {
	return []string{
		"..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%00b", "%00", "A", "a_b", "a%20b", "%c3%a9", "%ff",
		"a%0d%0ab", strings.Repeat("a", 65), "a%2fb", `a%5cb`, "a;b", "lobby%23", "__proto__",
	}
}

// inject puts the marker into all that a request has.
func inject(v *target) error {
	who := v.from(hostile)
	p := who.mustVisit("/c/lobby")
	raw, escaped := marker, url.PathEscape(marker)
	cookie := "Cookie: " + p.cookie
	form := func(field, value string) url.Values { return url.Values{"x": {"y"}, field: {value}} }
	to := p.forms["increment"]
	vote := who.get("/poll/lobby", cookie)
	poll, err := readPage(vote.body)
	if err != nil {
		v.Fatal(err)
	}
	for name, a := range map[string]answer{
		"the name of a page":     who.get("/c/" + escaped),
		"the rooms of a socket":  who.get("/ws/rooms?in=" + escaped + "&of=" + escaped),
		"the name of a poll":     who.get("/poll/" + escaped),
		"a vote":                 who.post(poll.forms["vote"], form("option", raw), cookie),
		"the name to open":       who.get("/c?name=" + url.QueryEscape(raw)),
		"a path":                 who.get("/" + escaped),
		"a static path":          who.get("/static/" + escaped),
		"a query":                who.get("/c/lobby?" + url.QueryEscape(raw) + "=" + url.QueryEscape(raw)),
		"the application's name": who.get("/wasm/?topic=" + url.QueryEscape(raw)),
		"the token of a socket":  who.get(v.lobbyRooms()+"&t="+url.QueryEscape(raw), cookie),
		"Host":                   who.get("/c/lobby", "Host: "+raw),
		"Origin":                 who.get(v.lobbyRooms(), "Origin: "+raw),
		"X-Forwarded-Host":       who.get("/c/lobby", "X-Forwarded-Host: "+raw, "X-Forwarded-For: "+raw, "X-Forwarded-Proto: "+raw, "Forwarded: host="+raw),
		"User-Agent":             who.get("/c/lobby", "User-Agent: "+raw, "Referer: "+raw, "Accept-Language: "+raw),
		"a cookie":               who.get("/c/lobby", "Cookie: sid="+raw+"; x="+raw),
		"an action":              who.post("/c/lobby/"+escaped, form("x", "y"), cookie),
		"the action's counter":   who.post("/c/"+escaped+"/increment", form("x", "y"), cookie),
		"a lane":                 who.post("/c/lobby/increment?lane="+url.QueryEscape(raw), form("x", "y"), cookie),
		"a field":                who.post(to, form("x", raw), cookie),
		"another field":          who.post(to, form(raw, raw), cookie),
	} {
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
	if injected(v.from(honest).get("/c/lobby").body) {
		return errors.New("somebody else's page has it in it")
	}
	return nil
}

// injectMessage puts the marker into all that a message has, and looks at what
// the tab and another one are sent.
func injectMessage(v *target) error {
	other := v.from(honest).connect("lobby")
	for _, text := range []string{
		`{"hello":2,"client":%q}`, `{"hello":2,"as":%q}`, `{"hello":%q}`, `{"hello":2,"at":{%q:[1,1]}}`, `{%q:1}`,
		`{"op":["AAAAAAAAAAAAAAAAAAAAAA",1,1],"t":"counter:lobby","do":%q}`, `{"op":["AAAAAAAAAAAAAAAAAAAAAB",1,1],"t":"counter:lobby","do":"increment","in":{"x":%q}}`,
		`{"op":["AAAAAAAAAAAAAAAAAAAAAC",1,1],"t":"counter:lobby","do":"increment","grant":%q}`, `{"fin":["AAAAAAAAAAAAAAAAAAAAAA",1],"t":%q}`, `{"cast":%q}`,
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
func traverse(v *target) error {
	v.Helper()
	who := v.from(hostile)
	for _, prefix := range []string{"/static/", "/wasm/static/", "/wasm/", "/"} {
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
func splitHeaders(v *target) error {
	who := v.from(hostile)
	p := who.mustVisit("/c/lobby")
	const line = "%0d%0aX-Injected:%201%0d%0a%0d%0a<x-injected>"
	decoded, err := url.PathUnescape(line)
	if err != nil {
		v.Fatal(err)
	}
	for name, a := range map[string]answer{
		"a name":    who.get("/c/lobby" + line),
		"a query":   who.get("/c?name=lobby" + line),
		"a path":    who.get("/wasm" + line),
		"an icon":   who.get("/favicon.ico?" + line),
		"an action": who.post("/c/lobby/increment"+line, url.Values{"x": {"y"}}, "Cookie: "+p.cookie),
		"a lane":    who.post("/c/lobby/increment?lane="+line, url.Values{"x": {decoded}}, "Cookie: "+p.cookie),
	} {
		if a.header.Get("X-Injected") != "" || injected(a.body) {
			return fmt.Errorf("%s makes a header", name)
		}
	}
	raw := who.raw("GET / HTTP/1.1\r\nHost: " + v.host() + "\r\nCookie: sid=x\rX-Injected: 1\r\nConnection: close\r\n\r\n")
	if strings.Contains(raw, "\nX-Injected") || strings.Contains(raw, "\rX-Injected") {
		return errors.New("a cookie makes a header")
	}
	return nil
}
