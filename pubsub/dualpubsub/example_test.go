package dualpubsub_test

import (
	"context"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/dualpubsub"
	"lockstep/pubsub/mempubsub"
)

// While replicas move from one broker to another they use both: they hear those that know only the
// old one, and those that know only the new one.
func Example() {
	ctx, heard := context.Background(), make(chan string)
	old, next := mempubsub.NewBus(), mempubsub.NewBus()
	moving := pubsub.NewHub(dualpubsub.NewDriver(old, next, nil), nil)
	behind, ahead := pubsub.NewHub(old, nil), pubsub.NewHub(next, nil)
	for _, hub := range []*pubsub.Hub{moving, behind, ahead} {
		if err := hub.Start(ctx); err != nil {
			fmt.Println(err)
		}
		defer func() { _ = hub.Stop(ctx) }()
	}
	err := moving.SubscribeTopic(ctx, "me", "news", func(_ context.Context, m pubsub.Message) error {
		heard <- string(m.Payload)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	_ = behind.Broadcast(ctx, "news", []byte("from the old broker")) // in memory
	fmt.Println(<-heard)
	_ = ahead.Broadcast(ctx, "news", []byte("from the new one"))
	fmt.Println(<-heard)
	// Output:
	// from the old broker
	// from the new one
}
