package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
)

func policyGuard() guard {
	return guard{
		"Content-Security-Policy", "serve/security.go",
		`h.Set("Content-Security-Policy", contentSecurityPolicy)`, `if !WITHOUT {
			h.Set("Content-Security-Policy", contentSecurityPolicy)
		}`,
	}
}

func trustedTypesGuard() guard {
	return guard{
		"Trusted Types", "serve/security.go",
		`h.Set("X-Content-Type-Options", "nosniff")`, `if WITHOUT && h.Get("Content-Security-Policy") != "" {
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; "+CommonPolicy)
		}
		h.Set("X-Content-Type-Options", "nosniff")`,
	}
}

func frameOptionsGuard() guard {
	return guard{
		"X-Frame-Options", "serve/security.go",
		`h.Set("X-Frame-Options", "DENY")`, `h.Set("X-Frame-Options", pick(WITHOUT, "", "DENY"))`,
	}
}

func resourceGuard() guard {
	return guard{
		"Cross-Origin-Resource-Policy", "serve/security.go",
		`h.Set("Cross-Origin-Resource-Policy", "same-origin")`, `h.Set("Cross-Origin-Resource-Policy", pick(WITHOUT, "cross-origin", "same-origin"))`,
	}
}

func openerGuard() guard {
	return guard{
		"Cross-Origin-Opener-Policy", "serve/security.go",
		`h.Set("Cross-Origin-Opener-Policy", "same-origin")`, `h.Set("Cross-Origin-Opener-Policy", pick(WITHOUT, "unsafe-none", "same-origin"))`,
	}
}

// scriptName is a replica's name that runs where it gets into a page.
const scriptName = `<img src=x onerror="window.hacked=1">`

// browserAttacks need a real browser: what a page may do is for it to say.
func browserAttacks(a *target) []attack {
	named := []string{"-replica", scriptName}
	return []attack{
		{name: "another site's page opens the socket", guards: []guard{originGuard()}, run: foreignSocket},
		{name: "another site's page sends the form", guards: []guard{sameOriginGuard(), formLaneGuard()}, run: foreignForm},
		{name: "another site frames the page", guards: []guard{frameOptionsGuard(), policyGuard()}, run: foreignFrame},
		{name: "another site's page loads the scripts", guards: []guard{resourceGuard()}, run: foreignScript},
		{name: "another site's page keeps a handle of the window", guards: []guard{openerGuard()}, run: foreignOpener},
		{
			name: "a script in the replica's name", flags: named, run: hacked,
			guards: []guard{a.replicaOf, escapedWelcomeGuard(), policyGuard()},
		},
		{
			name: "a script that has got into a page", flags: named, run: hacked,
			given: []guard{a.replicaOf, escapedWelcomeGuard()}, guards: []guard{policyGuard()},
		},
		{
			name: "text that a script puts into the page as HTML", guards: []guard{trustedTypesGuard()},
			run: func(v *victim) error {
				return faulty(v, `document.querySelector('#notice').innerHTML = '<i id="hacked"></i>'; window.hacked = document.querySelector('#hacked') ? 1 : undefined`)
			},
		},
		{
			name: "a handler that a script takes from text", given: []guard{trustedTypesGuard()}, guards: []guard{policyGuard()},
			run: func(v *victim) error {
				return faulty(v, `const b = document.createElement('b'); b.setAttribute('onclick', 'window.hacked = 1'); b.click()`)
			},
		},
		{
			name: "text that a script evaluates", given: []guard{trustedTypesGuard()}, guards: []guard{policyGuard()},
			run: func(v *victim) error {
				return faulty(v, `const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s)`)
			},
		},
		{name: "prototype pollution by the outbox", why: "JSON.parse and spreading make properties of the object's own", run: pollute},
	}
}

// A site is another origin's: pages that do what they like.
func (v *victim) site(page string) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprint(w, "<!doctype html><title>evil</title>"+page)
	}))
	v.Cleanup(s.Close)
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // another site than the target's, as browsers see it
}

// tab opens a tab in which anything may go wrong.
func (v *victim) tab(url string) *chromiumTab {
	v.Helper()
	tab := newChromiumTab(chromedp.NewContext(v.chromium))
	v.Cleanup(func() {
		if console := tab.close(); v.Failed() {
			v.Logf("console: %q", console)
		}
	})
	v.try(tab, func(ctx context.Context) error { return tab.navigate(ctx, url) })
	return tab
}

func (v *victim) try(tab *chromiumTab, do func(ctx context.Context) error) {
	v.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := do(ctx); err != nil {
		v.Fatal(err)
	}
}

// evaluate runs a script in a tab and returns its value as text.
func (v *victim) evaluate(tab *chromiumTab, script string) (text string) {
	v.Helper()
	v.try(tab, func(ctx context.Context) (err error) { text, err = tab.evaluate(ctx, script); return err })
	return text
}

// press has a person in a tab do what counts.
func (v *victim) press(tab *chromiumTab) {
	v.Helper()
	if v.app.press != "" {
		v.evaluate(tab, v.app.press)
	}
	v.try(tab, func(ctx context.Context) error { return tab.click(ctx, v.app.button) })
}

// live waits until a tab shows the target's page with its socket.
func (v *victim) live(tab *chromiumTab) {
	v.Helper()
	eventually(v, "the page to be live", func() error {
		var s state
		if err := json.Unmarshal([]byte(v.evaluate(tab, readState)), &s); err != nil || s.Status != "live" || !s.Open {
			return fmt.Errorf("it is %+v, %w", s, err)
		}
		return nil
	})
}

func foreignSocket(v *victim) error {
	v.live(v.tab(v.p.url)) // the visitor has a cookie
	evil := v.tab(v.site(""))
	got := v.evaluate(evil, fmt.Sprintf(`new Promise((done) => {
		const s = new WebSocket('ws://%s%s');
		s.onopen = () => s.send('%s');
		s.onmessage = (m) => m.data.includes('"ack"') && done('counted');
		s.onclose = s.onerror = () => done('closed');
	})`, v.host(), v.lobbyRooms(), clickText(v.newOp())))
	if got == "counted" {
		return errors.New("it clicks as the visitor")
	}
	return v.counted("lobby")
}

func foreignForm(v *victim) error {
	v.live(v.tab(v.p.url))
	evil := v.tab(v.site(`<form method=post action="` + v.p.url + html.EscapeString(v.formTo(v.forgeLane("a guess", newClientID(), time.Now()))) + `">` + v.app.hidden() + `<button>Win a prize</button></form>`))
	v.try(evil, func(ctx context.Context) error { return evil.click(ctx, "button") })
	eventually(v, "the answer to the form", func() error {
		if at := v.evaluate(evil, `document.readyState + ' ' + location.href`); !strings.HasPrefix(at, "complete "+v.p.url) {
			return errors.New(at)
		}
		return nil
	})
	return v.counted("lobby")
}

func foreignFrame(v *victim) error {
	evil := v.tab(v.site(""))
	v.evaluate(evil, fmt.Sprintf(`new Promise((done) => {
		const f = document.createElement('iframe');
		f.onload = () => done('');
		f.src = '%s';
		document.body.append(f);
	})`, v.p.url+v.page("lobby")))
	// A page that is there connects. One that is opened later has done so before
	// this one gives up.
	v.live(v.tab(v.p.url + v.page("other")))
	two := func() bool { return v.metric("lockstep_sessions{") > 1 }
	if !becomes(time.Second, two) {
		return nil
	}
	// The tab may have connected again, on a busy machine: then one of the two is over soon.
	if becomes(5*time.Second, func() bool { return !two() }) {
		return nil
	}
	return errors.New("the page lives in a frame of another site, which can have the visitor click on it")
}

// becomes reports whether something comes to hold in a time.
func becomes(d time.Duration, holds func() bool) bool {
	for limit := time.Now().Add(d); time.Now().Before(limit); {
		if holds() {
			return true
		}
	}
	return false
}

func foreignScript(v *victim) error {
	page := v.from(auditor).mustVisit(v.page("lobby")).html
	_, path, _ := strings.Cut(page, `<script src="`)
	path, _, _ = strings.Cut(path, `"`)
	evil := v.tab(v.site(""))
	got := v.evaluate(evil, fmt.Sprintf(`new Promise((done) => {
		const s = document.createElement('script');
		s.onload = () => done('loaded');
		s.onerror = () => done('refused');
		s.src = '%s';
		document.body.append(s);
	})`, v.p.url+path))
	if got != "refused" {
		return errors.New("they run on a page of another site")
	}
	return nil
}

func foreignOpener(v *victim) error {
	evil := v.tab(v.site("<button>Win a prize</button>"))
	v.evaluate(evil, fmt.Sprintf(`document.querySelector('button').onclick = () => { window.opened = window.open('%s/') }; ''`, v.p.url))
	v.try(evil, func(ctx context.Context) error { return evil.click(ctx, "button") })
	eventually(v, "the window to be open", func() error {
		if v.metric("lockstep_sessions_accepted_total") < 1 {
			return errors.New("it has not connected")
		}
		return nil
	})
	if closed := v.evaluate(evil, `String(window.opened?.closed)`); closed != "true" {
		return errors.New("it can lead the visitor's window elsewhere, and tell when it is closed")
	}
	return nil
}

// hacked opens the page, and looks whether the script in the name has run.
func hacked(v *victim) error {
	tab := v.tab(v.p.url)
	v.live(tab)
	v.evaluate(tab, `new Promise((done) => {
		const settled = () => [...document.querySelectorAll('#replica img')].every((i) => i.complete);
		const look = () => settled() ? setTimeout(() => done(''), 100) : setTimeout(look, 20);
		look();
	})`)
	return wasHacked(v, tab)
}

func wasHacked(v *victim, tab *chromiumTab) error {
	if v.evaluate(tab, `String(window.hacked)`) != "undefined" {
		return errors.New("it has run")
	}
	return nil
}

// faulty has the page's own scripts make a mistake, when somebody clicks.
func faulty(v *victim, mistake string) error {
	tab := v.tab(v.p.url)
	v.live(tab)
	v.evaluate(tab, `document.querySelector('`+v.app.button+`').addEventListener('click', () => { try { `+mistake+` } finally { window.clicked = 1 } }); ''`)
	v.press(tab)
	eventually(v, "the click", func() error {
		if got := v.evaluate(tab, `String(window.clicked)`); got != "1" {
			return errors.New(got)
		}
		return nil
	})
	return wasHacked(v, tab)
}

// pollute leaves an outbox in which a neighbour has written.
func pollute(v *victim) error {
	tab := v.tab(v.p.url)
	v.live(tab)
	v.evaluate(tab, `new Promise((done, failed) => {
		const user = document.querySelector('[data-user]').dataset.user;
		const poison = JSON.parse('{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}},"in":{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}}');
		const open = indexedDB.open('lockstep `+v.app.mount+`/ws/');
		open.onupgradeneeded = open.onerror = () => failed(new Error('there is no outbox'));
		open.onsuccess = () => {
			const tx = open.result.transaction('ops', 'readwrite'), ops = tx.objectStore('ops');
			for (const client of ['__proto__', 'constructor', 'AAAAAAAAAAAAAAAAAAAAAA'])
				for (const topic of ['`+v.topic("lobby")+`', '__proto__', 'constructor', 'toString'])
					for (const some of [{}, {user}, {user, do: '`+v.app.do+`', made: 1e999}, {user, do: '__proto__', made: 'x', grant: {}}])
						ops.put({...poison, ...some, client, topic, seq: 1 + Object.keys(some).length});
			tx.oncomplete = () => done('');
			tx.onabort = () => failed(tx.error);
		};
	})`)
	v.try(tab, tab.reload)
	v.live(tab)
	v.press(tab)
	eventually(v, "the click to count", func() error {
		if v.count("lobby") == 0 {
			return errors.New("it does not")
		}
		return nil
	})
	if got := v.evaluate(tab, `String([({}).x, [].x, ''.x, (() => {}).x])`); got != ",,," {
		return fmt.Errorf("all objects have got a property: %s", got)
	}
	return nil
}
