package mempubsub_test

import (
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{Driver: func(testing.TB) driver.Driver { return mempubsub.NewBus() }})
}
