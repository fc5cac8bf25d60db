package serve

import (
	"context"

	"golang.org/x/time/rate"

	"lockstep/internal/limit"
	"lockstep/live"
)

// A limitedView is the view of a tab that has come in from outside: it bounds what the tab sends,
// and says when it has left. Its session calls it, one call at a time.
type limitedView struct {
	live.View
	visitor
	counts  *limit.Counts // that the tab is counted in
	bucket  *rate.Limiter // nil until the first message: an idle tab has none
	passing bool          // one request, which is no tab of its own
	mounted bool          // the session says when the tab has left; read when ServeHTTP has returned
}

// Mount implements live.View.
func (v *limitedView) Mount(ctx context.Context, s *live.Session) error {
	v.mounted = true
	s.OnLeave(v.leave)
	return v.View.Mount(ctx, s)
}

func (v *limitedView) leave() { v.counts.Done(v.who.addr) }

// Allow implements live.Limiter.
func (v *limitedView) Allow() bool {
	l := v.limiter
	if l.limits.TabRate > 0 {
		if v.bucket == nil {
			v.bucket = rate.NewLimiter(rate.Limit(l.limits.TabRate), l.limits.TabBurst)
		}
		if !v.bucket.Allow() {
			l.refused.messagesOfTab.Add(1)
			return false
		}
	}
	if l.messages.Allow(v.who.addr) {
		return true
	}
	l.refused.messagesOfAddr.Add(1)
	return false
}

// Repeat implements live.Repeater: to be sent all of a page's rooms again is worth a request.
func (v *limitedView) Repeat() bool {
	if v.limiter.requests.Allow(v.who.addr) {
		return true
	}
	v.limiter.refused.requests.Add(1)
	return false
}

// Movable implements live.Movable: a tab that came by way of a balancer may come back to another
// replica.
func (v *limitedView) Movable() bool { return v.who.proxied && !v.passing }

// Passing implements live.Passing.
func (v *limitedView) Passing() bool { return v.passing }
