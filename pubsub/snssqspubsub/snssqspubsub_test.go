package snssqspubsub_test

import (
	"testing"

	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/snssqspubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, at string, opts *snssqspubsub.Options) driver.Driver {
	t.Helper()
	d, err := snssqspubsub.NewDriver(at, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	cloud := testserver.Goaws(t)
	h := drivertest.Harness{
		Driver:    func(t testing.TB) driver.Driver { return newDriver(t, cloud.URL, nil) },
		Unordered: true, Duplicates: true,
	}
	if !cloud.Lent() {
		proxy := testserver.NewProxy(t, cloud.Front)
		h.Driver = func(t testing.TB) driver.Driver { return newDriver(t, cloud.At(proxy.Addr), nil) }
		h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
		h.Restart = func(testing.TB, driver.Driver) { cloud.Restart() }
		h.Freeze = func(testing.TB, driver.Driver) func() { cloud.Freeze(); return cloud.Thaw }
	}
	drivertest.Run(t, h)
}
