package pubsub

import (
	"fmt"
	"runtime/debug"
	"time"
)

// guardCallbacks keeps the panics of callbacks from the goroutines of the hub.
func (h *Hub) guardCallbacks() {
	status, roundTrip := h.opts.OnStatus, h.opts.OnRoundTrip
	h.opts.OnStatus = func(err error) {
		defer h.caught("OnStatus")
		status(err)
	}
	h.opts.OnRoundTrip = func(d time.Duration) {
		defer h.caught("OnRoundTrip")
		roundTrip(d)
	}
}

// caught is deferred around a call of a callback.
func (h *Hub) caught(callback string) {
	p := recover()
	if p == nil {
		return
	}
	h.stats.handlerErrors.Add(1)
	if n := h.panics.add(time.Now()); n > 0 {
		h.log.Error("callback failed", "callback", callback, "times", n, "err", fmt.Errorf("panic: %v", p), "stack", string(debug.Stack()))
	}
}
