package serve

import (
	"net/netip"
	"time"

	"lockstep/htmx"
	"lockstep/internal/limit"
)

// Limits bound what clients may take. A field that is 0 has the default, a
// negative one is no limit. An address is that of the browser, by way of
// trusted proxies; an IPv6 network of 64 bits is one.
type Limits struct {
	// Sockets is how many tabs may be connected, SocketsPerAddr how many of one
	// address. More are answered with 503 and 429. Defaults: no limit, and
	// 1,000: a school behind one address has that many.
	Sockets, SocketsPerAddr int
	// TabRate is how many messages one tab may send in a second, after TabBurst
	// at once. More are refused, to be sent again later; a tab that goes on is
	// closed (live.Limiter). Defaults: 500 and 5,000: a page that was offline
	// sends 200 at once.
	TabRate  float64
	TabBurst int
	// AddrRate and AddrBurst are the same for all tabs of an address together.
	// Defaults: 2,000 and 10,000.
	AddrRate  float64
	AddrBurst int
	// ClicksPerAddr is how many ops of an address are taken within 15 minutes, half
	// of them at once: each is written to the store. More are refused, to be sent
	// again later. Default 100,000.
	ClicksPerAddr int
	// LanesPerAddr is how many lanes an address may make within a day, half of them
	// at once: one for each page load and topic that does anything, and each form.
	// They are kept for as long as ops are taken. Default 20,000.
	LanesPerAddr int
	// NamesPerAddr is how many topics an address may make within a day, half
	// of them at once; they are kept for ever. Those that exist are everybody's.
	// Default 100.
	NamesPerAddr int
	// UploadsPerAddr is how many files an address may begin to send within a day, half of them at
	// once. Default 200.
	UploadsPerAddr int
	// RequestRate and RequestBurst are for the HTTP requests of an address,
	// upgrades too, but not those of probes. More are answered with 429.
	// Defaults: 200 and 2,000.
	RequestRate  float64
	RequestBurst int
	// Exempt are addresses that stand for many, or are trusted: no limit for an
	// address holds for them. Nil: loopback, from which load is tested, and where
	// the proxies are that nobody has configured. Empty and not nil: none.
	Exempt []netip.Prefix

	// WriteTimeout is how long a client may take nothing of an answer.
	// Default 30 s.
	WriteTimeout time.Duration
	// PingInterval and PongTimeout are passed on to wslive.Options.
	PingInterval, PongTimeout time.Duration
}

// DefaultLimits returns what the zero value stands for.
func DefaultLimits() Limits {
	return Limits{
		Sockets: -1, SocketsPerAddr: 1000,
		TabRate: 500, TabBurst: 5000, AddrRate: 2000, AddrBurst: 10_000,
		ClicksPerAddr: 100_000, LanesPerAddr: 20_000, NamesPerAddr: 100, UploadsPerAddr: 200,
		RequestRate: 200, RequestBurst: 2000,
		Exempt:       limit.Loopback(),
		WriteTimeout: 30 * time.Second, PingInterval: htmx.PingInterval, PongTimeout: htmx.PongTimeout,
	}
}

// withDefaults fills in what is 0.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill(&l.Sockets, d.Sockets)
	fill(&l.SocketsPerAddr, d.SocketsPerAddr)
	fill(&l.TabRate, d.TabRate)
	fill(&l.TabBurst, d.TabBurst)
	fill(&l.AddrRate, d.AddrRate)
	fill(&l.AddrBurst, d.AddrBurst)
	fill(&l.ClicksPerAddr, d.ClicksPerAddr)
	fill(&l.LanesPerAddr, d.LanesPerAddr)
	fill(&l.NamesPerAddr, d.NamesPerAddr)
	fill(&l.UploadsPerAddr, d.UploadsPerAddr)
	fill(&l.RequestRate, d.RequestRate)
	fill(&l.RequestBurst, d.RequestBurst)
	fill(&l.WriteTimeout, d.WriteTimeout)
	fill(&l.PingInterval, d.PingInterval)
	fill(&l.PongTimeout, d.PongTimeout)
	if l.Exempt == nil {
		l.Exempt = d.Exempt
	}
	return l
}

func fill[T int | float64 | time.Duration](field *T, def T) {
	if *field == 0 {
		*field = def
	}
}
