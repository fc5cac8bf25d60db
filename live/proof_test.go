package live_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// A tab that comes back to a connection can't tell from silence whether it is alive.
func TestAHelloThatAsksForAProofIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, asData)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		for _, c := range []struct{ hello, want string }{
			{`{"hello":2,"prove":true}`, `,"status":"live","beat":20,"proof":true}`},
			{`{"hello":2,"as":"data","prove":true}`, `,"status":"live","beat":20,"proof":true}`},
		} {
			synctest.Wait()
			before := len(tab.Messages())
			tab.Send(c.hello)
			synctest.Wait()
			if got := strings.Join(tab.Messages()[before:], "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got %s for %s, want %s", got, c.hello, c.want)
			}
		}
		r.rt.Report("store", errors.New("away"))
		time.Sleep(time.Second) // the patience with a part
		tab.Send(`{"hello":2,"prove":true}`)
		tab.Until("the proof of a degraded replica", func() bool {
			return slices.ContainsFunc(tab.Messages(), func(m string) bool {
				return strings.Contains(m, `"status":"degraded","beat":20,"proof":true}`)
			})
		})
	})
}

// A tab must know the beat: a replica with a slow one would be taken for dead between two of them.
func TestEachStatusTellsTheBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := live.NewRuntime(&live.Options{StatusInterval: 2 * time.Minute})
		rt.Start()
		defer rt.Stop()
		tab := livetest.Open(t, rt, nothing{})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		statuses := 0
		for _, m := range tab.Messages() {
			if strings.Contains(m, `"status"`) && strings.Contains(m, `"beat":120`) {
				statuses++
			}
		}
		if statuses != 3 {
			t.Errorf("got %d statuses with the beat in 5 minutes, want one at first and two beats: %q", statuses, tab.Messages())
		}
	})
}

// nothing is a view of a page without rooms.
type nothing struct{}

func (nothing) Mount(context.Context, *live.Session) error { return nil }

func (nothing) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }
