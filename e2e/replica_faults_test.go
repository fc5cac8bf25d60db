package e2e_test

import (
	"net/http"
	"sync"
	"syscall"
	"time"
)

// replicaFaults are what happens to the processes that serve.
func replicaFaults() []faultCase {
	return []faultCase{
		{
			fault: "replica killed in mid-click", injected: "kill -9 of one of three, started again after 1 s",
			expected: "its tabs move and send again what was not acknowledged",
			on:       []string{redis, postgres, natsWithin}, quick: []string{redis, postgres}, kit: both,
			kinds: (*target).allKinds,
			run:   killedAndBack,
		},
		{
			fault: "replica killed, tabs without websockets", injected: "kill -9 of one of three behind nginx, started again after 1 s; over plain HTTP, each request to another replica",
			expected: "streams and clicks go to the others, and each click counts once",
			on:       []string{redis, postgres}, quick: []string{redis}, nginx: true, overHTTP: true,
			kinds: (*target).allKinds,
			run:   killedOverHTTP,
		},
		{
			fault: "replica killed and server restarted", injected: "kill -9 of one of three, and a second later of the server, started again",
			expected: "both at once: all clicks acknowledged and counted once",
			on:       both, quick: both, kit: []string{postgres},
			run: func(w *cluster) {
				w.ps[0].kill()
				w.ps = w.ps[1:]
				w.hold(time.Second)
				w.server.Kill()
				w.server.Start()
				w.recovered()
				w.hold(w.lasts(5*time.Second, time.Second))
			},
		},
		{
			fault: "only replica killed in mid-click", injected: "kill -9, started again, five times",
			expected: "the embedded file keeps every acknowledged click; a new epoch with each start",
			on:       []string{embedded}, quick: []string{embedded}, kit: []string{embedded},
			kinds: (*target).allKinds,
			run: func(w *cluster) {
				for range 5 {
					w.ps[0].kill()
					w.ps[0].restart()
					w.recovered()
				}
			},
		},
		{
			fault: "rolling restart under load", injected: "SIGTERM to one replica after the other behind nginx, 100 clicks/s, 20 pages/s",
			expected: "exit code 0, no click lost, no page fails",
			on:       []string{redis, postgres}, quick: []string{redis}, kit: []string{redis}, nginx: true,
			run: rollingRestart,
		},
		{
			fault: "restart under load", injected: "SIGTERM to the only replica, started again",
			expected: "exit code 0, clicks wait in the tabs meanwhile",
			on:       []string{embedded}, quick: []string{embedded},
			run: func(w *cluster) {
				if code := w.ps[0].term(); code != 0 {
					w.Errorf("got exit code %d, want 0", code)
				}
				w.ps[0].restart()
			},
		},
		{
			fault: "replica frozen", injected: "SIGSTOP of one of three for 10 s, then SIGCONT",
			expected: "its tabs find out and move; nothing goes back when it thaws",
			on:       []string{redis, postgres, natsWithin},
			run: func(w *cluster) {
				signal(w, w.ps[0], syscall.SIGSTOP)
				w.hold(10 * time.Second)
				signal(w, w.ps[0], syscall.SIGCONT)
			},
		},
		{
			fault: "all replicas killed at once", injected: "kill -9 of all three, started again",
			expected: "clicks wait in the tabs and are counted once",
			on:       []string{redis, postgres, natsWithin},
			kinds:    (*target).allKinds,
			run: func(w *cluster) {
				for _, p := range w.ps {
					p.kill()
				}
				var up sync.WaitGroup
				for _, p := range w.ps {
					up.Go(p.restart)
				}
				up.Wait()
			},
		},
		{
			fault: "1,000 tabs reconnect at once", injected: "all sockets cut in one moment",
			expected: "all are back and in step",
			on:       []string{redis, postgres, embedded}, quick: []string{redis}, idle: true,
			run: func(w *cluster) {
				for i := range 1000 {
					w.group.connect(rotated(w.urls(), i)...)
				}
				w.group.connected()
				tabs := w.group.all()
				for i := range 50 {
					tabs[i].click(false)
				}
				for _, tab := range tabs {
					tab.cut()
				}
				for i := range 50 {
					tabs[i].click(true)
				}
			},
		},
		{
			fault: "clock jumps", needs: "clock", injected: "the wall clock of one of three is an hour ahead, of another an hour behind",
			expected:  "nothing depends on a replica's clock",
			on:        []string{redis, postgres, embedded},
			ownClocks: true, run: clockJumps,
		},
	}
}

// killedAndBack kills a replica, and starts it again when its tabs are with the others.
func killedAndBack(w *cluster) {
	killed := w.ps[0]
	killed.kill()
	w.ps = w.ps[1:]
	w.recovered()
	w.hold(time.Second)
	killed.restart()
	w.ps = append(w.ps, killed)
}

// killedOverHTTP kills a replica under tabs whose streams and exchanges go to any.
func killedOverHTTP(w *cluster) {
	before := w.group.requests.Load()
	killedAndBack(w)
	w.hold(w.lasts(5*time.Second, time.Second))
	if n := w.group.requests.Load() - before; n < 2*clusterTabs {
		w.Errorf("%d requests were made: the tabs have another way", n)
	}
}

func signal(w *cluster, p *process, s syscall.Signal) {
	w.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		w.Fatal(err)
	}
}

// rollingRestart restarts all replicas, one after the other, while people
// click and load pages.
func rollingRestart(w *cluster) {
	leave := w.visitors(w.group.all()[0].bases[0])
	for _, p := range w.ps {
		if code := p.term(); code != 0 {
			w.Errorf("got exit code %d, want 0", code)
		}
		p.restart()
		w.hold(w.lasts(2*time.Second, 200*time.Millisecond))
	}
	w.recovered()
	w.note("%d pages, none failed", leave())
}

// visitors load 20 pages a second, as some do on every site, until leave is called, which returns
// how many there were. None may fail.
func (w *cluster) visitors(base string) (leave func() (pages int)) {
	done := make(chan struct{})
	var visiting sync.WaitGroup
	pages := 0
	visiting.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			pages++
			if code, body := get(w.T, base+"/"); code != http.StatusOK {
				w.Errorf("a page failed: %d %s", code, body)
			}
		}
	})
	return func() int { close(done); visiting.Wait(); return pages }
}
