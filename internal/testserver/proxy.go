package testserver

import (
	"testing"

	"lockstep/faultproxy"
)

// A Proxy passes TCP connections on to a server and does to them what a
// network does.
type Proxy = faultproxy.Proxy

// NewProxy starts a proxy to the first of the addresses that takes a
// connection, until the test ends.
func NewProxy(t testing.TB, to ...string) *Proxy {
	t.Helper()
	return faultproxy.New(t, to...)
}
