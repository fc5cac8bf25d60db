package callback_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/callback"
	"lockstep/internal/repeats"
)

func TestAPanicIsAnErrorAndOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		failed := 0
		g := &callback.Guard{Log: slog.New(slog.NewTextHandler(&said, nil)), Package: "shop", Failed: func() { failed++ }}
		for _, name := range []string{"Sold", "Sold", "Bought", "Sold"} {
			err := g.Call(name, func() { panic("no stock") })
			if !errors.Is(err, callback.ErrFailed) || !strings.Contains(fmt.Sprint(err), "shop: ") || !strings.Contains(fmt.Sprint(err), "panic in "+name+": no stock") {
				t.Errorf("got %v", err)
			}
		}
		if err := g.Call("Sold", func() {}); err != nil {
			t.Errorf("got %v where nothing failed", err)
		}
		if got := strings.Count(said.String(), "level=ERROR"); got != 2 || failed != 4 || !strings.Contains(said.String(), "callback_test.go") {
			t.Errorf("got %d lines of %d failures, want one for each callback, with where it was: %s", got, failed, said.String())
		}
		time.Sleep(repeats.Interval)
		said.Reset()
		if err := g.Broken("Sold", "returned nothing"); !errors.Is(err, callback.ErrFailed) || !strings.Contains(said.String(), "times=3") {
			t.Errorf("got %v, and the log has %s; want three times", err, said.String())
		}
	})
}

func TestAPanicWithoutAnErrorIsLogged(t *testing.T) {
	var said strings.Builder
	g := &callback.Guard{Log: slog.New(slog.NewTextHandler(&said, nil)), Package: "shop"}
	func() {
		defer g.Caught("Sold", nil)
		panic("no stock")
	}()
	if !strings.Contains(said.String(), "panic in Sold: no stock") {
		t.Errorf("the log has %q", said.String())
	}
}
