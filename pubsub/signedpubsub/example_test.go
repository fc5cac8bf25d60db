package signedpubsub_test

import (
	"context"
	"fmt"

	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/signedpubsub"
)

// Somebody who has the broker, and not the secret, says nothing in a replica's name: what they send
// has replicas read the store again, and no more.
func ExampleNewDriver() {
	ctx, bus := context.Background(), mempubsub.NewBus()
	signed, err := signedpubsub.NewDriver(bus, [][]byte{[]byte("what all replicas share")}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	replica, err := signed.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer replica.Close()
	stranger, err := bus.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stranger.Close()
	if err := replica.Subscribe(ctx, "prices"); err != nil {
		fmt.Println(err)
	}
	_ = replica.Publish(ctx, "prices", []byte("tea is 3")) // a bus takes everything
	_ = stranger.Publish(ctx, "prices", []byte("tea is free"))
	for range 2 {
		m, err := replica.Receive(ctx)
		fmt.Printf("%q trusted %v, forged %v, %v\n", m.Payload, m.Trusted, m.Forged, err)
	}
	// Output:
	// "tea is 3" trusted true, forged false, <nil>
	// "" trusted false, forged true, <nil>
}
