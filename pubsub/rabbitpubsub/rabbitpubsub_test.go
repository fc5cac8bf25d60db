package rabbitpubsub_test

import (
	"testing"

	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/rabbitpubsub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDriver(t testing.TB, at string) driver.Driver {
	t.Helper()
	d, err := rabbitpubsub.NewDriver(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	server := testserver.RabbitMQ(t, "")
	h := drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriver(t, server.URL) }}
	if !server.Lent() {
		proxy := testserver.NewProxy(t, server.Addr)
		h.Driver = func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) }
		h.Break = func(testing.TB, driver.Driver) { proxy.Cut() }
		h.Restart = func(testing.TB, driver.Driver) { server.Restart() }
		h.Freeze = func(testing.TB, driver.Driver) func() { server.Freeze(); return server.Thaw }
	}
	drivertest.Run(t, h)
}

// TestConformanceOverTLS: a connection with TLS is closed, and its end is noticed, in another way.
// Here it is the network that is half-open.
func TestConformanceOverTLS(t *testing.T) {
	server := testserver.RabbitMQTLS(t, testserver.NewAuthority(t), "")
	proxy := testserver.NewProxy(t, server.Addr)
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(t testing.TB) driver.Driver { return newDriver(t, proxy.Rewrite(server.URL)) },
		Break:   func(testing.TB, driver.Driver) { proxy.Cut() },
		Restart: func(testing.TB, driver.Driver) { server.Restart() },
		Freeze: func(testing.TB, driver.Driver) func() {
			proxy.Stall(true)
			return func() { proxy.Stall(false) }
		},
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.RabbitMQ(b, "").URL))
}
