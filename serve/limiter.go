package serve

import (
	"errors"
	"net/http"
	"time"

	"lockstep/internal/limit"
)

const (
	// clicksWindow is the time in which an address may make ClicksPerAddr ops.
	clicksWindow = 15 * time.Minute
	// makingWindow is the time in which an address may make NamesPerAddr topics and
	// LanesPerAddr lanes, and begin UploadsPerAddr files.
	makingWindow = 24 * time.Hour
)

// tabsWait is how long a tab waits that there is no room for: nobody knows when another goes.
const tabsWait = 5 * time.Second

// A limiter holds the clients of one server to its limits. It may be used concurrently.
type limiter struct {
	limits   Limits
	requests *limit.Rates
	messages *limit.Rates
	clicks   *limit.Rates
	names    *limit.Rates // of new topics
	lanes    *limit.Rates // new ones
	uploads  *limit.Rates // new ones
	sockets  *limit.Counts
	refused  *refusals
}

func newLimiter(l Limits, refused *refusals) *limiter {
	return &limiter{
		limits:   l,
		requests: limit.NewRates(l.RequestRate, l.RequestBurst, l.Exempt),
		messages: limit.NewRates(l.AddrRate, l.AddrBurst, l.Exempt),
		clicks:   limit.NewBudget(l.ClicksPerAddr, clicksWindow, l.Exempt),
		names:    limit.NewBudget(l.NamesPerAddr, makingWindow, l.Exempt),
		lanes:    limit.NewBudget(l.LanesPerAddr, makingWindow, l.Exempt),
		uploads:  limit.NewBudget(l.UploadsPerAddr, makingWindow, l.Exempt),
		sockets:  limit.NewCounts(l.Sockets, l.SocketsPerAddr, l.Exempt),
		refused:  refused,
	}
}

// slowed is the middleware that refuses the requests of an address that sends too many. It never
// refuses probes: an orchestrator would end a process that is well.
func (l *limiter) slowed(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !isProbe(r) && !l.requests.Allow(clientOf(r).addr) {
			l.refused.requests.Add(1)
			return problem(http.StatusTooManyRequests, "Too many requests",
				"There were more requests from your address than this server answers. Try again in a little while.").
				After(l.requests.Wait(clientOf(r).addr))
		}
		return next(w, r)
	}
}

// admit counts a tab that is about to connect, or returns why there is no room for it. Done of
// sockets takes it back.
func (l *limiter) admit(who client) error { return l.admitTo(l.sockets, who) }

// admitTo is admit for what is counted elsewhere.
func (l *limiter) admitTo(counts *limit.Counts, who client) error {
	err := counts.Add(who.addr)
	if err == nil {
		return nil
	}
	if errors.Is(err, limit.ErrTotal) {
		l.refused.sockets.Add(1)
		return problem(http.StatusServiceUnavailable, "No room", "This server has as many tabs as it may have. Try again in a little while.").
			After(tabsWait)
	}
	l.refused.socketsOfAddr.Add(1)
	return problem(http.StatusTooManyRequests, "Too many tabs", "There are as many tabs from your address as this server allows.").
		After(tabsWait)
}
