package serve

import (
	"context"
	"net/http"

	"lockstep"
	"lockstep/live"
	"lockstep/live/wslive"
)

// A socketHandler serves the websockets of one replica, to the pages that it gave them to.
type socketHandler struct {
	*wslive.Handler
	app     *lockstep.App
	sign    signer
	users   users
	limiter *limiter
	origins *origins
	refused *refusals
}

func newSocketHandler(a *lockstep.App, sign signer, us users, l *limiter, from *origins, refused *refusals, o *Options) *socketHandler {
	ws := wslive.NewHandler(a.Runtime(), viewOf, &wslive.Options{
		Logger: o.Logger, Plain: o.PlainSockets, PingInterval: l.limits.PingInterval, PongTimeout: l.limits.PongTimeout,
		Allow: func(r *http.Request) bool { return from.allow(r, viewFor(r).who) },
	})
	return &socketHandler{Handler: ws, app: a, sign: sign, users: us, limiter: l, origins: from, refused: refused}
}

// serve serves the websocket of a page.
func (h *socketHandler) serve(w http.ResponseWriter, r *http.Request) error {
	who := clientOf(r)
	if r.Header.Get("Upgrade") == "" {
		if p := h.origins.explain(r, who); p != nil {
			w.Header().Set(problemHeader, p.Text)
			return p
		}
	}
	v, err := h.view(r)
	if err != nil {
		return err
	}
	if err := h.limiter.admit(who); err != nil {
		return err
	}
	serveView(h, w, r, v)
	return nil
}

// serveView has a transport serve a view, which has been counted.
func serveView(h http.Handler, w http.ResponseWriter, r *http.Request, v *limitedView) {
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
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
