package limit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/limit"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func TestCountsAreBoundedInAllAndForEachAddress(t *testing.T) {
	c := limit.NewCounts(5, 2, loopback)
	for i, step := range []struct {
		addr string
		want error
	}{
		{"192.0.2.1", nil},
		{"::ffff:192.0.2.1", nil}, // the same
		{"192.0.2.1", limit.ErrAddr},
		{"192.0.2.2", nil},
		{"127.0.0.1", nil}, // exempt from the second limit
		{"127.0.0.1", nil},
		{"127.0.0.1", limit.ErrTotal}, // and not from the first
		{"192.0.2.3", limit.ErrTotal},
	} {
		if got := c.Add(addr(step.addr)); !errors.Is(got, step.want) {
			t.Errorf("step %d, %s: got %v, want %v", i, step.addr, got, step.want)
		}
	}
	c.Done(addr("192.0.2.1"))
	if err := c.Add(addr("192.0.2.1")); err != nil {
		t.Errorf("got %v after one has gone, want that there is room", err)
	}
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	c := limit.NewCounts(0, 1, nil)
	if err := c.Add(addr("2001:db8::1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(addr("2001:db8::ffff:1%eth0")); !errors.Is(err, limit.ErrAddr) {
		t.Errorf("got %v for the same network, want ErrAddr", err)
	}
	if err := c.Add(addr("2001:db8:0:1::1")); err != nil {
		t.Errorf("got %v for another network, want nil", err)
	}
}

func TestCountsWithoutLimitsRefuseNothing(t *testing.T) {
	c := limit.NewCounts(0, -1, nil)
	for range 1000 {
		if err := c.Add(addr("192.0.2.1")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARateAllowsABurstAndThenSoManyASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates(10, 3, loopback)
		got := 0
		for range 100 {
			if r.Allow(addr("192.0.2.1")) {
				got++
			}
		}
		if got != 3 {
			t.Errorf("got %d at once, want the burst of 3", got)
		}
		if !r.Allow(addr("192.0.2.2")) || !r.Allow(addr("127.0.0.1")) {
			t.Error("one address is refused for what another did")
		}
		time.Sleep(100 * time.Millisecond)
		if !r.Allow(addr("192.0.2.1")) || r.Allow(addr("192.0.2.1")) {
			t.Error("want one more after a tenth of a second")
		}
		for range 100 {
			if !r.Allow(addr("127.0.0.1")) {
				t.Fatal("an exempt address is refused")
			}
		}
	})
}

func TestAddressesThatAskNoMoreAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates(10, 10, nil)
		for i := range 20_000 {
			r.Allow(addr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
			time.Sleep(time.Millisecond)
		}
		if n := r.Len(); n > 1000 {
			t.Errorf("got %d addresses that are known, want about the 100 of the last tenth of a second", n)
		}
	})
}

func TestManyAddressesAtOnceCostBoundedMemory(t *testing.T) {
	r := limit.NewRates(1, 1000, nil)
	for i := range 100_000 {
		r.Allow(addr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	if n := r.Len(); n > 1<<16 {
		t.Errorf("got %d addresses that are known, want at most %d", n, 1<<16)
	}
}

func TestCountsAndRatesMayBeUsedConcurrently(t *testing.T) {
	c, r := limit.NewCounts(100, 10, nil), limit.NewRates(1000, 10, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := addr(fmt.Sprintf("192.0.2.%d", i%3))
			for range 1000 {
				r.Allow(a)
				if c.Add(a) == nil {
					c.Done(a)
				}
			}
		})
	}
	wg.Wait()
	if err := c.Add(addr("192.0.2.9")); err != nil {
		t.Errorf("got %v when all have gone, want nil", err)
	}
}
