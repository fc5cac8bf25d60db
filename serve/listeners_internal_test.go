package serve

import (
	"net"
	"net/netip"
	"testing"

	"lockstep/internal/limit"
)

func TestAReplicaBelievesItsBalancerAndNobodyElse(t *testing.T) {
	for _, c := range []struct {
		name, listens, peer string
		want                bool
	}{
		{"the balancer on the loopback", "127.0.0.1:8001", "127.0.0.1", true},
		{"the balancer on the loopback of IPv6", "[::1]:8001", "::1", true},
		{"the balancer, which comes from the address that it reaches", "198.51.100.5:8001", "198.51.100.5", true},
		{"a neighbour of that address", "198.51.100.5:8001", "198.51.100.6", false},
		{"a stranger, where all addresses are listened on", "[::]:8001", "2001:db8::1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.listens))
			if got := limit.Contains(BehindBalancer(addr), netip.MustParseAddr(c.peer)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
