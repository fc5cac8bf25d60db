package load_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	held := load.Verdict{Name: load.VerdictInStep, OK: true}
	open := load.Verdict{Name: load.VerdictCounted, NotJudged: true}
	broken := load.Verdict{Name: load.VerdictCounted}
	clicks := load.Totals{Due: 1}
	for _, c := range []struct {
		name   string
		report load.Report
		want   load.Outcome
	}{
		{"all held", load.Report{Verdicts: []load.Verdict{held}, Totals: clicks}, load.OutcomePassed},
		{"one was broken", load.Report{Verdicts: []load.Verdict{held, broken}, Totals: clicks}, load.OutcomeFailed},
		{"a threshold did not hold", load.Report{Verdicts: []load.Verdict{held}, Failed: []string{"p99"}}, load.OutcomeFailed},
		{"nothing was judged", load.Report{}, load.OutcomeNotJudged},
		{"one was not judged", load.Report{Verdicts: []load.Verdict{held, open}, Totals: clicks}, load.OutcomeNotJudged},
		{"one was not judged, and nobody was to click", load.Report{Verdicts: []load.Verdict{held, open}}, load.OutcomePassed},
		{"one was not judged, another broken", load.Report{Verdicts: []load.Verdict{open, broken}, Totals: clicks}, load.OutcomeFailed},
		{"interrupted", load.Report{Verdicts: []load.Verdict{held}, Interrupted: true}, load.OutcomeInterrupted},
		{"interrupted and broken", load.Report{Verdicts: []load.Verdict{broken}, Interrupted: true}, load.OutcomeFailed},
		{"a search that was interrupted", load.Report{Verdicts: []load.Verdict{held}, Knee: &load.Knee{Interrupted: true}}, load.OutcomeInterrupted},
	} {
		if got := load.OutcomeOf(&c.report); got != c.want || load.Passed(&c.report) != (c.want == load.OutcomePassed) {
			t.Errorf("%s: got %s and %t, want %s", c.name, got, load.Passed(&c.report), c.want)
		}
		for form, write := range map[string]func(io.Writer, *load.Report) error{"text": load.WriteText, "HTML": load.WriteHTML} {
			if text := written(t, write, &c.report); strings.Contains(strings.ToUpper(text), "PASSED") != (c.want == load.OutcomePassed) {
				t.Errorf("%s: the %s does not say %s:\n%s", c.name, form, c.want, text)
			}
		}
	}
}

// TestNothingToJudgeIsNoSuccess: a server that refuses every click keeps each rule about clicks.
func TestNothingToJudgeIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{Refuse: 1})
	r := runLoad(t, options(s.URL, 10, 20))
	for _, v := range r.Verdicts {
		if judged := v.Name == load.VerdictAnswered || v.Name == load.VerdictInStep; judged != v.OK || judged == v.NotJudged {
			t.Errorf("got %+v", v)
		}
	}
	text := written(t, load.WriteText, r)
	if !strings.HasPrefix(text, "NOT JUDGED") || !strings.Contains(text, "not judged: no click was acknowledged") || strings.Contains(text, "never") {
		t.Errorf("got %s", text)
	}
}

func TestAnIdleLoadIsJudgedByWhatTabsShow(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	r := runLoad(t, options(s.URL, 10, 0))
	if !load.Passed(r) || len(violated(r)) > 0 {
		t.Errorf("got %+v", r.Verdicts)
	}
}

// TestALoadThatIsInterruptedAtOnceProvesNothing: nobody had joined, so nothing held.
func TestALoadThatIsInterruptedAtOnceProvesNothing(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	o := options(s.URL, 10, 20)
	o.Plan.Stages[0].Ramp = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(load.Progress) { cancel() }
	r, err := load.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if load.OutcomeOf(r) != load.OutcomeInterrupted {
		t.Errorf("got %s, %+v", load.OutcomeOf(r), r.Verdicts)
	}
	for _, v := range r.Verdicts {
		if v.OK && v.Name != load.VerdictInStep {
			t.Errorf("held: %+v", v)
		}
	}
}
