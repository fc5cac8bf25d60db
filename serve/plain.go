package serve

import (
	"log/slog"
	"net/http"

	"lockstep/internal/limit"
	"lockstep/live/httplive"
)

// A plainHandler serves tabs whose network has no websockets, at the address of their socket: to
// the same pages, behind the same checks.
type plainHandler struct {
	*httplive.Handler
	sockets *socketHandler
	// exchanges are the requests that are served now, streams not included: those are counted with
	// the sockets, and where there is no room for one more of these, there still must be room for
	// the clicks of those that are there.
	exchanges *limit.Counts
}

func newPlainHandler(sockets *socketHandler, log *slog.Logger) *plainHandler {
	l := sockets.limiter.limits
	return &plainHandler{
		Handler: httplive.NewHandler(sockets.app.Runtime(), viewOf, &httplive.Options{
			Logger: log, Allow: func(r *http.Request) bool { return sockets.origins.allow(r, viewFor(r).who) },
		}),
		sockets: sockets, exchanges: limit.NewCounts(l.Sockets, l.SocketsPerAddr, l.Exempt),
	}
}

// serve serves one request of a tab.
func (h *plainHandler) serve(w http.ResponseWriter, r *http.Request) error {
	v, err := h.sockets.view(r)
	if err != nil {
		return err
	}
	if v.passing = !httplive.IsStream(r); v.passing {
		v.counts = h.exchanges
	}
	if err := h.sockets.limiter.admitTo(v.counts, v.who); err != nil {
		return err
	}
	serveView(h, w, r, v)
	return nil
}
