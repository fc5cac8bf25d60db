package state

import (
	"fmt"
	"testing"
)

// What replicas say of topics that nobody uses here costs no memory, whatever it is.
func TestNothingIsKeptOfTopicsThatTheStoreHasSaidNothingOf(t *testing.T) {
	b := NewBatcher(nil, nil)
	for i := range 100 {
		b.Heard(fmt.Sprint("tally:", i), "other", Record{Epoch: uint64(i % 3), Version: 1, Data: []byte("1 {}")})
	}
	if n := len(b.warm.now) + len(b.warm.old); n != 0 {
		t.Errorf("got %d topics, want none", n)
	}
}
