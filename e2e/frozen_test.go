package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// What a front may make its visitors feel of one replica of three that does not answer.
const (
	frozenFor   = 14 * time.Second
	learnsIn    = 8 * time.Second         // in which many may wait: the frozen replica has the fewest tabs
	longestWait = 6500 * time.Millisecond // 5 s, and a busy machine
	atOnce      = 900 * time.Millisecond  // an answer that has not waited: it takes milliseconds
	mayWait     = 0.2                     // of those who come later
)

// TestAFrontLearnsThatAReplicaDoesNotAnswer: one of three replicas is frozen (SIGSTOP), or its host
// is gone, while tabs are open behind every front whose configuration is in deploy/. It has the
// fewest of them, as after a restart, so it is asked first. New pages, forms and sockets find the
// other two: some wait at first, then very few, and none for more than 5 s. When the replica thaws
// it is sent visitors again. A load generator says of each front that no click is lost or counted
// twice, and no tab left behind. What is quiet on purpose is not cut off.
//
// It fails where a front goes by its own requests and takes no notice, as nginx does with
// max_fails=0: visitors wait as long as its timeout.
func TestAFrontLearnsThatAReplicaDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3, "-trusted-proxies", "loopback", "-rebalance", "0") // sockets are closed by fronts only
	addrs := []string{w.ps[0].addr(), w.ps[1].addr(), w.ps[2].addr()}
	fronts := startFronts(t, addrs)
	gone := startFronts(t, []string{testserver.Gone(t), addrs[1], addrs[2]})
	for _, f := range gone {
		f.name += ", host gone"
	}
	all := append(slices.Clone(fronts), gone...)
	var tabs sync.WaitGroup
	loaded := make(chan struct{}, len(all))
	for i, f := range all {
		tabs.Go(func() { f.load(i, frozenFor+6*time.Second, func() { loaded <- struct{}{} }) })
	}
	t.Cleanup(tabs.Wait)
	for _, f := range gone { // each replica behind these answers, or never has
		tabs.Go(func() { f.keeps("a socket", f.quietSocket) })
		tabs.Go(func() { f.keeps("a stream", f.quietStream) })
		tabs.Go(func() { f.keeps("a reader of a log", f.quietReader) })
	}
	for range all { // all tabs are open
		<-loaded
	}
	w.ps[0].kill() // its tabs go to the others, and do not come back
	w.ps[0].restart()
	for _, f := range fronts {
		f.returns("replica-1")
	}
	signal(w, w.ps[0], syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), frozenFor)
	defer cancel()
	var rushes sync.WaitGroup
	for _, f := range all {
		f.since = time.Now()
		rushes.Go(func() { f.rush(ctx) })
	}
	rushes.Wait()
	signal(w, w.ps[0], syscall.SIGCONT)
	for _, f := range all {
		f.judge()
	}
	for _, f := range fronts {
		f.returns("replica-1")
	}
	tabs.Wait()
}

// A watchedFront is a front with what visitors met at it.
type watchedFront struct {
	t         *testing.T
	name, url string
	client    *http.Client // of a visitor
	since     time.Time    // the replica does not answer

	mu  sync.Mutex // guards the rest
	met map[string][]meeting
}

// A meeting is one request and what came of it.
type meeting struct {
	began, took time.Duration // since the replica was frozen
	err         error
}

// startFronts starts nginx as we run it, and each product as documentation has it.
func startFronts(t *testing.T, replicas []string) (all []*watchedFront) {
	t.Helper()
	add := func(name, url string) {
		all = append(all, &watchedFront{t: t, name: name, url: url, client: newVisitorClient(t), met: make(map[string][]meeting)})
	}
	add("deploy/nginx.conf", testserver.Nginx(t, replicas...).URL)
	for _, product := range testserver.Fronts() {
		if testserver.HasFront(product) {
			add(product, testserver.NewFront(t, product, nil, replicas...).URL)
		}
	}
	return all
}

// load has tabs open behind the front, and clicks in them, for a while.
func (f *watchedFront) load(number int, lasts time.Duration, loaded func()) {
	say := sync.OnceFunc(loaded)
	defer say()
	expect, err := load.ParseThresholds("lost=0,twice=0,stale=0")
	if err != nil {
		f.t.Error(err)
		return
	}
	r, err := load.Run(f.t.Context(), load.Options{
		Thresholds: expect,
		Targets:    []string{f.url}, Settle: patience, Patience: patience,
		Protocol: protocol.Lockstep{Kind: protocol.Counter, Path: fmt.Sprintf("/c/front-%d-{n}", number)},
		Plan: workload.Plan{Seed: uint64(number + 1), Stages: []workload.Stage{{
			Browsers: 30, Ramp: time.Second, Duration: lasts, Rate: workload.Rate{{From: 2, To: 2}},
		}}},
		Progress: func(p load.Progress) {
			if p.Phase == "load" {
				say()
			}
		},
	})
	if err != nil {
		f.t.Errorf("%s: %v", f.name, err)
		return
	}
	for _, v := range r.Verdicts {
		if !v.OK {
			f.t.Errorf("%s: %s: %s: %q", f.name, v.Name, v.Detail, v.Named)
		}
	}
	for _, crossed := range r.Failed {
		f.t.Errorf("%s: %s", f.name, crossed)
	}
	if r.Totals.Acked < 20 {
		f.t.Errorf("%s: only %d clicks were acknowledged: too few to say anything", f.name, r.Totals.Acked)
	}
}

// rush has visitors come, each by itself, until ctx ends, and waits until all have their answers.
func (f *watchedFront) rush(ctx context.Context) {
	var coming sync.WaitGroup
	defer coming.Wait()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n++
			coming.Go(func() { f.visit(n%2 == 0) })
		}
	}
}

// visit loads a page, and opens its socket or sends its form. So no kind of request always comes to
// the same replica where they are asked in turn.
func (f *watchedFront) visit(opens bool) {
	client := newVisitorClient(f.t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client.Transport = transport
	var p pageWire
	f.time("pages", func() error {
		code, body, err := f.ask(client, http.MethodGet, "/c/visitors")
		if err == nil && code != http.StatusOK {
			return fmt.Errorf("got %d for a page: %s", code, body)
		}
		if err == nil {
			p, err = readPage(body)
		}
		return err
	})
	if p.socket == "" {
		return
	}
	if !opens {
		f.time("forms", func() error {
			code, body, err := f.ask(client, http.MethodPost, p.forms["increment"])
			if err == nil && code != http.StatusSeeOther {
				err = fmt.Errorf("got %d for a form: %s", code, body)
			}
			return err
		})
		return
	}
	f.time("sockets", func() error {
		ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second) // then a tab gives up, and tries again
		defer cancel()
		ws, _, err := websocket.Dial(ctx, f.url+p.socket, &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Origin": {f.url}}})
		if err != nil {
			return err
		}
		return ws.CloseNow()
	})
}

func (f *watchedFront) ask(client *http.Client, method, path string) (int, string, error) {
	body := ""
	if method == http.MethodPost {
		body = "x=y"
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", f.url)
	}
	return fetchBy(client, req)
}

func (f *watchedFront) time(what string, do func() error) {
	began := time.Now()
	err := do()
	took := time.Since(began)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.met[what] = append(f.met[what], meeting{began.Sub(f.since), took, err})
}

// judge says what visitors met.
func (f *watchedFront) judge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, what := range []string{"pages", "sockets", "forms"} {
		all := f.met[what]
		later, late, failed, waited := 0, 0, 0, 0
		var longest time.Duration
		var last error
		for _, v := range all {
			longest = max(longest, v.took)
			waits := v.took > atOnce || v.err != nil
			if waits {
				waited++
			}
			if v.began > learnsIn {
				later++
			}
			if v.began > learnsIn && waits {
				late++
			}
			if v.err != nil {
				failed++
				last = v.err
			}
		}
		f.t.Logf("%s: %d %s, %d waited, %d of them without the answer, %s at most; later %d of %d; %v", f.name, len(all), what, waited, failed, longest.Round(time.Millisecond), late, later, last)
		if later < 15 {
			f.t.Errorf("%s: only %d %s: too few to say anything", f.name, len(all), what)
		}
		if float64(late) > mayWait*float64(later) {
			f.t.Errorf("%s: %d of %d %s waited or had no answer, want very few: %v", f.name, late, later, what, last)
		}
		if longest > longestWait {
			f.t.Errorf("%s: one of the %s took %s, want %s at most", f.name, what, longest, longestWait)
		}
	}
}

// returns waits until the front sends visitors to a replica again.
func (f *watchedFront) returns(replica string) {
	f.t.Helper()
	within(f.t, 10*time.Second, f.name+" to send visitors to "+replica, func() error {
		_, body := get(f.t, f.url+"/c/visitors")
		if !strings.Contains(body, replica) {
			return fmt.Errorf("it has sent this one elsewhere")
		}
		return nil
	})
}

// keeps says what became of something that is quiet.
func (f *watchedFront) keeps(what string, do func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := do(ctx); err != nil {
		f.t.Errorf("%s: %s is cut off after %s: %v", f.name, what, time.Since(began).Round(time.Millisecond), err)
	}
}

// quietFor is less than that after which a replica says something to a socket or a stream that has
// nothing to show.
const quietFor = 18 * time.Second

// quietSocket has a socket open until a replica says something after a long silence.
func (f *watchedFront) quietSocket(ctx context.Context) error {
	ws, _, err := websocket.Dial(ctx, f.url+f.socketOf("quiet"), &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {f.url}}})
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte(`{"hello":2}`)); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < quietFor; {
		if _, _, err := ws.Read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// quietStream is quietSocket for a tab without websockets.
func (f *watchedFront) quietStream(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+f.socketOf("quiet")+"&stream=1", strings.NewReader(`{"hello":2}`))
	if err != nil {
		return err
	}
	req.Header.Set("Origin", f.url)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("got %s", resp.Status)
	}
	some := make([]byte, 4096)
	for began := time.Now(); time.Since(began) < quietFor; {
		if _, err := resp.Body.Read(some); err != nil {
			return err
		}
	}
	return nil
}

// quietReader waits for the entries of a log where nobody says anything.
func (f *watchedFront) quietReader(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/log/quiet/entries?wait=8s", nil)
	if err != nil {
		return err
	}
	code, body, err := fetch(req)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("got %d: %s", code, body)
	}
	return err
}

// socketOf returns the path of the socket of a counter's page.
func (f *watchedFront) socketOf(name string) string {
	return strings.TrimPrefix(socketAt(f.t, f.url, "/c/"+name), f.url)
}

// TestARollingRestartBehindEachFront: all replicas are replaced one after the other, as operations
// asks for it. No click is lost or counted twice, and no tab left behind. nginx and HAProxy answer
// all pages. A request that is under way when a replica closes its listener may have been sent and
// not been read; no front repeats a form then, and the others no page. And a new socket may come to
// the replica that drains, where the front does not ask the next: its tab tries again.
func TestARollingRestartBehindEachFront(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3, "-trusted-proxies", "loopback", "-rebalance", "0")
	fronts := startFronts(t, []string{w.ps[0].addr(), w.ps[1].addr(), w.ps[2].addr()})
	var tabs sync.WaitGroup
	loaded := make(chan struct{}, len(fronts))
	for i, f := range fronts {
		tabs.Go(func() { f.load(i, 20*time.Second, func() { loaded <- struct{}{} }) })
	}
	t.Cleanup(tabs.Wait)
	for range fronts {
		<-loaded
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var rushes sync.WaitGroup
	for _, f := range fronts {
		rushes.Go(func() { f.rush(ctx) })
	}
	for _, p := range w.ps {
		if code := p.term(); code != 0 {
			t.Errorf("got exit code %d, want 0", code)
		}
		p.restart()
		w.hold(3 * time.Second) // -drain is one here
	}
	cancel()
	rushes.Wait()
	for _, f := range fronts {
		f.judgeRoll()
	}
	tabs.Wait()
}

// judgeRoll says what visitors met while replicas were replaced.
func (f *watchedFront) judgeRoll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for what, all := range f.met {
		failed := 0
		var last error
		for _, v := range all {
			if v.err != nil {
				failed++
				last = v.err
			}
		}
		f.t.Logf("%s: %d %s, %d of them without the answer; %v", f.name, len(all), what, failed, last)
		if len(all) < 30 {
			f.t.Errorf("%s: only %d %s: too few to say anything", f.name, len(all), what)
		}
		most := map[string]int{"pages": len(all) / 20, "forms": len(all) / 10, "sockets": len(all) / 5}[what]
		if what == "pages" && (strings.Contains(f.name, "nginx") || f.name == "haproxy") {
			most = 0
		}
		if failed > most {
			f.t.Errorf("%s: %d of %d %s had no answer: %v", f.name, failed, len(all), what, last)
		}
	}
}

// TestAStoreThatIsAwayTakesNoReplicaAway: broker and store are frozen, for all replicas at once. A
// front that took them for dead would show its own error; people see our pages, and forms are
// answered by a replica, that nothing was counted and how to send them again.
func TestAStoreThatIsAwayTakesNoReplicaAway(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3, "-trusted-proxies", "loopback")
	fronts := startFronts(t, []string{w.ps[0].addr(), w.ps[1].addr(), w.ps[2].addr()})
	forms := make(map[*watchedFront]string)
	for _, f := range fronts {
		_, form := (&frontVisitor{t, f.client}).page(f.url, "visitors")
		forms[f] = form
	}
	w.server.Freeze()
	var visits sync.WaitGroup
	for _, f := range fronts {
		for range 4 { // one of them in the seconds in which nothing is known yet
			visits.Go(func() {
				code, body, err := f.ask(f.client, http.MethodPost, strings.TrimPrefix(forms[f], f.url))
				if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(body, "Not counted yet") {
					t.Errorf("%s: got %d and %v for a form, want the replica's 503: %s", f.name, code, err, body)
				}
			})
		}
		visits.Go(func() {
			for range 20 {
				code, body, err := f.ask(f.client, http.MethodGet, "/c/visitors")
				if err != nil || code != http.StatusOK {
					t.Errorf("%s: got %d and %v for a page, want it: %s", f.name, code, err, body)
				}
				w.hold(300 * time.Millisecond)
			}
		})
	}
	visits.Wait()
	w.server.Thaw()
	for _, f := range fronts {
		eventually(t, "forms to count", func() error { return (&frontVisitor{t, f.client}).send(f.url, forms[f]) })
	}
}
