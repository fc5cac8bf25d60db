package lockstep

import (
	"context"
	"errors"
	"time"

	"lockstep/internal/pause"
)

// backgroundPause is how long it takes until what has panicked is begun again.
const backgroundPause = time.Second

// errBackground means that Stop has not waited longer for something that does not end.
var errBackground = errors.New("lockstep: what Background has added does not end with its context")

// Background has f run in a goroutine of its own from Start to Stop, on every replica: what an
// application does by itself, such as jobs. ctx ends when the application stops, and Stop waits for
// f as long as its own context allows. When f returns it is over; when it panics that is logged,
// and it is begun again after a second. It is called before Start.
func (a *App) Background(f func(ctx context.Context)) {
	if a.hub != nil {
		panic(errStarted)
	}
	a.works = append(a.works, func(ctx context.Context) {
		a.working.Go(func() { // ends with f
			for a.guard.Call("what Background has added", func() { f(ctx) }) != nil && pause.For(ctx, backgroundPause) {
			}
		})
	})
}

// endWorks ends what runs in the background, and waits for it.
func (a *App) endWorks(ctx context.Context) error {
	if a.endWork == nil {
		return nil
	}
	a.endWork()
	ended := make(chan struct{})
	go func() { // ends with what runs
		a.working.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errBackground
	}
}
