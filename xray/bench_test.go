package xray_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/xray"
)

// A sink is a connection that takes everything at once, and says when an op is acknowledged.
type sink struct {
	wire    *live.Wire
	acked   chan struct{}
	session *live.Session // set by Bind
}

func (s *sink) Wire() *live.Wire { return s.wire }

func (s *sink) Bind(session *live.Session) { s.session = session }

func (s *sink) Send(encoded []byte) bool {
	if bytes.Contains(encoded, []byte(`"ack":`)) || bytes.Contains(encoded, []byte(`"op":`)) {
		select {
		case s.acked <- struct{}{}: // it is the only op
		default:
		}
	}
	return true
}

func (s *sink) Close(why live.Reason) { go s.session.Disconnect(why) } // ends at once

// BenchmarkClick is the way of clicks of 64 clients through a replica, in memory: without hooks,
// with a recorder at which nobody looks, as cmd/web has it, with one that is looked at on another
// topic, and with one that follows what it has room for.
func BenchmarkClick(b *testing.B) {
	for _, c := range []struct {
		name string
		opts *xray.Options
		look string
	}{
		{"without", nil, ""},
		{"idle", &xray.Options{}, ""},
		{"elsewhere", &xray.Options{}, "hits:b"},
		{"followed", &xray.Options{Sample: func(htmx.Op) bool { return true }}, ""},
	} {
		b.Run(c.name, func(b *testing.B) { clicks(b, c.opts, c.look) })
	}
}

func clicks(b *testing.B, opts *xray.Options, look string) {
	o := &lockstep.Options{Logger: slog.New(slog.DiscardHandler), Live: live.Options{FrameInterval: time.Nanosecond}}
	var rec *xray.Recorder
	if opts != nil {
		rec = xray.New(opts)
		o.Hooks = rec
	}
	a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), o)
	hits := lockstep.Share(a, "hits", func(int) templ.Component { return templ.Raw("") })
	lockstep.On(hits, "hit", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil })
	if rec != nil {
		rec.Follow(a)
	}
	if err := a.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Stop(context.Background(), 0) }()
	wire := &live.Wire{Encode: func(m []byte) []byte { return m }}
	connect := func(acked chan struct{}) *live.Session {
		view, err := a.View(lockstep.Visitor{}, "hits:a", "hits:b")
		if err != nil {
			b.Fatal(err)
		}
		s, err := a.Runtime().Connect(b.Context(), &sink{wire: wire, acked: acked}, view)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	if s := connect(nil); look != "" {
		s.Receive(b.Context(), []byte(`{"cast":"_xray","t":"`+look+`"}`))
	}
	var clients atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		acked := make(chan struct{}, 1)
		s, c := connect(acked), state.Client{byte(clients.Add(1))}
		for seq := uint64(1); pb.Next(); seq++ {
			s.Receive(b.Context(), fmt.Appendf(nil, `{"op":[%q,%d,%d],"seen":%d,"t":"hits:a","do":"hit"}`, c, seq, seq, a.Runtime().Clock().UnixMilli()))
			<-acked
		}
	})
}
