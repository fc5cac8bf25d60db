package driver_test

import (
	"slices"
	"testing"

	"lockstep/pubsub/driver"
)

func TestGatherTakesWhatWaitsAndNoMoreThanItMay(t *testing.T) {
	behind := make(chan int, 8)
	for n := 2; n <= 6; n++ {
		behind <- n
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("got %v of more than it may", got)
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1, 5, 6}) {
		t.Errorf("got %v of less", got)
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1}) {
		t.Errorf("got %v of nothing", got)
	}
}
