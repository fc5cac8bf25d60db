package drivertest_test

import (
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
)

// The test of a backend.
func ExampleRun() {
	var t *testing.T // of TestDriver
	testDriver := func() {
		drivertest.Run(t, drivertest.Harness{Driver: func(testing.TB) driver.Driver { return mempubsub.NewBus() }})
	}
	_ = testDriver // go test runs it
}
