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
	refused *refusals
}

func newSocketHandler(a *app.App, sign signer, l *limiter, refused *refusals, log *slog.Logger) *socketHandler {
	ws := wslive.NewHandler(a.Runtime(), viewOf, &wslive.Options{
		Logger: log, PingInterval: l.limits.PingInterval, PongTimeout: l.limits.PongTimeout,
	})
	return &socketHandler{Handler: ws, app: a, sign: sign, limiter: l, refused: refused}
}

// serve serves the websocket of the counter in the path.
func (h *socketHandler) serve(c echo.Context) error {
	name := c.Param("name")
	if !counter.ValidName(name) {
		return errBadName
	}
	who := clientOf(c)
	if err := h.ticket(c, who); err != nil {
		return err
	}
	if err := h.limiter.admit(c, who); err != nil {
		return err
	}
	// A copy: the name is a part of the request, which would live as long as the tab.
	v := &limitedView{View: h.app.Counter(strings.Clone(name)), limiter: h.limiter, who: who, counts: h.limiter.sockets}
	r := c.Request()
	h.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
	if !v.mounted {
		v.leave() // it did not come to that
	}
	return nil
}

// ticket refuses a socket with a session that the page did not give it for: only a page of this
// session knows the token. It stands behind the check of Origin, for the day when a proxy or a
// browser gets that wrong. A client without a session has nothing that could be abused.
func (h *socketHandler) ticket(c echo.Context, who client) error {
	cookie, ok, sent := h.sign.read(c.Request(), who)
	if !sent || ok && h.sign.validToken(forSocket, cookie.id, c.QueryParam("t")) {
		return nil
	}
	h.refused.token.Add(1)
	return problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
}

// viewKey is where serve puts the view for wslive.
type viewKey struct{}

func viewOf(r *http.Request) live.View {
	v, _ := r.Context().Value(viewKey{}).(*limitedView) // it is there
	return v
}
