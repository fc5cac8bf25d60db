package serve

import (
	"net/netip"
	"testing"
)

func TestWhoSharesAShareOfTheStore(t *testing.T) {
	l := newLimiter(Limits{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}.withDefaults(), new(refusals))
	of := func(addr string) *visitor {
		a, _ := netip.ParseAddr(addr) // "" can't be told
		return &visitor{l, client{addr: a}}
	}
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		{"two tabs of one address", "198.51.100.1", "198.51.100.1", true},
		{"one address in two forms", "198.51.100.1", "::ffff:198.51.100.1", true},
		{"two addresses", "198.51.100.1", "198.51.100.2", false},
		{"an IPv6 network of 64 bits", "2001:db8::1", "2001:db8::2", true},
		{"two of these", "2001:db8::1", "2001:db8:0:1::1", false},
		{"two tabs of an exempt address", "192.0.2.1", "192.0.2.1", false},
		{"two that can't be told", "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := of(c.a), of(c.b)
			if got := a.Share() == b.Share(); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if a.Share() != a.Share() {
				t.Error("a visitor has two shares")
			}
		})
	}
}

func TestWhatAVisitorHasTaken(t *testing.T) {
	refused := new(refusals)
	l := newLimiter(Limits{ClicksPerAddr: 4, NamesPerAddr: 2, LanesPerAddr: 4}.withDefaults(), refused)
	of := func(addr string) *visitor { return &visitor{l, client{addr: netip.MustParseAddr(addr)}} }
	v, same, other := of("198.51.100.1"), of("198.51.100.1"), of("198.51.100.2")
	for i, step := range []struct {
		do   func() bool
		want bool
	}{
		{v.allowOp, true}, {same.allowOp, true}, {v.allowOp, false}, {other.allowOp, true},
		{v.NewTopic, true}, {same.NewTopic, false}, {other.NewTopic, true},
		{v.TakeLane, true}, {same.TakeLane, true}, {v.TakeLane, false}, {other.TakeLane, true},
		{func() bool { same.ReturnLane(); return v.TakeLane() }, true}, {v.TakeLane, false},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	counts := refused.byReason()
	if counts["clicks_of_address"] != 1 || counts["names_of_address"] != 1 || counts["lanes_of_address"] != 2 {
		t.Errorf("got %v, want 1 click, 1 name and 2 lanes", counts)
	}
}
