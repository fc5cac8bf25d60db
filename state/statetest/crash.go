package statetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/internal/pause"
	"lockstep/state"
)

const (
	crashes = 3  // kills of the server in one case
	people  = 8  // who click meanwhile
	between = 20 // acknowledged clicks after each restart
)

// crashCases say what a crash of the server, kill -9, leaves.
func crashCases() []testCase {
	return []testCase{
		{name: "a crash of the server keeps what was committed", run: crashed, lacks: lacksCrash},
		{name: "crashes under load lose no acknowledged op, and count none twice", run: crashedUnderLoad, lacks: lacksCrash},
	}
}

func crashed(e *env) {
	moved, finished := freshClient(), freshClient()
	step := e.step(e.read(), "data", jump(moved, 4), click(finished, 1))
	step.Log = [][]byte{[]byte("1"), []byte("2")}
	before := e.do(step)
	e.finish(finished, 1)
	e.opts.Crash(e)
	after := e.readAgain()
	if after.Version != before.Version || after.Epoch < before.Epoch || string(after.Data) != "data" {
		e.Fatalf("got %s after a crash, want %s or a later epoch", show(after), show(before))
	}
	e.conflict(step, after, lane(4), lane(1))
	e.wantLog(0, 9, 1, "1", "2")
	e.do(e.step(after, "more", click(moved, 5)))
}

// readAgain is read for a store whose server has crashed: it does not retry,
// and its old connections fail.
func (e *env) readAgain() state.Record {
	e.Helper()
	var last error
	for range 50 {
		records, err := e.store.Read(e.ctx, e.topic)
		if err == nil {
			return records[0]
		}
		last = err
	}
	e.Fatalf("Read goes on failing after a crash: %v", last)
	return state.Record{}
}

// crashedUnderLoad makes people click through crashes. What is ambiguous they
// send again.
func crashedUnderLoad(e *env) {
	seen := newHistory()
	clickers := make([]*clicker, people)
	handles := e.handles()
	var acked atomic.Int64
	wake := make(chan struct{}, 1)
	var over atomic.Bool
	var clicking sync.WaitGroup
	defer clicking.Wait() // whatever fails
	defer over.Store(true)
	for i := range clickers {
		clickers[i] = newClicker(seen)
		clicking.Go(func() {
			for !over.Load() {
				if err := clickers[i].click(e.ctx, handles[i%len(handles)], e.topic, e.waitAndTry); err != nil {
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
	over.Store(true)
	clicking.Wait()
	e.readAgain()
	seen.check(e)
	e.wantSum(clickers)
}

// waitAndTry lets a server that has crashed come back.
func (e *env) waitAndTry(err error) (context.Context, error) {
	if !pause.For(e.ctx, 20*time.Millisecond) {
		return nil, err
	}
	return e.ctx, nil
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
