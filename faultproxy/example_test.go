package faultproxy_test

import (
	"testing"

	"lockstep/faultproxy"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
)

// The suite of a driver whose server can be cut off and frozen.
func ExampleProxy() {
	var t *testing.T // of TestDriver
	testDriver := func() {
		proxy := faultproxy.New(t, "localhost:4321")
		drivertest.Run(t, drivertest.Harness{
			Driver: func(testing.TB) driver.Driver { return mempubsub.NewBus() }, // one that connects to proxy.Addr
			Break:  func(testing.TB, driver.Driver) { proxy.Cut() },
			Freeze: func(testing.TB, driver.Driver) (thaw func()) {
				proxy.Stall(true)
				return func() { proxy.Stall(false) }
			},
		})
	}
	_ = testDriver // go test runs it
}
