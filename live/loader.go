package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lockstep/internal/callback"
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
	rt    *Runtime
	name  string // of the rooms, for operators
	load  func(ctx context.Context, keys ...string) ([]S, error)
	clock *clock
	doubt chan struct{} // of size 1: a read has failed

	mu      sync.Mutex
	waiting map[string][]chan<- loaded[S]
	loading bool      // a goroutine is in run
	began   time.Time // of the newest read
	failed  string    // a key that could not be read, while that is the newest news
}

// A loaded is what the store has said of one key.
type loaded[S any] struct {
	state S
	began tick      // of the read
	asked time.Time // likewise
	err   error
}

// get returns the state of key, read after the call began.
func (l *loader[S]) get(ctx context.Context, key string) loaded[S] {
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
		return loaded[S]{err: ErrDraining}
	}
	select {
	case got := <-ch:
		return got
	case <-ctx.Done():
		return loaded[S]{err: ctx.Err()}
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

		all := l.read(keys)
		for i, chans := range waiting {
			for _, ch := range chans {
				ch <- all[i]
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

// read asks the store for keys, at most loadBatch, and returns as many answers.
// What only some of them make the callback do wrong is an error of these alone:
// keys may be what a visitor has typed.
func (l *loader[S]) read(keys []string) []loaded[S] {
	began, asked := l.clock.now(), time.Now()
	states, err := l.call(keys)
	if errors.Is(err, callback.ErrFailed) && len(keys) > 1 {
		half := len(keys) / 2
		return append(l.read(keys[:half]), l.read(keys[half:])...)
	}
	all := make([]loaded[S], len(keys))
	for i := range all {
		all[i] = loaded[S]{began: began, asked: asked, err: err}
		if err == nil {
			all[i].state = states[i]
		}
	}
	return all
}

// call calls Load once. Its error says something of the store only if it is
// Load's own.
func (l *loader[S]) call(keys []string) (states []S, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	states, err = l.callGuarded(ctx, keys)
	if err == nil && len(states) != len(keys) {
		err = l.rt.guard.Broken("Load", fmt.Sprintf("returned %d states for %d keys", len(states), len(keys)))
	}
	if errors.Is(err, callback.ErrFailed) {
		return nil, err
	}
	l.rt.ReportOf("store", l.name, err)
	l.remember(keys[0], err)
	return states, err
}

func (l *loader[S]) callGuarded(ctx context.Context, keys []string) (states []S, err error) {
	defer l.rt.guard.Caught("Load", &err)
	return l.load(ctx, keys...)
}

// remember notes whether the store could be read the last time.
func (l *loader[S]) remember(key string, err error) {
	l.mu.Lock()
	if l.failed = ""; err != nil {
		l.failed = key
	}
	l.mu.Unlock()
	if err == nil {
		return
	}
	select {
	case l.doubt <- struct{}{}:
	default:
	}
}

// suspect returns a key to ask the store for again, after a read that failed.
func (l *loader[S]) suspect() (key string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed, l.failed != ""
}
