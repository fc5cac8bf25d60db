package live_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/live"
)

// shelf are items of 420 bytes, as those of a list with buttons, or entries of 170.
type shelf struct {
	v     uint64
	first int
	revs  []int // by item
	log   bool
}

func (r shelf) items() live.Items {
	size := 420
	if r.log {
		size = 170
	}
	return live.Items{
		Target: "#items", Len: len(r.revs), Log: r.log, First: uint64(r.first), Window: 50,
		Item: func(i int) live.Item {
			n := r.first + i
			return live.Item{ID: fmt.Sprint("i-", n), Rev: r.revs[i], Render: func() live.Component {
				html := fmt.Sprintf(`<li id="i-%d" data-n="%d">%d `, n, n, r.revs[i])
				return asIs(html + strings.Repeat("x", size-len(html)-len("</li>")) + "</li>")
			}}
		},
	}
}

// next is a later version, in which some items have changed, or one entry is new.
func (r shelf) next(changed int) shelf {
	n := shelf{v: r.v + 1, first: r.first, log: r.log, revs: append([]int(nil), r.revs...)}
	if r.log {
		n.first++
		return n
	}
	for i := range changed {
		n.revs[(int(n.v)*changed+i)%len(n.revs)]++
	}
	return n
}

// A gallery is a replica with one room of items, full of sinks.
type gallery struct {
	rt    *live.Runtime
	rooms *live.Rooms[shelf]
	now   atomic.Pointer[shelf]
	wire  *live.Wire
	tabs  int
	sent  atomic.Int64
}

func newGallery(tb testing.TB, tabs int, begin shelf) *gallery {
	tb.Helper()
	g := &gallery{
		rt:   live.NewRuntime(&live.Options{FrameInterval: time.Nanosecond, StatusInterval: time.Hour}),
		wire: &live.Wire{Encode: func(message []byte) []byte { return message }},
		tabs: tabs,
	}
	g.now.Store(&begin)
	g.rt.Start()
	tb.Cleanup(g.rt.Stop)
	g.rooms = live.NewRooms(g.rt, nil, live.RoomsOptions[shelf]{
		Topic:  func(key string) string { return key },
		Render: func(string, shelf) (string, live.Component) { return "#items", nil },
		Items:  func(_ string, r shelf) (live.Items, bool) { return r.items(), true },
		Order:  func(r shelf) (uint64, uint64) { return 1, r.v },
		Load: func(context.Context, ...string) ([]shelf, error) {
			return []shelf{*g.now.Load()}, nil
		},
		Refresh: time.Hour,
	})
	var joins sync.WaitGroup
	for range tabs { // together, as the loader reads for those that wait together
		joins.Go(func() { g.join(tb, true) })
	}
	joins.Wait()
	for g.sent.Load() < int64(tabs) {
		runtime.Gosched() // all have been welcomed
	}
	return g
}

// join is a tab that comes, with the newest version or with none.
func (g *gallery) join(tb testing.TB, newest bool) *live.Session {
	tb.Helper()
	s, err := g.rt.Connect(tb.Context(), &sink{g.wire, &g.sent}, g)
	if err != nil {
		tb.Error(err)
		return nil
	}
	hello := `{"hello":2}`
	if newest {
		hello = fmt.Sprintf(`{"hello":2,"at":{"room":[1,%d]}}`, g.now.Load().v)
	}
	s.Receive(tb.Context(), []byte(hello))
	return s
}

// Mount implements live.View.
func (g *gallery) Mount(ctx context.Context, s *live.Session) error {
	return g.rooms.Join(ctx, s, "room")
}

// HandleEvent implements live.View.
func (g *gallery) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

// broadcast makes a change reach every tab.
func (g *gallery) broadcast(changed int) {
	next := g.now.Load().next(changed)
	g.now.Store(&next)
	goal := g.sent.Load() + int64(g.tabs)
	g.rooms.Commit("room", next)
	for g.sent.Load() < goal {
		runtime.Gosched()
	}
}

func benchmarkChanges(b *testing.B, tabs, changed int, begin shelf) {
	g := newGallery(b, tabs, begin)
	g.broadcast(changed)
	before := g.rt.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += tabs {
		g.broadcast(changed)
	}
	b.StopTimer()
	after := g.rt.Stats()
	b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(after.Messages-before.Messages), "B/frame")
}

// BenchmarkLogAppend is one delivery of a new entry, in a room that knows 200.
func BenchmarkLogAppend(b *testing.B) {
	for _, tabs := range []int{1, 10_000} {
		b.Run(fmt.Sprint(tabs), func(b *testing.B) {
			benchmarkChanges(b, tabs, 1, shelf{v: 1, first: 1, log: true, revs: make([]int, 200)})
		})
	}
}

// BenchmarkListChange is one delivery of what has changed in a list.
func BenchmarkListChange(b *testing.B) {
	for _, items := range []int{100, 1000} {
		for _, changed := range []int{1, 100} {
			for _, tabs := range []int{1, 10_000} {
				b.Run(fmt.Sprintf("items=%d/changed=%d/tabs=%d", items, changed, tabs), func(b *testing.B) {
					benchmarkChanges(b, tabs, changed, shelf{v: 1, first: 1, revs: make([]int, items)})
				})
			}
		}
	}
}

// BenchmarkJoinItems is a tab that comes to a room of items and leaves: its page shows the newest,
// or nothing.
func BenchmarkJoinItems(b *testing.B) {
	for _, items := range []int{100, 1000} {
		for _, newest := range []bool{true, false} {
			b.Run(fmt.Sprintf("items=%d/newest=%v", items, newest), func(b *testing.B) {
				g := newGallery(b, 1, shelf{v: 1, first: 1, revs: make([]int, items)})
				before := g.rt.Stats()
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					goal := g.rt.Stats().Messages + 1 // the welcome
					if !newest {
						goal++
					}
					s := g.join(b, newest)
					for g.rt.Stats().Messages < goal {
						runtime.Gosched()
					}
					s.Disconnect(live.ReasonLeft)
					n++
				}
				b.ReportMetric(float64(g.rt.Stats().Bytes-before.Bytes)/float64(n), "B/join")
			})
		}
	}
}
