// Package fleet is a few tabs without a browser, which click on a counter of a server over real
// sockets and record what they see, so that a judge can say whether anything was lost. It is for a
// demo that is broken on purpose; thousands of tabs are the load generator's.
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"lockstep/internal/history"
)

// How the fleet clicks, and for how long it is watched before it is judged.
const (
	pause     = 250 * time.Millisecond // between two clicks, of all tabs together
	chapter   = 5 * time.Second        // of clicks; then it is quiet, and what has happened is judged
	patience  = 15 * time.Second       // for becoming quiet, while nothing is broken
	tick      = 10 * time.Millisecond
	burstRate = 100 // clicks a second
)

// Options of a Fleet.
type Options struct {
	// Pages are the addresses of the counter's page, one for each replica, and Replicas their names.
	Pages, Replicas []string
	// Host is the name that the servers are asked for; "": that of each page.
	Host string
	// Tabs is how many there are, of all replicas together.
	Tabs int
	// Truth returns the store's state of the counter. It may be called concurrently.
	Truth func(ctx context.Context) (history.State, error)
	// Recording is told what happens.
	Recording *history.Recording
}

// A Fleet is some tabs. Its methods may be called concurrently.
type Fleet struct {
	opts Options // set once
	tabs []*tab

	mu     sync.Mutex // guards the rest
	cancel context.CancelFunc
	ended  chan struct{} // closed when the fleet has; nil: it does not run
	burst  int           // clicks that are still to be made fast
	sick   bool          // something is broken
	asked  bool          // the fleet is to end
}

// New returns a fleet that does not run.
func New(o Options) *Fleet {
	f := &Fleet{opts: o}
	for i := range o.Tabs {
		at := i % len(o.Pages)
		f.tabs = append(f.tabs, &tab{
			fleet: f, name: strconv.Itoa(i + 1), page: o.Pages[at], replica: o.Replicas[at], client: newClient(), news: make(chan struct{}, 1),
		})
	}
	return f
}

// newClient returns the name of a page load: 128 random bits.
func newClient() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Start has the tabs connect and click. One that runs goes on.
func (f *Fleet) Start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked = false; f.ended != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.ended = cancel, make(chan struct{})
	go f.run(ctx, f.ended) // ends with ctx, or with a chapter after Rest
}

// Rest has the fleet end when what has happened is judged. It does not wait.
func (f *Fleet) Rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = true
}

// Stop ends the fleet at once, and waits for it.
func (f *Fleet) Stop() {
	f.mu.Lock()
	cancel, ended := f.cancel, f.ended
	f.mu.Unlock()
	if ended == nil {
		return
	}
	cancel()
	<-ended
}

// Burst has n more clicks made, 100 a second.
func (f *Fleet) Burst(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.burst += n
}

// Sick says whether something is broken: nothing is judged while it is.
func (f *Fleet) Sick(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sick = yes
}

// Connected is how many tabs have a connection, of how many.
func (f *Fleet) Connected() (n, of int) {
	for _, t := range f.tabs {
		if t.connected() {
			n++
		}
	}
	return n, len(f.tabs)
}

// Running reports whether there is anything left of the fleet.
func (f *Fleet) Running() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended != nil
}

// run is the fleet from Start to its end.
func (f *Fleet) run(ctx context.Context, ended chan struct{}) {
	defer close(ended)
	defer func() {
		f.mu.Lock()
		f.cancel, f.ended, f.burst = nil, nil, 0
		f.mu.Unlock()
	}()
	base, err := f.truth(ctx)
	if err != nil {
		return
	}
	f.opts.Recording.Begin(base)
	tabs, endTabs := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, t := range f.tabs {
		running.Go(func() { t.run(tabs) }) // ends with tabs
	}
	defer running.Wait()
	defer endTabs()
	for f.clicks(ctx) {
		final, connected, ok := f.quiet(ctx)
		if !ok {
			return
		}
		f.opts.Recording.End(final, connected...)
		if f.over() {
			return
		}
		f.begin(final)
	}
}

// over reports whether the fleet is to end, and has nothing left to do.
func (f *Fleet) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked && f.burst == 0
}

// begin begins a chapter with the tabs as they are.
func (f *Fleet) begin(base history.State) {
	for _, t := range f.tabs { // nothing of theirs is recorded meanwhile
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	f.opts.Recording.Begin(base)
	for _, t := range f.tabs {
		if t.conn != nil {
			f.opts.Recording.Joined(t.name, t.replica, history.State{})
			f.opts.Recording.Shown(t.name, t.shown)
		}
	}
}

// truth reads the store until it answers. The error is ctx's.
func (f *Fleet) truth(ctx context.Context) (history.State, error) {
	for {
		s, err := f.opts.Truth(ctx)
		if err == nil {
			return s, nil
		}
		if !wait(ctx, pause) {
			return s, ctx.Err()
		}
	}
}

// wait waits, and reports whether ctx goes on.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// clicks clicks for a chapter, as long as something is broken, and until all of a burst is sent. It
// reports whether ctx goes on.
func (f *Fleet) clicks(ctx context.Context) bool {
	until, next := time.Now().Add(chapter), 0
	due := time.Now()
	for wait(ctx, tick) {
		for now := time.Now(); !due.After(now) && !f.opts.Recording.Full(); {
			fast := f.takeBurst()
			if !fast && f.over() {
				return true
			}
			f.tabs[next%len(f.tabs)].click()
			next++
			due = due.Add(pause)
			if fast {
				due = due.Add(time.Second/burstRate - pause)
			}
		}
		f.mu.Lock()
		done := !f.sick && (f.burst == 0 && time.Now().After(until) || f.opts.Recording.Full())
		if f.burst > 0 && due.After(time.Now().Add(time.Second/burstRate)) {
			due = time.Now()
		}
		f.mu.Unlock()
		if done {
			return true
		}
	}
	return false
}

// takeBurst takes one click of a burst.
func (f *Fleet) takeBurst() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.burst == 0 {
		return false
	}
	f.burst--
	return true
}

// quiet waits until each click has its answer, and all tabs show what the store has; for at most
// patience, in which nothing is broken: then it is judged as it is. It reports whether ctx goes on.
func (f *Fleet) quiet(ctx context.Context) (final history.State, connected []string, ok bool) {
	for spent := time.Duration(0); wait(ctx, tick*5); {
		f.mu.Lock()
		sick := f.sick
		f.mu.Unlock()
		if sick {
			spent = 0
			continue
		}
		spent += tick * 5
		if f.waiting() > 0 && spent < patience {
			continue
		}
		var err error
		if final, err = f.truth(ctx); err != nil {
			return final, nil, false
		}
		connected = nil
		still := true
		for _, t := range f.tabs {
			shown, there := t.shows()
			if there {
				connected = append(connected, t.name)
			}
			still = still && there && shown == final
		}
		if still || spent >= patience {
			return final, connected, true
		}
	}
	return final, nil, false
}

// waiting is how many clicks have no answer yet.
func (f *Fleet) waiting() (n int) {
	for _, t := range f.tabs {
		t.mu.Lock()
		n += len(t.outbox)
		t.mu.Unlock()
	}
	return n
}
