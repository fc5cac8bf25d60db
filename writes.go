package lockstep

import (
	"time"

	"lockstep/live"
)

// writesMemory is how long a failed write is held against the store when
// nobody tries another: then it is not known any more, and a replica that
// called itself degraded for ever would get no tabs that could try.
const writesMemory = 15 * time.Second

// A writes tells the runtime whether clicks can be saved. A store may answer
// reads all the while, when its disk is full for example.
type writes struct {
	rt     *live.Runtime
	forget *time.Timer
}

func newWrites(rt *live.Runtime) *writes {
	w := &writes{rt: rt, forget: time.AfterFunc(writesMemory, func() { rt.Report("writes", nil) })}
	w.forget.Stop()
	return w
}

// report takes in what came of a write.
func (w *writes) report(err error) {
	if err != nil {
		w.forget.Reset(writesMemory)
	}
	w.rt.Report("writes", err)
}

// stop ends the timer; no write may come any more.
func (w *writes) stop() { w.forget.Stop() }
