package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

func adminHostGuard() guard {
	return guard{
		"host names of the admin address", "serve/admin.go",
		`err != nil && strings.Contains(host, ".")`, `!WITHOUT && err != nil && strings.Contains(host, ".")`,
	}
}

func adminSiteGuard() guard {
	return guard{
		"Sec-Fetch-Site at the admin address", "serve/admin.go",
		`site == "cross-site" || site == "same-site"`, `!WITHOUT && (site == "cross-site" || site == "same-site")`,
	}
}

func commandLineGuard() guard {
	return guard{
		"the command line is not shown", "serve/admin.go",
		"mux.HandleFunc(\"GET /debug/pprof/symbol\", pprof.Symbol)\n",
		"mux.HandleFunc(\"GET /debug/pprof/symbol\", pprof.Symbol)\n\tif WITHOUT {\n\t\tmux.HandleFunc(\"GET /debug/pprof/cmdline\", pprof.Cmdline)\n\t}\n",
	}
}

// adminAttacks reach for the admin address.
func adminAttacks() []attack {
	return []attack{
		{
			name: "DNS rebinding to the admin address", guards: []guard{adminHostGuard()},
			run: func(v *victim) error {
				for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "evil.example."} {
					if a := v.administer("/metrics", "Host: "+host); a.status != http.StatusForbidden {
						return fmt.Errorf("metrics are shown to a page of %s", host)
					}
				}
				return nil
			},
		},
		{
			name: "another site's page starts a profile", guards: []guard{adminSiteGuard()},
			run: func(v *victim) error {
				for _, site := range []string{"cross-site", "same-site"} {
					for _, path := range []string{"/debug/pprof/trace?seconds=0.1", "/debug/pprof/profile?seconds=1", "/debug/pprof/heap?gc=1", "/metrics"} {
						if a := v.administer(path, "Sec-Fetch-Site: "+site); a.status != http.StatusForbidden {
							return fmt.Errorf("%s is answered with %d", path, a.status)
						}
					}
				}
				return nil
			},
		},
		{
			name: "secrets on the admin pages", guards: []guard{commandLineGuard()}, run: lookForSecrets,
		},
		{
			name: "admin pages at the public address", why: "they have a listener of their own",
			run: func(v *victim) error {
				for _, path := range []string{"/metrics", "/debug/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap", "/debug/vars", "/static/../metrics"} {
					a := v.from(hostile).get(path)
					if _, err := readPage(a.body); a.status == http.StatusOK && err != nil { // a page of people may be of any name
						return fmt.Errorf("%s is answered with %d", path, a.status)
					}
				}
				return nil
			},
		},
	}
}

// administer asks the admin address.
func (v *victim) administer(path string, headers ...string) answer {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodGet, v.admin+path, nil)
	if err != nil {
		v.Fatal(err)
	}
	addHeaders(req, headers)
	code, body, err := fetch(req)
	if err != nil {
		v.Fatal(err)
	}
	return answer{status: code, body: body}
}

// lookForSecrets reads all that an operator can see.
func lookForSecrets(v *victim) error {
	p := v.from(hostile).mustVisit(v.page("lobby"))
	ws := v.from(hostile).connect("lobby")
	op := v.newOp()
	ws.text(clickText(op))
	if m := ws.verdict(); len(m.Ack) == 0 {
		v.Fatalf("the op is %s", m)
	}
	seen := v.p.out.String()
	for _, path := range []string{
		"/", "/debug/", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/pprof/goroutine?debug=2",
		"/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/threadcreate?debug=1", "/debug/pprof/block?debug=1",
		"/debug/pprof/mutex?debug=1", "/debug/vars",
	} {
		seen += v.administer(path).body
	}
	for what, secret := range map[string]string{"the key": testSecret, "a session": p.session(), "a client": op.Client, "a grant": p.grants[v.topic("lobby")], "a token": strings.TrimPrefix(p.socket, withoutToken(p.socket)), "a visitor's address": hostile, "the command line": "\x00-exempt\x00"} {
		if strings.Contains(seen, secret) {
			return errors.New(what + " is shown to anybody who sees the admin pages or the log")
		}
	}
	return nil
}
