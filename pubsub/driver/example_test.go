package driver_test

import (
	"context"
	"errors"
	"fmt"

	"lockstep/pubsub/driver"
)

// The receiving side of a backend whose client calls back: it never makes the client wait.
func ExampleQueue() {
	ctx, q := context.Background(), driver.NewQueue(nil)
	q.Put(driver.Message{Topic: "prices", Payload: []byte("tea is 3")}) // in the client's callback
	m, err := q.Receive(ctx)                                            // in Conn.Receive
	fmt.Println(m.Topic, string(m.Payload), err)
	q.End(driver.ErrClosed) // in Conn.Close
	_, err = q.Receive(ctx)
	fmt.Println(errors.Is(err, driver.ErrClosed))
	// Output:
	// prices tea is 3 <nil>
	// true
}
