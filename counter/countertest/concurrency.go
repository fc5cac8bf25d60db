package countertest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"lockstep/counter"
)

const (
	writers      = 64
	opsPerWriter = 20
)

// concurrencyCases say what holds while many use a counter at once.
func concurrencyCases() []testCase {
	return []testCase{
		{name: "an op sent by many at once is applied once", run: repeatedAtOnce},
		{name: "writers at once lose no update, and a version has one value", run: noLostUpdate},
		{name: "writers of two replicas lose no update, and a version has one value", run: noLostUpdateOfTwo, lacks: lacksSecond},
	}
}

func repeatedAtOnce(e *env) {
	handles := []counter.Store{e.store}
	if e.opts.Second != nil {
		handles = append(handles, e.own(e.opts.Second(e, e.store)))
	}
	op := increment(7)
	var times atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			v, applied, err := handles[i%len(handles)].Apply(e.ctx, e.name, op)
			if err != nil || v.N != 7 || v.Version != 1 {
				e.Errorf("got %+v, %v, want 7 in version 1", v, err)
				return
			}
			if applied[0] {
				times.Add(1)
			}
		})
	}
	wg.Wait()
	if got := times.Load(); got != 1 {
		e.Errorf("%d of %d calls report the op as applied, want 1", got, writers)
	}
}

func noLostUpdate(e *env) { e.writeAtOnce(e.store) }

func noLostUpdateOfTwo(e *env) {
	e.writeAtOnce(e.store, e.own(e.opts.Second(e, e.store)))
}

// writeAtOnce makes many writers change the counter through the handles.
func (e *env) writeAtOnce(handles ...counter.Store) {
	seen := &history{values: make(map[uint64]counter.Value)}
	var sum atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := e.write(handles[i%len(handles)], seen, &sum); err != "" {
				e.Error(err)
			}
		})
	}
	wg.Wait()
	v := e.get()
	if v.N != sum.Load() || v.Version != writers*opsPerWriter {
		e.Errorf("got %d in version %d, want %d in %d", v.N, v.Version, sum.Load(), writers*opsPerWriter)
	}
	if got := len(seen.values); got != writers*opsPerWriter {
		e.Errorf("%d ops were answered with %d versions", writers*opsPerWriter, got)
	}
}

// write is one writer. It returns what is wrong, or "".
func (e *env) write(s counter.Store, seen *history, sum *atomic.Int64) string {
	var last counter.Value
	for range opsPerWriter {
		op := increment(rand.Int64N(9) + 1)
		if rand.N(2) == 0 {
			op.Kind = counter.Decrement
		}
		v, applied, err := s.Apply(e.ctx, e.name, op)
		switch {
		case err != nil:
			return err.Error()
		case !applied[0]:
			return "a new op is reported as repeated"
		case !v.Newer(last):
			return "the version did not grow"
		case !seen.add(v):
			return "two states have the same version"
		}
		sum.Add(op.Amount())
		read, err := s.Get(e.ctx, e.name)
		if err != nil {
			return err.Error()
		}
		if v.Newer(read[0]) {
			return "Get returned a state older than the writer's own"
		}
		last = v
	}
	return ""
}

// A history holds the states that ops were answered with.
type history struct {
	mu     sync.Mutex // guards values
	values map[uint64]counter.Value
}

// add reports whether the version of v is new.
func (h *history) add(v counter.Value) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, known := h.values[v.Version]
	h.values[v.Version] = v
	return !known
}
