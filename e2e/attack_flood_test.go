package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Guards against floods.

func requestsGuard() guard {
	return guard{
		"requests of an address", "serve/limiter.go",
		"!l.requests.Allow(clientOf(r).addr)", "!WITHOUT && !l.requests.Allow(clientOf(r).addr)",
	}
}

func socketsGuard() guard {
	return guard{
		"sockets of an address", "internal/limit/limit.go",
		"case key.IsValid() && c.perAddr > 0 && c.by[key] >= c.perAddr:", "case !WITHOUT && key.IsValid() && c.perAddr > 0 && c.by[key] >= c.perAddr:",
	}
}

func allSocketsGuard() guard {
	return guard{
		"sockets in all, nine tenths of the connections", "internal/limit/limit.go",
		"case c.total > 0 && c.n >= c.total:", "case !WITHOUT && c.total > 0 && c.n >= c.total:",
	}
}

func connsGuard() guard {
	return guard{
		"connections of an address", "serve/connlimit.go",
		"errors.Is(err, limit.ErrAddr) {", "!WITHOUT && errors.Is(err, limit.ErrAddr) {",
	}
}

func allConnsGuard() guard {
	return guard{
		"connections in all", "serve/connlimit.go",
		"if l.all.max > 0 && l.all.used()+l.cost > l.all.max {", "if !WITHOUT && l.all.max > 0 && l.all.used()+l.cost > l.all.max {",
	}
}

func tabGuard() guard {
	return guard{
		"messages of a tab", "serve/view.go",
		"if !v.bucket.Allow() {", "if !WITHOUT && !v.bucket.Allow() {",
	}
}

func addrGuard() guard {
	return guard{
		"messages of an address", "serve/view.go",
		"if l.messages.Allow(v.who.addr) {", "if WITHOUT || l.messages.Allow(v.who.addr) {",
	}
}

func limitedGuard() guard {
	return guard{
		"a tab that is refused for long is closed", "live/session.go",
		"if s.limited > maxLimited {", "if !WITHOUT && s.limited > maxLimited {",
	}
}

func controlsGuard() guard {
	return guard{
		"control frames of a tab", "live/wslive/reader.go",
		"case controls > 0 && !r.conn.allowControls(controls):", "case !WITHOUT && controls > 0 && !r.conn.allowControls(controls):",
	}
}

// budget is what a limit of so many a second, after so many at once, allows in
// a time; and a little more, because the time is measured from outside.
func budget(rate, burst int, began time.Time) int {
	return burst + int(float64(rate)*time.Since(began).Seconds()) + rate/2 + 5
}

// floodAttacks send more than anybody needs.
func floodAttacks() []attack {
	tab := []string{"-tab-rate", "25", "-tab-burst", "50", "-addr-rate", "0"}
	return []attack{
		{
			name: "flood of requests", flood: true, flags: []string{"-request-rate", "20", "-request-burst", "40"},
			guards: []guard{requestsGuard()}, refused: `lockstep_turned_away_total{reason="requests_of_address"`, run: floodRequests,
		},
		{
			name: "flood of upgrades", flood: true, flags: []string{"-max-conns-per-addr", "50", "-request-rate", "0"},
			guards: []guard{socketsGuard()}, refused: `lockstep_turned_away_total{reason="sockets_of_address"`, run: floodUpgrades,
		},
		{
			name: "flood of sockets from many addresses", flood: true, others: havePages, flags: []string{"-max-conns", "200", "-max-conns-per-addr", "50"},
			guards: []guard{allSocketsGuard()}, refused: `lockstep_turned_away_total{reason="sockets"`, run: floodSockets,
		},
		{
			name: "flood of connections", flood: true, flags: []string{"-max-conns-per-addr", "50"},
			guards: []guard{connsGuard()}, refused: `lockstep_connections_turned_away_total{limit="address"`,
			run: func(v *victim) error { return floodConns(v, 50, []string{hostile}) },
		},
		{
			name: "flood of connections from many addresses", flood: true, others: haveNone, flags: []string{"-max-conns", "200", "-max-conns-per-addr", "50"},
			guards: []guard{allConnsGuard()}, refused: `lockstep_connections_turned_away_total{limit="all"`,
			run: func(v *victim) error { return floodConns(v, 200, manyAddresses()) },
		},
		{
			name: "flood of messages of one tab", flood: true, flags: tab,
			guards: []guard{tabGuard()}, refused: `lockstep_turned_away_total{reason="messages_of_tab"`, run: floodTab,
		},
		{
			name: "flood of messages of many tabs of one address", flood: true,
			flags:  []string{"-addr-rate", "80", "-addr-burst", "200", "-request-rate", "0", "-max-conns-per-addr", "0"},
			guards: []guard{addrGuard()}, refused: `lockstep_turned_away_total{reason="messages_of_address"`, run: floodTabs,
		},
		{
			name: "a tab that goes on although it is refused", flood: true, flags: tab,
			guards: []guard{limitedGuard()}, refused: `lockstep_turned_away_total{reason="messages_of_tab"`, run: goOnForEver,
		},
		{
			name: "hellos that have all shown again", needs: "counter", flood: true, flags: tab,
			guards: []guard{tabGuard()}, refused: `lockstep_turned_away_total{reason="messages_of_tab"`, run: floodHellos,
		},
		{
			name: "flood of control frames", flood: true, guards: []guard{controlsGuard()}, run: floodControls,
		},
	}
}

func manyAddresses() (addrs []string) {
	for i := range 10 {
		addrs = append(addrs, fmt.Sprintf("127.0.1.%d", i+1))
	}
	return addrs
}

func floodRequests(v *victim) error {
	who := v.from(hostile)
	began, served, refused := time.Now(), 0, 0
	for range v.rounds {
		for range 200 {
			switch a := who.get(v.page("lobby")); a.status {
			case http.StatusOK:
				served++
			case http.StatusTooManyRequests:
				refused++
				if a.header.Get("Retry-After") == "" {
					v.Error("a refusal does not say when to come back")
				}
			default:
				v.Fatalf("got %d %s", a.status, a.body)
			}
		}
	}
	if allowed := budget(20, 40, began); served > allowed {
		return fmt.Errorf("%d requests of one address were served, where %d are allowed", served, allowed)
	}
	return nil
}

func floodUpgrades(v *victim) error {
	who := v.from(hostile)
	held := 0
	for range v.rounds {
		for range 100 {
			switch ws, status := who.upgrade(v.lobbyRooms()); {
			case ws != nil:
				held++
			case status != http.StatusTooManyRequests:
				v.Fatalf("got %d, want 429", status)
			}
		}
	}
	if held > 50 {
		return fmt.Errorf("one address holds %d sockets, where 50 are allowed", held)
	}
	return nil
}

func floodSockets(v *victim) error {
	held := 0
	for range v.rounds {
		for _, addr := range manyAddresses() {
			for range 25 {
				if ws, _ := v.from(addr).upgrade(v.lobbyRooms()); ws != nil {
					held++
				}
			}
		}
	}
	// Between two requests of an honest visitor, which are served.
	if a := v.from(auditor).get(v.page("lobby")); a.status != http.StatusOK {
		return fmt.Errorf("with %d sockets there is no page for anybody: %d", held, a.status)
	}
	return nil
}

// floodConns opens connections and says nothing. No more than so many may be
// kept.
func floodConns(v *victim, allowed int, addrs []string) error {
	var all []net.Conn
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	for range v.rounds {
		for _, addr := range addrs {
			for range 400 / len(addrs) {
				c, err := v.from(addr).dial()
				if err != nil {
					continue // that is a way to be refused
				}
				all = append(all, c)
			}
		}
		// Connections are let in one after the other: when this one has been, or has
		// been refused, so have all before.
		v.from(auditor).raw("GET /healthz HTTP/1.1\r\nHost: " + v.host() + "\r\nConnection: close\r\n\r\n")
		all = stillOpen(all)
		if len(all) > allowed {
			return fmt.Errorf("%d connections are held that say nothing, where %d are allowed", len(all), allowed)
		}
	}
	for _, c := range all {
		_ = c.Close()
	}
	eventually(v, "a page after the flood", func() error {
		if a := v.from(newcomer).get(v.page("lobby")); a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	return nil
}

// stillOpen returns the connections on which nothing has come.
func stillOpen(all []net.Conn) (open []net.Conn) {
	var readers sync.WaitGroup
	silent := make([]bool, len(all))
	limit := time.Now().Add(500 * time.Millisecond) // a refusal has been sent already
	for i, c := range all {
		readers.Go(func() { // ends at the limit
			_ = c.SetReadDeadline(limit) // the read fails too
			_, err := c.Read(make([]byte, 1))
			silent[i] = errors.Is(err, os.ErrDeadlineExceeded)
		})
	}
	readers.Wait()
	for i, c := range all {
		if silent[i] {
			open = append(open, c)
			continue
		}
		_ = c.Close()
	}
	return open
}

// A clicker is a hostile tab that clicks, and counts its acknowledgements. It says of each click
// that it needs no other answer, so none waits for another.
type clicker struct {
	ws      *rawSocket
	op      wireOp // the next
	reading sync.WaitGroup

	acks, refusals int // readable when reading is done
}

func newClicker(v *victim, name string) *clicker {
	c := &clicker{ws: v.from(hostile).connect(name), op: v.newOpOn(name)}
	c.reading.Go(func() { // ends with the connection
		for {
			m := c.ws.hear()
			c.acks += len(m.Ack)
			if m.cut || m.code != 0 {
				return
			}
			if m.Op != nil || m.Error != "" {
				c.refusals++
			}
		}
	})
	return c
}

// click sends n clicks.
func (c *clicker) click(n int) {
	var b []byte
	for range n {
		b = append(b, masked(finText, []byte(clickText(c.op)))...)
		c.op = c.op.next()
	}
	_, _ = c.ws.Write(b) // it may have been closed
}

// done waits for the answers to all that was sent: the server answers a close
// frame when it has read what came before.
func (c *clicker) done() int {
	_, _ = c.ws.Write(masked(finClose, []byte{0x03, 0xe8})) // it may have been closed
	c.reading.Wait()
	_ = c.ws.Close()
	return c.acks
}

func floodTab(v *victim) error {
	for range v.rounds {
		began := time.Now()
		c := newClicker(v, "lobby")
		for range 4 {
			c.click(500)
		}
		n := c.done()
		if allowed := budget(25, 50, began); n > allowed {
			return fmt.Errorf("%d clicks of one tab count, where %d are allowed", n, allowed)
		}
	}
	return nil
}

func floodTabs(v *victim) error {
	began := time.Now()
	for range v.rounds {
		var all []*clicker
		for range 10 {
			all = append(all, newClicker(v, "lobby"))
		}
		for _, c := range all {
			c.click(90) // each is within the limits of a tab
		}
		for _, c := range all {
			c.done()
		}
	}
	if allowed, n := budget(80, 200, began), int(v.count("lobby")); n > allowed {
		return fmt.Errorf("%d clicks of one address count, where %d are allowed", n, allowed)
	}
	return nil
}

func goOnForEver(v *victim) error {
	for range v.rounds {
		c := newClicker(v, "lobby")
		for range 20 {
			c.click(500)
		}
		if acks := c.done(); c.refusals > acks+5000 {
			return fmt.Errorf("%d messages are refused, and no end", c.refusals)
		}
	}
	return nil
}

// floodHellos has the whole state sent again by a few bytes, again and again.
func floodHellos(v *victim) error {
	for range v.rounds {
		began, shown := time.Now(), 0
		ws := v.from(hostile).connect("lobby")
		ws.shown(v.topic("lobby"))
		as := 0
		for range 300 {
			ws.text([]string{`{"hello":2,"as":"data"}`, `{"hello":2}`}[as])
			if m := ws.shown(v.topic("lobby")); m.T != "" {
				shown++
				as = 1 - as // the same again shows nothing
			}
		}
		_ = ws.Close()
		if allowed := budget(25, 50, began); shown > allowed {
			return fmt.Errorf("all is shown %d times to one tab, where %d are allowed", shown, allowed)
		}
	}
	return nil
}

func floodControls(v *victim) error {
	for range v.rounds {
		ws := v.from(hostile).connect("lobby")
		pings := strings.Repeat(string(masked(finPing, []byte("x"))), 1000)
		_, _ = ws.Write([]byte(pings)) // it may be closed in the middle
		ws.text(clickText(v.newOp()))
		if m := ws.verdict(); len(m.Ack) > 0 {
			return errors.New("1,000 pings are answered, and no end")
		}
		_ = ws.Close()
	}
	return nil
}
