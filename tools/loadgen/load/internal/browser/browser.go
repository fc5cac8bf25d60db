// Package browser runs virtual browser tabs: thousands of them in one process, each of which does
// what the real page does. It knows the page's behaviour and measures what a person in front of it
// would see. A protocol.Protocol knows what a message means, a workload.Plan who clicks when, and
// the package above judges whether all of it was right.
//
// A tab costs no goroutine. There is a loop per core, which waits for the sockets of all its tabs
// with epoll and owns their state. A connection that is no plain TCP socket on Linux (TLS,
// server-sent events, another system) has a goroutine that reads for the loop.
package browser

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"lockstep/tools/loadgen/load/internal/schedule"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// A Config says what a Fleet does. It must not be changed afterwards.
type Config struct {
	Targets  []*url.URL // tab n is of target n modulo their number
	Protocol protocol.Protocol
	Plan     *workload.Plan
	Counters int // that the tabs are spread over, at least 1

	// Index and Of are the share of this process: it is one of so many, with the same Loops. An
	// Of of 0 is 1.
	Index, Of int
	Loops     int // event loops of each process; 0: one for each core

	Header http.Header // goes with every request to the targets' hosts; nil: none
	Repeat float64     // share of the clicks that are sent twice at once, to see that they count once
	TLS    *tls.Config // of https targets; nil: the default
	// OverHTTP has the tabs do without websockets, as docs/protocol.md says. The protocol has to be
	// of pages that can.
	OverHTTP bool
	Plain    bool // use a goroutine for each connection even where epoll would do
	Sources  bool // take an address of loopback for each 20,000 tabs, to have ports for all
}

// A Fleet is the tabs of one process. Its methods may be called concurrently.
type Fleet struct {
	config Config // set once, as all down to starting
	traits protocol.Traits
	alone  bool // there is no other process
	start  time.Time
	loops  []*loop
	login  *Login
	client *http.Client
	ctx    context.Context // ends with Close; it is of the goroutines that dial, not of a call
	cancel context.CancelFunc

	tallies  []tally        // by counter
	spots    []*spots       // by counter
	forget   time.Duration  // after which what is cast is forgotten; 0: nothing is cast
	starting sync.Mutex     // held to begin a dial, and to end dialing
	dials    sync.WaitGroup // attempts to open, and requests
	sockets  sync.WaitGroup // goroutines of plain sockets
	running  sync.WaitGroup // loops
	closing  sync.Once
}

// New starts a fleet without any tab; the caller has to Close it.
func New(c Config) (*Fleet, error) {
	c.Of, c.Counters = max(1, c.Of), max(1, c.Counters)
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if len(c.Targets) == 0 {
		return nil, errors.New("browser: there is no target")
	}
	if err := c.Plan.Validate(); err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	f := &Fleet{
		config: c, traits: c.Protocol.Traits(), alone: c.Of == 1, start: time.Now(),
	}
	for range c.Counters {
		f.tallies = append(f.tallies, newTally(f.traits.Kind))
		f.spots = append(f.spots, &spots{owners: make(map[string]*owner)})
	}
	if p, ok := c.Protocol.(protocol.Caster); ok {
		f.forget = p.Forget()
	}
	f.login = NewLogin(c.Header, c.Targets)
	f.client = NewClient(c.TLS, f.login)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for i := range c.Loops {
		l, err := f.newLoop(c.Index*c.Loops + i)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("browser: %w", err)
		}
		f.loops = append(f.loops, l)
		f.running.Go(l.run)
	}
	return f, nil
}

func (f *Fleet) newLoop(number int) (*loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{
		fleet: f, number: number, poll: poll, ended: make(chan struct{}),
		buffer: make([]byte, 64<<10), broken: make(map[Rule]int),
		chance:    mrand.New(mrand.NewPCG(f.config.Plan.Seed, uint64(number)+1)),
		frontiers: make([]frontier, f.config.Counters), excess: make([]int64, f.config.Counters),
	}
	l.seen = l.emptyObservation()
	plan := f.config.Plan
	for slot := range plan.Slots() {
		if f.owner(slot) != number {
			continue
		}
		l.tabs = append(l.tabs, tab{
			slot: slot, index: int32(len(l.tabs)), counter: slot / len(f.config.Targets) % f.config.Counters,
			slow: schedule.IsSlow(plan, slot), hidden: schedule.IsHidden(plan, slot),
		})
	}
	return l, nil
}

// owner is the number of the loop that has a tab, counted over all processes. Each loop has tabs of
// each target.
func (f *Fleet) owner(slot int) int {
	return slot / len(f.config.Targets) % (f.config.Of * f.config.Loops)
}

// index is the place of a tab in its loop.
func (f *Fleet) index(slot int) int {
	targets := len(f.config.Targets)
	return slot/targets/(f.config.Of*f.config.Loops)*targets + slot%targets
}

// Join has the tabs of the first stage open their pages, over its ramp.
func (f *Fleet) Join() {
	first := f.config.Plan.Stages[0].Browsers
	for _, l := range f.loops {
		l.post(func() {
			for i := range l.tabs {
				if t := &l.tabs[i]; t.slot < first {
					t.arrive(l, schedule.Arrival(f.config.Plan, t.slot))
				}
			}
		})
	}
}

// Load begins with the clicks: the first may be due at at. before is what each counter shows.
func (f *Fleet) Load(at time.Time, before []protocol.State) {
	origin := f.at(at)
	for _, l := range f.loops {
		l.post(func() { l.load(origin, before) })
	}
}

// Unload ends the clicks, and the coming and going of tabs. Those that are open stay.
func (f *Fleet) Unload() {
	for _, l := range f.loops {
		l.post(l.unload)
	}
}

// Observe returns what each loop has seen since the last call.
func (f *Fleet) Observe() []Observation {
	all := make([]Observation, len(f.loops))
	for i, l := range f.loops {
		l.ask(func() { all[i] = l.observe() })
	}
	return all
}

// Behind are the tabs, slow ones too, that don't show what is wanted of each counter.
func (f *Fleet) Behind(wanted []protocol.State) (tabs []Tab) {
	for _, l := range f.loops {
		l.ask(func() { tabs = append(tabs, l.behind(wanted)...) })
	}
	return tabs
}

// Close closes all tabs, which say that they need no more answers, and waits for all goroutines.
// Closing again is harmless.
func (f *Fleet) Close() {
	f.closing.Do(func() {
		f.starting.Lock()
		f.cancel()
		f.starting.Unlock()
		f.dials.Wait()
		for _, l := range f.loops {
			l.post(func() { l.stop = true })
		}
		f.running.Wait()
		f.sockets.Wait()
		f.client.CloseIdleConnections()
	})
}

// begin runs work in a goroutine that Close waits for. From Close on it does nothing.
func (f *Fleet) begin(work func()) {
	f.starting.Lock()
	defer f.starting.Unlock()
	if f.ctx.Err() == nil {
		f.dials.Go(work)
	}
}

// now is the time in ns, of the wall clock as it was when the process started: it never jumps.
func (f *Fleet) now() int64 { return f.start.UnixNano() + int64(time.Since(f.start)) }

// at is t on the clock of now.
func (f *Fleet) at(t time.Time) int64 { return f.start.UnixNano() + int64(t.Sub(f.start)) }
