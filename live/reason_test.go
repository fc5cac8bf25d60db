package live_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lockstep/live"
	"lockstep/live/livetest"
)

// operations is where each reason is explained.
const operations = "../docs/operations.md"

// row is one row of the table of reasons.
type row struct{ code, text, means, todo string }

// rows returns the table of reasons by their names.
func rows(t *testing.T) map[string]row {
	t.Helper()
	page, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Why a tab was closed\n")
	if !ok {
		t.Fatal("the section is missing")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	all := make(map[string]row)
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := strings.Trim(cells[1], "`")
		if _, twice := all[name]; twice {
			t.Errorf("%q has two rows", name)
		}
		all[name] = row{cells[2], cells[3], cells[4], cells[5]}
	}
	return all
}

func TestEachReasonIsExplainedToOperators(t *testing.T) {
	all := rows(t)
	for why := range live.Reasons() {
		r, ok := all[why.String()]
		switch {
		case !ok:
			t.Errorf("%s has no row for %q", operations, why)
		case r.code != strconv.Itoa(int(why.Code())) || r.text != why.Text():
			t.Errorf("%q: the row says %s %q, want %d %q", why, r.code, r.text, why.Code(), why.Text())
		case r.means == "" || r.todo == "":
			t.Errorf("%q: the row does not say what it means, or what to do", why)
		}
		delete(all, why.String())
	}
	for name := range all {
		t.Errorf("%s has a row for %q, which is no reason", operations, name)
	}
}

func TestReasonsAreToldApart(t *testing.T) {
	seen := make(map[string]bool)
	for why := range live.Reasons() {
		name := why.String()
		if name == "" || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
			t.Errorf("reason %d has the name %q, want one of its own for a metric", why, name)
		}
		seen[name] = true
		if len(why.Text()) > 123 {
			t.Errorf("%q: the text does not fit into a close frame", why)
		}
	}
}

// closed returns the reasons for which sessions have ended, and how many.
func closed(rt *live.Runtime) map[live.Reason]uint64 {
	all := make(map[live.Reason]uint64)
	for why := range live.Reasons() {
		if n := rt.Closed(why); n > 0 {
			all[why] = n
		}
	}
	return all
}

func wantClosed(t *testing.T, rt *live.Runtime, want live.Reason) {
	t.Helper()
	if got := closed(rt); !maps.Equal(got, map[live.Reason]uint64{want: 1}) {
		t.Errorf("got the reasons %v, want %q once", got, want)
	}
}

func TestASessionThatIsStoppedWhileItMountsHasOneReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		view := viewFunc(func(*live.Session) error {
			r.rt.Stop()
			return errors.New("it was stopped")
		})
		if _, err := livetest.Connect(t, r.rt, view); err == nil {
			t.Error("the session was connected")
		}
		wantClosed(t, r.rt, live.ReasonStopped)
	})
}

// A slowCloser is a connection whose peer takes its time to answer the close.
type slowCloser struct {
	sink
	closes atomic.Int64
}

func (c *slowCloser) Close(live.Reason) { c.closes.Add(1) }

func TestASessionThatWasToldToCloseStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		c := &slowCloser{sink: sink{&live.Wire{Encode: func(m []byte) []byte { return m }}, new(atomic.Int64)}}
		s, err := r.rt.Connect(t.Context(), c, movableSlow{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.rt.Shed(t.Context(), 1, 0); n != 1 || err != nil {
			t.Fatalf("got %d, %v; want 1", n, err)
		}
		synctest.Wait()
		sent := c.sent.Load()
		for range 2000 {
			_ = s.Show(live.Part{Target: "#x", Component: livetest.HTML("too late")}) // a text can be shown
		}
		s.Receive(context.Background(), []byte(`{"op":["c",1,1],"do":"add"}`))
		synctest.Wait()
		if c.closes.Load() != 1 || c.sent.Load() != sent {
			t.Errorf("it was closed %d times and sent %d messages afterwards, want once and none", c.closes.Load(), c.sent.Load()-sent)
		}
		s.Disconnect(live.ReasonLost)
		wantClosed(t, r.rt, live.ReasonRebalance)
	})
}
