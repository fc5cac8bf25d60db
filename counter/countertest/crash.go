package countertest

import (
	"sync"
	"sync/atomic"
	"time"

	"lockstep/counter"
)

const (
	crashes = 3  // kills of the server in one case
	people  = 8  // who click meanwhile
	between = 20 // acknowledged clicks after each restart
)

// crashCases say what a crash of the server, kill -9, leaves.
func crashCases() []testCase {
	return []testCase{
		{name: "a crash of the server keeps what was applied, and the memory of ops", run: crashed, lacks: lacksCrash},
		{name: "crashes under load lose no acknowledged op, and count none twice", run: crashedUnderLoad, lacks: lacksCrash},
	}
}

func lacksCrash(o Options) string {
	if o.Crash == nil {
		return "the options have no Crash"
	}
	return ""
}

func crashed(e *env) {
	op := increment(3)
	before, _ := e.apply(op)
	e.opts.Crash(e)
	after := e.getAgain()
	if after.N != before.N || after.Version != before.Version || after.Epoch < before.Epoch {
		e.Fatalf("got %+v after a crash, want %+v or a later epoch", after, before)
	}
	v, applied := e.apply(op)
	e.wantApplied(applied, false)
	e.want(v, 3, 1)
}

// getAgain is get for a store whose server has crashed: it does not retry, and
// its old connections fail.
func (e *env) getAgain() counter.Value {
	e.Helper()
	var last error
	for range 50 {
		values, err := e.store.Get(e.ctx, e.name)
		if err == nil {
			return values[0]
		}
		last = err
	}
	e.Fatalf("Get goes on failing after a crash: %v", last)
	return counter.Value{}
}

// crashedUnderLoad makes people click through crashes. What is ambiguous the
// batcher sends again with the same id.
func crashedUnderLoad(e *env) {
	b := counter.NewBatcher(e.store, &counter.BatcherOptions{Patience: patience})
	var acked atomic.Int64
	wake, end := make(chan struct{}, 1), make(chan struct{})
	var clicking sync.WaitGroup
	for range people {
		clicking.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				if _, err := b.Apply(e.ctx, nil, e.name, increment(1)); err != nil {
					e.Errorf("a click: %v", err)
					return
				}
				acked.Add(1)
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		})
	}
	for range crashes {
		e.opts.Crash(e)
		e.await(wake, &acked, acked.Load()+between)
	}
	close(end)
	clicking.Wait()
	if err := b.Close(e.ctx); err != nil {
		e.Fatal(err)
	}
	if v := e.getAgain(); v.N != acked.Load() || v.Version != uint64(acked.Load()) {
		e.Errorf("got %+v, want the %d acknowledged ops, each once", v, acked.Load())
	}
}

// await waits until n clicks are acknowledged.
func (e *env) await(wake <-chan struct{}, acked *atomic.Int64, n int64) {
	e.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for acked.Load() < n {
		select {
		case <-wake:
		case <-limit.C:
			e.Errorf("got %d acknowledged clicks, want %d", acked.Load(), n)
			return
		}
	}
}
