package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

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
}

// home serves the page of the lobby.
func (h *pageHandler) home(c echo.Context) error { return h.send(c, lobby) }

// counter serves the page of the counter in the path, or leads to it: its address is lower case.
func (h *pageHandler) counter(c echo.Context) error {
	name := c.Param("name")
	lower, other := canonical(name)
	switch {
	case other || counter.ValidName(name) && strings.HasSuffix(c.Request().URL.Path, "/"):
		return moved(c, pagePath(lower))
	case !counter.ValidName(name):
		return badName(name, clientOf(c).base)
	}
	return h.send(c, name)
}

// open leads from the little form of the page to the counter it names.
func (h *pageHandler) open(c echo.Context) error {
	name := strings.ToLower(strings.TrimSpace(c.QueryParam("name")))
	if !counter.ValidName(name) {
		return badName(name, clientOf(c).base)
	}
	return c.Redirect(http.StatusSeeOther, clientOf(c).base+"/c/"+name)
}

// send answers with a counter's page.
func (h *pageHandler) send(c echo.Context, name string) error {
	who := clientOf(c)
	id := h.sign.ensure(c.Response(), c.Request(), who)
	p := h.app.CounterPage(c.Request().Context(), name)
	h.link(&p, who.base, name)
	p.Version = h.version
	p.Install = install(c, h.assets, h.named)
	p.Outcome = said(c)
	p.Socket = who.base + "/ws/c/" + name + "?t=" + h.sign.token(forSocket, id)
	p.CSRF = h.sign.token(forForm, id)
	for i := range p.Ops {
		p.Ops[i] = randomID()
	}
	html, err := h.templates.fill(c.Request().Context(), p)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return h.compressor.send(c, http.StatusOK, html)
}

// link fills in the addresses that a counter's page leads to, and loads: all are below base.
func (h *pageHandler) link(p *components.Page, base, name string) {
	p.Links = components.Links{
		Home: base + "/", Open: base + "/c", Click: base + "/c/" + name + "/",
		InBrowser: base + "/wasm/?name=" + name, InBrowserText: "Run it all in this browser",
	}
	p.Script, p.Style, p.Icon = base+h.assets.URL("app.js"), base+h.assets.URL("app.css"), base+h.assets.URL("favicon.svg")
	p.Plain, p.Renderer = base+h.assets.URL("plain.js"), h.program.renderer(base)
}

// click is a button without JavaScript: it counts and leads back to the page, which says what
// became of it. A click that comes twice has one id and counts once.
func (h *pageHandler) click(c echo.Context) error {
	name, action := c.Param("name"), c.Param("action")
	if !counter.ValidName(name) {
		return badName(name, clientOf(c).base)
	}
	who := clientOf(c)
	id, err := h.owner(c)
	if err != nil {
		return err
	}
	op, made := c.FormValue("_op"), firstSent(c.FormValue("_made"))
	if op == "" {
		op = randomID()
	}
	again, err := h.app.Click(c.Request().Context(), &visitor{h.limiter, who}, name, action, op, age(made))
	if err != nil {
		again := components.Again{To: who.base + "/c/" + name + "/" + action, CSRF: h.sign.token(forForm, id), Op: op, Made: made.Unix()}
		return h.clickProblem(err, who, again)
	}
	if again {
		leave(c, countedTwice)
	} else {
		leave(c, countedOnce)
	}
	return c.Redirect(http.StatusSeeOther, who.base+pagePath(name))
}

// owner returns the session that a form was given to, if it was this one.
func (h *pageHandler) owner(c echo.Context) (id string, err error) {
	all := h.sign.read(c.Request(), clientOf(c))
	if id, ok := h.sign.owner(all, forForm, c.FormValue("_csrf")); ok {
		return id, nil
	}
	h.refused.token.Add(1)
	if !all.sent {
		return "", problem(http.StatusForbidden, "Your browser sent no cookie",
			"This server needs one to know its own forms: nothing was counted. Allow cookies for this address, then go back "+
				"and press again. Loading the page again does not help before that.")
	}
	return "", problem(http.StatusForbidden, "This form is too old",
		"It was not accepted, and nothing was counted. Go back, where a new one is, and press again.")
}

// firstSent is when a click was sent for the first time: now, if the form does not say another
// time.
func firstSent(seconds string) time.Time {
	if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && n > 0 {
		return time.Unix(n, 0)
	}
	return time.Now()
}

// age is how long ago that was, in seconds.
func age(made time.Time) int64 { return max(0, int64(time.Since(made)/time.Second)) }

// clickProblem is the answer to a click that was not counted, or of which that is not known: then
// the same may be sent again.
func (h *pageHandler) clickProblem(err error, who client, again components.Again) error {
	var refusal *app.Refusal
	switch {
	case !errors.As(err, &refusal):
		return err
	case errors.Is(err, counter.ErrSpent):
		return spent(h.limiter.clicks.Wait(who.addr), again)
	case refusal.Retry:
		p := problem(http.StatusServiceUnavailable, "Not counted yet", notYet(err)+
			" Try again in a little while: this click counts once, however often it is sent.")
		p.again = again
		return p.after(awayWait)
	case errors.Is(err, counter.ErrNewName):
		wait := h.limiter.names.Wait(who.addr)
		return problem(http.StatusTooManyRequests, "Not counted", "The server did not make this counter: "+refusal.Reason+
			". Another can be made in "+inWords(wait)+".").after(wait)
	case errors.Is(err, counter.ErrOverflow):
		return problem(http.StatusConflict, "Not counted", "The count is at its limit: it goes no further this way.")
	}
	return problem(http.StatusBadRequest, "Not counted", "The server did not accept this: "+refusal.Reason+".")
}

// awayWait is how long a client waits that could not be served for reasons of ours: about as long
// as a broker or a store needs to come back.
const awayWait = 2 * time.Second

// notYet says why a click could not be counted at the moment.
func notYet(err error) string {
	if errors.Is(err, counter.ErrOverloaded) {
		return "There are too many clicks at the moment."
	}
	return "The count can't be saved at the moment."
}

// spent is the answer to a click of an address that has used up what a store remembers of it. When
// the click would be too old by the time that it may be sent, there is no way but a new one.
func spent(wait time.Duration, again components.Again) *problemError {
	text := "There were too many clicks from your network. Try again in " + inWords(wait)
	p := problem(http.StatusTooManyRequests, "Too many clicks", text+".")
	if time.Since(time.Unix(again.Made, 0))+wait < counter.OpLifetime {
		p.text = text + ": this click counts once, however often it is sent."
		p.again = again
	}
	return p.after(wait)
}

// pagePath is the address of a counter's page, below the base path.
func pagePath(name string) string {
	if name == lobby {
		return "/"
	}
	return "/c/" + name
}
