package live

import (
	"context"
	"sync"
	"time"
)

// loadTimeout bounds one read of the store. A caller of get waits no longer
// than its own context.
const loadTimeout = 3 * time.Second

// gather is the shortest time between the begins of two reads. The first of a
// storm is served at once; the others wait as long, and are served together.
const gather = 5 * time.Millisecond

// loadBatch is how many keys one read of the store asks for.
const loadBatch = 256

// A loader merges reads of the store: while one is under way, and for gather
// after it began, further callers wait together for the next. So each caller
// gets a state read after it asked, and ten thousand joins in a second cost two
// hundred reads.
type loader[S any] struct {
	// set once
	rt   *Runtime
	load func(ctx context.Context, keys ...string) ([]S, error)

	mu      sync.Mutex
	waiting map[string][]chan<- loaded[S]
	loading bool      // a goroutine is in run
	began   time.Time // of the newest read
}

type loaded[S any] struct {
	state S
	err   error
}

// get returns the state of key, read after the call began.
func (l *loader[S]) get(ctx context.Context, key string) (S, error) {
	ch := make(chan loaded[S], 1) // takes the answer even when nobody waits any more
	l.mu.Lock()
	l.waiting[key] = append(l.waiting[key], ch)
	start := !l.loading
	l.loading = true
	l.mu.Unlock()
	if start && !l.rt.spawn(l.run) {
		l.mu.Lock()
		l.loading = false
		l.mu.Unlock()
		var none S
		return none, ErrDraining
	}
	select {
	case got := <-ch:
		return got.state, got.err
	case <-ctx.Done():
		var none S
		return none, ctx.Err()
	}
}

// run reads until nobody waits.
func (l *loader[S]) run() {
	for {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.loading = false
			l.mu.Unlock()
			return
		}
		due := time.Until(l.began.Add(gather))
		l.mu.Unlock()
		l.rt.pause(due) // when the runtime stops, those that wait are served all the same

		l.mu.Lock()
		keys, waiting := l.take()
		l.began = time.Now()
		l.mu.Unlock()

		states, err := l.read(keys)
		for i, chans := range waiting {
			got := loaded[S]{err: err}
			if err == nil {
				got.state = states[i]
			}
			for _, ch := range chans {
				ch <- got
			}
		}
	}
}

// take removes up to loadBatch keys. The caller holds mu.
func (l *loader[S]) take() (keys []string, waiting [][]chan<- loaded[S]) {
	for key, chans := range l.waiting {
		if len(keys) == loadBatch {
			break
		}
		keys, waiting = append(keys, key), append(waiting, chans)
		delete(l.waiting, key)
	}
	return keys, waiting
}

func (l *loader[S]) read(keys []string) ([]S, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	states, err := l.load(ctx, keys...)
	l.rt.Report("store", err)
	return states, err
}
