package rabbitpubsub_test

import (
	"context"
	"log"

	"lockstep/pubsub"
	"lockstep/pubsub/rabbitpubsub"
)

// Every replica has a hub on the same server, or on a node of the same cluster.
func ExampleNewDriver() {
	d, err := rabbitpubsub.NewDriver("amqp://app:secret@localhost:5672/shop", &rabbitpubsub.Options{Exchange: "shop"})
	if err != nil {
		log.Fatal(err) // the URL is wrong: nothing is connected yet
	}
	ctx := context.Background()
	hub := pubsub.NewHub(d, &pubsub.Options{Prefix: "shop:"})
	if err := hub.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer hub.Stop(ctx)
	if err := hub.Broadcast(ctx, "prices", []byte("tea is 3")); err != nil { // with the routing key shop:prices
		log.Print(err)
	}
}
