package web

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"lockstep/app"
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

// serve serves the websocket of a page.
func (h *socketHandler) serve(c echo.Context) error {
	who := clientOf(c)
	if c.Request().Header.Get("Upgrade") == "" {
		if p := h.origins.explain(c.Request(), who); p != nil {
			c.Response().Header().Set(problemHeader, p.text)
			return p
		}
	}
	v, err := h.view(c)
	if err != nil {
		return err
	}
	if err := h.limiter.admit(c, who); err != nil {
		return err
	}
	serveView(h, c, v)
	return nil
}

// serveView has a transport serve a view, which has been counted.
func serveView(h http.Handler, c echo.Context, v *limitedView) {
	r := c.Request()
	h.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
	if !v.mounted {
		v.leave() // it did not come to that
	}
}

// viewKey is where serve puts the view for wslive.
type viewKey struct{}

func viewOf(r *http.Request) live.View { return viewFor(r) }

func viewFor(r *http.Request) *limitedView {
	v, _ := r.Context().Value(viewKey{}).(*limitedView) // it is there
	return v
}
