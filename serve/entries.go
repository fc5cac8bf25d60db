package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/internal/limit"
)

// How logs are read by clients that are no pages (docs/logs.md).
const (
	maxReaders   = 10_000           // requests at a time, in all: an answer takes 64 KB or so
	maxLogs      = 100              // logs that an address reads at a time: each costs reads of the store
	longestWait  = time.Minute      // of one request
	durableWait  = 20 * time.Second // of one that can't say how long
	eventsSilent = 15 * time.Second // then a stream says that it is alive
	eventsRetry  = time.Second      // when a client that has lost a stream comes again
)

// An entriesHandler serves the entries of logs, as they come: to programs, and to browsers
// that run none of our scripts.
type entriesHandler struct {
	app     *lockstep.App
	readers *limit.Counts // requests that are not answered to the end
	logs    readLogs      // of them
	limiter *limiter
	log     *slog.Logger
}

func newEntriesHandler(a *lockstep.App, l *limiter, log *slog.Logger) *entriesHandler {
	return &entriesHandler{
		app: a, limiter: l, log: log, readers: limit.NewCounts(maxReaders, l.limits.SocketsPerAddr, l.limits.Exempt),
	}
}

// serve answers with entries of a topic's log, in one of three forms.
func (h *entriesHandler) serve(w http.ResponseWriter, r *http.Request, topic string) error {
	w.Header().Set("Cache-Control", "no-store") // an answer is of one moment
	if !h.app.HasTopic(topic) {
		return h.fail(w, http.StatusNotFound, "there is no such log")
	}
	leave, err := h.admit(r, topic)
	if err != nil {
		return h.failed(w, r, err)
	}
	defer leave()
	switch q := r.URL.Query(); {
	case r.Method == http.MethodHead, q.Has("offset"), q.Has("live"):
		return h.durable(w, r, topic)
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		return h.events(w, r, topic)
	}
	return h.part(w, r, topic)
}

// An entriesAnswer is a part of a log as JSON.
type entriesAnswer struct {
	Epoch   uint64            `json:"epoch"`
	First   uint64            `json:"first"`
	Next    string            `json:"next"` // for after
	Gap     bool              `json:"gap,omitempty"`
	End     bool              `json:"end,omitempty"`
	Entries []json.RawMessage `json:"entries"`
}

// part answers with what is behind a place, now or after a while.
func (h *entriesHandler) part(w http.ResponseWriter, r *http.Request, topic string) error {
	after, err := h.place(r, topic, r.URL.Query().Get("after"))
	if err != nil {
		return h.failed(w, r, err)
	}
	most, wait := lockstep.MaxPart, time.Duration(0)
	if s := r.URL.Query().Get("most"); s != "" {
		if most, err = strconv.Atoi(s); err != nil || most < 1 {
			return h.fail(w, http.StatusBadRequest, "most is a number from 1")
		}
	}
	if s := r.URL.Query().Get("wait"); s != "" {
		if wait, err = time.ParseDuration(s); err != nil || wait < 0 {
			return h.fail(w, http.StatusBadRequest, "wait is a time like 20s")
		}
	}
	p, err := h.app.Entries(r.Context(), topic, after, most, min(wait, longestWait))
	if err != nil {
		return h.failed(w, r, err)
	}
	return sendJSON(w, http.StatusOK, entriesAnswer{
		Epoch: p.Epoch, First: p.First, Next: tokenOf(p.Next()), Gap: p.Gap, End: p.End, Entries: numbered(p),
	})
}

// A readLogs is which logs each address reads. The zero value is none. Its methods may be called
// concurrently.
type readLogs struct {
	mu sync.Mutex // guards by
	by map[netip.Addr]map[string]int
}

// add counts a reader of a log, and reports false where there are too many logs.
func (l *readLogs) add(addr netip.Addr, topic string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	logs := l.by[addr]
	switch {
	case l.by == nil:
		l.by = make(map[netip.Addr]map[string]int)
		fallthrough
	case logs == nil:
		logs = make(map[string]int, 1)
		l.by[addr] = logs
	case logs[topic] == 0 && len(logs) >= maxLogs:
		return false
	}
	logs[topic]++
	return true
}

func (l *readLogs) done(addr netip.Addr, topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	logs := l.by[addr]
	if logs[topic]--; logs[topic] == 0 {
		delete(logs, topic)
	}
	if len(logs) == 0 {
		delete(l.by, addr)
	}
}

// admit counts a reader of a log, until leave is called.
func (h *entriesHandler) admit(r *http.Request, topic string) (leave func(), err error) {
	addr := clientOf(r).addr
	if err := h.readers.Add(addr); err != nil {
		if errors.Is(err, limit.ErrTotal) {
			h.limiter.refused.sockets.Add(1)
			return nil, &entriesError{http.StatusServiceUnavailable, "this server has as many readers as it may have"}
		}
		h.limiter.refused.socketsOfAddr.Add(1)
		return nil, &entriesError{http.StatusTooManyRequests, "there are as many readers from your address as this server allows"}
	}
	if !addr.IsValid() || limit.Contains(h.limiter.limits.Exempt, addr) {
		return func() { h.readers.Done(addr) }, nil
	}
	key := limit.Key(addr)
	if !h.logs.add(key, topic) {
		h.readers.Done(addr)
		h.limiter.refused.socketsOfAddr.Add(1)
		return nil, &entriesError{http.StatusTooManyRequests, "as many logs are read from your address as this server allows"}
	}
	return func() { h.logs.done(key, topic); h.readers.Done(addr) }, nil
}

// An entriesError is an answer.
type entriesError struct {
	status int
	text   string
}

// Error implements error.
func (e *entriesError) Error() string { return e.text }

var errPlace = &entriesError{http.StatusBadRequest, "this can't be a place in a log"}

// place reads what a client says of how far it has come: a number, or what tokenOf has made;
// "" and -1 are the beginning, and now is the end.
func (h *entriesHandler) place(r *http.Request, topic, said string) (p lockstep.Place, err error) {
	switch said {
	case "", "-1":
		return lockstep.Place{}, nil
	case "now":
		return h.app.EndOf(r.Context(), topic)
	}
	if n, err := strconv.ParseUint(said, 10, 64); err == nil && len(said) < tokenLen {
		return lockstep.Place{N: n}, nil
	}
	if len(said) != tokenLen || said[16] != '_' {
		return p, errPlace
	}
	if p.Epoch, err = strconv.ParseUint(said[:16], 16, 64); err != nil {
		return p, errPlace
	}
	if p.N, err = strconv.ParseUint(said[17:], 16, 64); err != nil {
		return p, errPlace
	}
	return p, nil
}

const tokenLen = 16 + 1 + 16

// tokenOf is a place as text. Texts are ordered as places are.
func tokenOf(p lockstep.Place) string { return fmt.Sprintf("%016x_%016x", p.Epoch, p.N) }

// numbered are the entries of a part as JSON, each with its number, on one line.
func numbered(p lockstep.Part) []json.RawMessage {
	all := make([]json.RawMessage, len(p.Raw))
	for i, raw := range p.Raw {
		n := strconv.AppendUint([]byte(`{"n":`), p.First+uint64(i), 10)
		var b bytes.Buffer
		if len(raw) < 3 || raw[0] != '{' || json.Compact(&b, raw) != nil {
			all[i] = append(n, `,"unreadable":true}`...) // of a later version of the program
			continue
		}
		all[i] = append(append(n, ','), b.Bytes()[1:]...)
	}
	return all
}

// events answers with a stream of events, one for each entry. A browser that has lost it
// comes again and says which was the last.
func (h *entriesHandler) events(w http.ResponseWriter, r *http.Request, topic string) error {
	said := r.Header.Get("Last-Event-ID")
	if said == "" {
		said = r.URL.Query().Get("after")
	}
	after, err := h.place(r, topic, said)
	if err != nil {
		return h.failed(w, r, err)
	}
	return h.stream(w, r, topic, after, false, func(b *bytes.Buffer, p lockstep.Part) {
		if p.Gap {
			fmt.Fprintf(b, "event: gap\ndata: {\"epoch\":%d,\"first\":%d}\n\n", p.Epoch, p.First)
		}
		for i, e := range numbered(p) {
			fmt.Fprintf(b, "id: %s\ndata: %s\n\n", tokenOf(lockstep.Place{Epoch: p.Epoch, N: p.First + uint64(i)}), e)
		}
	})
}

// stream sends what is behind a place, part after part, as long as the client takes it.
// closes: a gap ends it.
func (h *entriesHandler) stream(w http.ResponseWriter, r *http.Request, topic string, after lockstep.Place, closes bool, write func(b *bytes.Buffer, p lockstep.Part)) error {
	ctx := r.Context()
	part, err := h.app.Entries(ctx, topic, after, lockstep.MaxPart, 0) // an error is an answer yet
	if err == nil && part.Gap && closes {
		err = errGone
	}
	if err != nil {
		return h.failed(w, r, err)
	}
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store, no-transform") // a proxy that compresses holds back what comes
	head.Set("X-Accel-Buffering", "no")                 // nginx
	b := bytes.NewBufferString(fmt.Sprintf("retry: %d\n\n", eventsRetry.Milliseconds()))
	for {
		write(b, part)
		if b.Len() == 0 {
			b.WriteString(":\n\n")
		}
		if _, err := w.Write(b.Bytes()); err != nil {
			return nil // the client has gone, or takes nothing
		}
		_ = http.NewResponseController(w).Flush() // what can't be flushed is sent when it is full
		b.Reset()
		next, err := h.app.Entries(ctx, topic, part.Next(), lockstep.MaxPart, eventsSilent)
		if err != nil || next.Gap && closes {
			return h.over(ctx, topic, err)
		}
		part = next
	}
}

// over ends a stream whose head is sent: the client comes again, and is told then.
func (h *entriesHandler) over(ctx context.Context, topic string, err error) error {
	if err != nil && ctx.Err() == nil {
		h.log.Debug("a stream of entries ends", "topic", topic, "err", err)
	}
	return nil
}

// failed answers with an error.
func (h *entriesHandler) failed(w http.ResponseWriter, r *http.Request, err error) error {
	var known *entriesError
	switch {
	case r.Context().Err() != nil:
		return nil // nobody is there to read it
	case errors.As(err, &known):
		return h.fail(w, known.status, known.text)
	case errors.Is(err, lockstep.ErrNoTopic), errors.Is(err, lockstep.ErrNoLog):
		return h.fail(w, http.StatusNotFound, "there is no such log")
	}
	h.log.Debug("entries can't be read", "err", err)
	return h.fail(w, http.StatusServiceUnavailable, "this can't be read at the moment")
}

// fail answers with a status and why.
func (h *entriesHandler) fail(w http.ResponseWriter, status int, text string) error {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(awayWait), 10))
	}
	return sendJSON(w, status, map[string]string{"error": text})
}
