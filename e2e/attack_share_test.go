package e2e_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"lockstep/internal/testserver"
)

// Guards of what visitors share: the store's time, and the room in it.

func turnsGuard() guard {
	return guard{
		"addresses take turns at the store", "state/batcher.go",
		"if s.share, err = b.guard.share(s.from); err != nil {", "if s.share, err = b.guard.share(s.from); WITHOUT {\n\t\t\ts.share = nil\n\t\t} else if err != nil {",
	}
}

func clicksGuard() guard {
	return guard{
		"ops of an address that the store is written for", "serve/visitor.go",
		"if v.limiter.clicks.Allow(v.who.addr) {", "if WITHOUT || v.limiter.clicks.Allow(v.who.addr) {",
	}
}

func namesGuard() guard {
	return guard{
		"new topics of an address", "serve/visitor.go",
		"if v.limiter.names.Allow(v.who.addr) {", "if WITHOUT || v.limiter.names.Allow(v.who.addr) {",
	}
}

func lanesGuard() guard {
	return guard{
		"new lanes of an address", "serve/visitor.go",
		"if v.limiter.lanes.Allow(v.who.addr) {", "if WITHOUT || v.limiter.lanes.Allow(v.who.addr) {",
	}
}

func refusalsGuard() guard {
	return guard{
		"what is kept of refusals counts as lanes", "serve/visitor.go",
		"v.limiter.lanes.Owe(v.who.addr, n)", "v.limiter.lanes.Owe(v.who.addr, map[bool]int{false: n}[WITHOUT])",
	}
}

// storeDelay is the way to a store on the other side of the world, and the same back: it does fewer
// calls than a flood from one machine can ask for.
const storeDelay = 250 * time.Millisecond

// floodedCounters are more than go into all the calls that may be under way in a second.
const floodedCounters = 2000

// shareAttacks take more of the store than is one address's.
func shareAttacks() []attack {
	unlimited := []string{"-tab-rate", "0", "-addr-rate", "0"} // or these limits stand in the way
	many := slices.Concat(unlimited, []string{"-names-per-addr", "0", "-lanes-per-addr", "0", "-max-conns-per-addr", "0"})
	turns := func(name string, store func(v *victim) string) attack {
		return attack{
			name: "flood of clicks on many counters, " + name, flood: true, flags: many, store: store,
			guards: []guard{turnsGuard()}, run: floodCounters,
		}
	}
	file := turns("in a file", func(v *victim) string { return "file:" + filepath.Join(v.TempDir(), "counters.db") })
	file.long = true
	file.guards, file.why = nil, "a file takes more clicks than a flood from one machine has; state/statetest has one on a slow disk"
	inPostgres := turns("in Postgres", func(v *victim) string { return far(v, testserver.Postgres(v)) })
	inPostgres.long = true // the one in Redis shows the same
	return []attack{
		file,
		turns("in Redis", func(v *victim) string { return far(v, testserver.Redis(v)) }),
		inPostgres,
		{
			name: "flood of clicks that the store has to remember", flood: true, flags: slices.Concat(unlimited, []string{"-clicks-per-addr", "300", "-exempt", auditor + "," + honest}), // it clicks as often
			guards: []guard{clicksGuard()}, refused: `lockstep_turned_away_total{reason="clicks_of_address"`, run: fillWithClicks,
		},
		{
			name: "flood of new counters", flood: true, flags: []string{"-names-per-addr", "40"},
			guards: []guard{namesGuard()}, refused: `lockstep_turned_away_total{reason="names_of_address"`, run: fillWithNames,
		},
		{
			name: "flood of page loads that the store has to know", flood: true, flags: slices.Concat(unlimited, []string{"-lanes-per-addr", "200"}),
			guards: []guard{lanesGuard()}, refused: `lockstep_turned_away_total{reason="lanes_of_address"`, run: fillWithLanes,
		},
		{
			name: "flood of refusals that the store has to keep", needs: "bank", flood: true, flags: slices.Concat(unlimited, []string{"-lanes-per-addr", "200"}),
			guards: []guard{refusalsGuard()}, refused: `lockstep_turned_away_total{reason="lanes_of_address"`, run: fillWithRefusals,
		},
		{
			name: "flood of forms that the store has to know", flood: true, flags: []string{"-lanes-per-addr", "40", "-request-rate", "0"},
			guards: []guard{lanesGuard()}, refused: `lockstep_turned_away_total{reason="lanes_of_address"`, run: fillWithForms,
		},
	}
}

// far returns the URL of a store that is storeDelay away.
func far(v *victim, server *testserver.Server) string {
	v.way = testserver.NewProxy(v, server.Addr)
	v.way.Delay(storeDelay)
	return v.way.Rewrite(server.URL)
}

// nearer has f find the store of the target near.
func (v *victim) nearer(f func()) {
	if v.way != nil {
		v.way.Delay(0)
		defer v.way.Delay(storeDelay)
	}
	f()
}

// floodCounters clicks on many counters, so that something waits for each all
// the time, and looks how long somebody else's clicks take. Whoever takes turns waits for the calls
// under way and goes with the next, and else for all that the counters of the flood need.
func floodCounters(v *victim) error {
	var all []*clicker
	v.nearer(func() {
		for i := range floodedCounters { // one call takes up to 64
			all = append(all, newClicker(v, fmt.Sprintf("flooded-%d", i)))
		}
	})
	nine := func(n int) bool { return n < 9 }
	var w *rawSocket
	var op wireOp
	var quiet time.Duration
	for tries := 0; quiet == 0 || quiet == patience; tries++ { // its store has gone far away just now
		if tries == 5 {
			v.Fatal("the witness is cut off, or put off, before anything has begun")
		}
		w, op = v.from(newcomer).connect("witness"), v.newOpOn("witness") // which nobody has left unread
		quiet = median(waits(v, w, &op, nine))
	}
	stop := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() { clickAround(all, stop) })
	var took time.Duration
	err := v.patiently(func() error {
		took = median(waits(v, w, &op, func(n int) bool { return n < 9 || time.Now().Before(v.ends) }))
		if took <= 5*quiet {
			return nil
		}
		return fmt.Errorf("a click of somebody else takes %v, and %v when it is quiet; half of them longer",
			took.Round(time.Millisecond), quiet.Round(time.Millisecond))
	})
	close(stop)
	flood.Wait()
	for _, c := range all {
		_ = c.ws.Close() // what still waits is nobody's
		c.reading.Wait()
	}
	v.Logf("a click of somebody else took %v, and %v when it was quiet", took, quiet)
	return err
}

// waits clicks, and returns how long each click took. What is put off is sent again, as a tab does.
// One that nobody answers is the last, and takes patience.
func waits(v *victim, w *rawSocket, op *wireOp, more func(n int) bool) (took []time.Duration) {
	for more(len(took)) {
		start := time.Now()
		for {
			w.text(clickText(*op))
			m := w.verdict()
			if len(m.Ack) > 0 {
				break
			}
			if !m.cut && !m.Retry {
				v.Fatalf("the witness's click is %v", m)
			}
			if m.cut || time.Since(start) > patience {
				return append(took, slices.Repeat([]time.Duration{patience}, len(took)+1)...) // it is the median, too
			}
			<-time.After(resendPause)
		}
		took = append(took, time.Since(start))
		*op = op.next()
	}
	return took
}

// resendPause is how long a click waits that was put off.
const resendPause = 200 * time.Millisecond

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// clickAround clicks on each counter in turn, 5,000 times a second, after a few
// at once: no store here makes as many calls.
func clickAround(all []*clicker, stop <-chan struct{}) {
	for _, c := range all {
		c.click(4)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for range 50 {
			all[i%len(all)].click(1)
			i++
		}
	}
}

// fillWithClicks sends more clicks than a store may remember of one address.
func fillWithClicks(v *victim) error {
	for range v.rounds {
		c := newClicker(v, "lobby")
		for range 5 {
			c.click(100)
		}
		c.done()
	}
	if n := v.count("lobby"); n > 300 {
		return fmt.Errorf("the store remembers %d clicks of one address, where 300 are allowed", n)
	}
	return nil
}

// fillWithNames makes more counters than an address may.
func fillWithNames(v *victim) error {
	made := 0
	for round := range v.rounds {
		for i := range 100 {
			name := fmt.Sprintf("new-%d-%d", round, i)
			ws := v.from(hostile).connect(name)
			ws.text(clickText(v.newOpOn(name)))
			if m := ws.verdict(); len(m.Ack) > 0 {
				made++
			}
			_ = ws.Close()
		}
		ws := v.from(hostile).connect("new-0-0")
		ws.text(clickText(v.newOpOn("new-0-0")))
		if m := ws.verdict(); len(m.Ack) == 0 {
			v.Errorf("a click on a counter that exists is %v", m)
		}
		_ = ws.Close()
	}
	if made > 40 {
		return fmt.Errorf("one address has made %d counters, where 40 are allowed", made)
	}
	return nil
}

// fillWithLanes clicks in the name of more page loads than an address may have.
func fillWithLanes(v *victim) error {
	counted := 0
	for range v.rounds {
		ws := v.from(hostile).connect("lobby")
		for range 500 {
			ws.text(clickText(v.newOp()))
		}
		for answers := 0; answers < 500; {
			m := ws.verdict()
			if m.cut || m.code != 0 {
				v.Fatalf("the tab is %s", m)
			}
			counted += len(m.Ack)
			answers += max(len(m.Ack), 1) // in one message several are acknowledged
		}
		_ = ws.Close()
	}
	if counted > 200 {
		return fmt.Errorf("the store has to know %d page loads of one address, where 200 are allowed", counted)
	}
	return nil
}

// fillWithRefusals has as much kept of why ops were refused as a lane can keep: the reason quotes
// what was sent.
func fillWithRefusals(v *victim) error {
	kept := 0
	for round := range v.rounds {
		ws := v.from(hostile).connectTo("/bank/lobby")
		for range 30 {
			op := newOpOn("bank:lobby")
			op.do, op.in = "transfer", map[string]string{"from": strings.Repeat("x", 300)}
			for op.Seq < 30 {
				op.in["to"] = fmt.Sprint(op.Seq, round)
				op.in["from"] = fmt.Sprint(op.Seq) + op.in["from"]
				ws.text(clickText(op))
				m := ws.verdict()
				if m.cut || m.code != 0 {
					v.Fatalf("the tab is %s", m)
				}
				if m.Refused == nil {
					break // it is to be sent again: there is no room for more, or no lane
				}
				kept += len(*m.Refused)
				op.Seq++
			}
		}
		_ = ws.Close()
	}
	// Half of the lanes at once, which are 100 bytes each, and what was begun when they were gone.
	if most := 200*100/2 + 4<<10; kept > most {
		return fmt.Errorf("the store has to keep %d bytes of why it has refused one address's clicks, where %d are allowed", kept, most)
	}
	return nil
}

// fillWithForms sends the forms of more pages than an address may have.
func fillWithForms(v *victim) error {
	who, counted := v.from(hostile), 0
	cookie := "Cookie: " + who.mustVisit(v.page("lobby")).cookie
	for range v.rounds {
		for range 60 {
			p, err := readPage(who.get(v.page("lobby"), cookie).body)
			if err != nil {
				v.Fatal(err)
			}
			switch a := who.post(p.forms[v.app.do], v.app.fields(), cookie); a.status {
			case http.StatusSeeOther:
				counted++
			case http.StatusTooManyRequests:
				if a.header.Get("Retry-After") == "" {
					v.Error("a refusal does not say when to come back")
				}
			default:
				v.Fatalf("got %d, want 303 or 429: %s", a.status, a.body)
			}
		}
	}
	if counted > 40 {
		return fmt.Errorf("the store has to know %d forms of one address, where 40 are allowed", counted)
	}
	return nil
}
