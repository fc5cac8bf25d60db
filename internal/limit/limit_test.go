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

func TestWhoWaitsAsLongAsItIsToldIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates(0.01, 2, loopback)
		a := addr("192.0.2.1")
		for _, who := range []string{"192.0.2.1", "127.0.0.1"} {
			if got := r.Wait(addr(who)); got != 0 {
				t.Errorf("%s, of which nothing is known, waits %v", who, got)
			}
		}
		r.Allow(a)
		if got := r.Wait(a); got != 0 {
			t.Errorf("waits %v with one left", got)
		}
		r.Allow(a)
		time.Sleep(time.Second)
		wait := r.Wait(a)
		time.Sleep(wait - time.Second)
		if r.Allow(a) {
			t.Errorf("allowed a second before the end of %v", wait)
		}
		time.Sleep(time.Second)
		if wait > 100*time.Second || !r.Allow(a) {
			t.Errorf("not allowed after %v", wait)
		}
		if got := limit.NewRates(0, 0, nil).Wait(a); got != 0 {
			t.Errorf("waits %v for what has no limit", got)
		}
	})
}

func TestWhatIsReturnedMayBeAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates(1, 3, loopback)
		a := addr("192.0.2.1")
		ask := func() (n int) {
			for r.Allow(a) {
				n++
			}
			return n
		}
		if got := ask(); got != 3 {
			t.Fatalf("got %d, want 3", got)
		}
		r.Return(a)
		r.Return(a)
		if got := ask(); got != 2 {
			t.Errorf("got %d after two came back, want 2", got)
		}
		for range 10 {
			r.Return(a)
		}
		if got := ask(); got != 3 {
			t.Errorf("got %d after ten came back, want the burst of 3", got)
		}
		r.Return(addr("192.0.2.2")) // never seen
		r.Return(addr("127.0.0.1")) // exempt
		if got := r.Len(); got != 1 {
			t.Errorf("got %d addresses that are known, want 1", got)
		}
	})
}

func TestABudgetHoldsForAnyWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, window, step = 100, time.Minute, time.Second / 2
		b := limit.NewBudget(n, window, loopback)
		var taken []time.Time
		for range 10 * int(window/step) {
			for b.Allow(addr("192.0.2.1")) {
				taken = append(taken, time.Now())
			}
			time.Sleep(step)
		}
		for i := n; i < len(taken); i++ {
			if took := taken[i].Sub(taken[i-n]); took < window {
				t.Fatalf("%d within %v, want no more than %d within %v", n+1, took, n, window)
			}
		}
		if got := len(taken); got < 5*n {
			t.Errorf("got %d in 10 windows, want half of %d in each at least", got, n)
		}
	})
	for range 1000 {
		if !limit.NewBudget(0, time.Hour, nil).Allow(addr("192.0.2.1")) {
			t.Fatal("a budget of 0 refuses, want no limit")
		}
	}
	small := limit.NewBudget(1, time.Hour, nil)
	if !small.Allow(addr("192.0.2.1")) || small.Allow(addr("192.0.2.1")) {
		t.Error("a budget of 1: want one at once, and no more")
	}
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

// TestWhatIsOwedIsMadeUpFor before anything is allowed again; what is given back counts at once.
func TestWhatIsOwedIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates(1, 10, loopback)
		who := addr("192.0.2.1")
		r.Owe(who, 35)
		r.Owe(addr("127.0.0.1"), 1000)
		if r.Allow(who) || !r.Allow(addr("192.0.2.2")) || !r.Allow(addr("127.0.0.1")) {
			t.Error("want that it waits, and nobody else")
		}
		for range 20 {
			r.Return(who)
		}
		time.Sleep(5 * time.Second)
		if r.Allow(who) {
			t.Error("it may again when nothing is left")
		}
		time.Sleep(time.Second + time.Millisecond)
		if !r.Allow(who) || r.Allow(who) {
			t.Error("want one, 26 s after 35 were owed: 10 were there, and 20 were given back")
		}
		time.Sleep(time.Hour)
		r.Return(who)
		n := 0
		for r.Allow(who) {
			n++
		}
		if n != 10 {
			t.Errorf("got %d at once after an hour, want the burst", n)
		}
	})
}
