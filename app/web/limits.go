package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"lockstep/internal/limit"
	"lockstep/live"
)

// Limits bound what visitors may take. A field that is 0 has the default, a
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
	// RequestRate and RequestBurst are for the HTTP requests of an address,
	// upgrades too, but not those of probes. More are answered with 429.
	// Defaults: 200 and 2,000.
	RequestRate  float64
	RequestBurst int
	// Exempt are addresses that stand for many, or are trusted: no limit for an
	// address holds for them. Nil: loopback, where load is tested from and
	// proxies are that nobody has configured. Empty and not nil: none.
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
		RequestRate: 200, RequestBurst: 2000,
		Exempt:       limit.Loopback(),
		WriteTimeout: 30 * time.Second, PingInterval: 30 * time.Second, PongTimeout: 30 * time.Second,
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

// refusals counts what was not let in, by reason; wslive.Stats has the sockets of
// other origins.
type refusals struct {
	requests, sockets, socketsOfAddr, messagesOfTab, messagesOfAddr, host, origin, token atomic.Uint64
}

// gates hold the limits of one server.
type gates struct {
	requests *limit.Rates
	messages *limit.Rates
	sockets  *limit.Counts
}

func newGates(l Limits) gates {
	return gates{
		requests: limit.NewRates(l.RequestRate, l.RequestBurst, l.Exempt),
		messages: limit.NewRates(l.AddrRate, l.AddrBurst, l.Exempt),
		sockets:  limit.NewCounts(l.Sockets, l.SocketsPerAddr, l.Exempt),
	}
}

// slowed refuses the requests of an address that sends too many. Probes are
// never refused: an orchestrator would end a process that is well.
func (s *Server) slowed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !isProbe(c.Request()) && !s.gates.requests.Allow(clientOf(c).addr) {
			s.refused.requests.Add(1)
			c.Response().Header().Set(echo.HeaderRetryAfter, "1")
			return problem(http.StatusTooManyRequests, "Too many requests",
				"There were more requests from your address than this server answers. Try again in a little while.")
		}
		return next(c)
	}
}

// seat counts a tab that is about to connect, or returns why there is no room
// for it.
func (s *Server) seat(c echo.Context, who client) error {
	err := s.gates.sockets.Add(who.addr)
	if err == nil {
		return nil
	}
	c.Response().Header().Set(echo.HeaderRetryAfter, "5")
	if errors.Is(err, limit.ErrTotal) {
		s.refused.sockets.Add(1)
		return problem(http.StatusServiceUnavailable, "No room", "This server has as many tabs as it may have. Try again in a little while.")
	}
	s.refused.socketsOfAddr.Add(1)
	return problem(http.StatusTooManyRequests, "Too many tabs", "There are as many tabs from your address as this server allows.")
}

// A guest is the view of a tab that has come in from outside: it knows what
// the tab may take, and gives its seat back.
type guest struct {
	live.View
	server *Server
	who    client
	bucket *rate.Limiter // nil until the first message: an idle tab has none
	seated bool          // Mount has taken the seat over; read when ServeHTTP has returned
}

// Mount implements live.View.
func (g *guest) Mount(ctx context.Context, s *live.Session) error {
	g.seated = true
	s.OnLeave(g.leave)
	return g.View.Mount(ctx, s)
}

func (g *guest) leave() { g.server.gates.sockets.Done(g.who.addr) }

// Allow implements live.Limiter.
func (g *guest) Allow() bool {
	l := &g.server.opts.Limits
	if l.TabRate > 0 {
		if g.bucket == nil {
			g.bucket = rate.NewLimiter(rate.Limit(l.TabRate), l.TabBurst)
		}
		if !g.bucket.Allow() {
			g.server.refused.messagesOfTab.Add(1)
			return false
		}
	}
	if g.server.gates.messages.Allow(g.who.addr) {
		return true
	}
	g.server.refused.messagesOfAddr.Add(1)
	return false
}

// Movable implements live.Movable: a tab that came by way of a balancer may
// come back to another replica.
func (g *guest) Movable() bool { return g.who.proxied }
