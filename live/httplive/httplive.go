// Package httplive serves live sessions over plain HTTP, to tabs whose network
// has no websockets: what a tab sends comes by POST, what it is shown leaves as
// an event stream (HTML standard, §9.2). It moves messages between requests and
// live.Sessions and knows nothing of what they say.
//
// Each request is a session of its own, so any replica may have it: nothing
// ties the requests of a tab to one. A stream stays and shows what changes. An
// exchange, which is every other request, has its messages handled, and answers
// with what its rooms show and then with the acknowledgements: with the same
// guarantees, in the same order, as a socket that is opened for them.
//
// docs/protocol.md has the wire.
package httplive

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/htmx"
	"lockstep/live"
)

const (
	// MaxBody is the longest body of a request, in bytes: 200 ops of a page have
	// 20 KB.
	MaxBody = 64 << 10
	// MaxMessages is how many messages a request may have. A session takes more,
	// so none of them waits for another to be answered.
	MaxMessages = 256
	// MessagesHeader has messages of a request that needs no body for them. A Go
	// proxy may cut off the answer to a request that has one, if the answer begins
	// while the proxy still looks whether the body has ended: net/http closes it
	// then, the read fails, and with it the connection to the server. It happens to
	// one stream in fifty, and to answers of more than a few KB. Without a body
	// there is nothing to look for.
	MessagesHeader = "Lockstep-Messages"
)

// Options of a Handler. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Allow reports whether the page that sends a request may connect, by its
	// Origin. It may be called concurrently. Nil: every page may, so a server that
	// knows its visitors by cookies must have one.
	Allow func(*http.Request) bool
	// StreamTime is how long a stream may last. Then the tab opens the next: so
	// one whose peer has gone without a word ends, too. Default 5 min.
	StreamTime time.Duration
	// AnswerTime is how long an exchange may take once its messages have come, for
	// which http.Server.ReadTimeout is the limit. Default 10 s.
	AnswerTime time.Duration
}

// A Handler serves a session for each request. It may be used concurrently.
type Handler struct {
	// set once
	rt     *live.Runtime
	view   func(*http.Request) live.View
	opts   Options
	wire   *live.Wire
	ctx    context.Context
	cancel context.CancelFunc

	streams            atomic.Int64
	exchanges, foreign atomic.Uint64

	mu      sync.Mutex // guards the rest
	closed  bool
	running sync.WaitGroup // requests, and the goroutines that receive; Add only under mu while not closed
}

// Stats is what a Handler has now, and has done since it was made.
type Stats struct {
	Streams   int    // open now
	Exchanges uint64 // served
	Foreign   uint64 // requests refused because of their Origin
}

// NewHandler returns a handler that mounts what view returns for the request,
// which view must not keep.
func NewHandler(rt *live.Runtime, view func(*http.Request) live.View, opts *Options) *Handler {
	h := &Handler{rt: rt, view: view, wire: &live.Wire{Encode: encode}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if opts != nil {
		h.opts = *opts
	}
	h.opts.StreamTime = cmp.Or(h.opts.StreamTime, 5*time.Minute)
	h.opts.AnswerTime = cmp.Or(h.opts.AnswerTime, htmx.ExchangeTimeout)
	if h.opts.Allow == nil {
		h.opts.Allow = func(*http.Request) bool { return true }
	}
	if h.opts.Logger == nil {
		h.opts.Logger = slog.Default()
	}
	return h
}

// Stats returns a snapshot of the handler's counters.
func (h *Handler) Stats() Stats {
	return Stats{Streams: int(h.streams.Load()), Exchanges: h.exchanges.Load(), Foreign: h.foreign.Load()}
}

// Close ends the requests that are left and waits for them. Drain and stop the
// runtime before. Closing twice is harmless.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.running.Wait()
}

// IsStream reports whether a request asks for a stream, and not for an exchange.
func IsStream(r *http.Request) bool { return r.URL.Query().Get("stream") == "1" }

// ServeHTTP serves one request of a tab, and returns at its end. One that is no
// POST, whose Origin is foreign or whose body is too large is answered with the
// error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this replica is shutting down", http.StatusServiceUnavailable)
		return
	}
	defer h.running.Done()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "messages come by POST", http.StatusMethodNotAllowed)
		return
	}
	if !h.opts.Allow(r) {
		h.foreign.Add(1)
		h.opts.Logger.Debug("request refused", "err", "a foreign origin")
		http.Error(w, "a page of another origin can't connect", http.StatusForbidden)
		return
	}
	messages, err := read(w, r)
	if err != nil {
		h.opts.Logger.Debug("request refused", "err", err)
		http.Error(w, "the messages are too many, or not whole", status(err))
		return
	}
	h.serve(w, r, messages)
}

// begin counts a request that Close waits for. It reports false when the replica
// takes no tabs any more.
func (h *Handler) begin() bool {
	if errors.Is(h.rt.Err(), live.ErrDraining) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.running.Add(1)
	}
	return !h.closed
}

// serve makes the session of a request and writes what it is sent, until it has
// ended.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, messages [][]byte) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(errStopped) })()

	c := &conn{wire: h.wire, out: w, control: http.NewResponseController(w), wake: make(chan struct{}, 1), whole: !IsStream(r)}
	stream, limit, late := !c.whole, h.opts.AnswerTime, live.ReasonUnanswered
	if stream {
		limit, late = h.opts.StreamTime, live.ReasonRenewed
		h.streams.Add(1)
		defer h.streams.Add(-1)
	} else {
		h.exchanges.Add(1)
	}
	defer time.AfterFunc(limit, func() { c.end(late) }).Stop()

	c.begin()
	var receiving sync.WaitGroup
	receiving.Go(func() { h.receive(ctx, c, live.Viewed(func() live.View { return h.view(r) }), messages, stream) })
	why := c.write(ctx)
	cancel(nil)
	c.disconnect(why)
	receiving.Wait()
	c.disconnect(why) // of a session that came late
}

// receive connects the session and hands it the messages. What it is shown
// meanwhile is written by the goroutine of the request. A view that mounts is
// not ended by a tab that has gone: that would be a fault of the view.
func (h *Handler) receive(ctx context.Context, c *conn, view live.View, messages [][]byte, stream bool) {
	s, err := h.rt.Connect(h.ctx, c, view)
	if err != nil {
		return // the runtime has closed c
	}
	for _, m := range messages {
		if why := check(m); why != 0 {
			c.end(why)
			return
		}
		if !s.Receive(ctx, m) {
			return
		}
	}
	if !stream {
		s.Finish()
	}
}
