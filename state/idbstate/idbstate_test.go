//go:build js

package idbstate_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall/js"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/idbstate"
	"lockstep/state/statetest"
)

// databases gives each store a database and remembers its name, and the clock of
// the stores on it.
type databases struct {
	mu    sync.Mutex
	names map[state.Store]string
	ahead map[string]time.Duration
}

func (d *databases) open(name string) state.Store {
	s := idbstate.New(name, nil)
	d.mu.Lock()
	d.names[s] = name
	d.mu.Unlock()
	s.SetClock(func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return time.Now().Add(d.ahead[name])
	})
	return s
}

func (d *databases) name(s state.Store) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[s]
}

func (d *databases) shift(_ testing.TB, s state.Store, by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ahead[d.names[s]] += by
}

func TestStoreKeepsTheContract(t *testing.T) {
	d := databases{names: make(map[state.Store]string), ahead: make(map[string]time.Duration)}
	statetest.Run(t, func(testing.TB) state.Store { return d.open(rand.Text()) }, &statetest.Options{
		Second: func(_ testing.TB, s state.Store) state.Store { return d.open(d.name(s)) },
		Reopen: func(t testing.TB, s state.Store) state.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return d.open(d.name(s))
		},
		Shift: d.shift,
	})
}

// freshClient returns a client that no store knows.
func freshClient() (c state.Client) {
	_, _ = rand.Read(c[:]) // never fails
	return c
}

// read returns the record of a topic.
func read(t *testing.T, s state.Store, topic string) state.Record {
	t.Helper()
	records, err := s.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return records[0]
}

// click is a step by which a client does its op with a seq, and the count grows
// by one.
func click(base state.Record, c state.Client, seq uint64) state.Step {
	n, _ := strconv.Atoi(string(base.Data)) // "" is 0
	return state.Step{
		Topic: "a", Base: base, Data: strconv.AppendInt(nil, int64(n+1), 10),
		Moves: []state.Move{{Client: c, Min: seq - 1, Max: seq - 1, To: state.Lane{Last: seq, From: seq}}},
	}
}

// increment has a new client click once.
func increment(t *testing.T, s state.Store) state.Record {
	t.Helper()
	step := click(read(t, s, "a"), freshClient(), 1)
	o := s.Commit(t.Context(), step)[0]
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	o.Record.Data = step.Data
	return o.Record
}

// await waits for a request of IndexedDB.
func await(t *testing.T, request js.Value) {
	t.Helper()
	done := make(chan string, 1)
	f := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- args[0].Get("type").String()
		return nil
	})
	defer f.Release()
	request.Set("onsuccess", f)
	request.Set("onerror", f)
	if got := <-done; got != "success" {
		t.Fatalf("got %s", got)
	}
}

func factory() js.Value { return js.Global().Get("indexedDB") }

// TestClearedDataBeginsALaterEpoch: the person clears the site's data while a
// tab is open, and the clock does not tell: it has not moved, or been set back.
func TestClearedDataBeginsALaterEpoch(t *testing.T) {
	name := rand.Text()
	s := idbstate.New(name, nil)
	defer s.Close()
	before := increment(t, s)
	for _, offset := range []time.Duration{0, -time.Hour, -2 * time.Hour} {
		s.SetClock(func() time.Time { return time.Now().Add(offset) })
		await(t, factory().Call("deleteDatabase", name))
		after := increment(t, s)
		if string(after.Data) != "1" || after.Version != 1 || after.Epoch <= before.Epoch {
			t.Errorf("clock off by %s: got %+v after %+v, want a count of 1 in a later epoch", offset, after, before)
		}
		before = after
	}
}

// TestTopicsThatLookTheSameAreTwo: a byte order mark at the beginning of a string
// is lost on the way to JavaScript.
func TestTopicsThatLookTheSameAreTwo(t *testing.T) {
	s := idbstate.New(rand.Text(), nil)
	defer s.Close()
	c := freshClient()
	for _, topic := range []string{"a", "\uFEFFa"} {
		step := click(read(t, s, topic), c, 1)
		step.Topic, step.Log = topic, [][]byte{[]byte(topic)}
		if o := s.Commit(t.Context(), step)[0]; o.Err != nil {
			t.Fatalf("%q: %v", topic, o.Err)
		}
	}
	for _, topic := range []string{"a", "\uFEFFa"} {
		_, entries, err := s.Entries(t.Context(), topic, 0, 9)
		if r := read(t, s, topic); string(r.Data) != "1" || err != nil || len(entries) != 1 || string(entries[0]) != topic {
			t.Errorf("%q: got %+v with %q, %v", topic, r, entries, err)
		}
	}
}

// TestADatabaseThatDoesNotOpenInTimeIsLetGo: it opens later, and must not keep
// anybody from deleting it.
func TestADatabaseThatDoesNotOpenInTimeIsLetGo(t *testing.T) {
	name := rand.Text()
	request := factory().Call("open", name)
	await(t, request)
	deletion := factory().Call("deleteDatabase", name) // waits for the one that is open
	s := idbstate.New(name, nil)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Read(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	request.Get("result").Call("close")
	await(t, deletion)
	await(t, factory().Call("deleteDatabase", name)) // what has been opened has been closed
	if r := increment(t, s); string(r.Data) != "1" {
		t.Errorf("got %+v", r)
	}
}

// patch replaces a method until the test ends, by a function of the body's
// text that has the method as real.
func patch(t *testing.T, class, method, body string) (undo func()) {
	t.Helper()
	proto := js.Global().Get(class).Get("prototype")
	real := proto.Get(method)
	make := js.Global().Get("Function").New("real", "return function (...args) { "+body+" }")
	proto.Set(method, make.Invoke(real))
	undo = func() { proto.Set(method, real) }
	t.Cleanup(undo)
	return undo
}

// TestAConnectionThatIsLostWithoutAWordIsReplaced: some browsers do not say that
// they have closed a database.
func TestAConnectionThatIsLostWithoutAWordIsReplaced(t *testing.T) {
	s := idbstate.New(rand.Text(), nil)
	defer s.Close()
	step := click(increment(t, s), freshClient(), 1)
	patch(t, "IDBDatabase", "transaction", "if (!globalThis.lost) { globalThis.lost = true; this.close(); } return real.apply(this, args);")
	defer js.Global().Delete("lost")
	if o := s.Commit(t.Context(), step)[0]; o.Err == nil {
		t.Fatal("got no error of a connection that is lost")
	}
	if o := s.Commit(t.Context(), step)[0]; o.Err != nil {
		t.Errorf("got %v over a new connection", o.Err)
	}
}

// TestWhatTheBrowserRefusesIsUndone: whatever fails, and wherever, nothing of
// the call is applied, and the next is.
func TestWhatTheBrowserRefusesIsUndone(t *testing.T) {
	for _, c := range []struct{ name, class, method, body string }{
		{"no space, at once", "IDBObjectStore", "put", "throw new DOMException('full', 'QuotaExceededError')"},
		{"no space, in the middle", "IDBObjectStore", "put", "if (this.name === 'topics') throw new DOMException('full', 'QuotaExceededError'); return real.apply(this, args)"},
		{"a request that fails", "IDBObjectStore", "put", "real.apply(this, args); return this.add(...args)"},
		{"undone before it is on disk", "IDBObjectStore", "put", "const r = real.apply(this, args); this.transaction.abort(); return r"},
		{"the index is gone", "IDBObjectStore", "index", "throw new DOMException('gone', 'NotFoundError')"},
		{"an answer of another kind", "IDBIndex", "getAllKeys", "return this.objectStore.get('nothing')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := idbstate.New(rand.Text(), &idbstate.Options{Lifetime: time.Hour})
			defer s.Close()
			var ahead time.Duration
			s.SetClock(func() time.Time { return time.Now().Add(ahead) })
			for range 12 { // lanes are forgotten from now on
				ahead += time.Hour
				increment(t, s)
			}
			base := read(t, s, "a")
			step := click(base, freshClient(), 1)
			undo := patch(t, c.class, c.method, c.body)
			if o := s.Commit(t.Context(), step)[0]; o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
				t.Fatalf("got %v, want an error of the browser", o.Err)
			}
			undo()
			if r := read(t, s, "a"); !r.Same(base) || string(r.Data) != string(base.Data) {
				t.Errorf("got %+v, want what was there before", r)
			}
			if o := s.Commit(t.Context(), step)[0]; o.Err != nil {
				t.Errorf("got %v, want the step to be done", o.Err)
			}
		})
	}
}

// put writes into an object store of a database, past the store.
func put(t *testing.T, db js.Value, store string, value any, key string) {
	t.Helper()
	await(t, db.Call("transaction", store, "readwrite").Call("objectStore", store).Call("put", value, key))
}

func TestADamagedRecordIsAnError(t *testing.T) {
	topic := func(v, n, x, d any) map[string]any { return map[string]any{"v": v, "n": n, "x": x, "d": d} }
	for _, damaged := range []any{7, "7", nil, []any{1}, map[string]any{}, topic("1", 0, 0, nil), topic(-1, 0, 0, nil), topic(1.5, 0, 0, nil), topic(1, 0, 0, "1"), topic(1, nil, 0, nil)} {
		name := rand.Text()
		s := idbstate.New(name, nil)
		base := increment(t, s)
		request := factory().Call("open", name)
		await(t, request)
		db := request.Get("result")
		put(t, db, "topics", damaged, ":a")
		if r, err := s.Read(t.Context(), "a"); err == nil {
			t.Errorf("%v: Read: got %+v", damaged, r)
		}
		if o := s.Commit(t.Context(), click(base, freshClient(), 1))[0]; o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
			t.Errorf("%v: Commit: got %v", damaged, o.Err)
		}
		if r := read(t, s, "b"); r.Version != 0 {
			t.Errorf("%v: another topic: got %+v", damaged, r)
		}
		db.Call("close")
		_ = s.Close()
	}
}

func TestForgottenLanesAreDeleted(t *testing.T) {
	name := rand.Text()
	s := idbstate.New(name, nil)
	defer s.Close()
	var ahead time.Duration
	s.SetClock(func() time.Time { return time.Now().Add(ahead) })
	lanes := func() int {
		request := factory().Call("open", name)
		await(t, request)
		db := request.Get("result")
		defer db.Call("close")
		count := db.Call("transaction", "lanes").Call("objectStore", "lanes").Call("count")
		await(t, count)
		return count.Get("result").Int()
	}
	for range 20 {
		increment(t, s)
	}
	for range 9 {
		if n := lanes(); n < 20 {
			t.Fatalf("%d lanes, want the first 20", n)
		}
		ahead += state.Lifetime/7 + time.Minute
		increment(t, s)
	}
	if n := lanes(); n > 10 {
		t.Errorf("%d lanes, want those of the last ages", n)
	}
	var marks []state.Mark
	for range 5 {
		c := freshClient()
		if o := s.Commit(t.Context(), click(read(t, s, "a"), c, 1))[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
		marks = append(marks, state.Mark{Topic: "a", Client: c, UpTo: 1})
	}
	before := lanes()
	if err := s.Finish(t.Context(), marks...); err != nil {
		t.Fatal(err)
	}
	for range 9 {
		ahead += state.DoneLifetime/7 + time.Second
		if err := s.Finish(t.Context(), marks[0]); err != nil { // it is the only one that stays
			t.Fatal(err)
		}
	}
	if n := lanes(); n != before-4 {
		t.Errorf("%d lanes of %d, want 4 less", n, before)
	}
}

func TestADatabaseOfAnotherProgramIsAnError(t *testing.T) {
	for version := 1; version <= 3; version++ {
		name := rand.Text()
		request := factory().Call("open", name, version)
		await(t, request)
		request.Get("result").Call("close")
		s := idbstate.New(name, nil)
		defer s.Close()
		if _, err := s.Read(t.Context(), "a"); err == nil {
			t.Errorf("version %d: got no error", version)
		}
	}
}

// former makes a database of the first format, with counters as text.
func former(t *testing.T, counters map[string][2]string) (name string) {
	t.Helper()
	name = rand.Text()
	request := factory().Call("open", name, 1)
	create := js.FuncOf(func(js.Value, []js.Value) any {
		db := request.Get("result")
		db.Call("createObjectStore", "meta").Call("put", 1234, "epoch")
		values := db.Call("createObjectStore", "values")
		for name, c := range counters {
			values.Call("put", map[string]any{"n": c[0], "v": c[1]}, name)
		}
		db.Call("createObjectStore", "ops").Call("createIndex", "until", "until")
		return nil
	})
	defer create.Release()
	request.Set("onupgradeneeded", create)
	await(t, request)
	request.Get("result").Call("close")
	return name
}

func become(name string, n int64) (string, []byte) {
	return "counter:" + name, strconv.AppendInt(nil, n, 10)
}

func TestCountersOfTheFirstFormatAreTakenOver(t *testing.T) {
	name := former(t, map[string][2]string{"lobby": {"-9007199254740993", "7"}, "x": {"2", "0"}})
	if _, err := idbstate.New(name, nil).Read(t.Context(), "a"); err == nil {
		t.Error("got no error where nothing says what becomes of counters")
	}
	for range 2 { // the second finds them done
		s := idbstate.New(name, &idbstate.Options{Counter: become})
		r, err := s.Read(t.Context(), "counter:lobby", "counter:x", "a")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []state.Record{{Epoch: 1234, Version: 7, Data: []byte("-9007199254740993")}, {Epoch: 1234, Version: 1, Data: []byte("2")}, {Epoch: 1234}} {
			if !r[i].Same(want) || string(r[i].Data) != string(want.Data) {
				t.Errorf("got %+v, want %+v", r[i], want)
			}
		}
		_ = s.Close()
	}
}

// TestWhatCanNotBeTakenOverStays as it is.
func TestWhatCanNotBeTakenOverStays(t *testing.T) {
	name := former(t, map[string][2]string{"a": {"1", "1"}, "b": {"2", "2"}})
	for what, counter := range map[string]func(string, int64) (string, []byte){
		"a panic":               func(string, int64) (string, []byte) { panic("no") },
		"one topic for two":     func(string, int64) (string, []byte) { return "x", []byte("1") },
		"no topic":              func(string, int64) (string, []byte) { return "", []byte("1") },
		"no data":               func(string, int64) (string, []byte) { return "x", nil },
		"the second of the two": func(name string, _ int64) (string, []byte) { return name, map[string][]byte{"a": {1}}[name] },
	} {
		s := idbstate.New(name, &idbstate.Options{Counter: counter})
		if _, err := s.Read(t.Context(), "a"); err == nil {
			t.Errorf("%s: got no error", what)
		}
		_ = s.Close()
	}
	s := idbstate.New(name, &idbstate.Options{Counter: become})
	defer s.Close()
	if r := read(t, s, "counter:b"); string(r.Data) != "2" || r.Version != 2 {
		t.Errorf("got %+v, want 2 at version 2", r)
	}
}

func TestABrowserThatForbidsIndexedDBIsAnError(t *testing.T) {
	real := js.Global().Get("indexedDB")
	property := func(v any) {
		js.Global().Get("Object").Call("defineProperty", js.Global(), "indexedDB", map[string]any{"value": v, "configurable": true, "writable": true})
	}
	defer property(real)
	property(js.Undefined())
	if _, err := idbstate.New("x", nil).Read(t.Context(), "a"); err == nil {
		t.Error("got no error without IndexedDB")
	}
	refuse := js.Global().Get("Function").New("throw new DOMException('no', 'SecurityError')")
	property(map[string]any{"open": refuse})
	if _, err := idbstate.New("x", nil).Read(t.Context(), "a"); err == nil {
		t.Error("got no error of one that refuses")
	}
	js.Global().Get("Object").Call("defineProperty", js.Global(), "indexedDB", map[string]any{"get": refuse, "configurable": true})
	if _, err := idbstate.New("x", nil).Read(t.Context(), "a"); err == nil {
		t.Error("got no error of one that can't be looked at")
	}
}

// TestMain runs the tests or, as another worker of them, clicks.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "click" {
		clickOn(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]))
		return
	}
	os.Exit(m.Run())
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// clickOn does the ops numbered from to to-1 of a client, and posts {acked} after
// each.
func clickOn(database, who string, from, to int) {
	raw, err := base64.RawURLEncoding.DecodeString(who)
	if err != nil {
		panic(err)
	}
	s := idbstate.New(database, nil)
	for i := from; i < to; i++ {
		do(s, state.Client(raw), uint64(i))
		js.Global().Call("postMessage", map[string]any{"acked": i})
	}
}

// do does an op that may have been done.
func do(s state.Store, c state.Client, seq uint64) {
	step := state.Step{Topic: "a", Moves: []state.Move{{Client: c, Min: 1}}} // it reads
	step.Moves[0].To = state.Lane{Last: 1, From: 1}
	for {
		o := s.Commit(context.Background(), step)[0]
		switch {
		case o.Err == nil:
			return
		case !errors.Is(o.Err, state.ErrConflict):
			panic(o.Err)
		case o.Lanes[0].Last >= seq:
			return
		}
		if o.Record.Data == nil {
			o.Record.Data = step.Base.Data
		}
		step = click(o.Record, c, seq)
	}
}

// A person clicks in a worker that is killed again and again.
type person struct {
	acked chan int
	hear  js.Func
	at    js.Value // the worker
}

func newPerson() *person {
	p := &person{acked: make(chan int, 1000)}
	p.hear = js.FuncOf(func(_ js.Value, args []js.Value) any {
		if data := args[0].Get("data"); data.Type() == js.TypeObject {
			p.acked <- data.Get("acked").Int()
		}
		return nil
	})
	return p
}

func (p *person) clicks(database, name string, from, to int) {
	p.at = js.Global().Call("spawn", "click", database, name, strconv.Itoa(from), strconv.Itoa(to))
	p.at.Set("onmessage", p.hear)
}

// TestWorkersThatAreKilledLoseNoClick: several at once, each killed in the
// middle of its work several times. The worker that takes over begins with the last op
// that was acknowledged, or with one that may have been applied.
func TestWorkersThatAreKilledLoseNoClick(t *testing.T) {
	const people, clicks, each = 3, 40, 9
	database := rand.Text()
	var wg sync.WaitGroup
	for range people {
		wg.Go(func() {
			p := newPerson()
			defer p.hear.Release()
			name := freshClient().String()
			p.clicks(database, name, 1, clicks+1)
			last, answers := 0, 0
			for last < clicks {
				last = <-p.acked
				if answers++; answers%each == 0 {
					p.at.Call("terminate")
					for len(p.acked) > 0 {
						last = <-p.acked
					}
					p.clicks(database, name, last, clicks+1)
				}
			}
		})
	}
	wg.Wait()
	s := idbstate.New(database, nil)
	defer s.Close()
	if r := read(t, s, "a"); string(r.Data) != strconv.Itoa(people*clicks) || r.Version != people*clicks {
		t.Errorf("got %+v; want %d", r, people*clicks)
	}
}
