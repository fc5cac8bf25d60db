package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// A saboteur is an application of which one callback misbehaves while it is armed.
type saboteur struct {
	*replica
	armed     atomic.Bool
	strikeHub bool
}

func (s *saboteur) strike() {
	if s.armed.Load() {
		panic("sabotage")
	}
}

// stubborn is a page of which one method misbehaves.
type stubborn struct {
	page
	mount, event, allow, movable, leave func()
}

func call(f func()) {
	if f != nil {
		f()
	}
}

func (v stubborn) Mount(ctx context.Context, s *live.Session) error {
	call(v.mount)
	s.OnLeave(func() { call(v.leave) })
	return v.page.Mount(ctx, s)
}

func (v stubborn) HandleEvent(ctx context.Context, s *live.Session, e htmx.Event) error {
	call(v.event)
	return v.page.HandleEvent(ctx, s, e)
}

func (v stubborn) Allow() bool {
	call(v.allow)
	return true
}

func (v stubborn) Movable() bool {
	call(v.movable)
	return true
}

type brokenPipe struct{}

func (brokenPipe) Render(context.Context, io.Writer) error { return errors.New("a broken component") }

// Each callback of an application misbehaves once, in each way. Others go on all
// the while, and all is well afterwards.
func TestNoCallbackStopsAReplica(t *testing.T) {
	type rooms = live.RoomsOptions[state]
	for name, c := range map[string]struct {
		sabotage func(s *saboteur, o *rooms, v *stubborn, rt *live.Options)
		quiet    bool // it is logged and counted elsewhere, or is no failure
		degrades bool // and rightly so: a room is not subscribed
	}{
		"Topic panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			topic := o.Topic
			o.Topic = func(key string) string {
				if key != "a" {
					s.strike()
				}
				return topic(key)
			}
		}},
		"Topic returns nothing": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			topic := o.Topic
			o.Topic = func(key string) string {
				if key != "a" && s.armed.Load() {
					return ""
				}
				return topic(key)
			}
		}},
		"Topic returns that of another": {quiet: true, sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			topic := o.Topic
			o.Topic = func(key string) string {
				if s.armed.Load() {
					return topic("a")
				}
				return topic(key)
			}
		}},
		"Render panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			render := o.Render
			o.Render = func(key string, st state) (string, live.Component) {
				if key != "a" {
					s.strike()
				}
				return render(key, st)
			}
		}},
		"Render returns nothing": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			render := o.Render
			o.Render = func(key string, st state) (string, live.Component) {
				if key != "a" && s.armed.Load() {
					return "", nil
				}
				return render(key, st)
			}
		}},
		"a component fails": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			render := o.Render
			o.Render = func(key string, st state) (string, live.Component) {
				if key != "a" && s.armed.Load() {
					return "#live", brokenPipe{}
				}
				return render(key, st)
			}
		}},
		"Data panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			o.Data = func(st state) ([]byte, error) { s.strike(); return fmt.Appendf(nil, "%d", st.N), nil }
		}},
		"Order panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			o.Order = func(st state) (uint64, uint64) {
				if st.N >= 100 {
					s.strike()
				}
				return st.Epoch, st.Version
			}
		}},
		"Load panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
				for _, key := range keys {
					if key != "a" {
						s.strike()
					}
				}
				return load(ctx, keys...)
			}
		}},
		"Load returns fewer states than keys": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
				states, err := load(ctx, keys...)
				for i := len(keys) - 1; i >= 0 && s.armed.Load(); i-- {
					if keys[i] != "a" {
						states = append(states[:i], states[i+1:]...)
					}
				}
				return states, err
			}
		}},
		"Load returns more states than keys": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
				states, err := load(ctx, keys...)
				for _, key := range keys {
					if key != "a" && s.armed.Load() {
						states = append(states, state{})
					}
				}
				return states, err
			}
		}},
		"Encode panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			encode := o.Encode
			o.Encode = func(st state) ([]byte, error) { s.strike(); return encode(st) }
		}},
		"Decode panics": {sabotage: func(s *saboteur, o *rooms, _ *stubborn, _ *live.Options) {
			decode := o.Decode
			o.Decode = func(p []byte) (state, error) { s.strike(); return decode(p) }
		}},
		"Hub panics": {sabotage: func(s *saboteur, _ *rooms, _ *stubborn, _ *live.Options) {
			s.strikeHub = true
		}, degrades: true},
		"Welcome panics": {sabotage: func(s *saboteur, _ *rooms, _ *stubborn, rt *live.Options) {
			rt.Welcome = func() []htmx.Partial { s.strike(); return nil }
		}},
		"OnLeave panics": {sabotage: func(s *saboteur, _ *rooms, v *stubborn, _ *live.Options) { v.leave = s.strike }},
		"Movable panics": {sabotage: func(s *saboteur, _ *rooms, v *stubborn, _ *live.Options) { v.movable = s.strike }},
		"Mount panics":   {sabotage: func(s *saboteur, _ *rooms, v *stubborn, _ *live.Options) { v.mount = s.strike }},
		"HandleEvent panics": {sabotage: func(s *saboteur, _ *rooms, v *stubborn, _ *live.Options) {
			v.event = s.strike
		}},
		"Allow panics": {sabotage: func(s *saboteur, _ *rooms, v *stubborn, _ *live.Options) { v.allow = s.strike }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s, v, o := &saboteur{}, &stubborn{}, &live.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				c.sabotage(s, &rooms{}, v, o) // for what is not of the rooms
				store, hub := newStore(), newHub()
				if s.strikeHub {
					hub.strike = s.strike
				}
				s.replica = start(store, hub, o, func(r *rooms) { c.sabotage(s, r, v, o) })
				defer s.rt.Stop()
				honest := livetest.Open(t, s.rt, page{s.replica, "a"})
				v.page = page{s.replica, "b"}
				victim := livetest.Open(t, s.rt, *v)
				time.Sleep(time.Second)

				s.armed.Store(true)
				s.provoke(t, victim, *v)
				op := honest.Click("t:a", "add")
				honest.Until("its click, meanwhile", shows(honest, "n=1<"))
				honest.Until("the answer, meanwhile", func() bool { return honest.Acked(op) == 1 })
				time.Sleep(30 * time.Second)
				synctest.Wait() // nobody writes to the log
				if honest.Closed() != 0 || honest.Status() != "live" && !c.degrades {
					t.Errorf("an honest tab is told %q and closed with %d", honest.Status(), honest.Closed())
				}
				if n := s.rt.Stats().Failures; n == 0 && !c.quiet {
					t.Error("no failure was counted")
				}
				if !strings.Contains(log.String(), "level=ERROR") && !strings.Contains(log.String(), "level=WARN") && !c.quiet {
					t.Errorf("nothing was logged: %s", log.String())
				}
				if n := strings.Count(log.String(), "callback failed"); n > 3*10 { // of three methods, one in ten seconds
					t.Errorf("got %d lines of log in a minute and a half", n)
				}

				s.armed.Store(false)
				again := livetest.Open(t, s.rt, stubborn{page: page{s.replica, "b"}})
				again.Click("t:b", "add")
				again.Until("its click, afterwards", func() bool {
					return strings.Contains(again.Shown("t:b").Content, fmt.Sprintf("n=%d<", store.get("b").N))
				})
				honest.Click("t:a", "add")
				honest.Until("a click, afterwards", shows(honest, "n=2<"))
				again.Disconnect()
				honest.Until("that all is well", func() bool { return honest.Status() == "live" })
			})
		})
	}
}

// provoke has every callback called, for another key than the honest tab's.
func (s *saboteur) provoke(t *testing.T, victim *livetest.Tab, v stubborn) {
	s.store.add("b")
	big := s.store.add("b")
	big.N, big.Version = 100, 3
	s.rooms.Commit("b", big)
	s.store.set("b", big)
	victim.Click("t:b", "add")
	for range 40 { // what is shown 30 times a second must not be logged as often
		s.rooms.Commit("b", s.store.add("b"))
		time.Sleep(50 * time.Millisecond)
	}
	for range 3 {
		for _, key := range []string{"b", "c", "d"} {
			v.page.key = key
			tab, err := livetest.Connect(t, s.rt, v)
			if err != nil {
				continue
			}
			tab.Click("t:"+key, "add")
			tab.Disconnect()
		}
		_, _, _ = s.rooms.Read(t.Context(), "b") // it may fail
	}
	_, _ = s.rt.Shed(t.Context(), 1, 0) // it may find nobody
	time.Sleep(time.Minute)             // rooms that are empty are closed
	_ = s.hub.deliver(pubsub.Message{Topic: "t:b", Payload: []byte(`{"N":100,"Epoch":1,"Version":9}`), Trusted: true})
}

func TestAKeyThatCanNotBeReadFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil, func(o *live.RoomsOptions[state]) {
			load := o.Load
			o.Load = func(ctx context.Context, keys ...string) (found []state, err error) {
				states, err := load(ctx, keys...)
				for i, key := range keys {
					if !strings.HasPrefix(key, "unknown") { // as a query with IN (…) does
						found = append(found, states[i])
					}
				}
				return found, err
			}
		})
		defer r.rt.Stop()
		type answer struct {
			key string
			err error
		}
		answers := make(chan answer)
		const n = 300
		for i := range n {
			key := fmt.Sprint("k", i)
			if i%100 == 50 {
				key = "unknown" + key
			}
			go func() {
				_, _, err := r.rooms.Read(t.Context(), key)
				answers <- answer{key, err}
			}()
		}
		for range n {
			if a := <-answers; (a.err != nil) != strings.HasPrefix(a.key, "unknown") {
				t.Errorf("%s: got %v", a.key, a.err)
			}
		}
		time.Sleep(time.Minute)
		if err := r.rt.Err(); err != nil {
			t.Errorf("got %v: somebody who asks for what is not there makes the replica degraded", err)
		}
	})
}

func TestWrongSetupsAreRefusedInASentence(t *testing.T) {
	type rooms = live.RoomsOptions[state]
	for name, c := range map[string]struct {
		change func(o *rooms)
		noHub  bool
		want   string
	}{
		"no topic":                {func(o *rooms) { o.Topic = nil }, false, "Topic is nil"},
		"nothing to show":         {func(o *rooms) { o.Render = nil }, false, "Render is nil"},
		"what nobody can read":    {func(o *rooms) { o.Decode = nil }, false, "Decode is nil"},
		"broadcasts to nobody":    {func(*rooms) {}, true, "no Hub"},
		"broadcasts of no name":   {func(o *rooms) { o.Name = "" }, false, "Name is empty"},
		"states without an order": {func(o *rooms) { o.Data, o.Order = o.Encode, nil }, false, "needs Order"},
		"a negative interval":     {func(o *rooms) { o.FrameInterval = -1 }, false, "FrameInterval is -1ns"},
		"a negative time to live": {func(o *rooms) { o.IdleTTL = -time.Second }, false, "IdleTTL is -1s"},
		"two kinds of one name":   {func(o *rooms) { o.Name = "taken" }, false, `"taken" is that of two kinds`},
		"nothing wrong":           {func(*rooms) {}, false, ""},
		"rooms of this process":   {func(o *rooms) { o.Encode, o.Decode, o.Name = nil, nil, "" }, true, ""},
		"a negative digest":       {func(o *rooms) { o.Digest = -1 }, false, "Digest is -1ns"},
		"a negative refresh":      {func(o *rooms) { o.Refresh = -1 }, false, "Refresh is -1ns"},
		"a negative time per tab": {func(o *rooms) { o.PerTab = -1 }, false, "PerTab is -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := live.NewRuntime(nil)
				rt.Start()
				defer rt.Stop()
				ok := rooms{
					Name: "test", Topic: func(key string) string { return key }, Load: newStore().load,
					Render: func(string, state) (string, live.Component) { return "#live", brokenPipe{} },
					Order:  func(s state) (uint64, uint64) { return s.Epoch, s.Version },
					Encode: func(state) ([]byte, error) { return nil, nil }, Decode: func([]byte) (state, error) { return state{}, nil },
				}
				taken := ok
				taken.Name = "taken"
				live.NewRooms(rt, newHub(), taken)
				c.change(&ok)
				defer func() {
					if p := recover(); c.want == "" && p != nil || c.want != "" && !strings.Contains(fmt.Sprint(p), c.want) {
						t.Errorf("got %v, want %q", p, c.want)
					}
				}()
				if c.noHub {
					live.NewRooms(rt, nil, ok)
				} else {
					live.NewRooms(rt, newHub(), ok)
				}
			})
		})
	}
	for name, o := range map[string]live.Options{
		"FrameInterval": {FrameInterval: -1}, "SendTimeout": {SendTimeout: -1}, "StatusInterval": {StatusInterval: -1},
	} {
		func() {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), name+" is -1ns") {
					t.Errorf("got %v for a negative %s", p, name)
				}
			}()
			live.NewRuntime(&o)
		}()
	}
}
