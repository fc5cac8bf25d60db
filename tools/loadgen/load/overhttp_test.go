package load_test

import (
	"errors"
	"testing"
	"time"

	"lockstep/internal/short"
	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
)

// overHTTP are the options of a short load without websockets.
func overHTTP(url string, browsers int, rate float64) load.Options {
	o := options(url, browsers, rate)
	o.OverHTTP = true
	return o
}

func TestTabsWithoutWebsocketsAreJudgedLikeOthers(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := overHTTP(s.URL, 50, 200)
	o.Plan.Slow = .1
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 || len(r.Errors) > 0 {
		t.Errorf("got verdicts %v and errors %v, want none", b, r.Errors)
	}
	wantAllCounted(t, r, s)
	if got := s.Sockets(); got != 0 {
		t.Errorf("%d websockets were opened", got)
	}
}

// TestListsAndLogsDoWithoutWebsockets: changes lead on from what the last request said that its tab
// shows, also when requests go to a server that has started again.
func TestListsAndLogsDoWithoutWebsockets(t *testing.T) {
	t.Parallel()
	for _, kind := range []protocol.Kind{protocol.List, protocol.Log} {
		for name, bugs := range map[string]planted.Bugs{
			"right": {}, "a server that restarts": {CutEvery: 50}, "streams that are refused": {NoStreams: true}, "a server that forgets": {Forgetful: 7},
		} {
			t.Run(kind.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				if bugs.CutEvery == 0 {
					short.Skip(t, "one fault is enough")
				}
				s := planted.Start(t, bugs)
				o := overHTTP(s.URL, 20, 100)
				o.Protocol = protocol.Lockstep{Kind: kind}
				r := runLoad(t, o)
				if b := violated(r); len(b) > 0 || !load.Passed(r) {
					t.Errorf("got %+v", r.Verdicts)
				}
				if r.Totals.Acked+r.Totals.Refused != 100 || s.Sockets() != 0 {
					t.Errorf("got %+v and %d websockets, want 100 answers without any", r.Totals, s.Sockets())
				}
			})
		}
	}
}

func TestPlantedBugsAreFoundWithoutWebsockets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		bugs   planted.Bugs
		broken string // a verdict
	}{
		{"an op applied twice", planted.Bugs{Twice: 150}, load.VerdictOnce},
		{"an op that is sent again counts again", planted.Bugs{TwiceOnResend: true}, load.VerdictOnce},
		{"a version that goes backwards in one answer", planted.Bugs{Backwards: 10}, load.VerdictForward},
		{"two tabs that are told different counts", planted.Bugs{TwoTruths: 90}, load.VerdictForward},
		{"a click that is acknowledged and not counted", planted.Bugs{LoseClick: 150}, load.VerdictCounted},
		{"an acknowledgement before its state", planted.Bugs{EarlyAck: 2}, load.VerdictOwnWrites},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, c.bugs)
			o := overHTTP(s.URL, 50, 200)
			if c.bugs.EarlyAck > 0 { // it shows only if no other click is on its way
				o = overHTTP(s.URL, 5, 4)
				o.Plan.Stages[0].Duration = 3750 * time.Millisecond // 15 clicks: the last is right
			}
			r := runLoad(t, o)
			if _, ok := violated(r)[c.broken]; !ok {
				t.Errorf("%q held: %+v", c.broken, r.Verdicts)
			}
		})
	}
}

func TestFaultsOfTheWayWithoutWebsocketsAreNoBugs(t *testing.T) {
	t.Parallel()
	for name, bugs := range map[string]planted.Bugs{
		"a server that restarts":                  {CutEvery: 50},
		"clicks that are taken at the second try": {Retry: 50},
		"answers that are cut off":                {CutAnswers: 20},
		"streams that are refused":                {NoStreams: true},
		"streams that something holds back":       {HoldStreams: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, bugs)
			r := runLoad(t, overHTTP(s.URL, 20, 100))
			if b := violated(r); len(b) > 0 {
				t.Errorf("got broken verdicts %+v", b)
			}
			if r.Totals.Acked != 100 || s.Count("load-1") != 100 {
				t.Errorf("got %+v and a count of %d, want 100 clicks; errors %v", r.Totals, s.Count("load-1"), r.Errors)
			}
			if bugs.CutAnswers > 0 && r.Totals.Reconnects == 0 {
				t.Error("no answer was cut off")
			}
		})
	}
}

func TestHiddenTabsWithoutWebsocketsAskNowAndThen(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := overHTTP(s.URL, 10, 20)
	o.Plan.Hidden = .3
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 {
		t.Errorf("got broken verdicts %+v", b)
	}
	if r.Converge < 1000 {
		t.Errorf("all were equal after %g ms: no tab was hidden", r.Converge)
	}
}

func TestOtherPagesCanNotDoWithoutTheirSocket(t *testing.T) {
	h, err := protocol.NewHTMX("", "#count", "")
	if err != nil {
		t.Fatal(err)
	}
	o := overHTTP("http://localhost:1", 1, 1)
	o.Protocol = h
	if _, err := load.Run(t.Context(), o); !errors.Is(err, load.ErrUsage) {
		t.Errorf("got %v, want that it is not possible", err)
	}
}
