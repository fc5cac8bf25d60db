package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lockstep/serve"
)

//go:embed ops.css
var styleSheet string

//go:embed ops.js
var script string

// Names of the files, which have nothing in them that is secret.
const (
	cssFile = "css"
	jsFile  = "js"
)

// Handler returns the handler of the page, which a server of the application serves at
// Options.Path. It has the checks of the server, and may stand behind them.
func (o *Ops) Handler(s *serve.Server) http.Handler {
	o.server.Store(s)
	page := s.Page(o.content, serve.PageOptions{
		Title: "Replicas · Lockstep", Pausing: true, Head: head(),
	})
	orders := s.Accept(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.serveOrder(s, w, r) }))
	return s.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("file") {
		case cssFile:
			serveFile(w, "text/css; charset=utf-8", styleSheet)
			return
		case jsFile:
			serveFile(w, "text/javascript; charset=utf-8", script)
			return
		}
		if err := o.allow(w, r); err != nil {
			s.Fail(w, r, err)
			return
		}
		if r.Method == http.MethodPost {
			orders.ServeHTTP(w, r)
			return
		}
		o.prepare(r)
		page.ServeHTTP(w, r)
	}))
}

func serveFile(w http.ResponseWriter, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(text)) // nobody takes it: no error
}

// allow returns why a request may not see the page, and give orders, or nil.
func (o *Ops) allow(w http.ResponseWriter, r *http.Request) error {
	switch {
	case o.opts.Allow != nil:
		return explained(o.opts.Allow(r))
	case o.opts.Token != "":
		_, password, _ := r.BasicAuth()
		got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(o.opts.Token))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return nil
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="ops", charset="UTF-8"`)
		return &serve.Problem{Status: http.StatusUnauthorized, Title: "Not without the token", Text: "This page is for operators, who have its token."}
	case serve.Local(r):
		return nil
	}
	return &serve.Problem{
		Status: http.StatusForbidden, Title: "Not from here",
		Text: "This page is for the machine that it runs on: a token, or the application's own check, opens it to others.",
	}
}

// explained is the error of Options.Allow as a page says it.
func explained(err error) error {
	var p *serve.Problem
	var to serve.Redirect
	if err == nil || errors.As(err, &p) || errors.As(err, &to) {
		return err
	}
	return &serve.Problem{Status: http.StatusForbidden, Title: "Not for you", Text: err.Error()}
}

// A query says which of the pages is meant.
type query struct {
	key           string // of the room
	filter        string
	replica       string // id
	topic         string
	tab           string
	done          string // an order that was given
	isPart, wrong bool   // it is not about all replicas; there is no such page
}

func queryOf(q url.Values) query {
	all := query{
		key: allKey, filter: strings.ToLower(strings.TrimSpace(q.Get("q"))), replica: q.Get("replica"), topic: q.Get("topic"), tab: q.Get("tab"),
		done: q.Get("done"),
	}
	switch {
	case all.replica != "":
		all.key = replicaKey + all.replica
	case all.topic != "":
		all.key = topicKey + all.topic
	case all.tab != "":
		all.key = tabKey + all.tab
	case all.filter != "":
		all.key = filterKey + all.filter
	}
	all.isPart = all.replica+all.topic+all.tab != ""
	all.wrong = !validKey(all.key)
	return all
}

// keys are those of the rooms of the page.
func (q query) keys() []string {
	if q.isPart {
		return []string{q.key}
	}
	return []string{q.key, pastKey}
}

// waitFirst is how long a page waits for what replicas say that nobody has asked before.
const waitFirst = 700 * time.Millisecond

// prepare has the replicas say what a page needs, and waits a moment for it, where nobody looks
// yet: without scripts nothing comes later.
func (o *Ops) prepare(r *http.Request) {
	q := queryOf(r.URL.Query())
	if q.wrong || o.app.Hub() == nil || !o.glanceAt(q.keys()...) {
		return
	}
	deadline := time.NewTimer(waitFirst)
	defer deadline.Stop()
	again := time.NewTicker(waitFirst / 20)
	defer again.Stop()
	for !o.isKnown(q) {
		select {
		case <-r.Context().Done():
			return
		case <-deadline.C:
			return
		case <-again.C:
		}
	}
}

// isKnown reports whether there is as much as a page will show at first.
func (o *Ops) isKnown(q query) bool {
	o.mu.Lock()
	_, watched := o.keys[q.key]
	o.mu.Unlock()
	if !watched {
		return false
	}
	n := 0
	for owner := range o.kind.Values(q.key) {
		if !strings.Contains(owner, ".") {
			n++
		}
	}
	if q.replica+q.tab != "" {
		return n > 0 // one replica answers
	}
	return n > o.app.Others()
}

// content is the page.
func (o *Ops) content(r *http.Request) templ.Component {
	q := queryOf(r.URL.Query())
	if q.wrong {
		return nil
	}
	return page(o.view(q, serve.Base(r)+o.opts.Path))
}

// A view is the part of a page that does not change.
type view struct {
	query
	action string // where forms post to
	room   templ.Component
	past   templ.Component // nil: the page shows no lines
	name   string          // of what it is about
}

func (o *Ops) view(q query, at string) view {
	v := view{query: q, action: at, room: o.kind.At(q.key), name: q.topic}
	if !q.isPart {
		v.past = o.past.At(pastKey)
	}
	if q.tab != "" {
		_, v.name, _ = strings.Cut(q.tab, ".")
	}
	for _, one := range o.heard.all() {
		if one.row.ID == q.replica {
			v.name = one.row.Name
		}
	}
	return v
}

// serveOrder takes an order from a form.
func (o *Ops) serveOrder(s *serve.Server, w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.Fail(w, r, serve.ProblemOf(http.StatusBadRequest))
		return
	}
	t := order{To: r.PostForm.Get("to"), Do: r.PostForm.Get("do"), Arg: r.PostForm.Get("arg")}
	switch err := o.send(r.Context(), t); {
	case errors.Is(err, errOrder):
		s.Fail(w, r, serve.ProblemOf(http.StatusBadRequest))
		return
	case err != nil:
		s.Fail(w, r, &serve.Problem{Status: http.StatusServiceUnavailable, Title: "Not now", Text: "The broker does not take the order. Try again in a little while."})
		return
	}
	http.Redirect(w, r, serve.Base(r)+o.opts.Path+"?"+url.Values{"done": {t.Do}}.Encode(), http.StatusSeeOther)
}
