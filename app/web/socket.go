package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/counter"
	"lockstep/live"
	"lockstep/live/wslive"
)

// A socketHandler serves the websockets of one replica, to the pages that it gave them to.
type socketHandler struct {
	*wslive.Handler
	app     *app.App
	sign    signer
	limiter *limiter
	origins *origins
	refused *refusals
}

func newSocketHandler(a *app.App, sign signer, l *limiter, from *origins, refused *refusals, log *slog.Logger) *socketHandler {
	ws := wslive.NewHandler(a.Runtime(), viewOf, &wslive.Options{
		Logger: log, PingInterval: l.limits.PingInterval, PongTimeout: l.limits.PongTimeout,
		Allow: func(r *http.Request) bool { return from.allow(r, viewFor(r).who) },
	})
	return &socketHandler{Handler: ws, app: a, sign: sign, limiter: l, origins: from, refused: refused}
}

// serve serves the websocket of the counter in the path.
func (h *socketHandler) serve(c echo.Context) error {
	name := c.Param("name")
	if !counter.ValidName(name) {
		return badName(name, clientOf(c).base)
	}
	who := clientOf(c)
	if c.Request().Header.Get("Upgrade") == "" {
		if p := h.origins.explain(c.Request(), who); p != nil {
			c.Response().Header().Set(problemHeader, p.text)
			return p
		}
	}
	if err := h.ticket(c, who); err != nil {
		return err
	}
	if err := h.limiter.admit(c, who); err != nil {
		return err
	}
	v := &limitedView{visitor: visitor{h.limiter, who}, counts: h.limiter.sockets}
	// A copy: the name is a part of the request, which would live as long as the tab.
	v.View = h.app.CounterFor(v, strings.Clone(name))
	r := c.Request()
	h.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
	if !v.mounted {
		v.leave() // it did not come to that
	}
	return nil
}

// ticket refuses a socket of a browser that was not given its address: only a page of one of its
// sessions knows the token. It stands behind the check of Origin, for the day when a proxy or a
// browser gets that wrong. A client without a session has nothing that could be abused.
func (h *socketHandler) ticket(c echo.Context, who client) error {
	all := h.sign.read(c.Request(), who)
	if _, ok := h.sign.owner(all, forSocket, c.QueryParam("t")); ok || !all.sent {
		return nil
	}
	h.refused.token.Add(1)
	return problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
}

// viewKey is where serve puts the view for wslive.
type viewKey struct{}

func viewOf(r *http.Request) live.View { return viewFor(r) }

func viewFor(r *http.Request) *limitedView {
	v, _ := r.Context().Value(viewKey{}).(*limitedView) // it is there
	return v
}
