package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
)

func headGuard() guard {
	return guard{"length of a head", "serve/server.go", "MaxHeaderBytes: maxHeader,", "MaxHeaderBytes: pick(WITHOUT, 1<<24, maxHeader),"}
}

// acceptGuard bounds the forms that a router hands on.
func acceptGuard() guard {
	return guard{"length of a form", "serve/visit.go", "MaxBytesReader(w, r.Body, maxForm)", "MaxBytesReader(w, r.Body, pick[int64](WITHOUT, 64<<20, maxForm))"}
}

func hostGuard() guard {
	return guard{
		"host names that are served", "serve/host.go",
		"known := hs.knows(r)", "known := WITHOUT || hs.knows(r)",
	}
}

// forwardedHostGuard wants the name to be known that a proxy was asked by, and the one that it asks
// by.
func forwardedHostGuard() guard {
	return guard{
		"all host names that a request came by", "serve/host.go",
		"	if !isHost(hs.names, r.Host) {", "	if WITHOUT {\n\t\treturn slices.ContainsFunc(append(clientOf(r).hosts, r.Host), func(name string) bool { return isHost(hs.names, name) })\n\t}\n\tif !isHost(hs.names, r.Host) {",
	}
}

// httpAttacks bend the protocol.
func httpAttacks(a *target) []attack {
	// tooLarge has such headers refused, and nothing else.
	tooLarge := func(v *victim, headers ...string) error {
		a := v.from(hostile).get(v.page("lobby"), headers...)
		if a.status == http.StatusOK {
			return fmt.Errorf("a head of that size is read and answered")
		}
		if a.status != 0 && a.status != http.StatusRequestHeaderFieldsTooLarge {
			v.Errorf("got %d, want 431", a.status)
		}
		return nil
	}
	return []attack{
		{
			name: "a head of 200 KB", guards: []guard{headGuard()},
			run: func(v *victim) error { return tooLarge(v, "X-Large: "+strings.Repeat("x", 200<<10)) },
		},
		{
			name: "a head of 3,000 lines", guards: []guard{headGuard()},
			run: func(v *victim) error {
				var headers []string
				for i := range 3000 {
					headers = append(headers, fmt.Sprintf("X-Line-%d: something", i))
				}
				return tooLarge(v, headers...)
			},
		},
		{
			name: "a form of 1 MB", guards: []guard{a.longForm},
			run: func(v *victim) error {
				p := v.from(hostile).mustVisit(v.page("lobby"))
				form := v.app.fields()
				form.Set("x", strings.Repeat("x", 1<<20))
				v.from(hostile).post(p.forms[v.app.do], form, "Cookie: "+p.cookie)
				return v.counted("lobby")
			},
		},
		{
			name: "DNS rebinding: a foreign Host", flags: []string{"-hosts", "127.0.0.1,localhost"}, guards: []guard{hostGuard()},
			refused: `lockstep_turned_away_total{reason="host"`,
			run: func(v *victim) error {
				_, port, _ := strings.Cut(v.host(), ":")
				for _, host := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example", "[::1]", "127.0.0.1@evil.example"} {
					if a := v.from(hostile).get(v.page("lobby"), "Host: "+host); a.status == http.StatusOK {
						return fmt.Errorf("the page is served as one of %s", host)
					}
				}
				return nil
			},
		},
		{
			name:  "DNS rebinding by way of a proxy that passes X-Forwarded-Host on",
			flags: []string{"-hosts", "127.0.0.1,localhost", "-trusted-proxies", hostile}, guards: []guard{forwardedHostGuard()},
			refused: `lockstep_turned_away_total{reason="host"`,
			run: func(v *victim) error {
				for _, names := range [][2]string{{"evil.example", "127.0.0.1"}, {"127.0.0.1", "evil.example"}, {"127.0.0.1", "evil.example, 127.0.0.1"}} {
					if a := v.from(hostile).get(v.page("lobby"), "Host: "+names[0], "X-Forwarded-Host: "+names[1]); a.status == http.StatusOK {
						return fmt.Errorf("the page is served as %s for %s", names[0], names[1])
					}
				}
				return nil
			},
		},
		{
			name: "a foreign Host that gets into links", why: "all links are paths",
			run: func(v *victim) error {
				for _, path := range append([]string{"/", v.page("lobby"), "/favicon.ico", "/nothing", "/nothing/"}, v.app.more...) {
					a := v.from(hostile).get(path, "Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
					if strings.Contains(a.body+fmt.Sprint(a.header), "evil.example") {
						return fmt.Errorf("the answer to %s has it", path)
					}
				}
				return nil
			},
		},
		{
			name: "request smuggling through the balancer", flags: []string{"-replicas", "2"},
			why: "net/http refuses what has two meanings, and the balancer writes each request anew", run: smuggle,
		},
	}
}

// smuggle hides a request in another one, and looks whether somebody else is
// given its answer.
func smuggle(v *victim) error {
	hidden := "GET " + v.page("smuggled") + " HTTP/1.1\r\nHost: x\r\n\r\n"
	chunks := "0\r\n\r\n" + hidden
	// with returns a head, with the length of the body in place of %d, and the body.
	with := func(body, head string) string { return fmt.Sprintf(head, len(body)) + "\r\n\r\n" + body }
	for name, request := range map[string]string{
		"both lengths":               with(chunks, "Content-Length: %d\r\nTransfer-Encoding: chunked"),
		"both lengths, other order":  with(chunks, "Transfer-Encoding: chunked\r\nContent-Length: %d"),
		"a space before the colon":   with(chunks, "Content-Length: %d\r\nTransfer-Encoding : chunked"),
		"a tab before the value":     with(chunks, "Content-Length: %d\r\nTransfer-Encoding:\tchunked"),
		"a vertical tab":             with(chunks, "Content-Length: %d\r\nTransfer-Encoding: \x0bchunked"),
		"another coding":             with(chunks, "Content-Length: %d\r\nTransfer-Encoding: xchunked"),
		"two codings":                with(chunks, "Content-Length: %d\r\nTransfer-Encoding: chunked, identity"),
		"two lines of codings":       with(chunks, "Content-Length: %d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow"),
		"a folded line":              with(chunks, "Content-Length: %d\r\nX: y\r\n Transfer-Encoding: chunked"),
		"a bare LF":                  with(chunks, "X: y\nTransfer-Encoding: chunked\r\nContent-Length: %d"),
		"a bare CR":                  with(chunks, "X: y\rTransfer-Encoding: chunked\r\nContent-Length: %d"),
		"two lengths":                with(hidden, "Content-Length: 0\r\nContent-Length: %d"),
		"a list of lengths":          with(hidden, "Content-Length: 0, %d"),
		"a length with a sign":       "Content-Length: +0\r\n\r\n" + hidden,
		"a length in hexadecimal":    "Content-Length: 0x0\r\n\r\n" + hidden,
		"a chunk's length too large": "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + hidden,
		"a chunk that ends in LF":    "Transfer-Encoding: chunked\r\n\r\n1;x\nA\r\n0\r\n\r\n" + hidden,
		"an upgrade that is none":    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n" + hidden,
	} {
		for _, begin := range []string{"POST " + v.app.formTo("lobby", v.app.do), "GET " + v.page("lobby")} {
			c, err := v.from(hostile).dial()
			if err != nil {
				v.Fatal(err)
			}
			defer c.Close()                                                                     // they wait for answers
			_, _ = c.Write([]byte(begin + " HTTP/1.1\r\nHost: " + v.host() + "\r\n" + request)) // it may be cut off
			for range 5 {
				a := v.from(newcomer).raw("GET " + v.page("lobby") + " HTTP/1.1\r\nHost: " + v.host() + "\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(a, "HTTP/1.1 200 ") || strings.Contains(a, "smuggled") {
					return fmt.Errorf("with %s, somebody else gets another answer than their own: %.40q", name, a)
				}
			}
		}
	}
	return nil
}
