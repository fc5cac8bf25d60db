package live

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/short"
)

// plain is HTML that is there already.
type plain string

func (p plain) Render(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(p))
	return err
}

// things are items with ids and one revision.
func things(ids ...int) []Item {
	all := make([]Item, len(ids))
	for i, id := range ids {
		all[i] = Item{ID: fmt.Sprint("t", id), Rev: 1, Render: func() Component { return plain(fmt.Sprintf(`<li id="t%d">x</li>`, id)) }}
	}
	return all
}

// leaf turns a book to the next version.
func leaf(t *testing.T, b *book, epoch, version uint64, log bool, first uint64, items ...Item) *frame {
	t.Helper()
	html, err := b.draw(items)
	if err != nil {
		t.Fatal(err)
	}
	seq := max(b.seq, b.floor) + 1
	return b.turn(turn{
		pages: []page{{seq: seq, at: revision{epoch, version}, items: items, first: first}},
		html:  html, target: "#l", log: log, window: 3,
	})
}

// said is what a frame says.
func said(t *testing.T, f *frame) (m struct {
	A       *uint64
	V       uint64
	Content string
	Back    bool
}) {
	t.Helper()
	if err := json.Unmarshal(f.message, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFramesOfOlderBasesAreBounded(t *testing.T) {
	var b book
	order := make([]int, 50)
	for i := range order {
		order[i] = i
	}
	for v := range uint64(40) {
		rand.New(rand.NewSource(int64(v))).Shuffle(3, func(i, j int) { order[i], order[j] = order[j], order[i] })
		leaf(t, &b, 1, v, false, 0, things(order...)...)
	}
	for base := uint64(1); base < 40; base++ {
		f := b.since(base)
		if f.seq != 40 || f.base > base {
			t.Errorf("a tab at %d gets a frame from %d to %d", base, f.base, f.seq)
		}
		if f != b.since(base) {
			t.Errorf("two tabs at %d don't share a frame", base)
		}
	}
	if n := len(b.frames); n > maxBases+2 {
		t.Errorf("there are %d frames, want at most %d, the first and the whole", n, maxBases)
	}
	if b.spent > (maxBasesBytes+1)*b.size {
		t.Errorf("they have %d bytes, and the whole has %d", b.spent, b.size)
	}
}

func TestAChangeThatIsLongerThanTheWholeIsTheWhole(t *testing.T) {
	var b book
	leaf(t, &b, 1, 1, false, 0, things(1, 2, 3, 4, 5, 6, 7, 8)...)
	f := leaf(t, &b, 1, 2, false, 0, things(9)...) // of which the others' ids are longer
	if m := said(t, f); m.A != nil || !strings.Contains(m.Content, " all>") || f.base != 0 {
		t.Errorf("got %s", f.message)
	}
}

func TestWhoHasMissedTooMuchGetsTheWhole(t *testing.T) {
	var b book
	keeps := things(0)
	for v := range uint64(maxGraves + 2) { // each but the first buries one
		leaf(t, &b, 1, v, false, 0, append(slices.Clip(keeps), things(int(v)+1)...)...)
	}
	if n := len(b.graves); n != maxGraves {
		t.Errorf("there are %d graves, want %d", n, maxGraves)
	}
	for base, want := range map[uint64]bool{1: false, b.seq - 1: true} {
		if f := b.since(base); (f.base > 0) != want {
			t.Errorf("a tab at %d gets %s", base, f.message)
		}
	}
	if n := len(b.passed); n > maxPassed {
		t.Errorf("%d states are told apart, want at most %d", n, maxPassed)
	}
	if _, ok := b.lookup(revision{1, 0}); ok {
		t.Error("the first state is known still")
	}
	if _, ok := b.lookup(revision{1, maxGraves}); !ok {
		t.Error("one of the last states is not known")
	}
}

func TestWhoHasMissedForgottenGravesGetsTheWhole(t *testing.T) {
	var b book
	n := 0
	for v := range uint64(6) { // each but the first buries 300
		ids := []int{0}
		for range 300 {
			n++
			ids = append(ids, n)
		}
		leaf(t, &b, 1, v, false, 0, things(ids...)...)
	}
	for base, want := range map[uint64]bool{1: false, 2: false, 3: true, 4: true} {
		b.size = 1 << 30 // no change is longer
		if f := b.since(base); (f.base > 0) != want {
			t.Errorf("a tab at %d gets %d bytes from %d", base, len(f.message), f.base)
		}
	}
}

func TestAVersionThatWasNotPassedIsUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		log  bool
		at   revision
		want bool
	}{
		"passed":                     {false, revision{2, 10}, true},
		"between":                    {false, revision{2, 12}, false},
		"between, of a log":          {true, revision{2, 12}, true},
		"before all, of a log":       {true, revision{2, 9}, false},
		"another epoch":              {false, revision{1, 10}, false},
		"another epoch, of a log":    {true, revision{1, 10}, false},
		"another epoch later, a log": {true, revision{3, 1}, false},
		"nothing":                    {true, revision{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := book{topic: "t"}
			leaf(t, &b, 1, 10, c.log, 1, things(1)...)
			leaf(t, &b, 2, 10, c.log, 1, things(1, 2)...)
			leaf(t, &b, 2, 15, c.log, 1, things(1, 2, 3)...)
			seq, ok := b.lookup(c.at)
			if ok != c.want || ok && seq != 2 {
				t.Errorf("got %d, %v", seq, ok)
			}
		})
	}
}

func TestAGapIsSaidToWhoHasMissedIt(t *testing.T) {
	var b book
	leaf(t, &b, 1, 1, true, 1, things(1, 2)...)
	leaf(t, &b, 1, 2, true, 3, things(3, 4, 5, 6, 7)...)
	if m := said(t, b.since(1)); m.A == nil || strings.Contains(m.Content, "gap") || strings.Count(m.Content, "<li") != 5 {
		t.Errorf("who has missed nothing that is known gets %s", m.Content)
	}
	leaf(t, &b, 1, 3, true, 6, things(6, 7, 8, 9, 10)...)
	// The entries 3 to 7 are missing before the newest three.
	if m := said(t, b.since(1)); m.A != nil || !strings.HasPrefix(m.Content, `<hx-list hx-target="#l" all gap="5"><li id="t8">`) {
		t.Errorf("who has missed some gets %s", m.Content)
	}
	if m := said(t, b.since(2)); *m.A != 2 || strings.Count(m.Content, "<li") != 3 {
		t.Errorf("who has missed none gets %s", m.Content)
	}
	if m := said(t, b.since(0)); m.A != nil || strings.Contains(m.Content, "gap") || strings.Count(m.Content, "<li") != 3 {
		t.Errorf("of whom nothing is known gets %s", m.Content)
	}
}

// TestAGapIsSaidToWhoseStateIsForgotten: a tab that has not read for long, and one of many that are
// each at another version.
func TestAGapIsSaidToWhoseStateIsForgotten(t *testing.T) {
	var b book
	last := 0
	write := func(n int) {
		for range n {
			last++
			leaf(t, &b, 1, uint64(last), true, 1, things(seq(1, last)...)...)
		}
	}
	write(maxPassed + 2)
	gap := fmt.Sprintf(`all gap="%d"`, last-3)
	if m := said(t, b.since(1)); !strings.Contains(m.Content, gap) {
		t.Errorf("who has not read for long gets %.200s, want %s", m.Content, gap)
	}
	for base := b.seq - 100; base < b.seq; base++ { // those that have missed the most come first
		near := base >= b.seq-3 // the whole has three
		if m := said(t, b.since(base)); m.A == nil && strings.Contains(m.Content, gap) == near {
			t.Errorf("one of many, at %d of %d, gets %.200s, want a change, or one with a gap: %v", base, b.seq, m.Content, !near)
		}
	}
}

// seq are the numbers from one to another.
func seq(from, to int) (all []int) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

func TestAnItemIsRenderedOnceForEachRevision(t *testing.T) {
	var b book
	rendered := 0
	items := things(1, 2, 3)
	for i := range items {
		html := items[i].Render
		items[i].Render = func() Component { rendered++; return html() }
	}
	leaf(t, &b, 1, 1, false, 0, items...)
	items[1].Rev = 2
	leaf(t, &b, 1, 2, false, 0, items...)
	leaf(t, &b, 1, 3, false, 0, items[2], items[0], items[1])
	leaf(t, &b, 2, 3, false, 0, items...)
	if rendered != 4 {
		t.Errorf("%d times, want 4", rendered)
	}
	if f := b.since(1); f.base != 0 {
		t.Errorf("a tab of another epoch gets %s", f.message)
	}
}

func TestOneMoveMovesOneItem(t *testing.T) {
	var b book
	order := make([]int, 100)
	for i := range order {
		order[i] = i
	}
	leaf(t, &b, 1, 1, false, 0, things(order...)...)
	for v, c := range []struct{ from, to int }{{0, 99}, {99, 0}, {10, 50}, {50, 51}} {
		x := order[c.from]
		order = slices.Insert(slices.Delete(order, c.from, c.from+1), c.to, x)
		f := leaf(t, &b, 1, uint64(v)+2, false, 0, things(order...)...)
		if m := said(t, f); strings.Count(m.Content, ":") != 1 || len(m.Content) > 60 {
			t.Errorf("%d to %d: got %s", c.from, c.to, m.Content)
		}
	}
}

// BenchmarkBook is what a change of one item costs a room, whatever the number of its tabs.
func BenchmarkBook(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var book book
			it := Items{Target: "#l", Len: n}
			v := 0
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprint("i-", i)
			}
			html := plain(`<li id="i">` + strings.Repeat("x", 400) + `</li>`)
			it.Item = func(i int) Item {
				rev := 0
				if i == v%n {
					rev = v
				}
				return Item{ID: ids[i], Rev: rev, Render: func() Component { return html }}
			}
			b.ReportAllocs()
			for b.Loop() {
				v++
				items, err := it.all()
				if err != nil {
					b.Fatal(err)
				}
				drawn, err := book.draw(items)
				if err != nil {
					b.Fatal(err)
				}
				book.turn(turn{pages: []page{{seq: book.seq + 1, at: revision{1, uint64(v)}, items: items}}, html: drawn, target: "#l"})
			}
		})
	}
}

// TestABookStaysSmall, however long a list is changed, and from wherever tabs come.
func TestABookStaysSmall(t *testing.T) {
	const items = 1000
	turns := short.Of(8000, 2500)
	var b book
	b.now.target = "#l"
	rnd, order, next := rand.New(rand.NewSource(1)), make([]int, items), items
	revs := make(map[int]int)
	for i := range order {
		order[i] = i
	}
	all := func() []Item {
		of := make([]Item, len(order))
		for i, id := range order {
			of[i] = Item{ID: fmt.Sprint("t", id), Rev: revs[id], Render: func() Component { return plain(fmt.Sprintf(`<li id="t%d">x</li>`, id)) }}
		}
		return of
	}
	begun := uint64(0)
	for i := range turns {
		gone := rnd.Intn(items)
		delete(revs, order[gone])
		order = slices.Insert(slices.Delete(order, gone, gone+1), rnd.Intn(items), next)
		next++
		revs[order[rnd.Intn(items)]]++
		leaf(t, &b, 1, uint64(i+1), false, 0, all()...)
		for range 12 {
			b.since(b.seq - uint64(rnd.Intn(2000)))
		}
		if len(b.passed) > maxPassed || len(b.graves) > maxGraves || len(b.byID) != items || len(b.frames) > maxBases+3 || b.taken != nil {
			t.Fatalf("turn %d: %d states, %d graves, %d ids, %d frames", i, len(b.passed), len(b.graves), len(b.byID), len(b.frames))
		}
		switch i {
		case 1500:
			begun = inUse()
		case turns - 1:
			if grown := int64(inUse()) - int64(begun); grown > 4<<20 {
				t.Errorf("%d bytes more are in use than after 1,500 turns", grown)
			}
		}
	}
}

// inUse is how many bytes of the heap are in use.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
