package lockstep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// html is a component of HTML as it is.
func html(text string) templ.Component { return templ.Raw(text) }

func showNumber(int) templ.Component { return html("") }

func add(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil }

// newApp returns an application over a broker and a store of its own.
func newApp() *lockstep.App { return lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil) }

func TestAWrongSetupIsOneSentence(t *testing.T) {
	for name, c := range map[string]struct {
		app  *lockstep.App
		add  func(a *lockstep.App)
		want string
	}{
		"no driver": {app: lockstep.New(nil, memstate.New(nil), nil), want: "no driver"},
		"no store":  {app: lockstep.New(mempubsub.NewBus(), nil, nil), want: "no store"},
		"no name":   {add: func(a *lockstep.App) { lockstep.Share(a, "", showNumber) }, want: "name"},
		"a name with a colon": {
			add: func(a *lockstep.App) { lockstep.Share(a, "a:b", showNumber) }, want: "a:b",
		},
		"no name of what is soft": {
			add: func(a *lockstep.App) { lockstep.Present(a, "", 0, func([]int) templ.Component { return html("") }) }, want: "name",
		},
		"two kinds of one name": {
			add: func(a *lockstep.App) { lockstep.Share(a, "x", showNumber); lockstep.Share(a, "x", showNumber) }, want: `two kinds of the name "x"`,
		},
		"a kind and something soft of one name": {
			add: func(a *lockstep.App) {
				lockstep.Share(a, "x", showNumber)
				lockstep.Present(a, "x", 0, func([]int) templ.Component { return html("") })
			}, want: `two kinds of the name "x"`,
		},
		"an action twice": {
			add: func(a *lockstep.App) {
				s := lockstep.Share(a, "x", showNumber)
				lockstep.On(s, "add", add)
				lockstep.On(s, "add", add)
			},
			want: `x has two actions of the name "add"`,
		},
		"an action without a name": {
			add: func(a *lockstep.App) { lockstep.On(lockstep.Share(a, "x", showNumber), "", add) }, want: `x can't have an action ""`,
		},
		"the action that is everybody's": {
			add: func(a *lockstep.App) { lockstep.On(lockstep.Share(a, "x", showNumber), state.Void, add) }, want: "void",
		},
		"no action": {
			add: func(a *lockstep.App) { lockstep.On[int, struct{}](lockstep.Share(a, "x", showNumber), "add", nil) }, want: `"add"`,
		},
		"no view": {
			add: func(a *lockstep.App) { lockstep.Share[int](a, "x", nil) }, want: "x",
		},
		"no look": {
			add: func(a *lockstep.App) {
				lockstep.ShareWith(a, lockstep.SharedOptions[int]{Kind: state.Kind[int]{Name: "x"}})
			}, want: "x",
		},
		"no item": {
			add: func(a *lockstep.App) { lockstep.Listing[int](a, "x", nil) }, want: "x",
		},
		"no item with options": {
			add: func(a *lockstep.App) {
				lockstep.ListingWith(a, lockstep.ListOptions[int]{Kind: state.Kind[state.List[int]]{Name: "x"}})
			}, want: "x",
		},
		"no entry": {
			add: func(a *lockstep.App) { lockstep.Logging[int](a, "x", 0, nil) }, want: "x",
		},
		"no view of what is soft": {
			add: func(a *lockstep.App) { lockstep.Present[int](a, "x", 0, nil) }, want: "x",
		},
		"an input that is no struct": {
			add: func(a *lockstep.App) {
				lockstep.On(lockstep.Share(a, "x", showNumber), "add", func(n int, _ int, _ lockstep.Call) (int, error) { return n, nil })
			}, want: "the input of an action is a struct",
		},
		"a window that is too long": {
			add: func(a *lockstep.App) {
				lockstep.Logging(a, "x", 10_000, func(lockstep.Entry[int]) templ.Component { return html("") })
			}, want: "10000",
		},
		"a negative window": {
			add: func(a *lockstep.App) {
				lockstep.Logging(a, "x", -1, func(lockstep.Entry[int]) templ.Component { return html("") })
			}, want: "-1",
		},
		"a negative TTL": {
			add: func(a *lockstep.App) {
				lockstep.Present(a, "x", -time.Second, func([]int) templ.Component { return html("") })
			}, want: "negative",
		},
		"a cast twice": {
			add: func(a *lockstep.App) {
				s := lockstep.Present(a, "x", 0, func([]int) templ.Component { return html("") })
				lockstep.OnValue(s, "set")
				lockstep.OnValue(s, "set")
			}, want: `another cast of the name "set"`,
		},
		"no cast": {
			add: func(a *lockstep.App) {
				lockstep.OnSoft[int, struct{}](lockstep.Present(a, "x", 0, func([]int) templ.Component { return html("") }), "set", nil)
			}, want: `"set"`,
		},
		"a cast whose input is no struct": {
			add: func(a *lockstep.App) {
				s := lockstep.Present(a, "x", 0, func([]int) templ.Component { return html("") })
				lockstep.OnSoft(s, "set", func(int, lockstep.Call) (int, bool) { return 0, false })
			}, want: `the cast "set" of x`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.app == nil {
				c.app = newApp()
			}
			if c.add == nil {
				c.add = func(*lockstep.App) {}
			}
			err := start(t, c.app, c.add)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("got more than a sentence: %s", err)
			}
		})
	}
}

// start adds something to an application and starts it. What panics is returned as an error.
func start(t *testing.T, a *lockstep.App, add func(a *lockstep.App)) (err error) {
	t.Helper()
	t.Cleanup(func() { _ = a.Stop(t.Context(), 0) })
	add(a)
	return a.Start(t.Context())
}

func TestNothingIsAddedAfterTheStart(t *testing.T) {
	a := newApp()
	sh := lockstep.Share(a, "x", showNumber)
	soft := lockstep.Present(a, "y", 0, func([]int) templ.Component { return html("") })
	if err := start(t, a, func(*lockstep.App) {}); err != nil {
		t.Fatal(err)
	}
	for name, add := range map[string]func(){
		"a kind":      func() { lockstep.Share(a, "z", showNumber) },
		"an action":   func() { lockstep.On(sh, "add", add) },
		"a cast":      func() { lockstep.OnValue(soft, "set") },
		"a wrong one": func() { lockstep.Share[int](a, "z", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if err, _ := recover().(error); err == nil || !strings.Contains(err.Error(), "has been started") {
					t.Errorf("got %v", err)
				}
			}()
			add()
		})
	}
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "has been started") {
		t.Errorf("the second start: got %v", err)
	}
}
