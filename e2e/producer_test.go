package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pgpubsub"
	"lockstep/pubsub/redispubsub"
	"lockstep/pubsub/signedpubsub"
	states "lockstep/state"
	"lockstep/state/pgstate"
	"lockstep/state/redisstate"
)

// producerEnv has this program be a producer: its value is a production, as JSON.
const producerEnv = "LOCKSTEP_E2E_PRODUCER"

// A production is what a producer's process is to append, and where.
type production struct {
	Backend, URL, Prefix, Topic string
	Word                        string // that it says, with a number
	Total                       uint64
	Rate                        int // entries a second
}

// saying is what the entry numbered n, from 1, says.
func (p production) saying(n uint64) string { return p.Word + " " + strconv.FormatUint(n, 10) }

// produce is the process of a producer, and returns its exit code. It is a program of its own, as
// somebody else would write one: an App without pages, on the broker and the store of the replicas.
func produce(text string) int {
	var p production
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "producer:", err)
		return 1
	}
	return 0
}

// run appends what no run before has.
func (p production) run(ctx context.Context) (err error) {
	d, store, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	a := app.New(d, store, &app.Options{Prefix: p.Prefix, Replica: "producer"})
	if err := a.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop(ctx, 0)) }()
	producer, err := a.Producer(p.Topic, states.ProducerClient([]byte(testSecret), "words"), &states.ProducerOptions{User: "words"})
	if err != nil {
		return err
	}
	done, err := producer.Resume(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	for n := done + 1; n <= p.Total; n++ {
		due := time.Duration(n-done) * time.Second / time.Duration(p.Rate)
		<-time.After(time.Until(began.Add(due)))
		if err := producer.Send(ctx, "say", states.Fields{"text": {p.saying(n)}}, nil); err != nil {
			return err
		}
	}
	return producer.Close(ctx)
}

// open connects to the broker and the store.
func (p production) open(ctx context.Context) (d driver.Driver, store states.Store, err error) {
	if p.Backend == redis {
		if d, err = redispubsub.NewDriver(p.URL); err != nil {
			return nil, nil, err
		}
		store, err = redisstate.Open(ctx, p.URL, &redisstate.Options{Prefix: p.Prefix})
	} else {
		if d, err = pgpubsub.NewDriver(p.URL, &pgpubsub.Options{Channel: p.Prefix}); err != nil {
			return nil, nil, err
		}
		store, err = pgstate.Open(ctx, p.URL, &pgstate.Options{Prefix: p.Prefix})
	}
	if err != nil {
		return nil, nil, err
	}
	signed, err := signedpubsub.NewDriver(d, [][]byte{[]byte(testSecret)}, nil)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return signed, store, nil
}

// A producing is a run of a production.
type producing struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *syncBuffer
	done <-chan struct{}
}

// start runs a process that appends.
func (p production) start(t *testing.T) *producing {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	r := &producing{t: t, cmd: exec.Command(os.Args[0]), out: new(syncBuffer)}
	r.cmd.Env = append(os.Environ(), producerEnv+"="+string(text))
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if r.done, err = testserver.Launch(r.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kill() })
	return r
}

// kill is kill -9. It reports whether the process was running.
func (r *producing) kill() bool {
	select {
	case <-r.done:
		return false
	default:
	}
	_ = r.cmd.Process.Kill() // it may end just now
	<-r.done
	return !r.cmd.ProcessState.Success()
}

// ends waits until the process has appended all there was.
func (r *producing) ends(limit time.Duration) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		r.t.Fatalf("the producer does not end: %s", r.out)
	}
	if !r.cmd.ProcessState.Success() {
		r.t.Fatalf("the producer ended: %v: %s", r.cmd.ProcessState, r.out)
	}
}

// storedLog returns all entries of a log that a store has.
func storedLog(ctx context.Context, store states.Store, topic string) (all []logEntry, err error) {
	for {
		first, raw, err := store.Entries(ctx, topic, uint64(len(all)), app.MaxPart)
		if err != nil || len(raw) == 0 {
			return all, err
		}
		entries, err := states.ReadEntries[app.Message](first, raw)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.N != uint64(len(all))+1 {
				return nil, fmt.Errorf("the store has entry %d behind %d", e.N, len(all))
			}
			all = append(all, logEntry{e.N, e.ID, e.M.Text})
		}
	}
}

// hasAll returns all entries of a production, which a store has.
func hasAll(t *testing.T, store states.Store, p production) (all []logEntry) {
	t.Helper()
	eventually(t, "the entries of the store", func() (err error) {
		if all, err = storedLog(t.Context(), store, p.Topic); err == nil && uint64(len(all)) != p.Total {
			err = fmt.Errorf("there are %d, want %d", len(all), p.Total)
		}
		return err
	})
	return all
}

// entriesIn is how many entries a log has had.
func entriesIn(ctx context.Context, store states.Store, topic string) (uint64, error) {
	records, err := store.Read(ctx, topic)
	if err != nil {
		return 0, err
	}
	l, err := app.Logs().Read(records[0].Data)
	return l.N, err
}

// TestReadersOfAProducerEndWithTheSameEntries: of every form, whatever happens to them, to a
// replica and to the producer. What the store has is what the producer was to say, each once
// and in order.
func TestReadersOfAProducerEndWithTheSameEntries(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{redis, postgres} {
		if backend == postgres && !chaosFull() {
			continue // LOCKSTEP_CHAOS=full
		}
		t.Run(backend, func(t *testing.T) { readersOfAProducer(t, backend) })
	}
}

func readersOfAProducer(t *testing.T, backend string) {
	var server *testserver.Server
	if backend == redis {
		server = testserver.Redis(t)
	} else {
		server = testserver.Postgres(t)
	}
	p := production{Backend: backend, URL: server.URL, Prefix: prefixOf(t), Topic: "log:words", Word: "word", Total: 1200, Rate: 200}
	away, limit := 3*time.Second, 2*patience
	if chaosFull() {
		p.Total, away, limit = 6000, 20*time.Second, 6*patience
	}
	ps := startCluster(t, 3, server.URL)
	store := openStore(t, server.URL, p.Prefix)
	has := func(n uint64) {
		t.Helper()
		within(t, limit, fmt.Sprintf("the store to have %d entries", n), func() error {
			switch got, err := entriesIn(t.Context(), store, p.Topic); {
			case err != nil:
				return err
			case got < n:
				return fmt.Errorf("it has %d", got)
			}
			return nil
		})
	}
	const path = "/log/words"
	urls := []string{ps[0].url, ps[1].url, ps[2].url}
	all := newLogReaders(t, path, p.Topic, limit)
	behind := func(first ...string) *testserver.Proxy { // as a balancer
		var addrs []string
		for _, url := range first {
			addrs = append(addrs, strings.TrimPrefix(url, "http://"))
		}
		return testserver.NewProxy(t, addrs...)
	}
	moving, cut := behind(urls[2], urls[0]), behind(urls[1])
	chromium := newBrowser(t)
	all.tab(chromium, "stays", urls[0])
	all.tab(chromium, "loses its replica", "http://"+moving.Addr)
	reloaded := all.tab(chromium, "is reloaded", urls[1])
	offline := all.tab(chromium, "is offline for a while", "http://"+cut.Addr)
	all.socket("stays", urls...)
	all.socket("loses its replica", rotated(urls, 2)...)
	renewed := all.socket("is loaded again", rotated(urls, 1)...)
	absent := all.socket("is away for a while", urls...)
	all.events("stays", urls...)
	all.events("loses its replica", rotated(urls, 2)...)
	all.polls("loses its replica", rotated(urls, 2)...)

	first := p.start(t)
	has(p.Total / 6)
	cut.Refuse(true)
	absent.leave()
	back := make(chan struct{})
	go func() { // ends when the log has grown, or the test has ended
		defer close(back)
		<-time.After(away)
		for n, err := uint64(0), error(nil); err == nil && n < p.Total/6+2*roomEntries; <-time.After(20 * time.Millisecond) {
			n, err = entriesIn(t.Context(), store, p.Topic)
		}
		cut.Refuse(false)
		absent.comeBack()
	}()
	has(p.Total / 3)
	if !first.kill() {
		t.Error("the producer has ended before it was killed")
	}
	reloaded.reload()
	second := p.start(t)
	has(p.Total / 2)
	ps[2].kill()
	renewed.reload()
	has(p.Total * 2 / 3)
	if !second.kill() {
		t.Error("the producer has ended before it was killed again")
	}
	third := p.start(t)
	has(p.Total * 5 / 6)
	all.tab(chromium, "comes late", urls[1])
	third.ends(limit)
	<-back

	want := hasAll(t, store, p)
	for i, e := range want {
		if e.text != p.saying(uint64(i)+1) {
			t.Fatalf("entry %d says %q: one was lost, doubled or out of order", e.n, e.text)
		}
	}
	eventually(t, "the tab to say that it has missed something", func() error {
		if got := offline.evaluate(`String(document.querySelector('[data-missed]').hidden)`); got != "false" {
			return errors.New("it does not")
		}
		return nil
	})
	all.end(want)
	if absent.starts() == 0 {
		t.Error("a reader that was away for longer than a room knows has not begun afresh")
	}
}

// TestALogThatWasRestoredIsTheSameForAll: its server is stopped and started with an older copy
// of its data, and others go on from there. Nobody shows an entry that never was, then.
func TestALogThatWasRestoredIsTheSameForAll(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	server.Own()
	p := production{Backend: redis, URL: server.URL, Prefix: prefixOf(t), Topic: "log:words", Word: "word", Rate: 200}
	ps := startCluster(t, 2, server.URL)
	store := openStore(t, server.URL, p.Prefix)
	said := func(word string, total uint64) []logEntry {
		t.Helper()
		p.Word, p.Total = word, total
		p.start(t).ends(2 * patience)
		return hasAll(t, store, p)
	}
	all := newLogReaders(t, "/log/words", p.Topic, 2*patience)
	cut := testserver.NewProxy(t, ps[1].addr())
	chromium := newBrowser(t)
	all.tab(chromium, "stays", ps[0].url)
	away := all.tab(chromium, "is offline meanwhile", "http://"+cut.Addr)
	stays := all.socket("stays", ps[1].url)
	absent := all.socket("is away meanwhile", ps[0].url)
	all.events("stays", ps[0].url)
	all.polls("stays", ps[1].url)

	before := said("word", 60)
	all.end(before)
	server.Stop()
	backup := filepath.Join(t.TempDir(), "backup")
	copyTree(t, server.Dir, backup)
	server.Start()
	all.end(said("lost", 120))
	cut.Refuse(true)
	absent.leave()
	server.Stop()
	if err := os.RemoveAll(server.Dir); err != nil {
		t.Fatal(err)
	}
	copyTree(t, backup, server.Dir)
	server.Start()
	want := said("again", 170) // the window of a page begins behind what was lost
	if differ(want[:60], before) != "" {
		t.Fatalf("the copy has something else: %s", differ(want[:60], before))
	}
	cut.Refuse(false)
	absent.comeBack()
	away.isLive()
	all.end(want)
	for name, r := range map[string]*socketReader{"stays": stays, "is away": absent} {
		if r.losses() == 0 {
			t.Errorf("the reader that %s was not told of a new epoch", name)
		}
	}
}

// copyTree copies a folder.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// roomEntries is how many entries a room knows.
const roomEntries = 200

// differ says what the first difference of two logs is; "": there is none.
func differ(got, want []logEntry) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("entry %d is %+v, want %+v", i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("there are %d entries, want %d", len(got), len(want))
	}
	return ""
}
