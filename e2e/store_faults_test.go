package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"lockstep/internal/history"
	"lockstep/internal/testserver"
)

// storeFaults are what happens to the store, or to the server that is broker
// and store.
func storeFaults() []faultCase {
	return []faultCase{
		{
			fault: "broker and store restarted", injected: "kill -9 of the server, started again after 2 s",
			expected: "not ready meanwhile; clicks wait and are counted once",
			on:       allStores, quick: allStores,
			kinds: (*target).allKinds,
			run: func(w *cluster) {
				w.server.Kill()
				w.note("degraded after %s", w.degraded(w.ps[0], "store"))
				w.hold(2 * time.Second)
				w.server.Start()
			},
		},
		{
			fault: "broker and store frozen", injected: "SIGSTOP of the server for 10 s",
			expected: "as above, found by heartbeat and deadlines",
			on:       allStores,
			run: func(w *cluster) {
				w.server.Freeze()
				w.note("degraded after %s", w.degraded(w.ps[0], "broker"))
				w.hold(10 * time.Second)
				w.server.Thaw()
			},
		},
		{
			fault: "store unreachable", injected: "a proxy cuts and refuses its connections for 12 s; the broker lives",
			expected: "degraded; clicks are refused honestly, wait in the tab and are counted once",
			on:       allStores, quick: []string{postgres},
			kinds: (*target).pieceKinds,
			run: func(w *cluster) {
				w.stores(func(p *testserver.Proxy) { p.Refuse(true) })
				w.note("degraded after %s", w.degraded(w.ps[0], "store"))
				w.hold(w.lasts(12*time.Second, 3*time.Second))
				w.stores(func(p *testserver.Proxy) { p.Refuse(false) })
			},
		},
		{
			fault: "answers of the store lost", injected: "a proxy holds back what it says, and cuts, for 2 s, three times",
			expected: "nobody knows which clicks were applied: they are tried again with the same ids",
			on:       allStores, quick: []string{redis},
			kinds: (*target).allKinds,
			run: func(w *cluster) {
				for range 3 {
					w.stores(func(p *testserver.Proxy) { p.StallAnswers(true) })
					w.hold(2 * time.Second)
					w.stores(func(p *testserver.Proxy) { p.Cut(); p.StallAnswers(false) })
					w.hold(time.Second)
				}
			},
		},
		{
			fault: "half-open connection to the store", injected: "a proxy drops packets both ways for 8 s, no RST; the broker lives",
			expected: "as with an unreachable store",
			on:       allStores,
			run: func(w *cluster) {
				w.stores(func(p *testserver.Proxy) { p.Stall(true) })
				w.note("degraded after %s", w.degraded(w.ps[0], "store"))
				w.hold(8 * time.Second)
				w.stores(func(p *testserver.Proxy) { p.Stall(false) })
			},
		},
		{
			fault: "store loses its data", injected: "FLUSHALL; tables dropped",
			expected: "a new epoch: tabs follow the smaller number",
			on:       both, quick: both, lossy: true,
			kinds: (*target).allKinds,
			run:   loseData,
		},
		{
			fault: "backup restored", injected: "the server stopped, its folder replaced by an older copy, started",
			expected: "a new epoch: tabs follow the older number",
			on:       both, lossy: true,
			kinds: (*target).allKinds,
			run:   restoreBackup,
		},
		{
			fault: "disk full", injected: "the file system of the embedded store is filled up for 3 s, and 2,000 page loads that it does not know click",
			expected: "degraded; clicks wait in the tabs; nothing is damaged",
			on:       []string{embedded}, quick: []string{embedded}, smallDisk: true,
			run: func(w *cluster) {
				ballast := filepath.Join(w.folder, "ballast")
				f, err := os.Create(ballast)
				if err != nil {
					w.Fatal(err)
				}
				for err == nil {
					_, err = f.Write(make([]byte, 4096))
				}
				_ = f.Close() // it is full
				newcomers(w, 2000)
				w.note("degraded after %s", w.degraded(w.ps[0], "writes"))
				w.hold(3 * time.Second)
				if err := os.Remove(ballast); err != nil {
					w.Fatal(err)
				}
			},
		},
	}
}

// newcomers has so many page loads that the store does not know click once: it has to grow,
// where it has room in its file for others.
func newcomers(w *cluster, n int) {
	tabs := w.group.all()
	for i := range n {
		tab := tabs[i%len(tabs)]
		do, in := w.group.kind.act("")
		op := history.Op{ID: history.ID{Client: newClientID(), Seq: 1}, User: tab.user, Do: do, In: in}
		w.group.h.Sent(tab.name, op)
		tab.put(op)
	}
}

// loseData empties the store under the feet of everybody.
func loseData(w *cluster) {
	before, err := w.group.read()
	if err != nil {
		w.Fatal(err)
	}
	if w.backend == redis {
		opts, err := goredis.ParseURL(w.server.URL)
		if err != nil {
			w.Fatal(err)
		}
		c := goredis.NewClient(opts)
		defer c.Close()
		if err := c.FlushAll(w.Context()).Err(); err != nil {
			w.Fatal(err)
		}
	} else {
		c, err := pgx.Connect(w.Context(), w.server.URL)
		if err != nil {
			w.Fatal(err)
		}
		defer c.Close(w.Context())
		eventually(w.T, "the tables to be emptied", func() error { // a call that uses two of them may be in the way
			_, err := c.Exec(w.Context(), "TRUNCATE "+pgTables)
			return err
		})
	}
	w.newEpoch(before)
}

// pgTables are those of package pgstate.
const pgTables = "lockstep_app, lockstep_topic, lockstep_lane, lockstep_log"

// restoreBackup puts an older copy of the server's data in its place.
func restoreBackup(w *cluster) {
	backup := filepath.Join(w.TempDir(), "backup")
	w.server.Stop()
	copyFolder(w, w.server.Dir, backup)
	w.server.Start()
	w.recovered()
	w.hold(time.Second)
	before, err := w.group.read()
	if err != nil {
		w.Fatal(err)
	}
	w.server.Stop()
	if err := os.RemoveAll(w.server.Dir); err != nil {
		w.Fatal(err)
	}
	copyFolder(w, backup, w.server.Dir)
	w.server.Start()
	w.newEpoch(before)
}

// copyFolder copies a folder with owners and modes: PostgreSQL runs as another
// user.
func copyFolder(w *cluster, from, to string) {
	w.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		w.Fatalf("cp: %v: %s", err, out)
	}
}
