//go:build linux

package app_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// A boardSink is a tab's connection that takes everything at once, and counts it.
type boardSink struct {
	wire          *live.Wire
	frames, bytes *atomic.Int64
}

// Wire implements live.Conn.
func (s *boardSink) Wire() *live.Wire { return s.wire }

// Bind implements live.Conn.
func (s *boardSink) Bind(*live.Session) {}

// Send implements live.Conn.
func (s *boardSink) Send(b []byte) bool {
	s.frames.Add(1)
	s.bytes.Add(int64(len(b)))
	return true
}

// Close implements live.Conn.
func (s *boardSink) Close(live.Reason) {}

// cpu is how long this process has computed.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBoard is a full board: everybody's cursor moves 20 times a second. An operation
// is a second of it. It leaves out what connections cost: a write(2) for each frame.
func BenchmarkBoard(b *testing.B) {
	for _, tabs := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(tabs), func(b *testing.B) {
			a := app.New(mempubsub.NewBus(), memstate.New(nil), &app.Options{Live: live.Options{StatusInterval: time.Hour}})
			if err := a.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = a.Stop(context.Background(), 0) }()
			sink := &boardSink{&live.Wire{Encode: bytes.Clone}, new(atomic.Int64), new(atomic.Int64)}
			sessions := make([]*live.Session, tabs)
			for i := range sessions {
				view, err := a.View(app.Visitor{User: fmt.Sprintf("%016x", rand.Uint64())}, board)
				if err != nil {
					b.Fatal(err)
				}
				if sessions[i], err = a.Runtime().Connect(b.Context(), sink, view); err != nil {
					b.Fatal(err)
				}
			}
			move := func() { // for a second, evenly
				tick := time.NewTicker(time.Second / 20 / 10)
				defer tick.Stop()
				for n := range 20 * 10 {
					for i := n % 10; i < tabs; i += 10 {
						sessions[i].Receive(b.Context(), fmt.Appendf(nil, `{"cast":"here","t":"%s","in":{"tab":"abcde","x":%d,"y":%d}}`,
							board, rand.IntN(1000)+1, rand.IntN(1000)+1))
					}
					<-tick.C
				}
			}
			move()
			computed, frames, sent, before, began := cpu(b), sink.frames.Load(), sink.bytes.Load(), a.Boards(), time.Now()
			for b.Loop() {
				move()
			}
			took, after := time.Since(began).Seconds(), a.Boards()
			each := float64(tabs) * took
			b.ReportMetric(100*(cpu(b)-computed).Seconds()/took, "%core")
			b.ReportMetric(float64(sink.frames.Load()-frames)/each, "frames/s/tab")
			b.ReportMetric(float64(sink.bytes.Load()-sent)/each/1000, "kB/s/tab")
			b.ReportMetric(float64(after.Sets-before.Sets)/float64(after.Shown-before.Shown), "casts/shown")
			b.ReportMetric(float64(after.Shown-before.Shown)/each, "shown/s/cursor")
			b.ReportMetric(float64(after.Broadcasts-before.Broadcasts)/took, "broadcasts/s")
			b.ReportMetric(0, "ns/op")
			for _, s := range sessions {
				s.Disconnect(live.ReasonLeft)
			}
		})
	}
}
