package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// add puts one more thing to the end.
func add(w *world) func([]thing) []thing {
	return func(all []thing) []thing { return append(all, w.thing()) }
}

// patches returns what a tab was sent of the room.
func patches(t *testing.T, tab *livetest.Tab) (all []patch) {
	t.Helper()
	for _, raw := range tab.Messages() {
		var m patch
		if err := json.Unmarshal([]byte(raw), &m); err != nil {
			t.Fatal(err)
		}
		if m.T == "t:a" && m.V != nil {
			all = append(all, m)
		}
	}
	return all
}

// seldom makes rooms read the store by themselves only every hour.
func seldom(o *live.RoomsOptions[listing]) { o.Refresh, o.Digest = time.Hour, time.Hour }

func TestTheFirstFrameAfterAPageLoadIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		for range 100 {
			w.change(add(w))
		}
		h := newHallway(w, nil, nil)
		defer h.rt.Stop()
		same, missed := opened(t, w, h), opened(t, w, h)
		same.visit(h)
		time.Sleep(time.Second)
		if got := patches(t, same.tab); len(got) != 0 {
			t.Errorf("a page that shows the newest items was sent %+v", got)
		}
		h.rooms.Commit("a", w.change(add(w)))
		missed.visit(h)
		time.Sleep(time.Second)
		for _, p := range []*sheet{same, missed} {
			if got := patches(t, p.tab); len(got) != 1 || got[0].A == nil || *got[0].A != 100 || *got[0].V != 101 {
				t.Errorf("got %+v, want what leads from 100 to 101", got)
			}
			p.take()
		}
	})
}

func TestItemsWaitForWhatATabSaysThatItShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		h := newHallway(w, nil, nil)
		defer h.rt.Stop()
		w.change(add(w))
		silent, acts := livetest.Open(t, h.rt, h), livetest.Open(t, h.rt, h)
		time.Sleep(time.Minute)
		if got := patches(t, silent); len(got) != 0 {
			t.Errorf("a tab that has said nothing was sent %+v", got)
		}
		op := acts.Do("t:a", "any", "{}")
		acts.Until("the answer", func() bool { return acts.Acked(op) == 1 })
		if got := patches(t, acts); len(got) == 0 || got[0].A != nil {
			t.Errorf("a tab that has acted was sent %+v, want all items first", got)
		}
	})
}

func TestAHelloThatSaysNothingNewIsAnsweredByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		w.change(add(w))
		h := newHallway(w, nil, nil)
		defer h.rt.Stop()
		tab := livetest.Open(t, h.rt, h)
		tab.Send(`{"hello":2}`)
		time.Sleep(time.Second)
		for _, hello := range []string{`{"hello":2}`, `{"hello":2,"at":{}}`, `{"hello":2,"at":{"t:b":[0,0]}}`, `{"hello":2,"at":{"t:a":[1,1]}}`} {
			tab.Send(hello)
			time.Sleep(time.Second)
			if got := patches(t, tab); len(got) != 1 {
				t.Fatalf("%s: got %+v, want nothing more", hello, got[1:])
			}
		}
		tab.Send(`{"hello":2,"at":{"t:a":[0,0]}}`) // it could not show what it was sent
		time.Sleep(time.Second)
		if got := patches(t, tab); len(got) != 2 || got[1].A != nil {
			t.Errorf("got %+v, want all items again", got)
		}
		whole := h.rt.Stats().Wholes
		h.rooms.Commit("a", w.change(add(w)))
		time.Sleep(time.Second)
		if got := h.rt.Stats().Wholes; whole == 0 || got != whole {
			t.Errorf("tabs were sent all items %d and then %d times, want some, and none for a change", whole, got)
		}
	})
}

// A sparing hallway has nothing sent twice.
type sparing struct{ *hallway }

func (sparing) Repeat() bool { return false }

// TestAHelloThatAsksForAllAgainIsRefusedIfTheViewSaysSo, and else nothing changes: what is new
// comes.
func TestAHelloThatAsksForAllAgainIsRefusedIfTheViewSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		w.change(add(w))
		h := newHallway(w, nil, func(o *live.RoomsOptions[listing]) {
			o.Data = func(l listing) ([]byte, error) { return json.Marshal(l) }
		})
		defer h.rt.Stop()
		tab := livetest.Open(t, h.rt, sparing{h})
		tab.Send(`{"hello":2,"at":{"t:a":[0,0]}}`) // the first may ask
		time.Sleep(time.Second)
		h.rooms.Commit("a", w.change(add(w)))
		time.Sleep(time.Second)
		const had = 2
		for _, hello := range []string{
			`{"hello":2,"at":{"t:a":[0,0]}}`, `{"hello":2,"at":{"t:a":[1,1]}}`, `{"hello":2,"at":{"t:a":[9,9]}}`, `{"hello":2,"as":"data"}`,
			`{"hello":2,"at":{"t:a":[1,2]}}`, `{"hello":2}`,
		} {
			tab.Send(hello)
			time.Sleep(time.Second)
			if got := patches(t, tab); len(got) != had {
				t.Fatalf("%s: got %+v, want nothing more", hello, got[had:])
			}
		}
		if got := h.rt.Stats().Limited; got != 4 {
			t.Errorf("got %d that were one too many, want 4", got)
		}
		tab.Send(`{"hello":2,"at":{"t:a":[0,0]},"prove":true}`)
		tab.Until("the proof", func() bool { return strings.Contains(strings.Join(tab.Messages(), ""), `"proof"`) })
		h.rooms.Commit("a", w.change(add(w)))
		time.Sleep(time.Second)
		if got := patches(t, tab); len(got) != had+1 || got[had].A == nil {
			t.Errorf("got %+v, want what is new", got[had:])
		}
	})
}

// A tab that shows what its replica has not heard of gets nothing older, which it would drop.
func TestATabAheadOfItsReplicaGetsNothingOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		one, two := newHallway(w, nil, seldom), newHallway(w, nil, seldom)
		defer one.rt.Stop()
		defer two.rt.Stop()
		w.change(add(w))
		old := opened(t, w, one)
		old.visit(one)
		time.Sleep(time.Second)
		w.change(add(w)) // which nobody has told the first replica
		ahead := opened(t, w, two)
		ahead.visit(one)
		time.Sleep(time.Second)
		ahead.take()
		old.take()
		if ahead.wholes+ahead.changes != 0 || old.v != 2 {
			t.Errorf("got %d frames, and the other shows %d; want none, and what the store was asked for", ahead.wholes+ahead.changes, old.v)
		}
		ahead.tab.Send(`{"hello":2,"at":{"t:a":[1,99]}}`) // which never was
		time.Sleep(time.Second)
		if got := patches(t, ahead.tab); len(got) != 1 || !got[0].Back || got[0].A != nil {
			t.Errorf("got %+v, want to be taken back to all items", got)
		}
		one.rooms.Commit("a", w.change(add(w)))
		time.Sleep(time.Second)
		if got := patches(t, ahead.tab); len(got) != 2 || got[1].A == nil || *got[1].A != 2 {
			t.Errorf("got %+v, want a change then", got)
		}
	})
}

func TestTheFirstItemsAreNotOlderThanTheJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		var slow atomic.Bool
		held := make(chan struct{})
		h := newHallway(w, nil, func(o *live.RoomsOptions[listing]) {
			o.Items = func(_ string, l listing) (live.Items, bool) {
				if l.Version == 2 && slow.CompareAndSwap(true, false) {
					<-held
				}
				return l.items(false), true
			}
		})
		defer h.rt.Stop()
		w.change(add(w))
		other, tab := opened(t, w, h), opened(t, w, h)
		other.visit(h)
		time.Sleep(time.Second)
		slow.Store(true)
		h.rooms.Commit("a", w.change(add(w)))
		time.Sleep(time.Second) // it is being rendered
		h.rooms.Commit("a", w.change(add(w)))
		tab.visit(h)
		close(held)
		time.Sleep(time.Second)
		if got := patches(t, tab.tab); len(got) != 1 || *got[0].A != 1 || *got[0].V != 3 {
			t.Errorf("got %+v, want what leads from 1 to 3", got)
		}
		if got := patches(t, other.tab); len(got) != 2 || *got[0].V != 2 {
			t.Errorf("the other got %+v", got)
		}
	})
}

// What only a broadcast said, the next read of the store takes back.
func TestItemsThatNeverWereAreTakenBackAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(false), newHub()
		h := newHallway(w, hub, func(o *live.RoomsOptions[listing]) { o.Refresh = 4 * time.Second })
		defer h.rt.Stop()
		w.change(add(w))
		tab := opened(t, w, h)
		tab.visit(h)
		time.Sleep(time.Second)
		lie := listing{Epoch: 1, Version: 2, Delta: &delta{Base: 1, Order: []string{"t1", "x"}, Set: []thing{{"x", 1}}}}
		payload, _ := json.Marshal(lie)
		_ = hub.deliver(pubsub.Message{Topic: "t:a", Payload: payload, Trusted: true})
		time.Sleep(time.Second)
		if got := patches(t, tab.tab); len(got) != 1 || *got[0].A != 1 || !strings.Contains(got[0].Content, `id="x"`) {
			t.Fatalf("got %+v, want what was said", got)
		}
		time.Sleep(5 * time.Second)
		got := patches(t, tab.tab)
		if len(got) != 2 || !got[1].Back || got[1].A != nil || strings.Contains(got[1].Content, `id="x"`) {
			t.Fatalf("got %+v, want all items of the store", got)
		}
		for v := uint64(2); v <= 4; v++ {
			h.rooms.Commit("a", w.change(add(w)))
			time.Sleep(time.Second)
		}
		got = patches(t, tab.tab)
		if last := got[len(got)-1]; last.Back || last.A == nil || *last.V != 4 {
			t.Errorf("got %+v at last, want a change again", last)
		}
	})
}

// A lie under the version that the store has too is found by comparing.
func TestItemsAreComparedWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(false), newHub()
		h := newHallway(w, hub, nil)
		defer h.rt.Stop()
		order := []string{"x"}
		for range 20 {
			w.change(add(w))
			order = append(order, fmt.Sprint("t", w.last))
		}
		tab := opened(t, w, h)
		tab.visit(h)
		time.Sleep(time.Second)
		lie := listing{Epoch: 1, Version: 21, Delta: &delta{Base: 20, Order: order, Set: []thing{{"x", 1}}}}
		payload, _ := json.Marshal(lie)
		_ = hub.deliver(pubsub.Message{Topic: "t:a", Payload: payload, Trusted: true})
		w.change(add(w)) // the same version
		time.Sleep(5 * time.Second)
		got := patches(t, tab.tab)
		if last := got[len(got)-1]; last.A != nil || strings.Contains(last.Content, `id="x"`) || !strings.Contains(last.Content, `id="t21"`) {
			t.Errorf("got %+v at last, want what the store has", last)
		}
		if n := h.rt.Stats().Corrections; n != 1 {
			t.Errorf("got %d corrections, want 1", n)
		}
	})
}

// A change that comes before what it leads from is kept: the store need not answer.
func TestChangesMayComeInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(true), newHub()
		var blocked atomic.Bool
		held := make(chan struct{})
		h := newHallway(w, hub, func(o *live.RoomsOptions[listing]) {
			seldom(o)
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) ([]listing, error) {
				if blocked.Load() {
					<-held
				}
				return load(ctx, keys...)
			}
		})
		defer h.rt.Stop()
		tab := opened(t, w, h)
		tab.visit(h)
		time.Sleep(time.Second)
		blocked.Store(true)
		var all [][]byte
		for range 3 {
			payload, _ := json.Marshal(w.told(w.change(add(w))))
			all = append(all, payload)
		}
		for _, i := range []int{2, 1, 0} {
			_ = hub.deliver(pubsub.Message{Topic: "t:a", Payload: all[i], Trusted: true})
		}
		time.Sleep(time.Second)
		if tab.take(); tab.v != 3 || len(tab.all) != 3 {
			t.Errorf("the tab shows %d with %v, want 3, though the store does not answer", tab.v, tab.all)
		}
		close(held)
	})
}

// What this replica has committed on top of what never was is taken back with it.
func TestACommitOnTopOfALieIsProvisional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(true), newHub()
		h := newHallway(w, hub, func(o *live.RoomsOptions[listing]) { o.Refresh = 4 * time.Second })
		defer h.rt.Stop()
		h.rooms.Commit("a", w.told(w.change(add(w))))
		tab := livetest.Open(t, h.rt, h)
		tab.Send(`{"hello":2}`)
		time.Sleep(time.Second)
		lie := listing{Epoch: 1, Version: 2, Delta: &delta{Base: 1, First: 2, Set: []thing{{"x", 1}}}}
		payload, _ := json.Marshal(lie)
		_ = hub.deliver(pubsub.Message{Topic: "t:a", Payload: payload, Trusted: true})
		w.change(add(w))
		h.rooms.Commit("a", w.told(w.change(add(w))))
		time.Sleep(10 * time.Second)
		got := patches(t, tab)
		last := got[len(got)-1]
		if *last.V != 3 || last.A != nil || strings.Contains(last.Content, `id="x"`) || strings.Count(last.Content, "<li") != 3 {
			t.Errorf("got %+v at last, want the three entries of the store", last)
		}
	})
}

func TestARoomThatLacksWhatAChangeLeadsFromReadsTheStoreOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(true), newHub()
		var reads atomic.Int64
		one := newHallway(w, hub, seldom)
		two := newHallway(w, hub, func(o *live.RoomsOptions[listing]) {
			seldom(o)
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) ([]listing, error) {
				reads.Add(1)
				return load(ctx, keys...)
			}
		})
		defer one.rt.Stop()
		defer two.rt.Stop()
		var tabs []*sheet
		for range 20 {
			tabs = append(tabs, opened(t, w, two))
			tabs[len(tabs)-1].visit(two)
		}
		here := opened(t, w, one)
		here.visit(one)
		time.Sleep(time.Second)
		before := reads.Load()
		one.rooms.Commit("a", w.told(w.change(add(w))))
		time.Sleep(time.Second)
		if n := reads.Load() - before; n != 0 {
			t.Errorf("%d reads for a change that fits", n)
		}
		hub.mu.Lock()
		hub.deaf = func(string) bool { return true }
		hub.mu.Unlock()
		one.rooms.Commit("a", w.told(w.change(add(w))))
		time.Sleep(time.Second)
		hub.mu.Lock()
		hub.deaf = nil
		hub.mu.Unlock()
		one.rooms.Commit("a", w.told(w.change(add(w))))
		time.Sleep(time.Second)
		if n := reads.Load() - before; n != 1 {
			t.Errorf("%d reads for 20 tabs and a change whose base was lost, want 1", n)
		}
		for _, tab := range tabs {
			if tab.take(); tab.v != 3 || tab.wholes != 0 {
				t.Errorf("a tab shows %d after %d wholes, want 3 by changes", tab.v, tab.wholes)
			}
		}
	})
}

func TestItemsThatCantBeShownFailAlone(t *testing.T) {
	fine := func() live.Component { return asIs("x") }
	for name, item := range map[string]live.Item{
		"no id":           {Rev: 1, Render: fine},
		"an id with ':'":  {ID: "a:b", Rev: 1, Render: fine},
		"a long id":       {ID: strings.Repeat("a", 65), Rev: 1, Render: fine},
		"twice":           {ID: "twice", Rev: 1, Render: fine},
		"no revision":     {ID: "a", Rev: []int{}, Render: fine},
		"no Render":       {ID: "a", Rev: 1},
		"no component":    {ID: "a", Rev: 1, Render: func() live.Component { return nil }},
		"a panic":         {ID: "a", Rev: 1, Render: func() live.Component { panic("item") }},
		"a bad component": {ID: "a", Rev: 1, Render: func() live.Component { return broken{} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(false)
				h := newHallway(w, nil, func(o *live.RoomsOptions[listing]) {
					o.Items = func(_ string, l listing) (live.Items, bool) {
						if l.Version != 2 {
							return l.items(false), true
						}
						return live.Items{Target: "#l", Len: 2, Item: func(i int) live.Item {
							if i == 0 {
								return live.Item{ID: "twice", Rev: 1, Render: fine}
							}
							return item
						}}, true
					}
				})
				defer h.rt.Stop()
				w.change(add(w))
				tab := opened(t, w, h)
				tab.visit(h)
				time.Sleep(time.Second)
				h.rooms.Commit("a", w.change(add(w)))
				time.Sleep(time.Second)
				if n := h.rt.Stats().Failures; n == 0 {
					t.Error("no failure was counted")
				}
				h.rooms.Commit("a", w.change(add(w)))
				time.Sleep(time.Second)
				if tab.take(); tab.v != 3 {
					t.Errorf("the tab shows %d, want 3", tab.v)
				}
			})
		})
	}
}

// broken is a component that can't be rendered.
type broken struct{}

func (broken) Render(context.Context, io.Writer) error {
	return fmt.Errorf("broken")
}

func TestATabThatRendersItselfIsSentChangesFromWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		h := newHallway(w, nil, func(o *live.RoomsOptions[listing]) {
			o.Data = func(l listing) ([]byte, error) { return fmt.Appendf(nil, "whole %d", l.Version), nil }
			o.Change = func(before, after listing) ([]byte, bool) {
				return fmt.Appendf(nil, "%d to %d", before.Version, after.Version), after.Version != 3
			}
		})
		defer h.rt.Stop()
		w.change(add(w))
		html := opened(t, w, h)
		html.visit(h)
		own := livetest.Open(t, h.rt, h)
		own.Send(`{"hello":2,"as":"data","at":{"t:a":[1,1]}}`) // its page shows HTML of that
		has := func(want string) func() bool {
			return func() bool { return own.Shown("t:a").State == want }
		}
		own.Until("the state", has("whole 1"))
		for _, want := range []string{"1 to 2", "whole 3", "3 to 4"} {
			h.rooms.Commit("a", w.change(add(w)))
			own.Until(want, has(want))
		}
		own.Send(`{"hello":2,"as":"data","at":{"t:a":[1,2]}}`) // it could not take the last
		own.Until("all of it", has("whole 4"))
		late := livetest.Open(t, h.rt, h)
		late.Send(`{"hello":2,"as":"data"}`)
		late.Until("the whole", func() bool { return late.Shown("t:a").State == "whole 4" })
		if html.take(); html.v != 4 || html.wholes != 0 {
			t.Errorf("the other tab shows %d after %d wholes", html.v, html.wholes)
		}
	})
}

func TestASessionThatSaysNothingIsAnsweredAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(false)
		w.change(add(w))
		h := newHallway(w, nil, nil)
		defer h.rt.Stop()
		tab := livetest.Open(t, h.rt, finishes{h})
		tab.Until("the end", func() bool { return tab.Reason() == live.ReasonAnswered })
		if got := patches(t, tab); len(got) != 1 || got[0].A != nil {
			t.Errorf("got %+v, want all items", got)
		}
	})
}

// finishes is a view whose session ends when it was answered.
type finishes struct{ *hallway }

func (f finishes) Mount(ctx context.Context, s *live.Session) error {
	if err := f.hallway.Mount(ctx, s); err != nil {
		return err
	}
	s.Finish()
	return nil
}

func TestWhatWaitsBehindASlowBrokerIsMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hub := newWorld(true), newHub()
		one, two := newHallway(w, hub, seldom), newHallway(w, hub, seldom)
		defer one.rt.Stop()
		defer two.rt.Stop()
		here, there := opened(t, w, one), opened(t, w, two)
		here.visit(one)
		there.visit(two)
		time.Sleep(time.Second)
		blocked := make(chan struct{})
		hub.mu.Lock()
		hub.blocked, hub.sent = blocked, 0
		hub.mu.Unlock()
		for range 10 {
			one.rooms.Commit("a", w.told(w.change(add(w))))
			time.Sleep(time.Second)
		}
		hub.mu.Lock()
		hub.blocked = nil
		hub.mu.Unlock()
		close(blocked)
		time.Sleep(time.Second)
		if there.take(); there.v != 10 || hub.sent != 2 {
			t.Errorf("the other replica shows %d after %d broadcasts, want 10 after 2", there.v, hub.sent)
		}
		if !slices.Equal(there.all, w.now.Things) {
			t.Errorf("got %v", there.all)
		}
	})
}

// TestATabThatShowsWhatWasNotPassedIsToldThatEntriesMayBeMissing: a replica that was restarted does
// not know where it is. One that shows nothing misses nothing.
func TestATabThatShowsWhatWasNotPassedIsToldThatEntriesMayBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(true)
		for range 3 * logWindow {
			w.change(add(w))
		}
		h := newHallway(w, nil, nil)
		defer h.rt.Stop()
		for at, want := range map[string]bool{`{"t:a":[1,3]}`: true, `{"t:a":[0,0]}`: false, `{}`: false} {
			tab := livetest.Open(t, h.rt, h)
			tab.Send(fmt.Sprintf(`{"hello":2,"client":"x","at":%s}`, at))
			time.Sleep(time.Second)
			if got := strings.Join(tab.Messages(), " "); strings.Contains(got, ` gap=`) != want || !strings.Contains(got, ` all`) {
				t.Errorf("to a tab at %s: got %s, want a gap: %v", at, got, want)
			}
		}
	})
}
