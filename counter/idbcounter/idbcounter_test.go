//go:build js

package idbcounter_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall/js"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/idbcounter"
)

const window = 2 * time.Second

func open(name string) *idbcounter.Store {
	return idbcounter.New(name, &idbcounter.Options{Window: window})
}

// databases gives each store a database and remembers its name.
type databases struct{ names sync.Map }

func (d *databases) open(name string) counter.Store {
	s := open(name)
	d.names.Store(s, name)
	return s
}

func (d *databases) again(_ testing.TB, s counter.Store) counter.Store {
	name, _ := d.names.Load(s)
	return d.open(name.(string))
}

func TestStoreKeepsTheContract(t *testing.T) {
	var d databases
	countertest.Run(t, func(testing.TB) counter.Store { return d.open(rand.Text()) }, &countertest.Options{
		Window: window,
		Second: d.again,
		Reopen: func(t testing.TB, s counter.Store) counter.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return d.again(t, s)
		},
	})
}

func increment(t *testing.T, s counter.Store) counter.Value {
	t.Helper()
	v, _, err := s.Apply(t.Context(), "a", counter.Op{ID: rand.Text(), Kind: counter.Increment})
	if err != nil {
		t.Fatal(err)
	}
	return v
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
	s := open(name)
	defer s.Close()
	before := increment(t, s)
	for _, offset := range []time.Duration{0, -time.Hour, -2 * time.Hour} {
		setClock(t, offset)
		await(t, factory().Call("deleteDatabase", name))
		after := increment(t, s)
		if after.N != 1 || after.Version != 1 || after.Epoch <= before.Epoch {
			t.Errorf("clock off by %s: got %+v after %+v, want a count of 1 in a later epoch", offset, after, before)
		}
		before = after
	}
}

// setClock makes the clock that people set wrong until the test ends. The one
// that only counts stays as it is.
func setClock(t *testing.T, offset time.Duration) {
	t.Helper()
	js.Global().Set("offset", offset.Milliseconds())
	if js.Global().Get("realDate").Truthy() {
		return
	}
	before := time.Now().UnixMilli()
	js.Global().Set("realDate", js.Global().Get("Date"))
	js.Global().Get("Function").New("globalThis.Date = class extends realDate { getTime() { return super.getTime() + offset; } }").Invoke()
	t.Cleanup(func() {
		js.Global().Set("Date", js.Global().Get("realDate"))
		js.Global().Delete("realDate")
	})
	if moved := time.Now().UnixMilli() - before; moved < offset.Milliseconds() || moved > offset.Milliseconds()+5000 {
		t.Fatalf("the clock moved by %d ms, want %s", moved, offset)
	}
}

// TestAnOpIsRememberedWhateverTheClocksDo: what is sent again within the window
// is known, when a clock has been set ahead or back, and when one has stood
// still while the computer slept.
func TestAnOpIsRememberedWhateverTheClocksDo(t *testing.T) {
	known := func(t *testing.T, s counter.Store, op counter.Op) {
		t.Helper()
		increment(t, s) // forgets what is old
		if _, applied, err := s.Apply(t.Context(), "a", op); err != nil || applied[0] {
			t.Errorf("got %v, %v: the op is not known any more", applied, err)
		}
	}
	first := func(t *testing.T, s counter.Store) counter.Op {
		t.Helper()
		op := counter.Op{ID: rand.Text(), Kind: counter.Increment}
		if _, applied, err := s.Apply(t.Context(), "a", op); err != nil || !applied[0] {
			t.Fatalf("got %v, %v", applied, err)
		}
		return op
	}
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run("set by "+jump.String(), func(t *testing.T) {
			s := open(rand.Text())
			defer s.Close()
			op := first(t, s)
			setClock(t, jump)
			known(t, s, op)
			setClock(t, 0)
			known(t, s, op)
		})
	}
	t.Run("asleep", func(t *testing.T) {
		name := rand.Text()
		slept := open(name)
		defer slept.Close()
		increment(t, slept)
		setClock(t, time.Hour) // the one that counts has stood still
		op := first(t, slept)
		fresh := open(name)
		defer fresh.Close()
		known(t, fresh, op)
		known(t, slept, op)
	})
}

// TestADatabaseThatDoesNotOpenInTimeIsLetGo: it opens later, and must not keep
// anybody from deleting it.
func TestADatabaseThatDoesNotOpenInTimeIsLetGo(t *testing.T) {
	name := rand.Text()
	request := factory().Call("open", name)
	await(t, request)
	deletion := factory().Call("deleteDatabase", name) // waits for the one that is open
	s := open(name)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	request.Get("result").Call("close")
	await(t, deletion)
	await(t, factory().Call("deleteDatabase", name)) // what has been opened has been closed
	if v := increment(t, s); v.N != 1 {
		t.Errorf("got %+v", v)
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
	s := open(rand.Text())
	defer s.Close()
	increment(t, s)
	patch(t, "IDBDatabase", "transaction", "if (!globalThis.lost) { globalThis.lost = true; this.close(); } return real.apply(this, args);")
	defer js.Global().Delete("lost")
	op := counter.Op{ID: rand.Text(), Kind: counter.Increment}
	if _, _, err := s.Apply(t.Context(), "a", op); err == nil {
		t.Fatal("got no error of a connection that is lost")
	}
	if v, _, err := s.Apply(t.Context(), "a", op); err != nil || v.N != 2 {
		t.Errorf("got %+v, %v; want 2 over a new connection", v, err)
	}
}

// TestWhatTheBrowserRefusesIsUndone: whatever fails, and wherever, nothing of
// the call is applied, and the next is.
func TestWhatTheBrowserRefusesIsUndone(t *testing.T) {
	for _, c := range []struct{ name, class, method, body string }{
		{"no space, at once", "IDBObjectStore", "put", "throw new DOMException('full', 'QuotaExceededError')"},
		{"a request that fails", "IDBObjectStore", "put", "real.apply(this, args); return this.add(...args)"},
		{"undone before it is on disk", "IDBObjectStore", "put", "const r = real.apply(this, args); this.transaction.abort(); return r"},
		{"the index is gone", "IDBObjectStore", "index", "throw new DOMException('gone', 'NotFoundError')"},
		{"an answer of another kind", "IDBIndex", "getAllKeys", "return this.objectStore.get('nothing')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(rand.Text())
			defer s.Close()
			increment(t, s)
			undo := patch(t, c.class, c.method, c.body)
			op := counter.Op{ID: rand.Text(), Kind: counter.Increment}
			if _, _, err := s.Apply(t.Context(), "a", op); err == nil {
				t.Fatal("got no error")
			}
			undo()
			if v, err := s.Get(t.Context(), "a"); err != nil || v[0].N != 1 || v[0].Version != 1 {
				t.Errorf("got %+v, %v; want what was there before", v, err)
			}
			if v, applied, err := s.Apply(t.Context(), "a", op); err != nil || !applied[0] || v.N != 2 {
				t.Errorf("got %+v, %v, %v; want the op to be applied", v, applied, err)
			}
		})
	}
}

func TestADamagedRecordIsAnError(t *testing.T) {
	record := func(n, v any) map[string]any { return map[string]any{"n": n, "v": v} }
	for _, damaged := range []any{7, "7", nil, []any{1}, map[string]any{}, record(7, 7), record("x", "1"), record("1", "-1"), record(nil, nil)} {
		name := rand.Text()
		s := open(name)
		increment(t, s)
		request := factory().Call("open", name)
		await(t, request)
		db := request.Get("result")
		await(t, db.Call("transaction", "values", "readwrite").Call("objectStore", "values").Call("put", damaged, "a"))
		if v, err := s.Get(t.Context(), "a"); err == nil {
			t.Errorf("%v: Get: got %+v", damaged, v)
		}
		if v, _, err := s.Apply(t.Context(), "a", counter.Op{ID: rand.Text(), Kind: counter.Increment}); err == nil {
			t.Errorf("%v: Apply: got %+v", damaged, v)
		}
		if v, err := s.Get(t.Context(), "b"); err != nil || v[0].N != 0 {
			t.Errorf("%v: another counter: got %+v, %v", damaged, v, err)
		}
		db.Call("close")
		_ = s.Close()
	}
}

func TestForgottenOpsAreDeleted(t *testing.T) {
	name := rand.Text()
	s := idbcounter.New(name, &idbcounter.Options{Window: time.Millisecond})
	defer s.Close()
	for range 20 {
		increment(t, s)
		time.Sleep(2 * time.Millisecond)
	}
	request := factory().Call("open", name)
	await(t, request)
	db := request.Get("result")
	defer db.Call("close")
	count := db.Call("transaction", "ops").Call("objectStore", "ops").Call("count")
	await(t, count)
	if n := count.Get("result").Int(); n > 2 {
		t.Errorf("%d ops are remembered, want those of the last moment", n)
	}
}

func TestADatabaseOfAnotherProgramIsAnError(t *testing.T) {
	name := rand.Text()
	request := factory().Call("open", name, 1)
	await(t, request)
	request.Get("result").Call("close")
	s := open(name)
	defer s.Close()
	if _, err := s.Get(t.Context(), "a"); err == nil {
		t.Error("got no error")
	}
}

func TestABrowserThatForbidsIndexedDBIsAnError(t *testing.T) {
	real := js.Global().Get("indexedDB")
	property := func(v any) {
		js.Global().Get("Object").Call("defineProperty", js.Global(), "indexedDB", map[string]any{"value": v, "configurable": true, "writable": true})
	}
	defer property(real)
	property(js.Undefined())
	if _, err := open("x").Get(t.Context(), "a"); err == nil {
		t.Error("got no error without IndexedDB")
	}
	refuse := js.Global().Get("Function").New("throw new DOMException('no', 'SecurityError')")
	property(map[string]any{"open": refuse})
	if _, err := open("x").Get(t.Context(), "a"); err == nil {
		t.Error("got no error of one that refuses")
	}
	js.Global().Get("Object").Call("defineProperty", js.Global(), "indexedDB", map[string]any{"get": refuse, "configurable": true})
	if _, err := open("x").Get(t.Context(), "a"); err == nil {
		t.Error("got no error of one that can't be looked at")
	}
}

// TestMain runs the tests or, as another worker of them, clicks.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "click" {
		click(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]))
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

// click sends the ops numbered from to to-1 of a person, and posts {acked} after each.
func click(database, person string, from, to int) {
	s := open(database)
	for i := from; i < to; i++ {
		op := counter.Op{ID: fmt.Sprintf("%s-%016d", person, i), Kind: counter.Increment}
		if _, _, err := s.Apply(context.Background(), "a", op); err != nil {
			panic(err)
		}
		js.Global().Call("postMessage", map[string]any{"acked": i})
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
	for i := range people {
		wg.Go(func() {
			p := newPerson()
			defer p.hear.Release()
			name := fmt.Sprintf("person-%d", i)
			p.clicks(database, name, 0, clicks)
			last, answers := 0, 0
			for last < clicks-1 {
				last = <-p.acked
				if answers++; answers%each == 0 {
					p.at.Call("terminate")
					for len(p.acked) > 0 {
						last = <-p.acked
					}
					p.clicks(database, name, last, clicks)
				}
			}
		})
	}
	wg.Wait()
	s := open(database)
	defer s.Close()
	v, err := s.Get(t.Context(), "a")
	if err != nil || v[0].N != people*clicks || v[0].Version != people*clicks {
		t.Errorf("got %+v, %v; want %d", v, err, people*clicks)
	}
}
