// Package limit bounds what visitors may take: how many of a thing each
// address holds, and how often it may ask. It knows addresses and nothing of
// what is counted.
package limit

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What Counts.Add refuses with.
var (
	ErrTotal = errors.New("too many in all")
	ErrAddr  = errors.New("too many from this address")
)

// maxAddrs bounds how many addresses are known to one Rates at a time: 200
// bytes each.
const maxAddrs = 1 << 16

// Key is what an address is counted as. An IPv6 customer gets a network of 64
// bits or more (RFC 6177), so that is one; an IPv4 address mapped into IPv6
// is the IPv4 address.
func Key(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a // never: it is an IPv6 address
	}
	return p.Addr()
}

// Loopback returns the networks of this machine alone.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Contains reports whether an address is in one of the networks.
func Contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Counts bounds how many of something there are, in all and for each address.
// Its methods may be called concurrently.
type Counts struct {
	// set once
	total, perAddr int
	exempt         []netip.Prefix

	mu sync.Mutex // guards the rest
	n  int
	by map[netip.Addr]int // not of those that are exempt
}

// NewCounts returns counts of nothing. A limit of 0 or less is none; the limit
// for each address does not hold for those in exempt.
func NewCounts(total, perAddr int, exempt []netip.Prefix) *Counts {
	return &Counts{total: total, perAddr: perAddr, exempt: exempt, by: make(map[netip.Addr]int)}
}

// Add counts one more of an address, or returns ErrTotal or ErrAddr and counts
// nothing. Each that was counted needs one Done.
func (c *Counts) Add(a netip.Addr) error {
	key := c.key(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.total > 0 && c.n >= c.total:
		return ErrTotal
	case key.IsValid() && c.perAddr > 0 && c.by[key] >= c.perAddr:
		return ErrAddr
	}
	c.n++
	if key.IsValid() {
		c.by[key]++
	}
	return nil
}

// Done takes back one Add.
func (c *Counts) Done(a netip.Addr) {
	key := c.key(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if !key.IsValid() {
		return
	}
	if c.by[key]--; c.by[key] <= 0 {
		delete(c.by, key)
	}
}

// Len returns how many there are.
func (c *Counts) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// key is the zero Addr for an address that is not counted by itself.
func (c *Counts) key(a netip.Addr) netip.Addr {
	if Contains(c.exempt, a) {
		return netip.Addr{}
	}
	return Key(a)
}

// Rates bounds how often each address may do something: a token bucket for
// each, which is forgotten when it is full again. Its methods may be called
// concurrently.
type Rates struct {
	// set once
	perSecond rate.Limit
	burst     int
	exempt    []netip.Prefix

	mu sync.Mutex // guards the rest
	by map[netip.Addr]*rate.Limiter
}

// NewRates returns rates that allow burst at once and then perSecond. A rate
// of 0 or less is none; those in exempt have none.
func NewRates(perSecond float64, burst int, exempt []netip.Prefix) *Rates {
	return &Rates{perSecond: rate.Limit(perSecond), burst: burst, exempt: exempt, by: make(map[netip.Addr]*rate.Limiter)}
}

// NewBudget returns rates that allow n within any window, half of them at once
// and the others in the course of it. One of 1 is as one of 2; an n of 0 or
// less is no limit; those in exempt have none.
func NewBudget(n int, window time.Duration, exempt []netip.Prefix) *Rates {
	if n <= 0 {
		return NewRates(0, 0, exempt)
	}
	half := max(1, n/2)
	return NewRates(float64(half)/window.Seconds(), half, exempt)
}

// Allow reports whether an address may do it once more now, and counts it if
// so.
func (r *Rates) Allow(a netip.Addr) bool {
	if r.perSecond <= 0 || Contains(r.exempt, a) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bucket(Key(a)).Allow()
}

// bucket returns that of an address. The caller holds mu.
func (r *Rates) bucket(key netip.Addr) *rate.Limiter {
	b := r.by[key]
	if b == nil {
		r.sweep()
		b = rate.NewLimiter(r.perSecond, r.burst)
		r.by[key] = b
	}
	return b
}

// Wait returns how long it is until Allow says yes to an address that does not
// ask before; 0: it would now.
func (r *Rates) Wait(a netip.Addr) time.Duration {
	if r.perSecond <= 0 || Contains(r.exempt, a) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.by[Key(a)]
	if b == nil {
		return 0
	}
	missing := max(0, 1-b.Tokens())
	return time.Duration(math.Ceil(missing / float64(r.perSecond) * float64(time.Second)))
}

// Owe counts n times of an address that nobody was asked for, also beyond what it
// may: then Allow says no until they have been made up for.
func (r *Rates) Owe(a netip.Addr, n int) {
	if r.perSecond <= 0 || Contains(r.exempt, a) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(Key(a))
	for ; n > 0; n -= r.burst {
		b.ReserveN(time.Now(), min(n, r.burst))
	}
}

// Return takes back one Allow, or one of Owe.
func (r *Rates) Return(a netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.by[Key(a)]; b != nil {
		b.ReserveN(time.Now(), -1) // no more than the burst comes of it
	}
}

// sweep looks at a few addresses and forgets those that have not asked for so
// long that their buckets are full. Every new address pays for it: so there
// are never many that are known for nothing. The caller holds mu.
func (r *Rates) sweep() {
	seen := 0
	for key, b := range r.by { // begins anywhere
		if seen++; seen > 4 {
			break
		}
		if b.Tokens() >= float64(r.burst) {
			delete(r.by, key)
		}
	}
	for key := range r.by {
		if len(r.by) < maxAddrs {
			return
		}
		delete(r.by, key) // it may do more than its rate: memory is bounded
	}
}

// Len returns how many addresses are known at the moment.
func (r *Rates) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.by)
}
