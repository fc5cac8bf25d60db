//go:build js

package jspubsub_test

import (
	"context"
	"log"

	"lockstep/pubsub"
	"lockstep/pubsub/jspubsub"
)

// Every tab of an origin has a hub on the same channel.
func ExampleNew() {
	ctx := context.Background()
	hub := pubsub.NewHub(jspubsub.New("shop"), nil)
	if err := hub.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer hub.Stop(ctx)
	if err := hub.Broadcast(ctx, "prices", []byte("tea is 3")); err != nil {
		log.Print(err)
	}
}
