package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/app/web"
	"lockstep/internal/faults"
	"lockstep/internal/fleet"
	"lockstep/internal/history"
	"lockstep/serve"
	"lockstep/state"
)

const (
	fleetTabs  = 12
	breakTick  = 100 * time.Millisecond
	reportTick = time.Second
	// restTime is for how long nobody has the panel open before the fleet ends.
	restTime = 5 * time.Second
	// dropShare is how many of the broker's messages are lost.
	dropShare = .3
	// healTime is how long after a fault it is still felt: nothing is judged until then.
	healTime = 3 * time.Second
	// reviveTime bounds the start of a replica in the place of one that was killed.
	reviveTime = 10 * time.Second
)

// breaks reports whether replicas can be broken on purpose, and by everybody who can open a page.
// Without being told to, only those on this machine may, and only where nobody else can reach the
// server: what says that a proxy is in front says that others can.
func (c *config) breaks() (yes, anywhere bool) {
	if c.Break != "auto" || c.Replicas == 1 {
		return c.Break == "on", c.Break == "on"
	}
	host, _, _ := net.SplitHostPort(c.Addr)
	ip, err := netip.ParseAddr(host)
	local := strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
	return local && !c.fronted(), false
}

// A breaker breaks the replicas of a process as people ask, and mends them.
type breaker struct {
	// set once
	key       string
	anywhere  bool
	log       *slog.Logger
	hosts     []string // that the replicas answer to; none: all
	topic     string   // of the fleet's counter
	store     state.Store
	recording *history.Recording
	process   *serve.Process
	fleet     *fleet.Fleet
	places    []*place
	end       context.CancelFunc
	running   sync.WaitGroup

	mu     sync.Mutex // guards the rest
	newest app.BreakState

	// owned by run
	under   map[int]app.Fault // by N: those that are let loose now
	done    map[int]bool      // by N: those that were
	bursts  int
	seen    time.Time // when the panel was last open
	healed  time.Time // when the last fault was over
	retry   time.Time // what could not be mended is tried again then
	told    time.Time
	started bool
}

// A place is where a replica is served, whichever it is.
type place struct {
	// set once
	index  int
	name   string
	addr   net.Addr
	faults *faults.Replica
	begin  func(ctx context.Context) (*started, error)
	door   atomic.Pointer[web.Server]

	mu   sync.Mutex // guards the rest
	now  *started
	dead bool          // it was killed
	last chan struct{} // closed when nothing is left of the one that was killed; nil: none was
}

// ServeHTTP implements http.Handler.
func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.door.Load().ServeHTTP(w, r) }

// newBreaker puts faults between replicas and their listeners.
func newBreaker(ls []net.Listener, c *config, anywhere bool, log *slog.Logger) *breaker {
	id := strings.ToLower(rand.Text()[:12])
	b := &breaker{
		key: id, anywhere: anywhere, log: log, recording: history.NewRecording(time.Now), hosts: c.Hosts.Names,
		under: make(map[int]app.Fault), done: make(map[int]bool),
	}
	counters := app.Counters()
	b.topic = counters.Topic("fleet-" + id)
	for i, l := range ls {
		p := &place{index: i, name: c.name(i, l.Addr()), addr: l.Addr(), faults: faults.New()}
		ls[i] = p.faults.Listener(l)
		b.places = append(b.places, p)
	}
	return b
}

// names are those of the replicas.
func (b *breaker) names() (all []string) {
	for _, p := range b.places {
		all = append(all, p.name)
	}
	return all
}

// add adds what breaks replicas to the application of one.
func (b *breaker) add(a *app.App) *app.Break { return app.AddBreak(a, b.key, b.names()) }

// of is what the pages of a replica have of it.
func (b *breaker) of(brk *app.Break) *web.Break {
	return &web.Break{Break: brk, Anywhere: b.anywhere, History: func(w io.Writer) error {
		_, err := b.recording.WriteTo(w)
		return err
	}}
}

// start starts what watches and reports, when all replicas run.
func (b *breaker) start(p *serve.Process, store state.Store) {
	b.process, b.store = p, store
	var urls []string
	host := ""
	if len(b.hosts) > 0 {
		host = b.hosts[0]
	}
	for _, p := range b.places {
		urls = append(urls, "http://"+p.addr.String()+app.Path(b.topic))
	}
	b.fleet = fleet.New(fleet.Options{Pages: urls, Replicas: b.names(), Host: host, Tabs: fleetTabs, Truth: b.truth, Recording: b.recording})
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	for _, p := range b.places {
		b.watch(ctx, p)
	}
	b.running.Go(func() { b.run(ctx) }) // ends with stop
}

// stop mends all, and ends what start has started. Nil has started nothing.
func (b *breaker) stop() {
	if b == nil || b.end == nil {
		return
	}
	b.end()
	b.fleet.Stop()
	b.running.Wait()
	for _, p := range b.places {
		p.faults.Thaw()
		p.faults.Mend()
		p.mu.Lock()
		last := p.last
		p.mu.Unlock()
		if last != nil {
			<-last
		}
	}
}

// truth is what the store has of the fleet's counter.
func (b *breaker) truth(ctx context.Context) (history.State, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	records, err := b.store.Read(ctx, b.topic)
	if err != nil {
		return history.State{}, err
	}
	counters := app.Counters()
	n, err := counters.Read(records[0].Data)
	return history.State{Epoch: records[0].Epoch, Version: records[0].Version, Value: history.CounterValue(int64(n))}, err
}

// watch has the breaker hear what is asked for at a replica, as long as that runs.
func (b *breaker) watch(ctx context.Context, p *place) {
	r := p.current()
	b.running.Go(func() { // ends with ctx, or with the replica
		r.brk.Watch(ctx, func(s app.BreakState) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if s.Seq > b.newest.Seq {
				b.newest = s
			}
		})
	})
}

// run does what is asked for until ctx ends.
func (b *breaker) run(ctx context.Context) {
	tick := time.NewTicker(breakTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			b.step(ctx, now)
		}
	}
}

// step lets loose and mends what is due, and reports.
func (b *breaker) step(ctx context.Context, now time.Time) {
	b.mu.Lock()
	s := b.newest
	b.mu.Unlock()
	asked := make(map[int]app.Fault)
	for _, f := range s.Faults {
		asked[f.N] = f
	}
	for n, f := range b.under {
		if _, still := asked[n]; still && now.Before(f.Until) || now.Before(b.retry) {
			continue
		}
		if err := b.mend(ctx, b.places[f.Replica], f.What); err != nil {
			b.log.Error("a replica that was killed on purpose does not come back yet", "replica", b.places[f.Replica].name, "err", err)
			b.retry = now.Add(reportTick)
			continue
		}
		delete(b.under, n)
		b.healed = now
	}
	for n, f := range asked {
		if b.done[n] || !now.Before(f.Until) {
			continue
		}
		b.done[n], b.under[n] = true, f
		b.loose(b.places[f.Replica], f)
	}
	if b.isOpen() || len(b.under) > 0 || s.Bursts > b.bursts {
		b.seen = now
	}
	b.drive(s, now)
	if b.started && now.Sub(b.told) >= reportTick {
		b.started = b.fleet.Running() // asked before: what it came to is reported when it has ended
		b.told = now
		b.report(ctx)
	}
}

// drive has the fleet run while somebody looks, and a moment longer.
func (b *breaker) drive(s app.BreakState, now time.Time) {
	b.fleet.Sick(len(b.under) > 0 || now.Sub(b.healed) < healTime)
	if now.Sub(b.seen) < restTime {
		b.fleet.Start()
		b.started = true
	} else {
		b.fleet.Rest()
	}
	if s.Bursts > b.bursts {
		b.fleet.Burst((s.Bursts - b.bursts) * app.BurstClicks)
		b.bursts = s.Bursts
	}
}

// isOpen reports whether anybody has the panel open.
func (b *breaker) isOpen() bool {
	for _, p := range b.places {
		if r := p.current(); r != nil && r.app.Tabs(r.brk.Room().Topic()) > 0 {
			return true
		}
	}
	return false
}

// report shows what there is to say, by way of a replica that is well.
func (b *breaker) report(ctx context.Context) {
	v := b.recording.Verdict()
	r := pages.Report{
		Since: v.Since, Clicks: v.Clicks, Faults: v.Faults, Lost: v.Lost, Twice: v.Twice, Broken: v.Broken,
		WorstMS: int(v.Worst.Milliseconds()), IllMS: int(v.Ill.Milliseconds()),
	}
	r.Open, r.Waiting, r.Loose = b.recording.Open()
	r.Connected, r.Tabs = b.fleet.Connected()
	brk := b.well()
	if brk == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportTick)
	defer cancel()
	if err := brk.Report(ctx, r); err != nil && ctx.Err() == nil {
		b.log.Warn("the report of what is broken on purpose is not shown", "err", err)
	}
}

// well is a replica without a fault; nil: there is none.
func (b *breaker) well() *app.Break {
	ill := make(map[int]bool)
	for _, f := range b.under {
		ill[f.Replica] = true
	}
	for _, p := range b.places {
		if r := p.current(); r != nil && !ill[p.index] {
			return r.brk
		}
	}
	return nil
}

// loose lets a fault loose.
func (b *breaker) loose(p *place, f app.Fault) {
	b.log.Info("broken on purpose", "replica", p.name, "fault", f.What)
	b.fleet.Sick(true)
	b.recording.Fault(f.What, p.name, app.Lasts(f.What))
	switch f.What {
	case app.Cut:
		p.faults.Cut()
	case app.Drop:
		p.faults.Drop(dropShare)
	case app.Freeze:
		p.faults.Freeze()
	case app.Kill:
		b.kill(p)
	}
}

// mend ends a fault.
func (b *breaker) mend(ctx context.Context, p *place, what string) error {
	b.log.Info("mended", "replica", p.name, "fault", what)
	switch what {
	case app.Cut:
		p.faults.Mend()
	case app.Drop:
		p.faults.Drop(0)
	case app.Freeze:
		p.faults.Thaw()
	case app.Kill:
		return b.restart(ctx, p)
	}
	return nil
}

// kill ends a replica as kill -9 does.
func (b *breaker) kill(p *place) {
	p.mu.Lock()
	r, last := p.now, make(chan struct{})
	p.dead, p.last = true, last
	p.mu.Unlock()
	p.faults.Kill()
	go func() { // ends when nothing is left; restart and stop wait for it
		defer close(last)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()               // a process that is killed waits for nothing
		_ = r.app.Stop(ctx, 0) // it could not end well
		r.Close()
	}()
}

// restart starts a replica in the place of one that was killed, and opens its address again. After
// an error it can be called again.
func (b *breaker) restart(whole context.Context, p *place) error {
	ctx, cancel := context.WithTimeout(whole, reviveTime)
	defer cancel()
	p.mu.Lock()
	last, old, dead := p.last, p.now, p.dead
	p.mu.Unlock()
	if dead {
		select {
		case <-last:
		case <-ctx.Done():
			return errors.New("what is left of it does not end")
		}
		p.faults.Revive()
		if err := p.start(ctx); err != nil {
			return err
		}
		b.process.Replace(old.Server.Server, p.door.Load().Server)
		b.watch(whole, p)
	}
	return p.faults.Open(ctx)
}

// start starts a replica at its place.
func (p *place) start(ctx context.Context) error {
	r, err := p.begin(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.dead = r, false
	p.door.Store(r.Server)
	return nil
}

// current is the replica that runs; nil: none does.
func (p *place) current() *started {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil
	}
	return p.now
}
