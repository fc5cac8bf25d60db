package pubsub_test

import (
	"context"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

func ExampleHub() {
	ctx := context.Background()
	bus := mempubsub.NewBus() // a real one: redispubsub.NewDriver(url)
	var replicas [2]*pubsub.Hub
	for i := range replicas {
		replicas[i] = pubsub.NewHub(bus, &pubsub.Options{Prefix: "shop:"})
		if err := replicas[i].Start(ctx); err != nil {
			fmt.Println(err)
			return
		}
		defer replicas[i].Stop(ctx)
	}

	received := make(chan string)
	err := replicas[1].SubscribeTopic(ctx, "session-7", "prices", func(_ context.Context, m pubsub.Message) error {
		if m.Gap {
			received <- "reload from the store"
			return nil
		}
		received <- string(m.Payload)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := replicas[0].Broadcast(ctx, "prices", []byte("tea is 3")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-received)
	// Output: tea is 3
}

func ExampleTopic() {
	type price struct {
		Item  string `json:"item"`
		Cents int    `json:"cents"`
	}
	prices := pubsub.NewTopic[price]("prices")

	ctx := context.Background()
	hub := pubsub.NewHub(mempubsub.NewBus(), nil)
	if err := hub.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer hub.Stop(ctx)

	received := make(chan price)
	err := prices.Subscribe(ctx, hub, "session-7", func(_ context.Context, e pubsub.Event[price]) error {
		received <- e.Value
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := prices.Broadcast(ctx, hub, price{"tea", 300}); err != nil {
		fmt.Println(err)
		return
	}
	p := <-received
	fmt.Println(p.Item, p.Cents)
	// Output: tea 300
}
