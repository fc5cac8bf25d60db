package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/components"
	"lockstep/live"
	"lockstep/state"
	"lockstep/static"
)

// A pageHandler serves the pages of topics, and their forms for browsers without JavaScript.
type pageHandler struct {
	app        *app.App
	sign       signer
	assets     *static.Assets
	program    *programHandler
	templates  *templates
	compressor *compressor
	limiter    *limiter
	refused    *refusals
	version    string // shown on each
	named      bool   // Options.Hosts are
	uploads    bool   // files are taken
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
			return badName(kind, name, clientOf(c).base)
		}
		return h.send(c, kind+":"+name)
	}
}

// open leads from the little form of a page to what it names, and without a name to the kind's
// home.
func (h *pageHandler) open(kind string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !c.QueryParams().Has("name") {
			return c.Redirect(http.StatusSeeOther, clientOf(c).base+app.Path(app.Home(kind)))
		}
		name := strings.ToLower(strings.TrimSpace(c.QueryParam("name")))
		if !app.ValidName(name) {
			return badName(kind, name, clientOf(c).base)
		}
		return c.Redirect(http.StatusSeeOther, clientOf(c).base+"/"+app.Prefix(kind)+"/"+name)
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
	p.Outcome = said(c)
	html, err := h.templates.fill(c.Request().Context(), p, about)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return h.compressor.send(c, http.StatusOK, html)
}

// sendBack answers a form that was refused with its page: what was filled in, and what is wrong
// with it beside each field. Sent again, e.g. by a reload, it is answered the same.
func (h *pageHandler) sendBack(c echo.Context, topic string, wrong state.FieldErrors) error {
	p, about, err := h.make(c, topic)
	if err != nil {
		return err
	}
	p.Outcome = "Not accepted yet: see the form."
	p.Filled = make(map[string]components.Filled)
	for name, values := range c.Request().PostForm {
		p.Filled[name] = components.Filled{Value: values[0]}
	}
	for name, text := range wrong {
		p.Filled[name] = components.Filled{Value: p.Filled[name].Value, Error: text}
	}
	return sendPage(c, h.compressor, http.StatusUnprocessableEntity, about.Document(p))
}

// make returns a topic's page for the client that asks, and what it is about.
func (h *pageHandler) make(c echo.Context, topic string) (components.Page, app.Content, error) {
	who := clientOf(c)
	id, former := h.sign.ensure(c.Response(), c.Request(), who)
	p, about, err := h.app.Page(c.Request().Context(), topic, state.Fields(c.QueryParams()))
	if err != nil {
		return p, nil, err
	}
	h.link(&p, who.base, topic)
	p.Version = h.version
	p.Install = install(c, h.assets, h.named)
	p.User, p.Grants = userOf(id), h.grants(id, topic)
	if former != "" {
		p.Former = userOf(former)
	}
	p.Socket = who.base + socketPath(h.sign, topic) + "&t=" + h.sign.token(forSocket, id, topic)
	for i, do := range h.app.Forms(topic) {
		p.Lanes[i] = h.sign.newLane(id, topic, do)
	}
	return p, about, nil
}

// sendPart answers with a part of a page.
func (h *pageHandler) sendPart(c echo.Context, part live.Component) error {
	var b bytes.Buffer
	if err := part.Render(c.Request().Context(), &b); err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	c.Response().Header().Add("Vary", "HX-Request")
	return h.compressor.send(c, http.StatusOK, b.Bytes())
}

// grants are what a page of a session shows, once it was closed, to have been given
// its topics.
func (h *pageHandler) grants(id string, topics ...string) string {
	all := make(map[string]string, len(topics))
	for _, topic := range topics {
		all[topic] = h.sign.token(forGrant, id, topic)
	}
	text, _ := json.Marshal(all) // strings can be
	return string(text)
}

// link fills in the addresses that a topic's page leads to, and loads: all are below base.
func (h *pageHandler) link(p *components.Page, base, topic string) {
	kind, name, _ := strings.Cut(topic, ":")
	p.Links = components.Links{
		Home: base + "/", Open: base + "/" + app.Prefix(kind), Do: base + "/" + app.Prefix(kind) + "/" + name + "/",
	}
	p.Links.Newest = base + app.Path(topic)
	p.Links.Before = p.Links.Newest + "?before="
	inBrowser := components.Link{To: base + "/wasm/?" + url.Values{"topic": {topic}}.Encode(), Text: "Run it all in this browser"}
	p.Links.Elsewhere = h.app.Elsewhere(kind, func(topic string) string { return base + app.Path(topic) })
	if app.HasState(topic) {
		p.Links.Elsewhere = append(p.Links.Elsewhere, components.Link{To: base + app.Path(app.Board), Text: "A board"}, inBrowser)
	}
	for _, name := range app.Scripts(kind) {
		p.Scripts = append(p.Scripts, base+h.assets.URL(name))
	}
	for _, name := range app.Styles(kind) {
		p.Styles = append(p.Styles, base+h.assets.URL(name))
	}
	p.Script, p.Style, p.Icon = base+h.assets.URL("app.js"), base+h.assets.URL("app.css"), base+h.assets.URL("favicon.svg")
	p.Plain, p.Others = base+h.assets.URL("plain.js"), base+h.assets.URL("others.js")
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
			return badName(kind, name, clientOf(c).base)
		}
		topic, who := kind+":"+name, clientOf(c)
		if err := c.Request().ParseForm(); err != nil {
			return problem(http.StatusBadRequest, "Not counted", "The form can't be read.")
		}
		l, id, err := h.owner(c, topic, do)
		if err != nil {
			return err
		}
		v := &visitor{h.limiter, who}
		op := l.op(do, state.Fields(c.Request().PostForm), h.app.Runtime().Clock())
		answer, err := h.app.Do(c.Request().Context(), v.as(userOf(id), nil), topic, op)
		if err != nil {
			return err
		}
		if wrong := h.app.FieldErrors(topic, answer.Reason); answer.Verdict == state.Refused && wrong != nil {
			return h.sendBack(c, topic, wrong)
		}
		if p := h.notDone(answer, who); p != nil {
			p.again = sameAgain(c, who.base+c.Request().URL.RequestURI(), answer)
			return p
		}
		if answer.Again {
			leave(c, countedTwice)
		} else {
			leave(c, countedOnce)
		}
		return c.Redirect(http.StatusSeeOther, who.base+app.Path(topic))
	}
}

// owner returns the lane of a form and the session that it was given to, if it was to this browser.
func (h *pageHandler) owner(c echo.Context, topic, do string) (l lane, id string, err error) {
	all := h.sign.read(c.Request(), clientOf(c))
	if l, id, ok := h.sign.readLane(all, topic, do, c.QueryParam("lane")); ok {
		return l, id, nil
	}
	h.refused.token.Add(1)
	if !all.sent {
		return l, "", problem(http.StatusForbidden, "Your browser sent no cookie",
			"This server needs one to know its own forms: nothing was counted. Allow cookies for this address, then go back "+
				"and press again. Loading the page again does not help before that.")
	}
	return l, "", problem(http.StatusForbidden, "This form is too old",
		"It was not accepted, and nothing was counted. Go back, where a new one is, and press again.")
}

// sameAgain is the same form once more, where sending it again can help.
func sameAgain(c echo.Context, to string, a state.Answer) components.Again {
	if a.Verdict != state.Retry {
		return components.Again{}
	}
	again := components.Again{To: to}
	for name, values := range c.Request().PostForm {
		for _, value := range values {
			again.Fields = append(again.Fields, components.Field{Name: name, Value: value})
		}
	}
	return again
}

// awayWait is how long a client waits that could not be served for reasons of ours: about as long
// as a broker or a store needs to come back.
const awayWait = 2 * time.Second

// notDone is the answer to a form that was not counted, or of which that is not known; nil: it was.
func (h *pageHandler) notDone(a state.Answer, who client) *problemError {
	switch a.Verdict {
	case state.Refused:
		return problem(http.StatusConflict, "Not counted", "The server did not accept this: "+a.Reason+".")
	case state.Old:
		return problem(http.StatusConflict, "Nobody knows",
			"This form is so old that nobody knows any more whether it was counted. Go back and look.")
	case state.Retry:
		return h.notYet(a.Err, who)
	}
	return nil
}

// notYet is the answer to a form that was not counted, and may be sent again.
func (h *pageHandler) notYet(err error, who client) *problemError {
	const once = ": it counts once, however often it is sent."
	switch {
	case errors.Is(err, state.ErrNewTopic):
		return tooMuch("There were too many new pages from your network.", h.limiter.names.Wait(who.addr), once)
	case errors.Is(err, state.ErrNewLane):
		return tooMuch("There were too many new visitors from your network.", h.limiter.lanes.Wait(who.addr), once)
	case errors.Is(err, app.ErrTooMany):
		return tooMuch("There were too many clicks from your network.", h.limiter.clicks.Wait(who.addr), once)
	}
	text := "This can't be saved at the moment."
	if errors.Is(err, state.ErrOverloaded) {
		text = "There are too many clicks at the moment."
	}
	return problem(http.StatusServiceUnavailable, "Not counted yet", text+" Try again in a little while"+once).after(awayWait)
}

// tooMuch is the answer to a form of an address that has used up what it may for a while.
func tooMuch(text string, wait time.Duration, once string) *problemError {
	return problem(http.StatusTooManyRequests, "Too many clicks", text+" Try again in "+inWords(wait)+once).after(wait)
}
