package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/backends"
	"lockstep/internal/history"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pubsubtest"
	"lockstep/pubsub/signedpubsub"
	"lockstep/serve"
	states "lockstep/state"
	"lockstep/static"
)

const (
	clusterTabs = 12
	clusterRate = 100 // clicks a second
)

// A cluster is what a fault is let loose on: replicas over a backend, with a
// proxy on each of their connections to it, and a group of tabs that clicks all
// the time.
type cluster struct {
	*testing.T
	app     *target
	full    bool // long faults, as the matrix is meant
	backend string
	server  *testserver.Server        // broker and store; nil: the embedded ones
	broker  *testserver.Server        // in place of server; nil: server is the broker, too
	cloud   *testserver.Cloud         // what the broker is of; nil: nothing
	url     string                    // of servers that say themselves where they are: no proxies stand before them; "": none
	nodes   *testserver.RedisCluster  // which url leads to; nil: none
	watched *testserver.RedisSentinel // the same
	peers   []string                  // where the brokers in the replicas reach each other; nil: there are none
	standby *testserver.Server        // follows it; nil: none
	outside *testserver.Proxy         // of the outsider, to the server; nil: none
	store   states.Store              // the server's, opened by an outsider; nil: the embedded one
	proxies []proxies                 // of each replica, to the server
	faulty  []*pubsubtest.FaultyDriver
	folder  string // of the embedded store
	// ownClocks has each replica run by a clock of its own.
	ownClocks bool
	clocks    []clock
	ps        []*process
	group     *group

	stop     context.CancelFunc // ends the clicks
	clicking sync.WaitGroup
	notes    []string
	took     time.Duration // from the end of the fault until all was in step
	measured bool
}

// proxies stand between one replica and the backend.
type proxies struct{ broker, store *testserver.Proxy }

// newCluster starts a backend; replicas and tabs come next.
func newCluster(t *testing.T, a *target, backend string, k kind, lossy bool) *cluster {
	t.Helper()
	w := &cluster{T: t, app: a, full: chaosFull(), backend: backend, group: newGroupOf(t, k, lossy), stop: func() {}}
	if backend == embedded {
		return w
	}
	w.startServers()
	if w.peers != nil {
		return w // nobody else gets in
	}
	url := w.url
	if url == "" {
		url = w.server.URL
	}
	w.store = openStore(t, url, prefixOf(t))
	w.group.reads(w.store)
	return w
}

// fill opens twelve tabs, some in each replica, with the others to go to when
// it is away; or all through nginx.
func (w *cluster) fill(behindNginx bool) {
	w.Helper()
	bases := w.urls()
	if behindNginx {
		bases = []string{w.nginx()}
	}
	for i := range clusterTabs {
		w.group.open(w.group.path(), rotated(bases, i)...)
	}
	w.group.connected()
}

// openStore opens a store as an outsider.
func openStore(t *testing.T, url, prefix string) states.Store {
	t.Helper()
	s, err := backends.Store(t.Context(), url, &backends.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the server may be gone
	return s
}

// startReplicas starts n replicas with flags, each with proxies of its own before
// the server.
func (w *cluster) startReplicas(n int, flags ...string) {
	w.Helper()
	program, err := w.app.program()
	if err != nil {
		w.Fatal(err)
	}
	for i := range n {
		var args, env []string
		if w.peers != nil {
			args, env = w.app.backends("nats-embedded:", "nats-embedded:", prefixOf(w.T))
			args = append(args, "-cluster-listen", w.peers[i], "-cluster-peers", strings.Join(w.peers, ","))
		}
		if w.url != "" {
			args, env = w.app.backends(w.url, w.url, prefixOf(w.T))
		}
		if w.server != nil {
			l, brokerURL := w.newProxies()
			w.proxies = append(w.proxies, l)
			args, env = w.app.backends(brokerURL, l.store.Rewrite(w.server.URL), prefixOf(w.T))
		}
		args = append(args, "-addr", address(testserver.FreePort(w.T)), "-replica", "replica-"+strconv.Itoa(i+1), "-drain", "1s")
		p := &process{t: w.T, dir: w.TempDir(), args: append(args, flags...), env: env, path: program}
		if w.ownClocks {
			w.setClock(p)
		}
		w.ps = append(w.ps, p)
	}
	var running sync.WaitGroup // some begin only when others do
	for _, p := range w.ps {
		running.Go(p.run)
	}
	running.Wait()
	if w.server == nil && w.url == "" {
		w.group.store = pageStore{w.ps[n-1].url, w.group.kind, w.group.name}
	}
}

// newProxies returns proxies before broker and store, and the URL of the broker through its own.
func (w *cluster) newProxies() (l proxies, brokerURL string) {
	l.store = testserver.NewProxy(w, w.server.Addr)
	if w.cloud != nil {
		l.broker = testserver.NewProxy(w, w.cloud.Front)
		return l, w.cloud.At(l.broker.Addr)
	}
	broker := cmp.Or(w.broker, w.server)
	l.broker = testserver.NewProxy(w, broker.Addr)
	return l, l.broker.Rewrite(broker.URL)
}

// startLossyReplicas starts n replicas in this process, over a driver that
// drops three in ten messages, repeats two and swaps two.
func (w *cluster) startLossyReplicas(n int) {
	w.Helper()
	assets, err := static.New()
	if err != nil {
		w.Fatal(err)
	}
	for i := range n {
		f := pubsubtest.Faulty(openDriver(w.T, w.server.URL, prefixOf(w.T)), pubsubtest.Faults{
			Seed: uint64(i + 1), Drop: 0.3, Duplicate: 0.2, Reorder: 0.2,
			Spare: func(topic string) bool { return strings.Contains(topic, "_hub:") }, // or the connection is found out and replaced
		})
		w.faulty = append(w.faulty, f)
		signed, err := signedpubsub.NewDriver(f, [][]byte{[]byte(testSecret)}, nil)
		if err != nil {
			w.Fatal(err)
		}
		a := app.New(signed, w.store, &app.Options{Prefix: prefixOf(w.T), Replica: "replica-" + strconv.Itoa(i+1)})
		if err := a.Start(w.Context()); err != nil {
			w.Fatal(err)
		}
		handler := web.New(a, assets, &web.Options{Options: serve.Options{Keys: [][]byte{[]byte(testSecret)}}})
		s := httptest.NewServer(handler)
		w.ps = append(w.ps, &process{t: w.T, url: s.URL})
		w.Cleanup(func() {
			if err := a.Stop(context.Background(), 0); err != nil {
				w.Error(err)
			}
			handler.Close()
			s.Close()
		})
	}
}

// openDriver returns a broker's driver as the replicas use it, without signatures.
func openDriver(t *testing.T, url, prefix string) driver.Driver {
	t.Helper()
	d, err := backends.Driver(url, &backends.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// disk returns a folder: of a file system of 1 MB if it is to be small.
func (w *cluster) disk(small bool) string {
	w.Helper()
	dir := w.TempDir()
	w.folder = dir
	if !small {
		return dir
	}
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).Run(); err != nil {
		w.Skip("a small file system needs root:", err)
	}
	w.Cleanup(func() {
		if err := exec.Command("umount", "-l", dir).Run(); err != nil {
			w.Error("umount:", err)
		}
	})
	return dir
}

func (w *cluster) urls() (urls []string) {
	for _, p := range w.ps {
		urls = append(urls, p.url)
	}
	return urls
}

func (w *cluster) nginx() string {
	var addrs []string
	for _, p := range w.ps {
		addrs = append(addrs, p.addr())
	}
	return testserver.Nginx(w, addrs...).URL
}

// rotated returns all with number i first.
func rotated(all []string, i int) []string {
	i %= len(all)
	return append(append([]string(nil), all[i:]...), all[:i]...)
}

// A pageStore reads the truth where nobody else can open the store: from a
// replica's page.
type pageStore struct {
	url  string
	kind kind
	name string
}

// state returns what the page shows, if it knows.
func (s pageStore) state(ctx context.Context) (history.State, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+s.kind.path(s.name), nil)
	if err != nil {
		return history.State{}, err
	}
	_, body, err := fetch(req)
	if err != nil {
		return history.State{}, err
	}
	shown, ok := s.kind.parse(body)
	if !ok || strings.Contains(body, `data-state="degraded"`) {
		return history.State{}, errors.New("the page does not know")
	}
	return shown, nil
}

// load has the group click in the background, until quiet.
func (w *cluster) load() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.clicking.Go(func() { w.group.click(ctx, 1<<30, clusterRate, nil) })
	w.Cleanup(w.quiet)
}

// quiet ends the clicks.
func (w *cluster) quiet() {
	w.stop()
	w.clicking.Wait()
}

// lasts returns how long a fault is to last: in the matrix, or in the
// selection of every test run.
func (w *cluster) lasts(full, quick time.Duration) time.Duration {
	if w.full {
		return full
	}
	return quick
}

// hold lets a fault last.
func (w *cluster) hold(d time.Duration) { <-time.After(d) }

func (w *cluster) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// recovered measures, while the clicks go on, how long it takes from now until
// every tab is connected, has seen what the store had, has no unanswered click
// from before, and every replica is ready.
func (w *cluster) recovered() {
	w.Helper()
	began := time.Now()
	var floor history.State
	eventually(w.T, "everything to be in step", func() (err error) {
		if floor == (history.State{}) {
			if floor, err = w.group.read(); err != nil {
				return err
			}
		}
		if err := w.group.behind(floor, began); err != nil {
			return err
		}
		return w.allReady()
	})
	w.took, w.measured = time.Since(began), true
}

func (w *cluster) allReady() error {
	for _, p := range w.ps {
		if code, body := get(w.T, p.url+"/readyz"); code != http.StatusOK {
			return fmt.Errorf("%s: %d %s", p.url, code, body)
		}
	}
	return nil
}

// degraded waits until a replica says why it is not ready, and returns how
// long that took. Its page must stay up and say so too.
func (w *cluster) degraded(p *process, reason string) time.Duration {
	w.Helper()
	began := time.Now()
	eventually(w.T, "the replica to be degraded", func() error {
		code, body := get(w.T, p.url+"/readyz")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, reason) {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	took := time.Since(began).Round(10 * time.Millisecond)
	code, body := get(w.T, p.url+w.group.path())
	if code != http.StatusOK || !strings.Contains(body, `data-state="degraded"`) || !strings.Contains(body, `data-topic="`+w.group.topic()+`"`) {
		w.Errorf("the page is not up and degraded: %d %s", code, body)
	}
	return took
}

// noneWaits demands that clicks are still answered: no tab has one that is
// older than d.
func (w *cluster) noneWaits(d time.Duration) {
	w.Helper()
	for _, tab := range w.group.all() {
		if n := tab.pending(time.Now().Add(-d)); n > 0 {
			w.Errorf("tab %s has %d clicks that wait for more than %s, though the store lives", tab.name, n, d)
		}
	}
}

// brokers does something to all connections to the broker.
func (w *cluster) brokers(f func(*testserver.Proxy)) {
	for _, l := range w.proxies {
		f(l.broker)
	}
}

// stores does something to all connections to the store.
func (w *cluster) stores(f func(*testserver.Proxy)) {
	for _, l := range w.proxies {
		f(l.store)
	}
}

// newEpoch waits until the store is of a later epoch than a state that it had.
func (w *cluster) newEpoch(before history.State) {
	w.Helper()
	var now history.State
	eventually(w.T, "a new epoch", func() (err error) {
		if now, err = w.group.read(); err == nil && now.Epoch <= before.Epoch {
			err = fmt.Errorf("the store has %+v, before %+v", now, before)
		}
		return err
	})
	w.note("%s before, %s after", brief(before.Value), brief(now.Value))
}

// brief is a value for a table: of many items it says how many.
func brief(value string) string {
	if n := len(strings.Fields(value)); len(value) > 60 {
		return fmt.Sprintf("%d words", n)
	}
	return strconv.Quote(value)
}

// settle ends the clicks, waits until all tabs show the store's state and
// judges what they have seen.
func (w *cluster) settle() {
	w.Helper()
	w.quiet()
	eventually(w.T, "all tabs to show the store's state", func() error {
		v, err := w.group.read()
		if err != nil {
			return err
		}
		for _, tab := range w.group.all() {
			if got := tab.value(); !w.group.kind.agree(v, got) {
				return fmt.Errorf("tab %s shows %+v, the store has %+v", tab.name, got, v)
			}
		}
		return w.group.behind(v, time.Now())
	})
	w.group.judge()
}

// chaosFull reports whether the whole matrix runs, with long faults.
func chaosFull() bool { return os.Getenv("LOCKSTEP_CHAOS") == "full" }
