package pgpubsub_test

import (
	"context"
	"log"

	"lockstep/pubsub"
	"lockstep/pubsub/pgpubsub"
)

// Every replica has a hub on the same server.
func ExampleNewDriver() {
	d, err := pgpubsub.NewDriver("postgres://localhost/shop", nil)
	if err != nil {
		log.Fatal(err) // the URL is wrong: nothing is connected yet
	}
	ctx := context.Background()
	hub := pubsub.NewHub(d, &pubsub.Options{Prefix: "shop:"})
	if err := hub.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer hub.Stop(ctx)
	if err := hub.Broadcast(ctx, "prices", []byte("tea is 3")); err != nil {
		log.Print(err)
	}
}
