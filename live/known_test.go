package live_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"lockstep/live/livetest"
)

// TestARoomIsKnownWithoutTheStore: what it shows, and nothing where there is none.
func TestARoomIsKnownWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil, slowRefresh)
		defer r.rt.Stop()
		if s, known := r.rooms.Known("a"); known {
			t.Errorf("got %+v of a room that there is not", s)
		}
		tab := livetest.Open(t, r.rt, page{r, "a"})
		op := tab.Click("t:a", "add")
		tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
		store.fail(errors.New("away"))
		if s, known := r.rooms.Known("a"); !known || s.N != 1 {
			t.Errorf("got %+v, %v, want what the tab shows", s, known)
		}
	})
}
