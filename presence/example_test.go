package presence_test

import (
	"context"
	"fmt"

	"lockstep/presence"
	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

// Two replicas count the tabs of both.
func ExampleTracker() {
	ctx, bus := context.Background(), mempubsub.NewBus()
	counts := make(chan int, 16)
	replica := func(name string, changed func(topic string, n int)) *presence.Tracker {
		hub := pubsub.NewHub(bus, nil)
		if err := hub.Start(ctx); err != nil {
			panic(err)
		}
		t := presence.NewTracker(hub, name, &presence.Options{Changed: changed})
		if err := t.Start(ctx); err != nil {
			panic(err)
		}
		return t
	}
	one := replica("one", func(_ string, n int) { counts <- n })
	defer one.Stop()
	two := replica("two", nil)
	defer two.Stop()

	one.Enter("page") // a tab of this replica
	two.Enter("page")
	for n := range counts {
		if n == 2 {
			break
		}
	}
	fmt.Println(one.ByReplica("page"))
	// Output: 1 [1]
}
