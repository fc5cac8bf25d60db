package lockstep

import (
	"context"
	"math/rand/v2"
	"time"

	"lockstep/internal/pause"
)

// How tabs are balanced over the replicas. A websocket stays where it is, so a
// replica that comes later has no tabs: the balancer gives it the next ones, and nothing
// moves those that are there. Each replica therefore knows how many movable
// tabs the others have, and one with too many sends some away, which come back
// by way of the balancer. No replica decides for others: it sends away only what
// it has more than the mean, so all of them end at the mean.

// movableTopic is what presence counts the tabs by that another replica can
// take over.
const movableTopic = "movable"

const (
	// balanceSpread is the time over which the tabs of one step are sent away.
	balanceSpread = 5 * time.Second
	// balanceSettle is the time in which they have come to the others, and these
	// have said so: a page tries again after half a second. Without it a replica
	// would take tabs that are on their way for tabs that are nowhere.
	balanceSettle = 2 * time.Second
	// balanceFirst and balanceLimit are the first and the longest pause when
	// sending tabs away does not help.
	balanceFirst = 10 * time.Second
	balanceLimit = 10 * time.Minute
	// balanceSlack is how many tabs more than the mean are left alone, however
	// few there are; more than a tenth of the mean have to be too many besides.
	balanceSlack = 20
)

// excess returns how many tabs a replica has more than the mean of all, or 0
// when that is not worth moving anybody.
func excess(here int, there []int) int {
	mean := float64(here) // not an int: what others say may be anything
	for _, n := range there {
		mean += float64(n)
	}
	mean /= float64(1 + len(there))
	over := float64(here) - mean
	if over <= balanceSlack || over <= mean/10 {
		return 0
	}
	return int(over)
}

// A step is what a replica does about its tabs: it sends some away, over a
// time, and then waits.
type step struct {
	away int
	over time.Duration
	wait time.Duration
}

// A scale decides the steps of one replica. It knows no clock.
type scale struct {
	rate float64 // tabs a second at most

	away   int           // in the last step
	excess int           // before it
	pause  time.Duration // when the last one that was judged did not help; 0: it did
}

// next returns what to do with so many tabs here and there. When the last step
// has not helped, because the balancer sends the tabs straight back, it is one
// without tabs and a long wait: no tab is moved for nothing.
func (s *scale) next(here int, there []int) step {
	over := excess(here, there)
	helped := 4*(s.excess-over) >= s.away // a quarter of those that went stayed away
	if over == 0 || s.away > 0 && helped {
		s.pause = 0
	}
	if s.away > 0 && !helped {
		s.away = 0
		s.pause = min(max(2*s.pause, balanceFirst), balanceLimit)
		return step{wait: s.pause}
	}
	s.excess, s.away = over, min(over, max(1, int(s.rate*balanceSpread.Seconds())))
	return step{
		away: s.away,
		over: time.Duration(float64(s.away) / s.rate * float64(time.Second)),
		wait: balanceSettle,
	}
}

// forget makes the next step independent of the last one.
func (s *scale) forget() { s.away = 0 }

// startBalancing balances tabs with the other replicas, until stopBalancing.
func (a *App) startBalancing() {
	if a.opts.Rebalance <= 0 {
		return
	}
	a.presence.Participate(movableTopic)
	ctx, cancel := context.WithCancel(context.Background())
	a.endBalance = cancel
	a.balancing.Go(func() { a.balance(ctx) }) // ends with ctx
}

// stopBalancing is called before the tabs leave: the others must not count on
// this replica any more. It waits for the goroutine. Calling it twice, or
// without a start, is harmless.
func (a *App) stopBalancing() {
	if a.endBalance == nil {
		return
	}
	a.presence.Withdraw(movableTopic)
	a.endBalance()
	a.balancing.Wait()
}

// balance takes step after step. Each wait is jittered by a quarter, so that
// replicas that started together do not move together.
func (a *App) balance(ctx context.Context) {
	s := scale{rate: a.opts.Rebalance}
	wait := balanceSettle
	for pause.For(ctx, wait*3/4+rand.N(wait/2)) {
		if a.rt.Err() != nil {
			// What it knows of the others may be old, and a tab should not meet
			// trouble twice.
			s.forget()
			wait = balanceSettle
			continue
		}
		here, there := a.presence.ByReplica(movableTopic)
		next := s.next(here, there)
		wait = next.wait
		switch {
		case next.away > 0:
			a.opts.Logger.Debug("sending tabs to other replicas", "tabs", next.away, "here", here, "there", there)
			if _, err := a.rt.Shed(ctx, next.away, next.over); err != nil {
				return // stopped
			}
		case wait > balanceSettle:
			a.opts.Logger.Warn("tabs sent to other replicas come back: is every replica behind the balancer, and does it choose the one with the fewest connections?",
				"here", here, "there", there, "wait", wait)
		}
	}
}
