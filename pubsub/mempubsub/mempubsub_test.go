package mempubsub_test

import (
	"strconv"
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{Driver: func(testing.TB) driver.Driver { return mempubsub.NewBus() }})
}

func TestPublishDoesNotWaitForOneWhoDoesNotReceive(t *testing.T) {
	bus := mempubsub.NewBus()
	var conns [2]driver.Conn
	for i := range conns {
		c, err := bus.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Subscribe(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	for i := range 3000 { // conns[1] never receives
		want := strconv.Itoa(i)
		if err := conns[0].Publish(t.Context(), "t", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if m, err := conns[0].Receive(t.Context()); err != nil || string(m.Payload) != want {
			t.Fatalf("got %+v, %v; want %s", m, err, want)
		}
	}
}
