package soft_test

import (
	"context"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
	"lockstep/soft"
)

// A cursor that somebody moves at one replica is seen at another, for a while.
func ExampleSoft() {
	type cursor struct{ X, Y int }
	ctx, bus := context.Background(), mempubsub.NewBus()
	changed := make(chan struct{}, 1)
	replica := func(name string) *soft.Soft[cursor] {
		hub := pubsub.NewHub(bus, nil)
		if err := hub.Start(ctx); err != nil {
			panic(err)
		}
		s := soft.New(hub, name, &soft.Options[cursor]{Changed: func(string) {
			select {
			case changed <- struct{}{}:
			default: // it is known already that something has
			}
		}})
		s.Start()
		return s
	}
	one, two := replica("one"), replica("two")
	defer one.Stop()
	defer two.Stop()
	defer one.Watch("board")()
	defer two.Watch("board")()

	if err := one.Set("board", "ann", cursor{3, 4}); err != nil {
		fmt.Println(err)
	}
	for range changed {
		for owner, at := range two.Values("board") {
			fmt.Println(owner, at)
			return
		}
	}
	// Output: ann {3 4}
}
