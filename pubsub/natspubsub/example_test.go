package natspubsub_test

import (
	"context"
	"log"

	"lockstep/pubsub"
	"lockstep/pubsub/natspubsub"
)

// Every replica has a hub on the same server, or on one of the same cluster.
func ExampleNewDriver() {
	d, err := natspubsub.NewDriver("nats://localhost:4222")
	if err != nil {
		log.Fatal(err) // the URL is wrong: nothing is connected yet
	}
	ctx := context.Background()
	hub := pubsub.NewHub(d, &pubsub.Options{Prefix: "shop:"})
	if err := hub.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer hub.Stop(ctx)
	if err := hub.Broadcast(ctx, "prices", []byte("tea is 3")); err != nil { // on the subject shop.prices
		log.Print(err)
	}
}
