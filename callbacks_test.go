package lockstep_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/htmx"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A saboteur has callbacks of an application fail while it is armed.
type saboteur struct {
	armed   atomic.Bool
	strikes atomic.Int64
}

// fails reports whether a callback is to fail, and counts it.
func (s *saboteur) fails() bool {
	if s.armed.Load() {
		s.strikes.Add(1)
		return true
	}
	return false
}

// strike panics while the saboteur is armed.
func (s *saboteur) strike() {
	if s.fails() {
		panic("sabotage")
	}
}

// broken returns a component that fails while the saboteur is armed.
func (s *saboteur) broken() templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		if s.fails() {
			return errors.New("sabotage")
		}
		_, err := io.WriteString(w, "<p>well</p>")
		return err
	})
}

type (
	numbers = state.List[int]
	input   struct{ N int }
)

func plus(n int, _ input, _ lockstep.Call) (int, error) { return n + 1, nil }

func appendTo(l numbers, in input, c lockstep.Call) (numbers, error) { return l.Append(c.Op, in.N) }

// shared adds a kind called bad, with its action.
func shared(a *lockstep.App, o lockstep.SharedOptions[int], act func(int, input, lockstep.Call) (int, error)) {
	o.Kind.Name = "bad"
	if o.Look == nil {
		o.Look = func(lockstep.Shown[int]) (string, lockstep.Component) { return "#bad", html("") }
	}
	lockstep.On(lockstep.ShareWith(a, o), "act", act)
}

func listed(a *lockstep.App, o lockstep.ListOptions[int]) {
	o.Kind.Name = "bad"
	if o.Item == nil {
		o.Item = func(i lockstep.Item[int]) lockstep.Component { return html(`<li id="` + i.HTMLID() + `"></li>`) }
	}
	lockstep.OnList(lockstep.ListingWith(a, o), "act", appendTo)
}

func logged(a *lockstep.App, o lockstep.LogOptions[int], act func(in input, c lockstep.Call) (int, error)) {
	o.Kind.Name = "bad"
	if o.Entry == nil {
		o.Entry = func(e lockstep.Entry[int]) lockstep.Component { return html(`<li id="` + e.HTMLID() + `"></li>`) }
	}
	lockstep.OnLog(lockstep.LoggingWith(a, o), "act", act)
}

func soften(a *lockstep.App, o lockstep.SoftOptions[int], cast func(in input, c lockstep.Call) (int, bool)) {
	o.Name = "bad"
	if o.Look == nil {
		o.Look = func(string, []int) (string, lockstep.Component) { return "#bad", html("") }
	}
	lockstep.OnSoft(lockstep.PresentWith(a, o), "act", cast)
}

func said(in input, _ lockstep.Call) (int, error) { return in.N, nil }

func set(in input, _ lockstep.Call) (int, bool) { return in.N, true }

// callbacks are all functions of an application that the package calls, each as it may fail.
func callbacks() map[string]func(a *lockstep.App, s *saboteur) {
	return map[string]func(a *lockstep.App, s *saboteur){
		"an action panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{}, func(n int, in input, c lockstep.Call) (int, error) { s.strike(); return plus(n, in, c) })
		},
		"a view panics": func(a *lockstep.App, s *saboteur) {
			lockstep.On(lockstep.Share(a, "bad", func(int) templ.Component { s.strike(); return html("") }), "act", plus)
		},
		"a view returns nothing": func(a *lockstep.App, s *saboteur) {
			lockstep.On(lockstep.Share(a, "bad", func(int) templ.Component {
				if s.fails() {
					return nil
				}
				return html("")
			}), "act", plus)
		},
		"a component fails": func(a *lockstep.App, s *saboteur) {
			lockstep.On(lockstep.Share(a, "bad", func(int) templ.Component { return s.broken() }), "act", plus)
		},
		"Look panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Look: func(lockstep.Shown[int]) (string, lockstep.Component) { s.strike(); return "#bad", html("") }}, plus)
		},
		"Look returns nothing": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Look: func(lockstep.Shown[int]) (string, lockstep.Component) {
				if s.fails() {
					return "", nil
				}
				return "#bad", html("")
			}}, plus)
		},
		"New panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Kind: state.Kind[int]{New: func() int { s.strike(); return 0 }}}, plus)
		},
		"Marshal panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Kind: state.Kind[int]{
				Marshal:   func(n int) ([]byte, error) { s.strike(); return []byte{byte(n)}, nil },
				Unmarshal: func(data []byte) (int, error) { return int(data[0]), nil },
			}}, plus)
		},
		"Unmarshal panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Kind: state.Kind[int]{
				Marshal:   func(n int) ([]byte, error) { return []byte{byte(n)}, nil },
				Unmarshal: func(data []byte) (int, error) { s.strike(); return int(data[0]), nil },
			}}, plus)
		},
		"Check panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{
				Checked: []string{"n"}, Check: func(int, lockstep.Fields) lockstep.FieldErrors { s.strike(); return nil },
				Public: func(n int) int { return n },
			}, plus)
		},
		"Public panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{Public: func(n int) int { s.strike(); return n }}, plus)
		},
		"ValidKey panics": func(a *lockstep.App, s *saboteur) {
			shared(a, lockstep.SharedOptions[int]{ValidKey: func(string) bool { s.strike(); return true }}, plus)
		},
		"an item panics": func(a *lockstep.App, s *saboteur) {
			listed(a, lockstep.ListOptions[int]{Item: func(i lockstep.Item[int]) lockstep.Component {
				s.strike()
				return html(`<li id="` + i.HTMLID() + `"></li>`)
			}})
		},
		"an item is nothing": func(a *lockstep.App, s *saboteur) {
			listed(a, lockstep.ListOptions[int]{Item: func(i lockstep.Item[int]) lockstep.Component {
				if s.fails() {
					return nil
				}
				return html(`<li id="` + i.HTMLID() + `"></li>`)
			}})
		},
		"ItemID panics": func(a *lockstep.App, s *saboteur) {
			listed(a, lockstep.ListOptions[int]{ItemID: func(i lockstep.Item[int]) string { s.strike(); return i.HTMLID() }})
		},
		"the target of a list panics": func(a *lockstep.App, s *saboteur) {
			listed(a, lockstep.ListOptions[int]{Target: func(string) string { s.strike(); return "#bad" }})
		},
		"Head panics": func(a *lockstep.App, s *saboteur) {
			listed(a, lockstep.ListOptions[int]{Head: func(lockstep.Shown[numbers]) (string, lockstep.Component) { s.strike(); return "#head", html("") }})
		},
		"an entry panics": func(a *lockstep.App, s *saboteur) {
			logged(a, lockstep.LogOptions[int]{Entry: func(e lockstep.Entry[int]) lockstep.Component {
				s.strike()
				return html(`<li id="` + e.HTMLID() + `"></li>`)
			}}, said)
		},
		"EntryID panics": func(a *lockstep.App, s *saboteur) {
			logged(a, lockstep.LogOptions[int]{EntryID: func(e lockstep.Entry[int]) string { s.strike(); return e.HTMLID() }}, said)
		},
		"the target of a log panics": func(a *lockstep.App, s *saboteur) {
			logged(a, lockstep.LogOptions[int]{Target: func(string) string { s.strike(); return "#bad" }}, said)
		},
		"what appends panics": func(a *lockstep.App, s *saboteur) {
			logged(a, lockstep.LogOptions[int]{}, func(in input, c lockstep.Call) (int, error) { s.strike(); return said(in, c) })
		},
		"a cast panics": func(a *lockstep.App, s *saboteur) {
			soften(a, lockstep.SoftOptions[int]{}, func(in input, c lockstep.Call) (int, bool) { s.strike(); return set(in, c) })
		},
		"the look of what is soft panics": func(a *lockstep.App, s *saboteur) {
			soften(a, lockstep.SoftOptions[int]{Look: func(string, []int) (string, lockstep.Component) { s.strike(); return "#bad", html("") }}, set)
		},
		"Valid panics": func(a *lockstep.App, s *saboteur) {
			soften(a, lockstep.SoftOptions[int]{Valid: func(int) bool { s.strike(); return true }}, set)
		},
		"ValidKey of what is soft panics": func(a *lockstep.App, s *saboteur) {
			soften(a, lockstep.SoftOptions[int]{ValidKey: func(string) bool { s.strike(); return true }}, set)
		},
	}
}

// good adds a kind that works.
func good(a *lockstep.App) {
	lockstep.On(lockstep.Share(a, "good", func(int) templ.Component { return html("") }), "act", plus)
}

// TestACallbackFailsAlone: whatever a callback of the application does, the tab that it was called
// for stays connected, and what else it shows works, there and on the other replica; and when the
// callback works again, so does all.
func TestACallbackFailsAlone(t *testing.T) {
	for name, add := range callbacks() {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { failAlone(t, add) }) })
	}
}

func failAlone(t *testing.T, add func(a *lockstep.App, s *saboteur)) {
	s, bus, store := new(saboteur), mempubsub.NewBus(), memstate.New(nil)
	var tabs []*livetest.Tab
	var apps []*lockstep.App
	for range 2 {
		a := lockstep.New(bus, store, &lockstep.Options{Logger: slog.New(slog.DiscardHandler)})
		good(a)
		add(a, s)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Stop(context.Background(), 0) }() // the tabs are there to the end
		view, err := a.View(lockstep.Visitor{User: "somebody"}, "good:a", "bad:a")
		if err != nil {
			t.Fatal(err)
		}
		tab := livetest.Open(t, a.Runtime(), view)
		tab.Send(`{"hello":2,"client":"` + tab.Client() + `"}`)
		tabs, apps = append(tabs, tab), append(apps, a)
	}
	var ops [2][]htmx.Op
	act := func() {
		for i, tab := range tabs {
			ops[i] = append(ops[i], tab.Do("bad:a", "act", `{"n":"1"}`))
			tab.Send(`{"cast":"act","t":"bad:a","in":{"n":"1"}}`)
			tab.Send(`{"cast":"check","t":"bad:a","in":{"n":"1"}}`)
			tab.Send(`{"hello":2,"client":"` + tab.Client() + `","as":"data"}`)
			tab.Send(`{"hello":2,"client":"` + tab.Client() + `"}`)
		}
		time.Sleep(5 * time.Second)
	}
	act()
	s.armed.Store(true)
	act()
	for _, a := range apps { // it may fail, too, but not the replica
		if view, err := a.View(lockstep.Visitor{}, "good:a", "bad:b"); err == nil {
			_, _ = livetest.Connect(t, a.Runtime(), view)
		}
	}
	if s.strikes.Load() == 0 {
		t.Fatal("the callback was not called")
	}
	for i, tab := range tabs {
		if tab.Reason() != 0 {
			t.Fatalf("tab %d was closed: %v", i, tab.Reason())
		}
		op := tab.Click("good:a", "act")
		tab.Until("the good one", func() bool { return tab.Acked(op) == 1 })
	}
	s.armed.Store(false)
	act()
	for i, tab := range tabs {
		for _, op := range ops[i] {
			tab.Again(op) // it may have been put off
			time.Sleep(5 * time.Second)
			if tab.Acked(op) == 0 && tab.Refused(op) == "" || tab.Reason() != 0 {
				t.Errorf("tab %d has no answer to %d: %q, %v", i, op.Seq, tab.Retried(op), tab.Reason())
			}
		}
	}
}
