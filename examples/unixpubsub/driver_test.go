package unixpubsub

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"lockstep/faultproxy"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
)

func TestDriver(t *testing.T) {
	path := socket(t)
	server := serve(t, path)
	t.Cleanup(func() { server.Close() })
	proxy := faultproxy.New(t, path)
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(testing.TB) driver.Driver { return NewDriver(proxy.Addr) },
		Break:   func(testing.TB, driver.Driver) { proxy.Cut() },
		Restart: func(t testing.TB, _ driver.Driver) { server.Close(); server = serve(t, path) },
		Freeze: func(testing.TB, driver.Driver) (thaw func()) {
			proxy.Stall(true)
			return func() { proxy.Stall(false) }
		},
	})
}

func BenchmarkDriver(b *testing.B) {
	path := socket(b)
	b.Cleanup(serve(b, path).Close)
	drivertest.Benchmark(b, NewDriver(path))
}

// socket returns a path for a socket.
func socket(t testing.TB) string {
	dir, err := os.MkdirTemp("", "unixpubsub") //nolint:usetesting // that path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

func serve(t testing.TB, path string) *Server {
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return Serve(l)
}
