package xray_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/xray"
)

// A slow store takes its time for each commit.
type slow struct {
	state.Store
	takes time.Duration
}

func (s slow) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(s.takes) // it is what the store hop has to show
	return s.Store.Commit(ctx, steps...)
}

// A replica is an application whose ops are followed.
type replica struct {
	app  *lockstep.App
	rec  *xray.Recorder
	mu   sync.Mutex
	done []xray.Trace
}

func start(t *testing.T, bus *mempubsub.Bus, store state.Store, name string, sample func(htmx.Op) bool) *replica {
	t.Helper()
	r := new(replica)
	r.rec = xray.New(&xray.Options{Sample: sample, Done: func(one xray.Trace) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.done = append(r.done, one)
	}})
	r.app = lockstep.New(bus, store, &lockstep.Options{
		Logger: slog.New(slog.DiscardHandler), Replica: name, Hooks: r.rec, Live: live.Options{Painters: 8},
	})
	hits := lockstep.Share(r.app, "hits", func(n int) templ.Component { return templ.Raw(fmt.Sprint(n)) })
	lockstep.On(hits, "hit", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil })
	lockstep.On(hits, "fail", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n, lockstep.Refused("no") })
	r.rec.Follow(r.app)
	if err := r.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.app.Stop(context.Background(), 0) }) // the tabs are gone
	return r
}

func (r *replica) traces() []xray.Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]xray.Trace(nil), r.done...)
}

func (r *replica) open(t *testing.T) *livetest.Tab {
	t.Helper()
	view, err := r.app.View(lockstep.Visitor{User: "somebody"}, "hits:a")
	if err != nil {
		t.Fatal(err)
	}
	tab := livetest.Open(t, r.app.Runtime(), view)
	tab.Send(`{"hello":2,"client":"` + tab.Client() + `"}`)
	return tab
}

func look(tab *livetest.Tab) { tab.Send(`{"cast":"_xray","t":"hits:a"}`) }

// A told is what a tab is told of an op.
type told struct {
	Op      [2]any
	E, V    uint64
	Verdict string
	R       string
	Hops    [][2]any
	Tabs    int
	Paint   float64
	Taken   float64
	Back    float64
	Others  []struct {
		R                          string
		Wait, Render, Write, Paint float64
		Tabs                       int
	}
}

// of returns what a tab was told last of an op.
func of(t *testing.T, tab *livetest.Tab, op htmx.Op) (last told, ok bool) {
	t.Helper()
	for _, m := range tab.Messages() {
		if !strings.HasPrefix(m, `{"xray":`) {
			continue
		}
		var got struct{ XRay told }
		if err := json.Unmarshal([]byte(m), &got); err != nil {
			t.Fatal(err)
		}
		if got.XRay.Op[0] == op.Client && got.XRay.Op[1] == float64(op.Seq) {
			last, ok = got.XRay, true
		}
	}
	return last, ok
}

func sum(hops [][2]any) (all time.Duration) {
	for _, h := range hops {
		ms, _ := h[1].(float64)
		all += time.Duration(ms * float64(time.Millisecond))
	}
	return all
}

// TestTheHopsAreTheRoundTrip: what an X-ray shows of an op adds up to what its tab has measured.
func TestTheHopsAreTheRoundTrip(t *testing.T) {
	for _, takes := range []time.Duration{0, 40 * time.Millisecond} {
		t.Run(takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := start(t, mempubsub.NewBus(), slow{memstate.New(nil), takes}, "one", nil)
				tab := a.open(t)
				look(tab)
				tab.Until("the first frame", func() bool { return tab.Shown("hits:a").Content != "" })
				for range 3 {
					began := time.Now()
					op := tab.Click("hits:a", "hit")
					tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
					measured := time.Since(began)
					tab.Until("the X-ray", func() bool { _, ok := of(t, tab, op); return ok })
					got, _ := of(t, tab, op)
					if len(got.Hops) != 5 {
						t.Fatalf("got %v, want five hops", got.Hops)
					}
					if off := measured - sum(got.Hops); off.Abs() > 5*time.Millisecond {
						t.Errorf("the hops %v take %s, and the round trip took %s", got.Hops, sum(got.Hops), measured)
					}
					if store, _ := got.Hops[1][1].(float64); got.Hops[1][0] != "store" || store < float64(takes.Milliseconds()) {
						t.Errorf("got %v, want the store to take %s", got.Hops, takes)
					}
					time.Sleep(150 * time.Millisecond) // ops of a tab that come faster are not followed
				}
			})
		})
	}
}

func TestEachReplicaSaysHowLongItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one", nil), start(t, bus, store, "two", nil)
		tab, other := one.open(t), two.open(t)
		time.Sleep(time.Second) // both listen
		look(tab)
		time.Sleep(time.Second)
		op := tab.Click("hits:a", "hit")
		tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
		time.Sleep(20 * time.Millisecond)
		at := other.Shown("hits:a")
		time.Sleep(30 * time.Millisecond) // it paints then, and says so 100 ms later
		time.Sleep(100 * time.Millisecond)
		other.Send(fmt.Sprintf(`{"cast":"_painted","t":"hits:a","in":{"e":%d,"v":%d,"ago":100}}`, at.Epoch, at.Version))
		time.Sleep(time.Second)
		got, ok := of(t, tab, op)
		if !ok || got.Verdict != "ack" || got.R != "one" || got.Tabs != 1 {
			t.Fatalf("got %+v", got)
		}
		if len(got.Others) != 1 || got.Others[0].R != "two" || got.Others[0].Tabs != 1 {
			t.Fatalf("got %+v, want what two says", got.Others)
		}
		if paint := got.Others[0].Paint; paint < 45 || paint > 55 {
			t.Errorf("got a paint after %v ms, want 50", paint)
		}
		for _, m := range other.Messages() {
			if strings.Contains(m, `"xray"`) {
				t.Errorf("the other tab was told %s", m)
			}
		}
	})
}

func TestNobodyIsToldWhoDoesNotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one", nil)
		tab, other := a.open(t), a.open(t)
		told := func(op htmx.Op) bool { _, ok := of(t, tab, op); return ok }
		before := tab.Click("hits:a", "hit")
		time.Sleep(time.Second)
		look(tab)
		if a.rec.Watches("hits:b") || !a.rec.Watches("hits:a") {
			t.Error("it watches another topic than the one that is looked at")
		}
		during := tab.Click("hits:a", "hit")
		refused := other.Click("hits:a", "hit")
		time.Sleep(200 * time.Millisecond)
		no := tab.Click("hits:a", "fail")
		time.Sleep(15 * time.Second) // nobody has looked again
		after := tab.Click("hits:a", "hit")
		time.Sleep(time.Second)
		if told(before) || !told(during) || told(after) {
			t.Errorf("got %v, %v, %v, want the one in the middle", told(before), told(during), told(after))
		}
		if got, ok := of(t, tab, no); !ok || got.Verdict != "refused" {
			t.Errorf("got %+v, want that it was refused", got)
		}
		if _, ok := of(t, other, refused); ok {
			t.Error("a tab was told that does not look")
		}
		if a.rec.Watches("hits:a") {
			t.Error("it watches though nobody looks")
		}
	})
}

func TestWhatIsSampledIsGivenOnWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one := start(t, bus, slow{store, 30 * time.Millisecond}, "one", func(op htmx.Op) bool { return op.Seq > 1 })
		two := start(t, bus, store, "two", nil)
		tab := one.open(t)
		two.open(t)
		time.Sleep(time.Second)
		for range 3 {
			tab.Click("hits:a", "hit")
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		got := one.traces()
		if len(got) != 2 || len(two.traces()) != 0 {
			t.Fatalf("got %d traces, want those of the second and the third", len(got))
		}
		last := got[1]
		if last.Op.Seq != 3 || last.Verdict != state.Ack || last.Do != "hit" || last.Back.IsZero() || last.Written.IsZero() || len(last.Others) != 1 {
			t.Errorf("got %+v", last)
		}
		var took time.Duration
		for _, h := range last.Hops() {
			took += h.Took
		}
		if whole := last.Written.Sub(last.Came); took != whole || whole < 30*time.Millisecond {
			t.Errorf("the hops take %s, and the whole %s", took, whole)
		}
	})
}
