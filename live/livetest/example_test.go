package livetest_test

import (
	"context"
	"fmt"
	"testing"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// A doorman is a view that refuses everything.
type doorman struct{}

func (doorman) Mount(context.Context, *live.Session) error { return nil }

func (doorman) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	s.Refuse(e.Op, "not today", false)
	return nil
}

func ExampleOpen() {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	t := &testing.T{} // a test has its own
	tab := livetest.Open(t, rt, doorman{})
	op := tab.Do("bar", "enter", `{}`)
	tab.Until("the answer", func() bool { return tab.Refused(op) != "" })
	fmt.Println(tab.Refused(op))
	// Output: not today
}
