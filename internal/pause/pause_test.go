package pause_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/pause"
)

func TestAPauseEndsWithItsTimeOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		for i, want := range []bool{true, true, false, false} {
			if got := pause.For(ctx, 1250*time.Millisecond); got != want {
				t.Errorf("pause %d: got %v, want %v", i, got, want)
			}
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("got %s in all, want the 3 s that there were", took)
		}
	})
}
