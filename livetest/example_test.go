package livetest_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/livetest"
	"lockstep/serve"
)

// A test of a counter: what one person does, another one sees on another replica, and it counts
// once, though the replica dies before it can say so.
func Example() {
	var t *testing.T // of TestAClickCountsOnce
	testAClickCountsOnce := func() {
		c := livetest.Start(t, 2, counter)
		ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
		c.Replica(0).CrashAfterCommit()
		ann.Find(livetest.Role("button", "+1")).Click()
		bob.Find(livetest.CSS("output")).Says("1")
		ann.Answered()
		ann.Find(livetest.CSS("output")).Says("1")
	}
	_ = testAClickCountsOnce // go test runs it
}

// counter is the site of Example: livetest gives each replica its broker, store and keys.
func counter(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	hits := lockstep.Share(app, "hits", func(n int) templ.Component { return text("<output>" + strconv.Itoa(n) + "</output>") })
	lockstep.On(hits, "hit", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil })
	s := serve.New(app, nil, opts)
	return s, s.Page(func(*http.Request) templ.Component {
		return all(hits.At("lobby"), form(hits.At("lobby").Form("hit"), "<button>+1</button>"))
	})
}
