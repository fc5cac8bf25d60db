package live_test

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
)

// A sink is a connection that takes everything at once and costs nothing.
type sink struct {
	wire *live.Wire
	sent *atomic.Int64
}

func (s *sink) Wire() *live.Wire { return s.wire }

func (s *sink) Bind(*live.Session) {}

func (s *sink) Send([]byte) bool {
	s.sent.Add(1)
	return true
}

func (s *sink) Close(live.Reason) {}

// asIs is a fragment that is there already.
type asIs []byte

func (c asIs) Render(_ context.Context, w io.Writer) error {
	_, err := w.Write(c)
	return err
}

// A hall is a replica with one room full of sinks.
type hall struct {
	rt    *live.Runtime
	rooms *live.Rooms[[]byte]
	wire  *live.Wire
	tabs  int
	sent  atomic.Int64
}

func newHall(tb testing.TB, tabs int) *hall {
	tb.Helper()
	h := &hall{
		rt:   live.NewRuntime(&live.Options{FrameInterval: time.Nanosecond, StatusInterval: time.Hour}),
		wire: &live.Wire{Encode: func(message []byte) []byte { return message }},
		tabs: tabs,
	}
	h.rt.Start()
	tb.Cleanup(h.rt.Stop)
	h.rooms = live.NewRooms(h.rt, nil, live.RoomsOptions[[]byte]{
		Topic:  func(key string) string { return key },
		Render: func(_ string, b []byte) (string, live.Component) { return "#live", asIs(b) },
	})
	h.rooms.Commit("room", nil)
	for range tabs {
		if _, err := h.rt.Connect(tb.Context(), &sink{h.wire, &h.sent}, h); err != nil {
			tb.Fatal(err)
		}
	}
	return h
}

// Mount implements live.View.
func (h *hall) Mount(ctx context.Context, s *live.Session) error { return h.rooms.Join(ctx, s, "room") }

// HandleEvent implements live.View.
func (h *hall) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

// broadcast makes one change reach every tab.
func (h *hall) broadcast(fragment []byte) {
	goal := h.sent.Load() + int64(h.tabs)
	h.rooms.Commit("room", fragment)
	for h.sent.Load() < goal {
		runtime.Gosched()
	}
}

// BenchmarkDelivery is what the runtime adds to what a connection costs: an
// operation is one delivery.
func BenchmarkDelivery(b *testing.B) {
	for _, tabs := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(tabs), func(b *testing.B) {
			h := newHall(b, tabs)
			fragment := make([]byte, 220)
			for h.sent.Load() < int64(tabs) {
				runtime.Gosched() // all have been welcomed
			}
			h.broadcast(fragment)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += tabs {
				h.broadcast(fragment)
			}
		})
	}
}

// BenchmarkJoin is a tab that connects, joins a room that is there, and leaves.
func BenchmarkJoin(b *testing.B) {
	h := newHall(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		s, err := h.rt.Connect(b.Context(), &sink{h.wire, &h.sent}, h)
		if err != nil {
			b.Fatal(err)
		}
		s.Disconnect(live.ReasonLeft)
	}
}

func TestADeliveryAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tabs, broadcasts = 1000, 50
		h := newHall(t, tabs)
		fragment := make([]byte, 220)
		synctest.Wait()
		h.rooms.Commit("room", fragment)
		synctest.Wait()
		before, sent := mallocs(), h.sent.Load()
		for range broadcasts {
			h.rooms.Commit("room", fragment)
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if got := h.sent.Load() - sent; got != tabs*broadcasts {
			t.Fatalf("got %d deliveries, want %d", got, tabs*broadcasts)
		}
		// What a broadcast costs is shared by all; the bound is a tenth of one
		// for each delivery.
		if got := mallocs() - before; got > tabs*broadcasts/10 {
			t.Errorf("got %d allocations for %d deliveries", got, tabs*broadcasts)
		}
		h.rt.Stop()
	})
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
