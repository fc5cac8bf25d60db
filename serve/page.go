package serve

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/htmx"
	"lockstep/live"
)

// PageOptions are what a page's document has around its content. Zero values are the defaults.
type PageOptions struct {
	Title string // "": the path that was asked; not the host, which anybody can say to be another
	Lang  string // of the document. Default "en".
	// Description is what search engines say of the page; "": nothing.
	Description string
	// Styles and Scripts are the addresses of more of them. They must be of this server: others a
	// page may not load.
	Styles, Scripts []string
	Head            templ.Component // more of the document's head; nil: nothing
	// Bare leaves out the style sheet and the script of package components.
	Bare bool
	// Pausing gives scripts of the page what they need to have it shown nothing for a while: the
	// address of a socket of no rooms, as data-idle beside that of its own.
	Pausing bool
}

// layoutBegins is how the HTML of components.Layout begins, which goes from edge to edge. The
// document says so at its beginning: browsers may show the first part of a page before they know
// the rest.
const layoutBegins = `<div class="ls-layout`

// A shell is a page's document.
type shell struct {
	PageOptions
	Visit                         *Visit
	Body                          live.Component
	Socket, Grants, Plain, Others string
	Idle                          string // "": the page does not pause
	Icon, State, Replica, Outcome string
	Layout                        bool // the content has one of its own
}

// Page returns a handler of a page: the document, around what content returns. The rooms that it
// renders are those that the page is kept in step with; a tab can't join others. content may return
// nil: there is no such page.
func (s *Server) Page(content func(r *http.Request) templ.Component, opts ...PageOptions) http.Handler {
	var o PageOptions
	if len(opts) > 0 {
		o = opts[0]
	}
	return s.handle(func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			return ProblemOf(http.StatusMethodNotAllowed)
		}
		c := content(r)
		if c == nil {
			return errNotFound
		}
		html, err := s.page(w, r, c, o)
		if err != nil {
			return err
		}
		return s.Send(w, r, http.StatusOK, html)
	})
}

// page renders the document of a page.
func (s *Server) page(w http.ResponseWriter, r *http.Request, c templ.Component, o PageOptions) ([]byte, error) {
	visit, err := s.Visit(w, r)
	if err != nil {
		return nil, err
	}
	page := visit.Page()
	body, err := render(r.WithContext(lockstep.WithPage(r.Context(), page)), c)
	switch {
	case errors.Is(err, lockstep.ErrNoTopic):
		return nil, errNotFound // the address has a key that can't be one
	case err != nil:
		return nil, err
	}
	asset := func(name string) string { return visit.base + s.mount + s.assets.URL(name) }
	topics := page.Topics()
	if len(topics) > maxRooms {
		return nil, fmt.Errorf("serve: a page shows %d rooms, and %d are the most", len(topics), maxRooms)
	}
	p := shell{
		PageOptions: o, Visit: visit, Body: templ.Raw(string(body)),
		Socket: visit.Socket(topics...), Grants: visit.Grants(topics...), Plain: asset("plain.js"), Others: asset("others.js"),
		Icon: asset("favicon.svg"), State: "connecting", Replica: s.app.Replica(), Outcome: s.Said(w, r),
		Layout: bytes.HasPrefix(body, []byte(layoutBegins)),
	}
	if o.Pausing {
		p.Idle = visit.Socket()
	}
	if p.Lang == "" {
		p.Lang = "en"
	}
	if p.Title == "" {
		p.Title = r.URL.Path
	}
	if page.Err() != nil || s.app.Status() == htmx.Degraded {
		p.State = string(htmx.Degraded)
	}
	if !o.Bare {
		p.Styles = append([]string{asset("kit.css")}, o.Styles...)
	}
	p.Scripts = []string{asset("app.js"), asset("tell.js")}
	for _, name := range page.Scripts() {
		p.Scripts = append(p.Scripts, asset(name))
	}
	if !o.Bare {
		p.Scripts = append(p.Scripts, asset("kit.js"))
	}
	p.Scripts = append(p.Scripts, o.Scripts...)
	return render(r, document(p))
}

// formAt is where the form of an action posts to, without JavaScript.
func (s *Server) formAt(v *Visit, topic, action string, fields []string) string {
	q := url.Values{"topic": {topic}, "do": {action}, "lane": {v.Lane(topic)}}
	if name := formName(fields); name != "" {
		q.Set("form", name)
	}
	return v.base + s.mount + doAt + "?" + q.Encode()
}

// olderAt is where entries of a log before a number are, for whom a page of it was made.
func (s *Server) olderAt(v *Visit, topic string, before uint64) string {
	return v.base + s.mount + olderAt + "?" + url.Values{
		"topic": {topic}, "before": {strconv.FormatUint(before, 10)}, "of": {s.sign.token(forOlder, v.id+v.bound, topic)},
	}.Encode()
}

// older answers with older entries of a log: those alone, for a page that puts them above its own,
// and else a page of them.
func (s *Server) older(w http.ResponseWriter, r *http.Request) error {
	u, bound, err := s.users.of(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	topic, all := q.Get("topic"), s.sign.read(r, clientOf(r))
	id, ok := s.sign.owner(all, bound, forOlder, topic, q.Get("of"))
	if !ok {
		s.refused.token.Add(1)
		return problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
	}
	if s.users.ask == nil {
		u = visitorOf(id)
	}
	before, err := strconv.ParseUint(q.Get("before"), 10, 64)
	if err != nil {
		return errNotFound
	}
	v := &Visit{User: u.ID, Name: u.Name, server: s, base: clientOf(r).base, id: id, bound: bound}
	ctx, cancel := s.app.Patience(r.Context())
	defer cancel()
	entries, first, err := s.app.Older(ctx, u, topic, before)
	switch {
	case errors.Is(err, lockstep.ErrNoTopic), errors.Is(err, lockstep.ErrNoLog):
		return errNotFound
	case err != nil:
		return problem(http.StatusServiceUnavailable, "Not at the moment", "The older entries can't be read. Try again in a little while.").After(awayWait)
	}
	var link templ.Component = templ.NopComponent
	if first > 0 {
		link = lockstep.OlderLink(s.olderAt(v, topic, first), false)
	}
	if r.Header.Get("HX-Request") != "" {
		w.Header().Add("Vary", "HX-Request")
		return s.compressor.sendPage(w, r, http.StatusOK, templ.Join(link, entries))
	}
	html, err := s.page(w, r, past(link, entries), PageOptions{Title: "Older"})
	if err != nil {
		return err
	}
	return s.Send(w, r, http.StatusOK, html)
}

// A problemShell is the document of a problem.
type problemShell struct {
	*Problem
	Home, Style string
}

// problemPage is Options.Problem where there is none.
func (s *Server) problemPage(r *http.Request, p *Problem) live.Component {
	return problemDocument(problemShell{p, clientOf(r).base + "/", s.Asset(r, "kit.css")})
}
