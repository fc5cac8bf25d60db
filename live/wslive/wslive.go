// Package wslive serves live sessions over websockets (RFC 6455) with
// coder/websocket. It moves messages between a connection and a
// live.Session and knows nothing of what they say.
package wslive

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
)

const (
	// pingEvery is how often an idle connection is checked, so that a peer
	// that vanished without a word is noticed.
	pingEvery = 25 * time.Second
	// pongWithin is how long the answer may take.
	pongWithin = 10 * time.Second
)

// Options of a Handler. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: discard
	// Origins are the patterns of other origins whose pages may connect, as
	// in websocket.AcceptOptions. A page of the own host always may; a client
	// that sends no Origin, which no browser is, may too.
	Origins []string
}

// A Handler upgrades requests to websockets and serves a session on each. It
// may be used concurrently.
type Handler struct {
	rt   *live.Runtime
	view func(*http.Request) live.View
	opts Options
}

// NewHandler returns a handler that mounts what view returns for the request.
func NewHandler(rt *live.Runtime, view func(*http.Request) live.View, opts *Options) *Handler {
	h := &Handler{rt: rt, view: view}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.Logger == nil {
		h.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return h
}

// ServeHTTP serves one tab until its connection ends. A request that is not
// an upgrade, or whose Origin is foreign, is answered with the error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if errors.Is(h.rt.Err(), live.ErrDraining) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this replica is shutting down", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns:  h.opts.Origins,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		h.opts.Logger.Debug("upgrade refused", "err", err)
		return // Accept has answered
	}
	ws.SetReadLimit(htmx.MaxEvent)

	// The request's context ends with the hijack of its connection on some
	// servers; the session's life is the connection's.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c := &conn{ws: ws}
	defer ws.CloseNow()
	s, err := h.rt.Connect(ctx, c, h.view(r))
	if err != nil {
		h.refuse(c, err)
		return
	}
	defer s.Disconnect()
	defer c.keepAlive(ctx)()
	h.read(ctx, ws, s)
}

func (h *Handler) refuse(c *conn, err error) {
	if errors.Is(err, live.ErrDraining) {
		c.Close(live.CodeRestart, "this replica is shutting down")
		return
	}
	h.opts.Logger.Error("session refused", "err", err)
	c.Close(live.CodeInternal, "this page failed")
}

// read hands messages to the session until the connection or the session
// ends.
func (h *Handler) read(ctx context.Context, ws *websocket.Conn, s *live.Session) {
	for {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return
		}
		if kind != websocket.MessageText {
			// RFC 6455 §7.4.1: 1003, a type of data that cannot be accepted.
			_ = ws.Close(websocket.StatusUnsupportedData, "text only") // it ends either way
			return
		}
		if !s.Receive(ctx, message) {
			// The session closes when it has said what it has to; until then
			// the peer's close frame is awaited here.
			h.discard(ctx, ws)
			return
		}
	}
}

func (h *Handler) discard(ctx context.Context, ws *websocket.Conn) {
	for {
		if _, _, err := ws.Read(ctx); err != nil {
			return
		}
	}
}

// conn is a live.Conn over a websocket.
type conn struct{ ws *websocket.Conn }

// Send implements live.Conn.
func (c *conn) Send(ctx context.Context, message []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, message)
}

// Close implements live.Conn: it sends the close frame and waits for the
// peer's, for 5 seconds at most (coder/websocket).
func (c *conn) Close(code live.Code, reason string) {
	_ = c.ws.Close(websocket.StatusCode(code), reason) // the peer may be gone: nobody is left to tell
}

// keepAlive pings the peer now and then and cuts the connection when no
// answer comes, until stop is called or ctx ends. Between two pings it costs a
// timer and no goroutine.
func (c *conn) keepAlive(ctx context.Context) (stop func()) {
	var t *time.Timer
	t = time.AfterFunc(pingEvery, func() {
		answer, cancel := context.WithTimeout(ctx, pongWithin)
		defer cancel()
		if err := c.ws.Ping(answer); err != nil {
			_ = c.ws.CloseNow() // the read loop sees the end
			return
		}
		t.Reset(pingEvery)
	})
	t.Reset(pingEvery) // publishes t to the function
	return func() { t.Stop() }
}
