package e2e_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/workload"
)

// BenchmarkDrain measures what happens to thousands of tabs behind nginx when
// replicas go and come: how many connect again in a second at most, how long it
// takes until all have as many, and whether a click is lost. It is "make drain":
// DRAIN_TABS is how many tabs, and DRAIN_OVER and DRAIN_REBALANCE are the flags of
// the replicas, their defaults if unset.
func BenchmarkDrain(b *testing.B) {
	for _, move := range []struct {
		name   string
		absent int // replicas that are not there at first
		do     func(y *yard)
	}{
		{"one of three is replaced", 0, func(y *yard) {
			y.phase("drain", func() { y.leave(y.ps[0]) })
			y.phase("rebalance", func() { y.ps[0].restart(); y.balanced() })
		}},
		{"a third one joins two", 1, func(y *yard) {
			y.phase("rebalance", func() { y.join(y.ps[2]); y.balanced() })
		}},
		{"one hands over to another", 2, func(y *yard) {
			y.join(y.ps[1])
			y.phase("drain", func() { y.leave(y.ps[0]) })
		}},
	} {
		b.Run(move.name, func(b *testing.B) {
			for b.Loop() {
				y := newYard(b, 3, move.absent)
				y.fill(tabsToDrain(b))
				move.do(y)
				y.verdict()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func tabsToDrain(b *testing.B) int {
	b.Helper()
	text := os.Getenv("DRAIN_TABS")
	if text == "" {
		b.Skip("DRAIN_TABS is not set: make drain does, and takes about six minutes")
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// A yard is replicas behind nginx, with a load on them and an eye on where the
// tabs are.
type yard struct {
	*testing.B
	ps     []*process
	admins []string // URLs of their metrics
	base   string   // of nginx
	tabs   int

	endLoad context.CancelFunc
	report  chan *load.Report
	loading sync.WaitGroup

	look *lookout
}

func newYard(b *testing.B, n, absent int) *yard {
	b.Helper()
	y := &yard{B: b, report: make(chan *load.Report, 1)}
	server := testserver.Redis(b)
	server.Own()
	var addrs []string
	for i := range n {
		admin := address(testserver.FreePort(b))
		args := []string{
			"-addr", address(testserver.FreePort(b)), "-admin", admin, "-replica", "replica-" + strconv.Itoa(i+1),
			"-pubsub", server.URL, "-secret", testSecret, "-trusted-proxies", "loopback",
		}
		for _, f := range []struct{ flag, env string }{{"-drain", "DRAIN_OVER"}, {"-rebalance", "DRAIN_REBALANCE"}} {
			if v := os.Getenv(f.env); v != "" {
				args = append(args, f.flag, v)
			}
		}
		p := &process{t: b, dir: b.TempDir(), args: args, url: "http://" + args[1]}
		y.ps, y.admins, addrs = append(y.ps, p), append(y.admins, "http://"+admin+"/metrics"), append(addrs, args[1])
		if i < n-absent {
			p.run()
		}
	}
	y.base = testserver.Nginx(b, addrs...).URL
	y.look = newLookout(y.admins)
	b.Cleanup(y.look.end)
	return y
}

// fill opens tabs, and waits until all are connected and click a little.
func (y *yard) fill(tabs int) {
	y.Helper()
	y.tabs = tabs
	ctx, cancel := context.WithCancel(context.Background())
	y.endLoad = cancel
	clicking := make(chan struct{}, 1)
	y.loading.Go(func() {
		defer close(y.report)
		r, err := load.Run(ctx, load.Options{
			Targets: []string{y.base}, Repeat: .01, Settle: patience, Patience: 2 * patience,
			Progress: func(p load.Progress) {
				if p.Totals.Acked > 0 {
					offer(clicking)
				}
			},
			Plan: workload.Plan{Seed: 5, Stages: []workload.Stage{{
				Browsers: tabs, Ramp: time.Duration(tabs) * time.Second / 500, Duration: 20 * time.Minute, Rate: workload.Rate{{From: 4, To: 4}},
			}}},
		})
		if err != nil {
			y.Error(err)
			return
		}
		y.report <- r
	})
	y.Cleanup(func() { cancel(); y.loading.Wait() })
	y.until("all tabs to be connected", func(tabs []int) bool { return sum(tabs) == y.tabs })
	select {
	case <-clicking:
	case <-time.After(patience):
		y.Fatal("the tabs don't click")
	}
	y.Logf("at first %v tabs", y.look.last().tabs)
}

func offer(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is there already
	}
}

// until waits for something to be true of the tabs of each replica.
func (y *yard) until(what string, cond func(tabs []int) bool) {
	y.Helper()
	limit := time.NewTimer(10 * time.Minute)
	defer limit.Stop()
	for !cond(y.look.last().tabs) {
		select {
		case <-y.look.next():
		case <-limit.C:
			y.Fatalf("still waiting for %s: %v", what, y.look.last().tabs)
		}
	}
}

// phase reports what came of something that moves tabs.
func (y *yard) phase(name string, do func()) {
	y.Helper()
	from, began := y.look.count(), time.Now()
	do()
	took := time.Since(began)
	<-y.look.next() // the last of them
	left := y.look.since(from, func(g glance) int { return g.left })
	came := y.look.since(from, func(g glance) int { return g.arrived })
	y.Logf("%-10s %5.1f s; %d left, at most %d in a second; %d connected again, at most %d in a second, %d in 100 ms; then %v tabs",
		name+":", took.Seconds(), left.all, left.second, came.all, came.second, came.tenth, y.look.last().tabs)
	y.ReportMetric(float64(came.second), name+"-peak/s")
	y.ReportMetric(took.Seconds(), name+"-s")
}

// leave has a replica go, and waits until its tabs are with the others.
func (y *yard) leave(p *process) {
	if code := p.term(); code != 0 {
		y.Errorf("got exit code %d, want 0", code)
	}
	y.until("its tabs to be with the others", func(tabs []int) bool { return sum(tabs) == y.tabs })
}

func (y *yard) join(p *process) { p.run() }

// balanced waits until no replica has so much more than the mean that it sends tabs
// away, and all are connected.
func (y *yard) balanced() {
	y.until("all to have as many", func(tabs []int) bool {
		get(y, y.base+"/") // by somebody new: nginx takes a replica that is back for well by what ends
		mean := y.tabs / len(tabs)
		return sum(tabs) == y.tabs && slices.Max(tabs) <= mean+max(20, mean/10)
	})
}

// verdict ends the load and says what became of the clicks.
func (y *yard) verdict() {
	y.Helper()
	y.endLoad()
	r, ok := <-y.report
	if !ok {
		return
	}
	for _, v := range r.Verdicts {
		if !v.OK {
			y.Errorf("%s: %s: %q", v.Name, v.Detail, v.Named)
		}
	}
	again, ack := r.Latencies[load.LatencyReconnect], r.Latencies[load.LatencyAck]
	y.Logf("%d clicks, %d acknowledged, %d reconnections, %d turned away; back after %.0f ms (p50), %.0f ms (p99), %.0f ms at most; clicks acknowledged after %.0f ms (p99)",
		r.Totals.Sent, r.Totals.Acked, r.Totals.Reconnects, r.Totals.Refusals, again.P50, again.P99, again.Max, ack.P99)
	for what, n := range r.Errors {
		y.Logf("%d times: %s", n, what)
	}
}

func sum(ns []int) (s int) {
	for _, n := range ns {
		s += n
	}
	return s
}

// A glance is where the tabs are at one time.
type glance struct {
	at       time.Time
	tabs     []int // of each replica; 0 when it does not answer
	accepted []int // that it has had since it was started
	gone     []int // of these, no more there
	// arrived and left are how many came to all of them and went, since the first
	// glance.
	arrived, left int
}

// A lookout reads the metrics of replicas ten times a second.
type lookout struct {
	urls  []string
	ended chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex // guards the rest
	seen   []glance
	waiter chan struct{} // closed with the next glance
}

func newLookout(urls []string) *lookout {
	l := &lookout{urls: urls, ended: make(chan struct{}), waiter: make(chan struct{})}
	l.seen = []glance{l.glance(glance{accepted: make([]int, len(urls)), gone: make([]int, len(urls))})}
	l.done.Go(l.run)
	return l
}

func (l *lookout) end() { close(l.ended); l.done.Wait() }

func (l *lookout) run() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		g := l.glance(l.last())
		l.mu.Lock()
		l.seen = append(l.seen, g)
		close(l.waiter)
		l.waiter = make(chan struct{})
		l.mu.Unlock()
	}
}

var sessionMetric = regexp.MustCompile(`(?m)^lockstep_sessions(_accepted_total)?\{[^}]*\} (\S+)$`)

func (l *lookout) glance(before glance) glance {
	n := len(l.urls)
	g := glance{at: time.Now(), tabs: make([]int, n), accepted: make([]int, n), gone: make([]int, n), arrived: before.arrived, left: before.left}
	var asking sync.WaitGroup
	for i, url := range l.urls {
		asking.Go(func() { g.tabs[i], g.accepted[i] = sessionsAt(url) })
	}
	asking.Wait()
	for i := range l.urls {
		accepted, gone := before.accepted[i], before.gone[i]
		if g.accepted[i] < 0 { // it is away
			g.accepted[i], g.gone[i] = accepted, gone
			continue
		}
		if g.accepted[i] < accepted {
			accepted, gone = 0, 0 // it was started anew
		}
		g.gone[i] = g.accepted[i] - g.tabs[i]
		g.arrived += g.accepted[i] - accepted
		g.left += g.gone[i] - gone
	}
	return g
}

// sessionsAt returns how many tabs a replica has, and has had; the latter is
// negative when it does not answer.
func sessionsAt(url string) (tabs, accepted int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, -1
	}
	_, body, err := fetch(req)
	if err != nil {
		return 0, -1
	}
	for _, m := range sessionMetric.FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			continue
		}
		if m[1] == "" {
			tabs = int(n)
		} else {
			accepted = int(n)
		}
	}
	return tabs, accepted
}

func (l *lookout) last() glance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[len(l.seen)-1]
}

func (l *lookout) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

func (l *lookout) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiter
}

// A flow is how many tabs came or went: in all, and in the second and the
// tenth of a second with most of them.
type flow struct{ all, second, tenth int }

// since measures what n counts since a glance.
func (l *lookout) since(from int, n func(glance) int) (f flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen[from-1:]
	first := 0
	for i, g := range seen {
		for g.at.Sub(seen[first].at) > 1050*time.Millisecond { // a second, and what a tick is late
			first++
		}
		f.second = max(f.second, n(g)-n(seen[first]))
		if i > 0 {
			f.tenth = max(f.tenth, n(g)-n(seen[i-1]))
		}
	}
	f.all = n(seen[len(seen)-1]) - n(seen[0])
	return f
}
