package repeats_test

import (
	"testing"
	"time"

	"lockstep/internal/repeats"
)

func TestTheLogSpeaksOfTheFirstAtOnceAndOfOthersTogether(t *testing.T) {
	var c repeats.Counter
	start := time.Unix(1, 0)
	for _, step := range []struct {
		after time.Duration
		want  uint64
	}{{0, 1}, {0, 0}, {repeats.Interval - 1, 0}, {repeats.Interval, 3}, {2*repeats.Interval - 1, 0}, {5 * repeats.Interval, 2}} {
		if got := c.Add(start.Add(step.after)); got != step.want {
			t.Errorf("got %d after %s, want %d", got, step.after, step.want)
		}
	}
}
