package pubsub

import (
	"sync/atomic"
	"time"

	"lockstep/histogram"
)

// Stats is a snapshot of what a hub has done since it was made.
type Stats struct {
	Published     uint64        // broadcasts that the broker has taken
	Received      uint64        // messages from the broker, heartbeats not counted
	HandlerErrors uint64        // calls of handlers that failed or panicked
	Overflows     uint64        // full queues of sessions
	Gaps          uint64        // Gap messages to handlers
	Forged        uint64        // messages dropped because they had no valid signature
	Reconnects    uint64        // connections after the first
	RoundTrip     time.Duration // of the last heartbeat that came back
	Topics        int           // with handlers now
	Sessions      int           // with handlers now
	Subscriptions int           // handlers now
}

// Times are how long things have taken.
type Times struct {
	Publishing histogram.Counts // calls of the driver's Publish for broadcasts that the broker has taken
	Handling   histogram.Counts // calls of handlers, also those that have failed
	RoundTrips histogram.Counts // of heartbeats that came back
}

// Times returns how long things have taken so far. It may be called concurrently.
func (h *Hub) Times() Times {
	return Times{h.times.publishing.Counts(), h.times.handling.Counts(), h.times.roundTrips.Counts()}
}

type times struct{ publishing, handling, roundTrips histogram.Durations }

type counters struct {
	published, received, handlerErrors, overflows, gaps, forged, reconnects atomic.Uint64
	roundTrip                                                               atomic.Int64
}

// Stats returns a snapshot of the hub's counters. It looks at every topic: it
// is for metrics, not for each message.
func (h *Hub) Stats() Stats {
	s := Stats{
		Published: h.stats.published.Load(), Received: h.stats.received.Load(),
		HandlerErrors: h.stats.handlerErrors.Load(), Overflows: h.stats.overflows.Load(), Gaps: h.stats.gaps.Load(),
		Forged:     h.stats.forged.Load(),
		Reconnects: h.stats.reconnects.Load(), RoundTrip: time.Duration(h.stats.roundTrip.Load()),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		s.Subscriptions += len(t.subs)
		s.Topics += min(len(t.subs), 1)
	}
	for _, b := range h.boxes {
		s.Sessions += min(len(b.subs), 1)
	}
	return s
}
