package redispubsub_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
)

// TestConformanceWithSentinel: with users and passwords at both.
func TestConformanceWithSentinel(t *testing.T) {
	watched := testserver.NewRedisSentinel(t, true)
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(t testing.TB) driver.Driver { return newDriver(t, watched.URL) },
		Restart: func(testing.TB, driver.Driver) { watched.Master.Restart() }, // before it is taken for dead
	})
	t.Run("the sentinels switch", func(t *testing.T) {
		conn, rests := open(t, watched.URL), open(t, watched.URL)
		roundTrip(t, conn, "x")
		watched.Switch()
		next := openSoon(t, watched.URL)
		roundTrip(t, next, "x")
		if n := clientAs(t, watched.Master).PubSubNumSub(t.Context(), "x").Val()["x"]; n != 1 {
			t.Errorf("%d are subscribed at the new master", n)
		}
		// The hub's heartbeat publishes all the time, and finds it out.
		for conn.Publish(t.Context(), "y", nil) == nil {
		}
		drivertest.WantEnd(within(t), t, conn, "mymaster")
		drivertest.WantEnd(within(t), t, rests, "mymaster") // Sentinel cuts it
	})
	t.Run("the master dies", func(t *testing.T) {
		conn := open(t, watched.URL)
		watched.Master.Kill()
		drivertest.WantEnd(within(t), t, conn, "mymaster")
		watched.AwaitSwitch()
		roundTrip(t, openSoon(t, watched.URL), "x")
	})
}

// clientAs returns a client of a server that knows the user "app".
func clientAs(t *testing.T, s *testserver.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: "app", Password: testserver.Password})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
