package pubsubtest_test

import (
	"context"
	"errors"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/pubsubtest"
)

func ExampleRecorder() {
	ctx := context.Background()
	broker := pubsubtest.NewRecorder(nil)
	hub := pubsub.NewHub(broker, &pubsub.Options{Prefix: "shop:"})
	if err := hub.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer hub.Stop(ctx)
	handler := func(context.Context, pubsub.Message) error { return nil }

	broker.Fail(pubsubtest.Subscribe, 1, errors.New("no memory"))
	fmt.Println(hub.SubscribeTopic(ctx, "session-7", "prices", handler))
	fmt.Println(hub.SubscribeTopic(ctx, "session-7", "prices", handler))
	fmt.Println(broker.Subscribed())
	// Output:
	// pubsub: subscribe to "prices": no memory
	// <nil>
	// [shop:prices]
}
