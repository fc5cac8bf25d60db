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

func TestAConnectionThatDoesNotReceiveGetsAGapInPlaceOfTheOldest(t *testing.T) {
	c, err := mempubsub.NewBus().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Subscribe(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	const sent = 5000 // far beyond any queue
	for i := range sent {
		if err := c.Publish(t.Context(), "t", []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	first, err := c.Receive(t.Context())
	if err != nil || !first.Gap || first.Topic != "" || first.Payload != nil {
		t.Fatalf("got %+v, %v; want a gap of all topics", first, err)
	}
	last := lastOf(t, c)
	if want := strconv.Itoa(sent - 1); last != want {
		t.Errorf("got %q last, want %q", last, want)
	}
}

// lastOf receives what is there and wants it in order, without a gap.
func lastOf(t *testing.T, c driver.Conn) string {
	t.Helper()
	if err := c.Publish(t.Context(), "t", nil); err != nil { // marks the end
		t.Fatal(err)
	}
	var last string
	for {
		m, err := c.Receive(t.Context())
		if err != nil || m.Gap {
			t.Fatalf("got %+v, %v; want a message", m, err)
		}
		if len(m.Payload) == 0 {
			return last
		}
		if n, _ := strconv.Atoi(last); last != "" && string(m.Payload) != strconv.Itoa(n+1) {
			t.Fatalf("got %q after %q", m.Payload, last)
		}
		last = string(m.Payload)
	}
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
