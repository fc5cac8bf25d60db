package serve

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// leastBusy is the http.RoundTripper that sends a request, or a websocket for as long as it lives,
// to the replica with the fewest. It passes over a replica that can't be reached, and for requests
// that change nothing, as pages and sockets are, also one that fails, says that it is going away,
// or says nothing. One that could not be reached or said nothing is asked last for a while.
type leastBusy struct {
	// set once
	patience time.Duration // how long a replica may say nothing if there is another to ask
	pause    time.Duration // for which it is asked last then

	targets []*target
	kept    *http.Transport // for what may be repeated
	// fresh makes a connection for each request: a form that meets the end of an idle one may have
	// been counted, and can't be sent again.
	fresh *http.Transport

	mu   sync.Mutex
	next int // where the search for the least busy begins: ties go round
}

// A target is one replica's address and how many requests it has.
type target struct {
	addr   string
	active atomic.Int64
	doubt  atomic.Pointer[time.Time] // until then it is asked last; nil: it has answered
}

// errSilent ends a try.
var errSilent = errors.New("serve: the replica says nothing")

func newLeastBusy(addrs []string) *leastBusy {
	b := &leastBusy{patience: 5 * time.Second, pause: 2 * time.Second, kept: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true, // pass on what the browser and the replica agreed on
	}}
	b.fresh = b.kept.Clone()
	b.fresh.DisableKeepAlives = true
	for _, a := range addrs {
		b.targets = append(b.targets, &target{addr: a})
	}
	return b
}

// RoundTrip implements http.RoundTripper.
func (b *leastBusy) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	order := b.order(time.Now())
	for i, t := range order {
		if resp != nil {
			_ = resp.Body.Close() // of one that is going away
		}
		var patience time.Duration // for ever
		if repeatable(r) && i+1 < len(order) {
			patience = b.patience
		}
		resp, err = b.try(r, t, patience)
		if !passOver(r, resp, err) {
			break
		}
	}
	return resp, err
}

// try sends a request to one replica, and waits for its answer as long as patience; 0: for ever.
func (b *leastBusy) try(r *http.Request, t *target, patience time.Duration) (*http.Response, error) {
	ctx, stop := context.WithCancelCause(r.Context())
	answered := func() bool { return true }
	if patience > 0 {
		answered = time.AfterFunc(patience, func() { stop(errSilent) }).Stop
	}
	try := r.Clone(ctx)
	try.URL.Host = t.addr
	if r.Body != nil {
		try.Body = io.NopCloser(r.Body) // the transport closes it even when it could not connect
	}
	transport := b.fresh
	if repeatable(r) {
		transport = b.kept
	}
	t.asked(b.pause)
	t.active.Add(1)
	resp, err := transport.RoundTrip(try)
	if !answered() && err == nil { // it has come this moment, and can't be read any more
		_ = resp.Body.Close() // the same
		err = errSilent
	}
	if err != nil {
		t.active.Add(-1)
		if neverSent(err) || errors.Is(context.Cause(ctx), errSilent) {
			t.failed(b.pause)
		}
		stop(err)
		return nil, err
	}
	t.doubt.Store(nil)
	resp.Body = t.release(resp.Body, stop)
	return resp, nil
}

// failed has the target be asked last for a while.
func (t *target) failed(pause time.Duration) {
	until := time.Now().Add(pause)
	t.doubt.Store(&until)
}

// asked has one request alone find out whether a target answers again.
func (t *target) asked(pause time.Duration) {
	if t.doubt.Load() != nil {
		t.failed(pause)
	}
}

// passOver reports whether the next replica may be asked: nothing was done by
// the last, or nothing that matters. A browser that has gone gets no other.
func passOver(r *http.Request, resp *http.Response, err error) bool {
	if err != nil {
		return neverSent(err) || repeatable(r) && r.Context().Err() == nil
	}
	return repeatable(r) && resp.StatusCode == http.StatusServiceUnavailable
}

// repeatable reports whether a request changes nothing, and can be sent again.
func repeatable(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
}

// order returns the targets, least busy first, and after them those in doubt.
func (b *leastBusy) order(now time.Time) []*target {
	b.mu.Lock()
	first := b.next
	b.next = (b.next + 1) % len(b.targets)
	b.mu.Unlock()
	ts := append(slices.Clone(b.targets[first:]), b.targets[:first]...)
	busy := make(map[*target]int64, len(ts))
	for _, t := range ts {
		busy[t] = t.active.Load() // one reading each: sorting needs a stable order
		if until := t.doubt.Load(); until != nil && now.Before(*until) {
			busy[t] += math.MaxInt32
		}
	}
	slices.SortStableFunc(ts, func(x, y *target) int { return int(busy[x] - busy[y]) })
	return ts
}

// neverSent reports whether a connection was never made, so that nothing was sent.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// release counts a response, or an upgraded connection, until it is closed.
func (t *target) release(body io.ReadCloser, stop context.CancelCauseFunc) io.ReadCloser {
	done := sync.OnceFunc(func() {
		t.active.Add(-1)
		stop(nil)
	})
	if rwc, ok := body.(io.ReadWriteCloser); ok { // 101: the proxy writes to it too
		return &countedConn{rwc, done}
	}
	return &countedBody{body, done}
}

type countedBody struct {
	io.ReadCloser
	done func()
}

// Close implements io.Closer.
func (c *countedBody) Close() error { defer c.done(); return c.ReadCloser.Close() }

type countedConn struct {
	io.ReadWriteCloser
	done func()
}

// Close implements io.Closer.
func (c *countedConn) Close() error { defer c.done(); return c.ReadWriteCloser.Close() }
