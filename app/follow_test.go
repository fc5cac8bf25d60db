package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// sayer says what it is told in a log, as one client.
type sayer struct {
	*app.App
	client state.Client
	seq    uint64
}

func (s *sayer) say(t *testing.T, topic, text string) {
	t.Helper()
	s.seq++
	op := state.Op{Client: s.client, Seq: s.seq, From: s.seq, Do: "say", In: state.Fields{"text": {text}}}
	if a, err := s.Do(t.Context(), app.Visitor{}, topic, op); err != nil || a.Verdict != state.Ack {
		t.Fatalf("got %v %s, %v, %v", a.Verdict, a.Reason, a.Err, err)
	}
}

// textsOf are what the entries of a part say, each with its number.
func textsOf(t *testing.T, p app.Part) (all []string) {
	t.Helper()
	entries, err := state.ReadEntries[app.Message](p.First, p.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, fmt.Sprint(e.N, " ", e.M.Text))
	}
	return all
}

func wantPart(t *testing.T, a *app.App, after app.Place, wait time.Duration, gap bool, want ...string) app.Part {
	t.Helper()
	p, err := a.Entries(t.Context(), "log:x", after, app.MaxPart, wait)
	if err != nil {
		t.Fatal(err)
	}
	if got := textsOf(t, p); !slices.Equal(got, want) || p.Gap != gap {
		t.Fatalf("behind %+v: got %q, gap %v, want %q, %v", after, got, p.Gap, want, gap)
	}
	return p
}

// countedReads counts how often the store is asked.
type countedReads struct {
	state.Store
	n atomic.Int64
}

func (s *countedReads) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	s.n.Add(1)
	return s.Store.Entries(ctx, topic, after, most)
}

func TestReadersOfALogGetAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), &countedReads{Store: memstate.New(nil)}
		one, two := start(t, bus, store, "one"), start(t, bus, store, "one")
		by := &sayer{App: one}
		wantPart(t, two, app.Place{}, 0, false)
		const readers, entries = 20, 200
		var all sync.WaitGroup
		for range readers {
			all.Go(func() {
				var got []string
				for at := (app.Place{}); len(got) < entries; {
					p, err := two.Entries(t.Context(), "log:x", at, 50, time.Minute)
					if err != nil || p.Gap {
						t.Errorf("got %v, gap %v", err, p.Gap)
						return
					}
					got, at = append(got, textsOf(t, p)...), p.Next()
				}
				for i, text := range got {
					if text != fmt.Sprintf("%d word %d", i+1, i) {
						t.Errorf("entry %d is %q", i, text)
						return
					}
				}
			})
		}
		began := time.Now()
		for i := range entries {
			by.say(t, "log:x", fmt.Sprint("word ", i))
			time.Sleep(5 * time.Millisecond)
		}
		all.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v until all had all", took)
		}
		if n := store.n.Load(); n > 100 {
			t.Errorf("the store was asked %d times, want once for all readers", n)
		}
		late := wantPartLen(t, two, app.Place{}, app.MaxPart)
		if late.First != 1 || len(late.Raw) != entries || !late.End {
			t.Errorf("a late reader gets %d from %d, end %v", len(late.Raw), late.First, late.End)
		}
		if p := wantPartLen(t, two, app.Place{}, 7); len(p.Raw) != 7 || p.End {
			t.Errorf("got %d entries, end %v, want 7", len(p.Raw), p.End)
		}
		end, err := two.EndOf(t.Context(), "log:x")
		if err != nil || end.N != entries {
			t.Errorf("the end is %+v, %v", end, err)
		}
	})
}

func wantPartLen(t *testing.T, a *app.App, after app.Place, most int) app.Part {
	t.Helper()
	p, err := a.Entries(t.Context(), "log:x", after, most, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAReaderWaitsForAnEntryAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		by := &sayer{App: a}
		by.say(t, "log:x", "one")
		at := wantPart(t, a, app.Place{}, time.Minute, false, "1 one").Next()
		began := time.Now()
		wantPart(t, a, at, 20*time.Second, false)
		if took := time.Since(began); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("waited %v", took)
		}
		time.AfterFunc(3*time.Second, func() { by.say(t, "log:x", "two") })
		began = time.Now()
		wantPart(t, a, at, 20*time.Second, false, "2 two")
		if took := time.Since(began) - 3*time.Second; took > 100*time.Millisecond {
			t.Errorf("the entry came %v late", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Entries(ctx, "log:x", app.Place{N: 2}, 1, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// restorable is a store that can lose its data.
type restorable struct {
	mu sync.Mutex // guards s
	s  state.Store
}

func (r *restorable) now() state.Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.s
}

func (r *restorable) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	time.Sleep(time.Millisecond) // an epoch is never used twice
	r.s = memstate.New(nil)
}

func (r *restorable) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	return r.now().Commit(ctx, steps...)
}

func (r *restorable) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	return r.now().Read(ctx, topics...)
}

func (r *restorable) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	return r.now().Entries(ctx, topic, after, most)
}

func (r *restorable) Finish(ctx context.Context, marks ...state.Mark) error {
	return r.now().Finish(ctx, marks...)
}

func (r *restorable) Close() error { return nil }

// TestAReaderIsToldOfWhatItHasMissed: entries that are gone, and numbers that have begun anew.
func TestAReaderIsToldOfWhatItHasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &restorable{s: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		by := &sayer{App: a}
		for i := range 10 {
			by.say(t, "log:x", fmt.Sprint(i))
		}
		at := wantPartLen(t, a, app.Place{}, app.MaxPart).Next()
		record, _ := store.Read(t.Context(), "log:x") // it does not fail
		trim := state.Step{Topic: "log:x", Base: record[0], Keep: 2, Moves: []state.Move{{Client: state.Client{9}, To: state.Lane{Last: 1, From: 1}}}}
		if o := store.Commit(t.Context(), trim)[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
		wantPart(t, a, app.Place{Epoch: at.Epoch, N: 8}, 0, false, "9 8", "10 9")
		wantPart(t, a, at, 0, false)
		time.Sleep(time.Minute) // nobody follows it any more
		wantPart(t, a, app.Place{Epoch: at.Epoch, N: 3}, 0, true, "9 8", "10 9")
		wantPart(t, a, app.Place{N: 99}, 0, true, "9 8", "10 9")

		waiting := make(chan app.Part, 1)
		go func() { // ends below
			p, err := a.Entries(t.Context(), "log:x", at, 9, time.Minute)
			if err != nil {
				t.Error(err)
			}
			waiting <- p
		}()
		time.Sleep(time.Second)
		store.lose()
		p := <-waiting
		if !p.Gap || len(p.Raw) > 0 || p.Epoch <= at.Epoch || p.Next().N != 0 {
			t.Errorf("got %+v, want that the log is another one", p)
		}
		by.seq = 0
		by.say(t, "log:x", "anew")
		wantPart(t, a, p.Next(), 0, false, "1 anew")
		wantPart(t, a, at, 0, true, "1 anew")
		for i := range 11 {
			by.say(t, "log:x", fmt.Sprint(i))
		}
		if p := wantPartLen(t, a, at, app.MaxPart); !p.Gap || p.First != 1 || len(p.Raw) != 12 {
			t.Errorf("got %d entries from %d, gap %v, of a place in the log of before", len(p.Raw), p.First, p.Gap)
		}
	})
}

func TestALogThatCanNotBeReadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brokenEntries{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		for topic, want := range map[string]error{"log:": app.ErrNoTopic, "none:x": app.ErrNoTopic, "counter:x": app.ErrNoLog, "log:x": errBroken} {
			store.err.Store(&want)
			if _, err := a.Entries(t.Context(), topic, app.Place{}, 1, time.Second); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", topic, err, want)
			}
			if _, err := a.EndOf(t.Context(), topic); !errors.Is(err, want) {
				t.Errorf("the end of %s: got %v, want %v", topic, err, want)
			}
		}
		store.panics.Store(true)
		if _, err := a.Entries(t.Context(), "log:x", app.Place{}, 1, time.Second); err == nil {
			t.Error("got no error of a store that panics")
		}
		store.panics.Store(false)
		store.err.Store(nil)
		time.AfterFunc(time.Second, func() {
			if err := a.Drain(context.Background(), 0); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		if p, err := a.Entries(t.Context(), "log:x", app.Place{}, 1, time.Minute); err != nil || len(p.Raw) > 0 || time.Since(began) > 2*time.Second {
			t.Errorf("got %+v, %v after %v, want that a replica that drains ends waiting", p, err, time.Since(began))
		}
		if _, err := a.Entries(t.Context(), "log:x", app.Place{}, 1, 0); !errors.Is(err, live.ErrDraining) {
			t.Errorf("got %v", err)
		}
	})
}

var errBroken = errors.New("the log can't be read")

type brokenEntries struct {
	state.Store
	err    atomic.Pointer[error]
	panics atomic.Bool
}

func (s *brokenEntries) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	if s.panics.Load() {
		panic("oh")
	}
	if err := s.err.Load(); err != nil {
		return 0, nil, *err
	}
	return s.Store.Entries(ctx, topic, after, most)
}
