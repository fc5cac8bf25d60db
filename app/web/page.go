package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/components"
	"lockstep/counter"
	"lockstep/static"
)

// lobby is the counter at "/".
const lobby = "lobby"

// A pageHandler serves the counters' pages, and their forms for browsers without JavaScript.
type pageHandler struct {
	app       *app.App
	sign      signer
	assets    *static.Assets
	program   *programHandler
	templates *templates
	refused   *refusals
	version   string // shown on each
}

// home serves the page of the lobby.
func (h *pageHandler) home(c echo.Context) error { return h.send(c, lobby) }

// counter serves the page of the counter in the path.
func (h *pageHandler) counter(c echo.Context) error {
	name := c.Param("name")
	if !counter.ValidName(name) {
		return errBadName
	}
	return h.send(c, name)
}

// open leads from the little form of the page to the counter it names.
func (h *pageHandler) open(c echo.Context) error {
	name := strings.ToLower(strings.TrimSpace(c.QueryParam("name")))
	if !counter.ValidName(name) {
		return errBadName
	}
	return c.Redirect(http.StatusSeeOther, "/c/"+name)
}

// send answers with a counter's page.
func (h *pageHandler) send(c echo.Context, name string) error {
	id := h.sign.ensure(c.Response(), c.Request(), clientOf(c))
	p := h.app.CounterPage(c.Request().Context(), name)
	h.link(&p, name)
	p.Version = h.version
	p.Socket = "/ws/c/" + name + "?t=" + h.sign.token(forSocket, id)
	p.CSRF = h.sign.token(forForm, id)
	for i := range p.Ops {
		p.Ops[i] = randomID()
	}
	html, err := h.templates.fill(c.Request().Context(), p)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.HTMLBlob(http.StatusOK, html)
}

// link fills in the addresses that a counter's page leads to, and loads.
func (h *pageHandler) link(p *components.Page, name string) {
	p.Links = components.Links{
		Home: "/", Open: "/c", Click: "/c/" + name + "/",
		InBrowser: "/wasm/?name=" + name, InBrowserText: "Run it all in this browser",
	}
	p.Script, p.Style, p.Icon = h.assets.URL("app.js"), h.assets.URL("app.css"), h.assets.URL("favicon.svg")
	p.Plain, p.Renderer = h.assets.URL("plain.js"), h.program.renderer()
}

// click is a button without JavaScript: it counts and leads back to the page.
func (h *pageHandler) click(c echo.Context) error {
	name, action := c.Param("name"), c.Param("action")
	if !counter.ValidName(name) {
		return errBadName
	}
	cookie, ok, _ := h.sign.read(c.Request(), clientOf(c))
	if !ok || !h.sign.validToken(forForm, cookie.id, c.FormValue("_csrf")) {
		h.refused.token.Add(1)
		return problem(http.StatusForbidden, "This form is too old",
			"It was not accepted, and nothing was counted. Reload the page and try again.")
	}
	op := c.FormValue("_op")
	if op == "" {
		op = randomID()
	}
	if err := h.app.Click(c.Request().Context(), name, action, op); err != nil {
		return clickProblem(err)
	}
	return c.Redirect(http.StatusSeeOther, pagePath(name))
}

// clickProblem is the answer to a click that was not counted.
func clickProblem(err error) error {
	var refusal *app.Refusal
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Retry:
		return problem(http.StatusServiceUnavailable, "Not counted yet",
			"The count can't be saved at the moment. Go back and try again in a little while.")
	case errors.Is(err, counter.ErrOverflow):
		return problem(http.StatusConflict, "Not counted", "The count is at its limit.")
	}
	return problem(http.StatusBadRequest, "Not counted", "The server did not accept this: "+refusal.Reason+".")
}

// pagePath is the address of a counter's page.
func pagePath(name string) string {
	if name == lobby {
		return "/"
	}
	return "/c/" + name
}
