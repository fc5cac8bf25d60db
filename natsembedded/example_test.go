package natsembedded_test

import (
	"context"
	"log"

	"lockstep"
	"lockstep/natsembedded"
)

// One of three replicas, which need no other program.
func Example() {
	server, err := natsembedded.Start(&natsembedded.Options{
		Listen: "10.0.0.1:6222", Peers: []string{"10.0.0.2:6222", "10.0.0.3:6222"},
		Secret: [][]byte{[]byte("the same for all of them, and at least 32 bytes")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Stop() // after the application
	ctx := context.Background()
	if err := server.Await(ctx); err != nil {
		log.Fatal(err)
	}
	store, err := server.Open(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	broker, err := server.Driver()
	if err != nil {
		log.Fatal(err)
	}
	app := lockstep.New(broker, store, nil)
	app.OnStop(func(context.Context) error { return store.Close() })
}
