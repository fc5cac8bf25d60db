package statetest

import "time"

// clockCases say what holds when the store's clock jumps.
func clockCases() []testCase {
	return []testCase{
		{name: "no jump of the clock makes a store forget a lane before another lifetime", run: jumpsOfLifetime, lacks: lacksShift},
		{name: "no jump of the clock makes a store forget a lane that is done before its time", run: jumpsOfDoneLifetime, lacks: lacksShift},
		{name: "a clock that goes back makes lanes stay, and not for ever", run: backwards, lacks: lacksShift},
		{name: "a clock that is wrong for a while, and right again, hurts nobody", run: wrongForAWhile, lacks: lacksShift},
		{name: "a clock that was wrong by years before a restart, and is right after it, hurts nobody", run: wrongBeforeRestart, lacks: lacksShiftOrReopen},
		{name: "a clock that was wrong by years when the store was made hurts nobody", run: wrongAtFirst, lacks: lacksShift},
	}
}

const year = 365 * 24 * time.Hour

func jumpsOfLifetime(e *env) {
	w := e.watch(e.opts.Lifetime)
	w.jumps(func() { w.add() }, w.lifetime/6, w.lifetime, 2*w.lifetime, 30*24*time.Hour, 100*w.lifetime)
}

func jumpsOfDoneLifetime(e *env) {
	w := e.watch(e.opts.DoneLifetime)
	w.jumps(func() { e.finish(w.add().client, 7) }, w.lifetime/6, w.lifetime, 2*w.lifetime, 20*time.Minute, 30*24*time.Hour)
}

// jumps has lanes of all ages at each jump, one of them of this moment. Between
// two jumps is a lifetime, and a little more or less than a number of ages, so
// that jumps are at different times of an age.
func (w *watch) jumps(add func(), jumps ...time.Duration) {
	w.Helper()
	for i, d := range jumps {
		w.pass(stepsOfLifetime, add)
		w.elapse(time.Duration(i) * w.step / 4)
		add()
		w.jump(d)
		w.pass(stepsOfLifetime-1, nil)
	}
	w.pass(3*stepsOfLifetime+1, nil)
	w.wantGone()
}

func backwards(e *env) {
	for _, lifetime := range []time.Duration{e.opts.Lifetime, e.opts.DoneLifetime} {
		w := e.watch(lifetime)
		add := func() {
			if l := w.add(); lifetime == e.opts.DoneLifetime {
				e.finish(l.client, 7)
			}
		}
		w.jumps(add, -20*time.Minute, -30*24*time.Hour, -3*year)
		e.opts.Shift(e, e.store, 3*year)
	}
}

func wrongForAWhile(e *env) {
	w := e.watch(e.opts.Lifetime)
	for _, d := range []time.Duration{20 * time.Minute, -20 * time.Minute, 10 * year, -10 * year} {
		w.pass(stepsOfLifetime, func() { w.add() })
		// Wrong and right within an age: that is one jump forwards.
		w.jump(d)
		w.jump(-d)
		w.pass(stepsOfLifetime-1, nil)
	}
}

func wrongBeforeRestart(e *env) {
	w := e.watch(e.opts.Lifetime)
	c := w.add()
	newest := e.read()
	for _, d := range []time.Duration{5 * year, -5 * year} {
		e.opts.Shift(e, e.store, d)
		e.reopen()
		w.walk()
		w.move(c)
		newest = e.read()
		e.opts.Shift(e, e.store, -d)
		e.reopen()
		after := e.read()
		if newest.Newer(after) || after.Version != newest.Version || string(after.Data) != "data" {
			e.Fatalf("got %s after the clock was wrong by %v, before it was %s", show(after), d, show(newest))
		}
		w.walk()
		w.check()
		w.pass(stepsOfLifetime-1, nil)
		w.move(c)
		newest = e.read()
	}
	w.pass(3*stepsOfLifetime+1, nil)
	w.wantGone()
}

func wrongAtFirst(e *env) {
	for _, d := range []time.Duration{-20 * year, 20 * year} {
		e.opts.Shift(e, e.store, d)
		e.topic = freshTopic()
		w := e.watch(e.opts.Lifetime)
		w.walk()
		w.add()
		w.jump(-d)
		w.pass(stepsOfLifetime-1, nil)
		w.pass(2*stepsOfLifetime+2, nil)
		w.wantGone()
	}
}
