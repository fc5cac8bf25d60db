package loglimit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/loglimit"
)

func logger(level slog.Level) (*slog.Logger, *bytes.Buffer) {
	var out bytes.Buffer
	return slog.New(loglimit.NewHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))), &out
}

func TestARepeatedLineIsLimitedAndTheRestIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logger(slog.LevelInfo)
		for i := range 100 {
			log.With("part", i).Warn("poison", "i", i)
		}
		log.Info("something else")
		if got := strings.Count(out.String(), "msg=poison"); got != loglimit.Limit {
			t.Errorf("got %d lines, want %d", got, loglimit.Limit)
		}
		if !strings.Contains(out.String(), "something else") {
			t.Error("another line was left out too")
		}
		time.Sleep(loglimit.Window)
		log.Info("later")
		if want := fmt.Sprintf("line=poison times=%d", 100-loglimit.Limit); !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, out)
		}
		log.Warn("poison", "again", true)
		if !strings.Contains(out.String(), "again=true") {
			t.Error("the next window does not begin anew")
		}
	})
}

func TestReasonsAreLimitedEachForItself(t *testing.T) {
	log, out := logger(slog.LevelInfo)
	for i := range 100 {
		log.Info("closed", "session", i, "reason", "flood")
	}
	log.Info("closed", "session", 100, "reason", "slow")
	if got := strings.Count(out.String(), "reason=flood"); got != loglimit.Limit {
		t.Errorf("got %d lines, want %d", got, loglimit.Limit)
	}
	if !strings.Contains(out.String(), "reason=slow") {
		t.Error("the line of another reason was left out too")
	}
}

func TestDebugLinesAreNotLimited(t *testing.T) {
	log, out := logger(slog.LevelDebug)
	for range 100 {
		log.Debug("detail")
	}
	if got := strings.Count(out.String(), "detail"); got != 100 {
		t.Errorf("got %d lines, want 100", got)
	}
}

func TestManyDifferentLinesAreLimitedTogether(t *testing.T) {
	log, out := logger(slog.LevelInfo)
	for i := range 10_000 {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, fmt.Sprintf("line %d", i), 0)
		if err := log.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(out.String(), "\n"); got > 1000+loglimit.Limit {
		t.Errorf("got %d lines of 10,000 different ones", got)
	}
}
