package natsstate_test

import (
	"context"
	"log"

	"lockstep/state/natsstate"
)

// All replicas open the same servers: package lockstep and state.NewBatcher take what is opened.
func ExampleOpen() {
	ctx := context.Background()
	store, err := natsstate.Open(ctx, "nats://a:4222,b:4222,c:4222?replicas=3", &natsstate.Options{Prefix: "shop:"})
	if err != nil {
		log.Fatal(err) // one sentence, without the password
	}
	defer store.Close()

	records, err := store.Read(ctx, "lunch:today")
	if err != nil {
		log.Print(err)
		return
	}
	log.Print(records[0].Version)
}
