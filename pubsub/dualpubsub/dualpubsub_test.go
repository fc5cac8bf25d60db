package dualpubsub_test

import (
	"testing"

	"go.uber.org/goleak"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/dualpubsub"
	"lockstep/pubsub/mempubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{
		Driver: func(testing.TB) driver.Driver {
			return dualpubsub.NewDriver(mempubsub.NewBus(), mempubsub.NewBus(), nil)
		},
		Duplicates: true, Unordered: true, Heals: true,
	})
}
