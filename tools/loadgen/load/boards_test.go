package load_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/short"
	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
)

// atBoards are the options of a short load of casts.
func atBoards(url string) load.Options {
	o := options(url, 30, 200)
	o.Protocol = protocol.Lockstep{Kind: protocol.Board, TTL: planted.BoardTTL}
	return o
}

func TestABoardThatIsRightPasses(t *testing.T) {
	t.Parallel()
	short.Skip(t, "what was cast last is forgotten after 6 s")
	for name, bugs := range map[string]planted.Bugs{"right": {}, "a server that restarts": {CutEvery: 120}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, bugs)
			o := atBoards(s.URL)
			o.Counters, o.Plan.Stages[0].Churn = 2, 5
			r := runLoad(t, o)
			if !load.Passed(r) || len(r.Verdicts) != 4 {
				t.Errorf("got %+v", r.Verdicts)
			}
			if r.Totals.Sent < 150 || r.Totals.Deliveries < 1000 || r.Latencies[load.LatencyStaleness].Count < 1000 {
				t.Errorf("got %+v and %d ages, want 200 casts that all saw", r.Totals, r.Latencies[load.LatencyStaleness].Count)
			}
			if strange := s.Strange(); len(strange) > 0 {
				t.Errorf("tabs said %q", strange)
			}
		})
	}
}

func TestPlantedBugsOfBoardsAreFound(t *testing.T) {
	t.Parallel()
	short.Skip(t, "what was cast last is forgotten after 6 s")
	for _, c := range []struct {
		name   string
		bugs   planted.Bugs
		broken string // a verdict
		named  string // in what is named for it
	}{
		{"a value that is never forgotten", planted.Bugs{NeverForget: true}, load.VerdictForgotten, "after it was cast"},
		{"what one owner has is shown as another's", planted.Bugs{Swap: 30}, load.VerdictSound, "which has never cast that"},
		{"casts that are lost for good", planted.Bugs{LoseCast: 3}, load.VerdictInStep, "which has cast"},
		{"an older cast after a newer one", planted.Bugs{Backwards: 21}, load.VerdictForward, "which was cast later"},
		{"a message that is too long", planted.Bugs{LongFrame: 50}, load.VerdictSound, "bytes in a message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, c.bugs)
			r := runLoad(t, atBoards(s.URL))
			got := violated(r)
			if named := fmt.Sprint(got[c.broken].Named); !strings.Contains(named, c.named) {
				t.Errorf("%q: got %s, want it to have %q; broken are %v", c.broken, named, c.named, slices.Sorted(maps.Keys(got)))
			}
		})
	}
}

func TestABoardIsNotJudgedByNothing(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := atBoards(s.URL)
	o.Plan.Stages[0].Rate[0].From, o.Plan.Stages[0].Rate[0].To = 0, 0
	for _, v := range runLoad(t, o).Verdicts {
		if !v.NotJudged {
			t.Errorf("%s is judged, and nobody has cast anything", v.Name)
		}
	}
}
