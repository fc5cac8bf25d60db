package statetest

import "lockstep/state"

// restoreCases say what holds when the data are lost, and come back as they
// were at an earlier time.
func restoreCases() []testCase {
	return []testCase{
		{name: "restored data have an epoch that never was, and nothing of the lost history holds", run: restored, lacks: lacksCopy},
		{name: "the same copy restored again has an epoch of its own", run: restoredTwice, lacks: lacksCopy},
	}
}

func restored(e *env) {
	c, other := freshClient(), freshClient()
	kept := e.do(e.step(e.read(), "kept", click(c, 1)))
	restore := e.opts.Copy(e, e.store)
	lost := e.do(e.step(kept, "lost", click(c, 2)))
	late := e.step(lost, "late", click(c, 3))

	e.store = e.own(restore(e, e.store))
	after := e.read()
	if after.Epoch <= lost.Epoch || string(after.Data) != "kept" {
		e.Fatalf("got %s of restored data, want a later epoch than that of %s", show(after), show(lost))
	}
	e.conflict(late, after, lane(1))
	e.conflict(e.step(kept, "late", click(c, 2)), after, lane(1))
	// The new history comes to the versions of the old one.
	newest := after
	for i := range uint64(5) {
		newest = e.do(e.step(newest, "new", click(other, i+1)))
		late.Base.Version = newest.Version
		e.conflict(late, newest, lane(1))
	}
	e.do(e.step(newest, "again", click(c, 2)))
}

func restoredTwice(e *env) {
	c := freshClient()
	kept := e.do(e.step(e.read(), "kept", click(c, 1)))
	restore := e.opts.Copy(e, e.store)
	newest := kept
	bases := []state.Record{kept}
	for range 3 {
		newest = e.do(e.step(newest, "lost", click(c, 2)))
		bases = append(bases, newest)
		e.store = e.own(restore(e, e.store))
		after := e.read()
		if after.Epoch <= newest.Epoch || string(after.Data) != "kept" {
			e.Fatalf("got %s of restored data, want a later epoch than that of %s", show(after), show(newest))
		}
		for _, base := range bases {
			e.conflict(e.step(base, "late", click(c, 2)), after, lane(1))
		}
		newest = after
	}
}
