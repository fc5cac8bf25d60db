package web

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/state"
	"lockstep/static"
)

// A pageHandler serves the pages of topics, and their forms for browsers without JavaScript.
type pageHandler struct {
	app       *app.App
	server    *serve.Server
	assets    *static.Assets
	program   *programHandler
	templates *templates
	version   string // shown on each
	named     bool   // Options.Hosts are
	uploads   bool   // files are taken
	gallery   *Gallery
	ops       *ops.Ops
	breakage  *Break // nil: nobody breaks anything here
	front     int    // Options.Front
	siblings  []Sibling
}

// home serves the page of the lobby.
func (h *pageHandler) home(c echo.Context) error { return h.send(c, app.Lobby) }

// page serves the pages of a kind, or leads to them: their addresses are lower case.
func (h *pageHandler) page(kind string) echo.HandlerFunc {
	return func(c echo.Context) error {
		name := c.Param("name")
		lower, other := canonical(name)
		switch {
		case other || app.ValidName(name) && strings.HasSuffix(c.Request().URL.Path, "/"):
			return moved(c, app.Path(kind+":"+lower))
		case !app.ValidName(name):
			return badName(kind, name, baseOf(c))
		}
		return h.send(c, kind+":"+name)
	}
}

// open leads from the little form of a page to what it names, and without a name to the kind's
// home.
func (h *pageHandler) open(kind string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !c.QueryParams().Has("name") {
			return c.Redirect(http.StatusSeeOther, baseOf(c)+app.Path(app.Home(kind)))
		}
		name := strings.ToLower(strings.TrimSpace(c.QueryParam("name")))
		if !app.ValidName(name) {
			return badName(kind, name, baseOf(c))
		}
		return c.Redirect(http.StatusSeeOther, baseOf(c)+"/"+app.Prefix(kind)+"/"+name)
	}
}

// send answers with a topic's page.
func (h *pageHandler) send(c echo.Context, topic string) error {
	p, about, err := h.make(c, topic)
	if err != nil {
		return err
	}
	if part, ok := about.(app.Partial); ok && c.Request().Header.Get("HX-Request") != "" {
		if component := part.Part(p); component != nil {
			return h.sendPart(c, component)
		}
	}
	p.Outcome = h.server.Said(c.Response(), c.Request())
	if p.Panel != nil { // it is this visitor's alone
		return sendPage(c, h.server, http.StatusOK, about.Document(p))
	}
	html, err := h.templates.fill(c.Request().Context(), p, about)
	if err != nil {
		return err
	}
	return h.server.Send(c.Response(), c.Request(), http.StatusOK, html)
}

// sendBack answers a form that was refused with its page: what was filled in, and what is wrong
// with it beside each field. Sent again, e.g. by a reload, it is answered the same.
func (h *pageHandler) sendBack(c echo.Context, topic string, wrong state.FieldErrors) error {
	p, about, err := h.make(c, topic)
	if err != nil {
		return err
	}
	p.Outcome = "Not accepted yet: see the form."
	p.Filled = make(map[string]pages.Filled)
	for name, values := range c.Request().PostForm {
		p.Filled[name] = pages.Filled{Value: values[0]}
	}
	for name, text := range wrong {
		p.Filled[name] = pages.Filled{Value: p.Filled[name].Value, Error: text}
	}
	return sendPage(c, h.server, http.StatusUnprocessableEntity, about.Document(p))
}

// make returns a topic's page for the client that asks, and what it is about.
func (h *pageHandler) make(c echo.Context, topic string) (pages.Page, app.Content, error) {
	visit, err := h.server.Visit(c.Response(), c.Request())
	if err != nil {
		return pages.Page{}, nil, err
	}
	p, about, err := h.app.Page(c.Request().Context(), topic, state.Fields(c.QueryParams()))
	if err != nil {
		return p, nil, err
	}
	h.link(&p, baseOf(c), topic)
	p.Version = h.version
	p.Install = install(c, h.assets, h.named)
	topics := []string{topic}
	if strings.HasPrefix(topic, "counter:") && h.breakage.lets(c.Request()) {
		if topics, err = h.breakage.open(c, &p, visit, topic); err != nil {
			return p, nil, err
		}
		h.furnish(&p, baseOf(c))
	}
	if c.QueryParam("view") == smallView {
		h.small(c, &p)
	}
	p.User, p.Former, p.Grants, p.Socket = visit.User, visit.Former, visit.Grants(topics...), visit.Socket(topics...)
	p.Lane = visit.Lane(topic)
	return p, about, nil
}

// furnish gives a page with a panel what that needs. Such a tab is not one that can render itself:
// the program for browsers does not know the panel.
func (h *pageHandler) furnish(p *pages.Page, base string) {
	p.Styles = append(p.Styles, base+h.assets.URL("break.css"))
	if p.Panel != nil {
		p.Renderer = pages.Renderer{}
	}
}

// sendPart answers with a part of a page.
func (h *pageHandler) sendPart(c echo.Context, part live.Component) error {
	c.Response().Header().Add("Vary", "HX-Request")
	return sendPage(c, h.server, http.StatusOK, part)
}

// sendPage renders a page whole before any of it is sent.
func sendPage(c echo.Context, s *serve.Server, status int, page live.Component) error {
	var b bytes.Buffer
	if err := page.Render(c.Request().Context(), &b); err != nil {
		return fmt.Errorf("web: render: %w", err)
	}
	return s.Send(c.Response(), c.Request(), status, b.Bytes())
}

// link fills in the addresses that a topic's page leads to, and loads: all are below base.
func (h *pageHandler) link(p *pages.Page, base, topic string) {
	kind, name, _ := strings.Cut(topic, ":")
	p.Links = pages.Links{
		Home: base + "/", Open: base + "/" + app.Prefix(kind), Do: base + "/" + app.Prefix(kind) + "/" + name + "/",
	}
	p.Links.Newest = base + app.Path(topic)
	p.Share = share(base, topic)
	p.Links.Before = p.Links.Newest + "?before="
	inBrowser := pages.Link{To: base + "/wasm/?" + url.Values{"topic": {topic}}.Encode(), Text: "Run it all in this browser"}
	p.Links.Elsewhere = h.app.Elsewhere(kind, func(topic string) string { return base + app.Path(topic) })
	if app.HasState(topic) {
		p.Links.Elsewhere = append(p.Links.Elsewhere, pages.Link{To: base + app.Path(app.Board), Text: "A board"}, inBrowser)
	}
	p.Links.Elsewhere = append(p.Links.Elsewhere,
		pages.Link{To: base + "/split?" + url.Values{"topic": {topic}}.Encode(), Text: "Side by side"}, pages.Link{To: base + "/docs/", Text: "Documentation"})
	for _, name := range app.Scripts(kind) {
		p.Scripts = append(p.Scripts, base+h.assets.URL(name))
	}
	for _, name := range app.Styles(kind) {
		p.Styles = append(p.Styles, base+h.assets.URL(name))
	}
	p.Script, p.Style, p.Icon = base+h.assets.URL("app.js"), base+h.assets.URL("app.css"), base+h.assets.URL("favicon.svg")
	p.Plain, p.Others = base+h.assets.URL("plain.js"), base+h.assets.URL("others.js")
	if app.HasState(topic) && h.app.Followed() {
		p.XRay = xray{Script: base + h.assets.URL("xray.js"), Style: base + h.assets.URL("xray.css")}
	}
	if app.HasState(topic) {
		p.Renderer = h.program.renderer(base)
	}
	if h.uploads && h.app.HasFields(topic) {
		p.Upload = base + uploadsPath
	}
}

// act is a form without JavaScript: it has its action done and leads back to the page, which says
// what became of it. A form that comes twice is one op and counts once.
func (h *pageHandler) act(kind string) echo.HandlerFunc {
	return func(c echo.Context) error {
		name, do := c.Param("name"), c.Param("do")
		if !app.ValidName(name) {
			return badName(kind, name, baseOf(c))
		}
		topic := kind + ":" + name
		answer, err := h.server.Submit(c.Request(), topic, do)
		if err != nil {
			return err
		}
		if answer.Verdict == state.Refused {
			return h.sendBack(c, topic, h.app.FieldErrors(topic, answer.Reason))
		}
		h.server.Leave(c.Response(), c.Request(), answer)
		return c.Redirect(http.StatusSeeOther, baseOf(c)+app.Path(topic))
	}
}
