package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/chromedp"

	"lockstep/internal/history"
	"lockstep/internal/testserver"
)

// tabFaults are what happens to the people's side.
func tabFaults() []faultCase {
	return []faultCase{
		{
			fault: "a tab that stops reading", injected: "three of twelve tabs never read again",
			expected: "closed after 10 s; nobody else is delayed",
			on:       both,
			run:      stalledTabs,
		},
		{
			fault: "half-open connection to a tab", injected: "a proxy drops packets both ways for 10 s, no RST",
			expected: "the tab finds out, moves, and sends its clicks again",
			on:       both,
			run: func(w *cluster) {
				relay := testserver.NewProxy(w, w.ps[0].addr())
				for range 3 {
					w.group.open(w.group.path(), "http://"+relay.Addr, w.ps[1].url)
				}
				w.group.connected()
				w.hold(time.Second)
				relay.Stall(true)
				w.hold(10 * time.Second)
				relay.Stall(false)
			},
		},
		{
			fault: "sessions resumed on another replica", injected: "a socket cut every 50 ms, its tab goes to the next replica",
			expected: "no click lost, nothing goes back",
			on:       []string{redis, postgres, embedded}, quick: []string{redis},
			run: func(w *cluster) {
				tabs := w.group.all()
				for i := range int(w.lasts(8*time.Second, 3*time.Second) / (50 * time.Millisecond)) {
					tab := tabs[i%len(tabs)]
					tab.move(rotated(w.urls(), i)...)
					tab.cut()
					w.hold(50 * time.Millisecond)
				}
			},
		},
		{
			fault: "the same op sent to several replicas at once", injected: "200 ops, each by three tabs of three replicas in one moment",
			expected: "each is counted once and acknowledged to all",
			on:       []string{redis, postgres, embedded}, quick: both,
			run: sameOps,
		},
		{
			fault: "the clicks of closed tabs, adopted by three others each", injected: "20 tabs with 30 clicks in their order, each found by three tabs of three replicas, whose sockets are cut",
			expected: "each is counted once, in order; each tab has an answer, or is told that another page had it",
			on:       []string{redis, postgres, embedded}, quick: both,
			kinds: (*target).namelessKinds,
			run:   adoptedOps,
		},
		{
			fault: "a tab offline with ten clicks", needs: "counter", injected: "Chromium cut off for 60 s, ten clicks, cut back in and reloaded",
			expected: "the page says that ten wait; after the reload all are counted once",
			on:       []string{redis, postgres, embedded}, quick: []string{redis},
			run: offlineTab,
		},
		{
			fault: "a forgotten connection to a tab", needs: "counter", injected: "a middlebox forgets it, without RST, while Chromium's tab is hidden; the tab is shown again",
			expected: "in step within 4 s of being shown",
			on:       both, quick: []string{redis},
			run: forgottenTab,
		},
	}
}

// forgottenTab has a real browser come back to a connection that has died without a word.
func forgottenTab(w *cluster) {
	relay := testserver.NewProxy(w, w.ps[0].addr())
	tab := visit(w.T, newBrowser(w.T), "http://"+relay.Addr+"/")
	tab.hide(true)
	relay.Hole()
	w.hold(w.lasts(10*time.Second, 2*time.Second))
	before, err := tab.value()
	if err != nil {
		w.Fatal(err)
	}
	w.group.h.Shown("Chromium", before)
	tab.hide(false)
	shown := time.Now()
	within(w.T, proofLimit, "the tab to go on", func() error {
		now, err := tab.value()
		if err == nil && now.Version <= before.Version {
			err = errorOf(now)
		}
		return err
	})
	w.note("after %s", time.Since(shown).Round(10*time.Millisecond))
}

// stalledTabs has a quarter of the tabs read nothing more.
func stalledTabs(w *cluster) {
	began := time.Now()
	stalled := w.group.all()[:3]
	for _, tab := range stalled {
		tab.pause(true)
	}
	eventually(w.T, "the stalled tabs to be closed", func() error {
		var closed int
		for _, p := range w.ps {
			closed += strings.Count(p.out.String(), "reason=send_timeout")
		}
		if closed < len(stalled) {
			return fmt.Errorf("%d of %d are", closed, len(stalled))
		}
		for _, tab := range w.group.all()[len(stalled):] {
			if n := tab.pending(time.Now().Add(-3 * time.Second)); n > 0 {
				return fmt.Errorf("tab %s is held up: %d clicks wait", tab.name, n)
			}
		}
		return nil
	})
	w.note("closed after %s", time.Since(began).Round(time.Second))
	for _, tab := range stalled {
		tab.pause(false)
	}
}

// sameOps sends each op from three tabs, which are on different replicas.
func sameOps(w *cluster) {
	tabs := w.group.all()
	for i := range 200 {
		do, in := w.group.kind.act("")
		op := history.Op{ID: history.ID{Client: newClientID(), Seq: 1}, Do: do, In: in}
		w.group.h.Sent(tabs[i%len(tabs)].name, op)
		var all sync.WaitGroup
		for j := range 3 {
			all.Go(func() { tabs[(i+j)%len(tabs)].put(op) })
		}
		all.Wait()
	}
}

// adoptedOps has tabs send what closed tabs have left: each all of it, at their own pace.
func adoptedOps(w *cluster) {
	tabs := w.group.all()
	for i := range 20 {
		client := newClientID()
		ops := make([]history.Op, 30)
		for j := range ops {
			do, in := w.group.kind.act("")
			ops[j] = history.Op{ID: history.ID{Client: client, Seq: uint64(j) + 1}, Do: do, In: in}
			w.group.h.Sent("closed", ops[j])
		}
		for j := range 3 {
			tabs[(i+j)%len(tabs)].put(ops...)
		}
		tabs[i%len(tabs)].cut()
		w.hold(50 * time.Millisecond)
	}
}

// offlineTab cuts a real browser off from everything for a minute.
func offlineTab(w *cluster) {
	const name = "Chromium"
	relay := testserver.NewProxy(w, w.ps[0].addr())
	tab := visit(w.T, newBrowser(w.T), "http://"+relay.Addr+"/")
	relay.Refuse(true)
	tab.until("to say that it is offline", func(s state) bool { return s.Status == "offline" })
	for i := range 10 {
		tab.click("increment")
		w.group.h.Sent(name, history.Op{ID: history.ID{Client: name, Seq: uint64(i) + 1}, Do: "increment"})
	}
	tab.until("to show that ten clicks wait", func(s state) bool { return s.Waiting && s.Kept == "10" })
	w.hold(w.lasts(60*time.Second, 3*time.Second))
	relay.Refuse(false)
	tab.do(chromedp.Reload())
	tab.until("to be live", func(s state) bool { return s.Status == "live" })
	tab.outboxIsEmpty() // the page says that nothing waits before it has looked for what an earlier one left
	tab.until("to have nothing waiting", func(s state) bool { return !s.Waiting && s.Kept == "0" })
	shown, err := tab.value()
	if err != nil {
		w.Fatal(err)
	}
	w.group.h.Shown(name, shown)
	for i := range 10 {
		w.group.h.Acked(name, history.ID{Client: name, Seq: uint64(i) + 1})
	}
	w.quiet()
	tab.until("to show the store's value", func(s state) bool {
		now, err := w.group.read()
		return err == nil && s.Count == now.Value
	})
}

// value is the state that the page shows.
func (p *page) value() (v history.State, err error) {
	s, err := p.state()
	if err != nil {
		return v, err
	}
	_, err = fmt.Sscan(s.Count+" "+s.Epoch+" "+s.Version, &v.Value, &v.Epoch, &v.Version)
	return v, err
}
