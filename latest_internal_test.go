package lockstep

import (
	"strconv"
	"testing"

	"lockstep/state"
)

func TestNamesThatNobodyHasUsedPushNothingOut(t *testing.T) {
	var c latest
	c.put("x", loaded{Record: state.Record{Epoch: 1, Version: 7}, state: 1})
	for i := range 2 * maxLatest {
		c.put(strconv.Itoa(i), loaded{Record: state.Record{Epoch: 1}, state: 1})
	}
	if got := c.get("x"); got.Version != 7 || len(c.all) != 1 {
		t.Errorf("got %+v of %d", got, len(c.all))
	}
	for i := range 2 * maxLatest {
		c.put(strconv.Itoa(i), loaded{Record: state.Record{Epoch: 1, Version: 1}})
	}
	if len(c.all) > maxLatest {
		t.Errorf("got %d, want at most %d", len(c.all), maxLatest)
	}
}
