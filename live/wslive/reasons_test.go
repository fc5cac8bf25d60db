package wslive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/live/wslive"
)

// An end is a way in which a connection ends.
type end struct {
	name string
	want live.Reason
	view live.View                     // nil: echo
	with func(*live.Runtime) live.View // instead of view, where it needs the runtime
	opts wslive.Options
	do   func(e *ending) // with a visitor that reads; nil: nothing
	late func(e *ending) // the same, with one that reads only afterwards
	cut  bool            // the visitor may be sent no close frame
}

// An ending is one end as it happens.
type ending struct {
	*site
	v *visitor
}

// send makes the visitor send frames, until the connection ends.
func (e *ending) send(frames ...frame) {
	for _, f := range frames {
		if !e.v.try(f.bytes()) {
			return
		}
	}
}

func sends(frames ...frame) func(*ending) { return func(e *ending) { e.send(frames...) } }

// sendsAll sends bytes that are no frames.
func sendsAll(b []byte) func(*ending) { return func(e *ending) { e.v.try(b) } }

// stingy is a view that lets nothing through.
type stingy struct{ echo }

func (stingy) Allow() bool { return false }

// movable is a view whose tab may be sent elsewhere.
type movable struct{ echo }

func (movable) Movable() bool { return true }

// chatty pushes more than may wait for one tab, after what a first write takes.
type chatty struct{ echo }

func (chatty) HandleEvent(_ context.Context, s *live.Session, _ htmx.Event) error {
	for range 3000 {
		_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML("x")}) // a text can be shown
	}
	return nil
}

// ends are all ways in which a connection ends.
func ends(t *testing.T) []end {
	ctx := context.Background()
	return []end{
		{name: "the tab says so", want: live.ReasonLeft, cut: true, do: sends(closeWith(1001, ""))},
		{name: "the network goes", want: live.ReasonLost, cut: true, do: func(e *ending) { _ = e.v.c.Close() }},
		{name: "within a message", want: live.ReasonLost, cut: true, do: func(e *ending) { e.v.try(click("half").bytes()[:9]); _ = e.v.c.Close() }},

		{name: "reserved bits", want: live.ReasonProtocol, do: sends(frame{fin | reserved | text, nil})},
		{name: "no mask", want: live.ReasonProtocol, do: sendsAll([]byte{fin | text, 1, 'x'})},
		{name: "binary", want: live.ReasonNotText, do: sends(frame{fin | bin, nil})},
		{name: "not UTF-8", want: live.ReasonNotUTF8, do: sends(frame{fin | text, []byte{0xff}})},
		{name: "a close reason that is not UTF-8", want: live.ReasonNotUTF8, do: sends(closeWith(1000, "\xff"))},
		{name: "not compressed", want: live.ReasonCompression, do: sends(frame{fin | rsv1 | text, []byte("\x07nonsense")})},
		{name: "a long frame", want: live.ReasonTooLong, do: sends(frame{fin | text, make([]byte, 5000)})},
		{name: "frames that are long together", want: live.ReasonTooLong, do: sends(frame{more | text, make([]byte, 4000)}, frame{fin | cont, make([]byte, 4000)})},
		{name: "a bomb", want: live.ReasonTooLong, do: sends(frame{fin | rsv1 | text, deflated(t, strings.Repeat("x", 10_000), false)})},
		{name: "half a message and silence", want: live.ReasonSlowMessage, do: sendsAll(click("half").bytes()[:9])},
		{name: "many frames", want: live.ReasonTooManyFrames, do: sendsAll(bytes.Join(many(300, ""), nil))},
		{name: "many pings", want: live.ReasonTooManyControl, do: sends(slices.Repeat([]frame{{fin | ping, nil}}, 200)...)},
		{name: "no pong", want: live.ReasonKeepalive, cut: true, opts: wslive.Options{PingInterval: 30 * time.Second}},

		{name: "nonsense", want: live.ReasonMalformed, do: sends(slices.Repeat([]frame{{fin | text, []byte("{")}}, 17)...)},
		{name: "too many messages", want: live.ReasonTooManyMessages, view: stingy{}, do: sends(slices.Repeat([]frame{click("x")}, 4097)...)},
		{name: "reads nothing", want: live.ReasonSendTimeout, cut: true, late: func(*ending) { time.Sleep(11 * time.Second) }},
		{name: "reads too little", want: live.ReasonBacklog, view: chatty{}, late: sends(click("x"))},
		{name: "reads no pongs", want: live.ReasonBacklog, cut: true, late: sends(slices.Repeat([]frame{{fin | ping, make([]byte, 125)}}, 100)...)},
		{name: "the view fails to mount", want: live.ReasonMountFailed, view: echo{mount: errors.New("no")}},
		{name: "the view fails", want: live.ReasonViewFailed, do: sends(frame{fin | text, []byte(`{"op":["c",1,1],"do":"panic"}`)})},
		{name: "drain", want: live.ReasonDrain, do: func(e *ending) { go func() { _ = e.rt.Drain(ctx, time.Second) }() }},
		{name: "shed", want: live.ReasonRebalance, view: movable{}, do: func(e *ending) { _, _ = e.rt.Shed(ctx, 1, 0) }},
		{name: "an operator closes it", want: live.ReasonOperator, do: func(e *ending) { e.rt.CloseTab(1) }},
		{name: "the runtime stops", want: live.ReasonStopped, do: func(e *ending) { e.rt.Stop() }},
		{name: "the handler is closed", want: live.ReasonStopped, cut: true, do: func(e *ending) { e.h.Close() }},
		{name: "stopped between request and session", want: live.ReasonNotServing, with: func(rt *live.Runtime) live.View { rt.Stop(); return echo{} }},
	}
}

// elsewhere are the reasons whose tests are not here.
var elsewhere = []live.Reason{
	live.ReasonInboxFull,                                           // jslive
	live.ReasonTransport,                                           // poller_linux_test.go
	live.ReasonRenewed, live.ReasonUnanswered, live.ReasonAnswered, // httplive
}

func TestEachEndHasItsReason(t *testing.T) {
	seen := slices.Clone(elsewhere)
	for _, c := range ends(t) {
		seen = append(seen, c.want)
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.happen(t) })
		})
	}
	for why := range live.Reasons() {
		if !slices.Contains(seen, why) {
			t.Errorf("no connection ends for %q", why)
		}
	}
}

// happen ends one connection, and wants its reason to be said, counted and
// logged, once.
func (c end) happen(t *testing.T) {
	view := c.with
	if view == nil {
		view = func(*live.Runtime) live.View {
			if c.view == nil {
				return echo{}
			}
			return c.view
		}
	}
	if c.opts.PingInterval == 0 {
		c.opts.PingInterval = -1
	}
	s := newSiteFor(t, view, c.opts)
	v, theirs := s.meet()
	e := &ending{s, v}
	header := http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}
	if c.late == nil {
		v.reading.Go(v.read)
	}
	s.upgrade(header, theirs)
	if c.do != nil {
		c.do(e)
	}
	if c.late != nil {
		c.late(e)
		synctest.Wait()
		v.reading.Go(v.read)
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	c.check(t, e)
	v.leave()
	s.stop()
}

func (c end) check(t *testing.T, e *ending) {
	for why := range live.Reasons() {
		want := uint64(0)
		if why == c.want {
			want = 1
		}
		if got := e.rt.Closed(why); got != want {
			t.Errorf("got %d sessions that ended for %q, want %d", got, why, want)
		}
	}
	line := fmt.Sprintf(`msg="session closed" session=1 reason=%s code=%d`, c.want, c.want.Code())
	if log := e.log.String(); strings.Count(log, "session closed") != 1 || !strings.Contains(log, line) {
		t.Errorf("got the log %s\nwant one line with %s", log, line)
	}
	if code, _ := e.v.state(); !c.cut && code != int(c.want.Code()) {
		t.Errorf("got close code %d, want %d", code, c.want.Code())
	}
}
