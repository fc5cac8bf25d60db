// Package pause waits for a time or the end of a context.
package pause

import (
	"context"
	"time"
)

// For waits for d. It reports false when ctx has ended, or ends before.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
