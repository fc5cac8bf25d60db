package precondition_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/precondition"
)

var (
	eviction = precondition.Unmet{Name: "redis_eviction", Text: "it evicts"}
	fsync    = precondition.Unmet{Name: "fsync", Text: "it does not sync"}
)

func names(p *precondition.Part) (all []string) {
	for _, u := range p.Unmet() {
		all = append(all, u.Name)
	}
	return all
}

func TestEachServerIsWarnedOfOnce(t *testing.T) {
	var log bytes.Buffer
	p := precondition.NewPart("store", slog.New(slog.NewTextHandler(&log, nil)))
	for _, step := range []struct {
		server string
		unmet  []precondition.Unmet
		lines  int // in all
	}{
		{"one", []precondition.Unmet{eviction}, 1},
		{"one", []precondition.Unmet{eviction}, 1},
		{"one", []precondition.Unmet{fsync, eviction}, 2},
		{"two", []precondition.Unmet{eviction}, 3},
		{"two", nil, 3},
	} {
		p.Saw("", step.server, step.unmet...)
		if got := strings.Count(log.String(), "\n"); got != step.lines {
			t.Errorf("after %+v: got %d lines, want %d:\n%s", step, got, step.lines, &log)
		}
		if got := len(p.Unmet()); got != len(step.unmet) {
			t.Errorf("after %+v: got %d unmet", step, got)
		}
	}
	if !strings.Contains(log.String(), "part=store name=redis_eviction what=\"it evicts\"") {
		t.Errorf("the log does not say what: %s", &log)
	}
}

func TestWhatServersOfOnePartDoNotMeetIsPutTogether(t *testing.T) {
	p := precondition.NewPart("store", nil)
	p.Saw("a", "1", eviction)
	p.Saw("b", "2", fsync, eviction)
	if got, want := names(p), []string{"fsync", "redis_eviction"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Saw("b", "3")
	if got, want := names(p), []string{"redis_eviction"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheMemoryForAddressesIsBounded(t *testing.T) {
	p := precondition.NewPart("store", nil)
	for i := range 1000 {
		p.Saw(fmt.Sprint(i), "x", precondition.Unmet{Name: fmt.Sprintf("n%04d", i)})
	}
	if got := names(p); len(got) != 64 || got[63] != "n0999" {
		t.Errorf("got %d, the last %q; want the newest 64", len(got), got[len(got)-1])
	}
}

func TestWhatIsNotSaidAgainIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := precondition.NewPart("proxy", slog.New(slog.NewTextHandler(&log, nil)))
		for _, step := range []struct {
			wait  time.Duration
			again bool // it is said again
			unmet int
			lines int // in all
		}{
			{0, true, 1, 1}, {59 * time.Second, true, 1, 1}, {59 * time.Second, false, 1, 1}, {time.Second, false, 0, 1},
			{time.Hour, true, 1, 2},
		} {
			time.Sleep(step.wait)
			if step.again {
				p.SawFor(time.Minute, "", "", eviction)
			}
			if got := len(p.Unmet()); got != step.unmet {
				t.Errorf("%+v: got %d unmet", step, got)
			}
			if got := strings.Count(log.String(), "\n"); got != step.lines {
				t.Errorf("%+v: got %d lines of log:\n%s", step, got, &log)
			}
		}
	})
}

func TestAClockThatIsOff(t *testing.T) {
	before := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	after := before.Add(2 * time.Second) // the answer took that long
	for _, c := range []struct {
		theirs time.Time
		want   string
	}{
		{before, ""}, {after, ""},
		{before.Add(-30 * time.Second), ""}, {before.Add(-30*time.Second - 1), "behind this"},
		{after.Add(30 * time.Second), ""}, {after.Add(30*time.Second + 1), "ahead of this"},
		{time.Unix(0, 0), "behind this"},
	} {
		got := precondition.Clock("x_clock", before, c.theirs, after)
		if len(got) > 0 != (c.want != "") || len(got) > 0 && (got[0].Name != "x_clock" || !strings.Contains(got[0].Text, c.want)) {
			t.Errorf("%s: got %v, want %q", c.theirs, got, c.want)
		}
	}
}

func TestAPartThatNobodyAsksAbout(t *testing.T) {
	var p *precondition.Part
	p.Saw("", "x", eviction)
	p.SawFor(time.Minute, "", "x", eviction)
	if got := p.Unmet(); got != nil {
		t.Errorf("got %v", got)
	}
}
