package redisstate_test

import (
	"context"
	"log"

	"lockstep/state/redisstate"
)

// All replicas open the same server: package lockstep and state.NewBatcher take what is opened.
func ExampleOpen() {
	ctx := context.Background()
	store, err := redisstate.Open(ctx, "redis://localhost:6379", &redisstate.Options{Prefix: "shop:"})
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
