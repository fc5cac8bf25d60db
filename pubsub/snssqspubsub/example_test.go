package snssqspubsub_test

import (
	"context"
	"log"

	"lockstep/pubsub"
	"lockstep/pubsub/snssqspubsub"
)

// Every replica has a hub on the same topic. Here it is that of an emulator; without an
// endpoint it is AWS's.
func ExampleNewDriver() {
	d, err := snssqspubsub.NewDriver("snssqs://key:secret@eu-central-1/shop?endpoint=http://localhost:4100", nil)
	if err != nil {
		log.Fatal(err) // the URL is wrong: nothing is connected yet
	}
	ctx := context.Background()
	hub := pubsub.NewHub(d, nil)
	if err := hub.Start(ctx); err != nil { // makes a queue, such as shop-replica-4ZQ…
		log.Fatal(err)
	}
	defer hub.Stop(ctx) // removes it
	if err := hub.Broadcast(ctx, "prices", []byte("tea is 3")); err != nil {
		log.Print(err)
	}
}
