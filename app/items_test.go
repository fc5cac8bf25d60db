package app_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/htmx"
	"lockstep/internal/short"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
	"lockstep/state"
	"lockstep/state/memstate"
)

// framesOf returns what a tab was sent of a topic, after the first messages.
func framesOf(t *testing.T, tab *livetest.Tab, topic string, after int) (all []frame) {
	t.Helper()
	for _, raw := range tab.Messages()[after:] {
		f := frame{size: len(raw)}
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if f.T == topic && f.V != nil {
			all = append(all, f)
		}
	}
	return all
}

type frame struct {
	T, Content string
	A, V       *uint64
	size       int
}

// hello is what a page says that shows a version.
func hello(t *testing.T, store state.Store, topic string) string {
	t.Helper()
	r := recordOf(t, store, topic)
	return fmt.Sprintf(`{"hello":2,"at":{%q:[%d,%d]}}`, topic, r.Epoch, r.Version)
}

func TestAPageOfAListIsSentOnlyWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		const topic = "list:x"
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, topic))
		a.Send(`{"hello":2}`)
		for i := range 50 {
			op := a.Do(topic, "add", fmt.Sprintf(`{"text":"item %d"}`, i))
			a.Until("the answer", func() bool { return a.Acked(op) == 1 })
		}
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, topic))
		b.Send(hello(t, store, topic))
		synctest.Wait()
		if all := framesOf(t, b, topic, 0); len(all) != 0 {
			t.Errorf("a page that shows the newest list was sent %d frames, %+v", len(all), all)
		}
		before, reads := len(b.Messages()), two.Runtime().Stats().Renders
		op := a.Do(topic, "add", `{"text":"the last"}`)
		a.Until("the answer", func() bool { return a.Acked(op) == 1 })
		b.Until("the item", func() bool { return len(framesOf(t, b, topic, before)) == 1 })
		f := framesOf(t, b, topic, before)[0]
		if f.A == nil || *f.A != 50 || *f.V != 51 || strings.Count(f.Content, "<li") != 1 || f.size > 4096 {
			t.Errorf("got %d bytes, %s", f.size, f.Content)
		}
		t.Logf("%d bytes for a new item; %d renders", f.size, two.Runtime().Stats().Renders-reads)
		ids := idsOf(t, store)
		for _, c := range []struct{ do, in, want string }{
			{"toggle", `{"id":"` + ids[3] + `"}`, `<hx-list hx-target="#items"><li id="i-` + ids[3]},
			{"move", `{"id":"` + ids[9] + `","behind":"` + ids[1] + `"}`, `<hx-list hx-target="#items" put="i-` + ids[9] + `:i-` + ids[1] + `"></hx-list>`},
			{"remove", `{"id":"` + ids[7] + `"}`, `<hx-list hx-target="#items" gone="i-` + ids[7] + `"></hx-list>`},
		} {
			before := len(b.Messages())
			a.Do(topic, c.do, c.in)
			b.Until(c.do, func() bool { return len(framesOf(t, b, topic, before)) > 0 })
			if f := framesOf(t, b, topic, before)[0]; !strings.HasPrefix(f.Content, c.want) || f.A == nil {
				t.Errorf("%s: got %s, want %s…", c.do, f.Content, c.want)
			}
		}
	})
}

// TestAChangeOfALongListCostsLittle: what goes to a tab, and over the broker, is as large as the
// change, however long the list is. An item of the demo alone has 900 bytes, for a text of ten
// words, which is there twice; all else has to find room in a few hundred. It is counted before
// compression, which browsers have, and which halves what is beyond 1 KB.
func TestAChangeOfALongListCostsLittle(t *testing.T) {
	const topic, mostOnBroker = "list:x", 2 << 10 // bytes
	mostToTab := map[string]int{"": 1250, `,"as":"data"`: 1 << 10}
	items := short.Of(app.MaxItems, 200)
	synctest.Test(t, func(t *testing.T) {
		broker, store := pubsubtest.NewRecorder(nil), memstate.New(nil)
		one := startWith(t, broker, store, &app.Options{Replica: "one"})
		two := startWith(t, broker, store, &app.Options{Replica: "two"})
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, topic))
		a.Send(`{"hello":2}`)
		const text = "what somebody has to do, in ten words or so: "
		for i := range items {
			op := a.Do(topic, "add", fmt.Sprintf(`{"text":"%s%d"}`, text, i))
			a.Until("the answer", func() bool { return a.Acked(op) == 1 })
		}
		ids := idsOf(t, store)
		if len(ids) != items {
			t.Fatalf("the list has %d items, want %d", len(ids), items)
		}
		tabs := map[string]*livetest.Tab{"": livetest.Open(t, two.Runtime(), viewOf(t, two, topic)), `,"as":"data"`: livetest.Open(t, two.Runtime(), viewOf(t, two, topic))}
		for as, tab := range tabs {
			tab.Send(strings.TrimSuffix(hello(t, store, topic), "}") + as + "}")
			if as != "" {
				tab.Until("the whole", func() bool { return tab.Shown(topic).State != "" })
			}
		}
		synctest.Wait()
		for _, c := range []struct{ do, in string }{
			{"rename", fmt.Sprintf(`{"id":"%s","text":"%sanew"}`, ids[items/2], text)}, {"toggle", `{"id":"` + ids[3] + `"}`},
			{"move", `{"id":"` + ids[items-1] + `","behind":""}`}, {"remove", `{"id":"` + ids[9] + `"}`}, {"add", `{"text":"` + text + `"}`},
		} {
			published, before := len(broker.Publishes()), make(map[string]int)
			for as, tab := range tabs {
				before[as] = len(tab.Messages())
			}
			op := a.Do(topic, c.do, c.in)
			a.Until("the answer", func() bool { return a.Acked(op) == 1 })
			for as, tab := range tabs {
				tab.Until(c.do, func() bool { return len(framesOf(t, tab, topic, before[as])) > 0 })
				if f := framesOf(t, tab, topic, before[as])[0]; f.A == nil || f.size > mostToTab[as] {
					t.Errorf("%s: a tab %s got %d bytes, want at most %d", c.do, as, f.size, mostToTab[as])
				}
			}
			for _, m := range broker.Publishes()[published:] {
				if len(m.Payload) > mostOnBroker {
					t.Errorf("%s: the broker got %d bytes, want at most %d: %.200s", c.do, len(m.Payload), mostOnBroker, m.Payload)
				}
			}
		}
	})
}

// idsOf are those of the items of list:x.
func idsOf(t *testing.T, store state.Store) (ids []string) {
	t.Helper()
	for id := range stateOf(t, store, app.Lists(), "x").All() {
		ids = append(ids, id)
	}
	return ids
}

var entryRE = regexp.MustCompile(`<li[^>]* id="(m-[^"]*)"|<li id="(m-[^"]*)"`)

// entriesOf are the ids of entries in a frame.
func entriesOf(content string) (ids []string) {
	for _, m := range entryRE.FindAllStringSubmatch(content, -1) {
		ids = append(ids, m[1]+m[2])
	}
	return ids
}

func TestALogIsSentEntryByEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		const topic, n = "log:x", 260
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, topic))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, topic))
		tabs := []*livetest.Tab{a, b}
		for _, tab := range tabs {
			tab.Send(hello(t, store, topic))
		}
		for i := range n { // both replicas, at once
			var ops []htmx.Op
			for _, tab := range tabs {
				ops = append(ops, tab.Do(topic, "say", fmt.Sprintf(`{"text":"%d"}`, i)))
			}
			for j, tab := range tabs {
				tab.Until("the answer", func() bool { return tab.Acked(ops[j]) == 1 })
				if !slices.ContainsFunc(framesOf(t, tab, topic, 0), func(f frame) bool { return strings.Contains(f.Content, nameOf(t, ops[j])) }) {
					t.Fatalf("%v is acknowledged, and was not shown", ops[j])
				}
			}
		}
		time.Sleep(5 * time.Second)
		want := stored(t, store, topic)
		if len(want) != 2*n {
			t.Fatalf("the store has %d entries, want %d", len(want), 2*n)
		}
		for i, tab := range tabs {
			var got []string
			for _, f := range framesOf(t, tab, topic, 0) {
				for _, id := range entriesOf(f.Content) {
					if !slices.Contains(got, id) {
						got = append(got, id)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("tab %d was sent %d entries, want %d in the store's order", i, len(got), len(want))
			}
		}
		late := livetest.Open(t, two.Runtime(), viewOf(t, two, topic))
		late.Send(`{"hello":2}`)
		late.Until("the newest", func() bool { return len(framesOf(t, late, topic, 0)) == 1 })
		if f := framesOf(t, late, topic, 0)[0]; f.A != nil || !slices.Equal(entriesOf(f.Content), want[len(want)-50:]) {
			t.Errorf("a tab that comes late got %s", f.Content)
		}
		t.Logf("%d bytes for an entry", framesOf(t, a, topic, 0)[n/2].size)
	})
}

// nameOf is what an op's entry is called.
func nameOf(t *testing.T, op htmx.Op) string {
	t.Helper()
	client, err := state.ParseClient(op.Client)
	if err != nil {
		t.Fatal(err)
	}
	return "m-" + (&state.Op{Client: client, Seq: op.Seq}).Name()
}

// stored are the ids of all entries of a log.
func stored(t *testing.T, store state.Store, topic string) (ids []string) {
	t.Helper()
	for after := uint64(0); ; {
		first, data, err := store.Entries(t.Context(), topic, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := state.ReadEntries[app.Message](first, data)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return ids
		}
		for _, e := range entries {
			ids = append(ids, "m-"+e.ID)
		}
		after = entries[len(entries)-1].N
	}
}
