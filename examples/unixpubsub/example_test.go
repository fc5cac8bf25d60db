package unixpubsub_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"lockstep/examples/unixpubsub"
	"lockstep/pubsub"
)

// Two replicas hear each other through a socket.
func Example() {
	dir, err := os.MkdirTemp("", "unixpubsub")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		fmt.Println(err)
		return
	}
	server := unixpubsub.Serve(l)
	defer server.Close()

	ctx := context.Background()
	one := pubsub.NewHub(unixpubsub.NewDriver(l.Addr().String()), nil)
	other := pubsub.NewHub(unixpubsub.NewDriver(l.Addr().String()), nil)
	for _, hub := range []*pubsub.Hub{one, other} {
		if err := hub.Start(ctx); err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = hub.Stop(ctx) }()
	}
	heard := make(chan string)
	err = other.SubscribeTopic(ctx, "me", "news", func(_ context.Context, m pubsub.Message) error {
		heard <- string(m.Payload)
		return nil
	})
	if err == nil {
		err = one.Broadcast(ctx, "news", []byte("hello"))
	}
	fmt.Println(<-heard, err)
	// Output: hello <nil>
}
