package mempubsub_test

import (
	"context"
	"fmt"

	"lockstep/pubsub/mempubsub"
)

// Connections of one Bus receive each other's messages. Applications use them through pubsub.Hub.
func ExampleBus() {
	ctx, bus := context.Background(), mempubsub.NewBus()
	one, err := bus.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer one.Close()
	other, err := bus.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer other.Close()
	if err := other.Subscribe(ctx, "prices"); err != nil {
		fmt.Println(err)
	}
	if err := one.Publish(ctx, "prices", []byte("tea is 3")); err != nil {
		fmt.Println(err)
	}
	m, err := other.Receive(ctx)
	fmt.Println(string(m.Payload), err)
	// Output: tea is 3 <nil>
}
