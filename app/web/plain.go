package web

import (
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/counter"
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

// serve serves one request of a tab of the counter in the path.
func (h *plainHandler) serve(c echo.Context) error {
	name := c.Param("name")
	if !counter.ValidName(name) {
		return badName(name, clientOf(c).base)
	}
	who := clientOf(c)
	if err := h.sockets.ticket(c, who); err != nil {
		return err
	}
	limiter, stream := h.sockets.limiter, httplive.IsStream(c.Request())
	counts := h.exchanges
	if stream {
		counts = limiter.sockets
	}
	if err := limiter.admitTo(counts, c, who); err != nil {
		return err
	}
	v := &limitedView{visitor: visitor{limiter, who}, counts: counts, passing: !stream}
	v.View = h.sockets.app.CounterFor(v, strings.Clone(name))
	r := c.Request()
	h.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), viewKey{}, v)))
	if !v.mounted {
		v.leave() // it did not come to that
	}
	return nil
}
