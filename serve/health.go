package serve

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"lockstep/live"
)

// Addresses of probes: of orchestrators and balancers that ask how the server is.
const (
	livePath  = "/healthz"
	readyPath = "/readyz"
	// staysPath is for balancers that check replicas by themselves. A broker or a store that is away
	// is away for all of them: such a balancer would take them all out, and people would see its
	// error in place of our pages. It is a path because not all of them send a query.
	staysPath = "/readyz/draining"
)

// isProbe reports whether a request asks how the server is, and nothing else.
func isProbe(r *http.Request) bool { return isProbePath(r.URL.Path) }

func isProbePath(path string) bool { return path == livePath || path == readyPath || path == staysPath }

// alive answers as long as the process does.
func alive(w http.ResponseWriter, _ *http.Request) error { return sendText(w, http.StatusOK, "ok\n") }

const (
	// readyTimeout bounds what /readyz asks the store: an orchestrator's probe waits for a second.
	readyTimeout = 800 * time.Millisecond
	// readyFor is how long an answer of a readiness holds.
	readyFor = 100 * time.Millisecond
)

// A readiness asks once for all probes that come at about the same time: they are not limited, and
// each would cost a read of the store. It may be used concurrently.
type readiness struct {
	// set once
	ask   func(context.Context) error
	state func() error // what is known without asking

	mu    sync.Mutex // guards the rest, and has others wait for the answer
	until time.Time
	err   error
}

// serve tells a balancer whether to send tabs here, and people why not.
func (rd *readiness) serve(w http.ResponseWriter, r *http.Request) error {
	return sendReady(w, rd.check(r.Context()))
}

// stays is serve for a replica of which nothing matters but that it is not going away.
func (rd *readiness) stays(w http.ResponseWriter, _ *http.Request) error {
	if err := rd.state(); errors.Is(err, live.ErrDraining) {
		return sendReady(w, live.ErrDraining)
	}
	return sendReady(w, nil)
}

// sendReady answers with why a server is not ready; nil: it is.
func sendReady(w http.ResponseWriter, err error) error {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		return sendText(w, http.StatusServiceUnavailable, "not ready\n"+err.Error()+"\n")
	}
	return sendText(w, http.StatusOK, "ready\n")
}

// check returns why the server is not ready, or nil.
func (rd *readiness) check(ctx context.Context) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	if time.Now().Before(rd.until) {
		return rd.err
	}
	// The answer is for the others too: it must come even when this one has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	rd.err = rd.ask(ctx)
	rd.until = time.Now().Add(readyFor)
	return rd.err
}
