package drivertest

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// foundBy says which case finds each of the defects, whatever others do.
func foundBy() map[string]string {
	const (
		order  = "the order of one publisher is kept"
		alike  = "topics that look alike are different"
		length = "a topic of MaxTopic bytes carries a payload of MaxPayload bytes"
		ended  = "a call whose context has ended fails at once"
	)
	return map[string]string{
		"drops every 100th message":     order,
		"delivers every 100th twice":    order,
		"swaps two neighbours":          order,
		"loses a topic's first message": "own and other connections receive",
		"joins equal neighbours":        "equal payloads are all delivered",
		"cuts a payload at NUL":         "every byte value arrives",
		"cuts a payload at 4000 bytes":  length,
		"cuts a payload at 64000 bytes": "a payload of 64 KiB arrives unchanged or as a Gap",
		"drops what is too large":       "a payload of 1 MiB arrives unchanged or as a Gap",
		"changes bytes beyond UTF-8":    "every byte value arrives",
		"does not send empty payloads":  "an empty payload arrives",
		"keeps the caller's payload":    "a payload is the receiver's own",
		"delivers all topics":           "what is not subscribed does not arrive",
		"folds the case of topics":      alike,
		"trims topics":                  alike,
		"cuts topics at 63 bytes":       alike,
		"unescapes topics":              alike,
		"takes dots for slashes":        alike,
		"ignores a topic's prefix":      alike,
		"takes stars for patterns":      alike,
		"ignores Unsubscribe":           "nothing arrives after Unsubscribe",
		"unsubscribes everywhere":       "nothing arrives after Unsubscribe",
		"unsubscribes all connections":  "unsubscribing one connection leaves the other alone",
		"refuses unknown Unsubscribe":   "unsubscribing what was never subscribed is harmless",
		"subscribes after it returned":  "what is published right after Subscribe returned arrives",
		"subscribes once only":          "a topic can be subscribed again",
		"begins anew with a Subscribe":  "subscribing again under traffic loses nothing",
		"delivers once per Subscribe":   "subscribing twice delivers once",
		"has no patience for nothing":   "Receive with nothing subscribed blocks, and works afterwards",
		"loses what it had on cancel":   "a cancelled Receive loses nothing",
		"ignores its context":           ended,
		"publishes after the context":   ended,
		"opens after the context":       ended,
		"does not close":                "nothing works after Close",
		"closes after a while":          "closing twice is harmless",
		"closes its neighbours":         "closing one connection leaves the other alone",
		"publishes until late":          "nothing works after Close",
		"fails the second Close":        "closing twice is harmless",
		"hears only itself":             "own and other connections receive",
		"has no name":                   "the driver has a name",
	}
}

// moreDefects are those of defects that need more than a call that is wrong.
func moreDefects() map[string]defect {
	return map[string]defect{
		"loses a topic's first message": {publish: func(ctx context.Context, c *conn, topic string, payload []byte) error {
			c.mu.Lock()
			first := c.published == 1
			c.mu.Unlock()
			if first {
				return nil
			}
			return c.Conn.Publish(ctx, topic, payload)
		}},
		"drops what is too large": {publish: func(ctx context.Context, c *conn, topic string, payload []byte) error {
			if len(payload) > 512<<10 {
				return nil // where a Gap should be
			}
			return c.Conn.Publish(ctx, topic, payload)
		}},
		"ignores a topic's prefix": topics(func(s string) string { return s[strings.LastIndexByte(s, ':')+1:] }),
		"takes stars for patterns": topics(func(s string) string { return strings.TrimSuffix(s, "*") }),
		"unsubscribes all connections": {unsubscribe: func(ctx context.Context, c *conn, topic string) error {
			return c.defect.everyConn(func(other *conn) error { return other.Conn.Unsubscribe(ctx, topic) })
		}},
		"subscribes once only": {subscribe: func(ctx context.Context, c *conn, topic string) error {
			if c.subscribed(topic) > 1 {
				return nil
			}
			return c.Conn.Subscribe(ctx, topic)
		}},
		"begins anew with a Subscribe": {subscribe: func(ctx context.Context, c *conn, topic string) error {
			if c.subscribed(topic) == 1 {
				return c.Conn.Subscribe(ctx, topic)
			}
			_ = c.Conn.Unsubscribe(ctx, topic) // the second one counts
			time.Sleep(time.Microsecond)       // in a bubble
			return c.Conn.Subscribe(ctx, topic)
		}},
		"closes its neighbours": {close: func(c *conn) error {
			return c.defect.everyConn(func(other *conn) error { return other.Conn.Close() })
		}},
		"has no name": {nameless: true},
	}
}

// found returns what the suite says of one case of a harness: nil is nothing.
func found(t *testing.T, h Harness, name string) (err error) {
	t.Helper()
	i := slices.IndexFunc(cases(), func(c testCase) bool { return c.name == name })
	if i < 0 {
		t.Fatalf("there is no case %q", name)
	}
	synctest.Test(t, func(t *testing.T) { err = h.try(t, cases()[i]) })
	return err
}

func TestEachDefectIsFoundByItsCase(t *testing.T) {
	all, named := allDefects(), foundBy()
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			h := Harness{Driver: func(testing.TB) driver.Driver { return d.of(mempubsub.NewBus()) }}
			if err := found(t, h, named[name]); err == nil {
				t.Errorf("%q has found nothing wrong", named[name])
			}
		})
	}
	if len(all) != len(named) {
		t.Errorf("got %d defects, and %d cases that find them", len(all), len(named))
	}
}

// A wire is what a test can cut between a driver and its bus. What comes after the cut is the
// defect: deaf are connections made afterwards; silent ones are made anew by themselves and say
// nothing; healing ones say so with a Gap; ending ones say a Gap, and end.
type wire struct {
	deaf, silent, healing, ending bool

	mu    sync.Mutex // guards the rest
	conns []*wired
	cuts  int
}

// Cut is for Harness.Break and Restart.
func (w *wire) cut(testing.TB, driver.Driver) {
	w.mu.Lock()
	conns := w.conns
	w.conns, w.cuts = nil, w.cuts+1
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.now().Close() // that is what it is for
	}
}

// A wireDriver opens connections over a wire.
type wireDriver struct {
	*mempubsub.Bus
	wire *wire
}

func (d wireDriver) Open(ctx context.Context) (driver.Conn, error) {
	c, err := d.Bus.Open(ctx)
	if err != nil {
		return nil, err
	}
	w := &wired{driver: d, conn: c, topics: make(map[string]bool)}
	d.wire.mu.Lock()
	defer d.wire.mu.Unlock()
	w.deaf = d.wire.deaf && d.wire.cuts > 0
	d.wire.conns = append(d.wire.conns, w)
	return w, nil
}

// wired is one of them.
type wired struct {
	driver wireDriver
	deaf   bool

	mu     sync.Mutex // guards the rest
	conn   driver.Conn
	topics map[string]bool
	closed bool
	said   bool // a Gap
}

func (w *wired) now() driver.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn
}

func (w *wired) Publish(ctx context.Context, topic string, payload []byte) error {
	return w.now().Publish(ctx, topic, payload)
}

func (w *wired) Subscribe(ctx context.Context, topic string) error {
	w.mu.Lock()
	w.topics[topic] = true
	w.mu.Unlock()
	if w.deaf {
		return nil
	}
	return w.now().Subscribe(ctx, topic)
}

func (w *wired) Unsubscribe(ctx context.Context, topic string) error {
	return w.now().Unsubscribe(ctx, topic)
}

func (w *wired) Receive(ctx context.Context) (driver.Message, error) {
	m, err := w.now().Receive(ctx)
	if err != nil && ctx.Err() == nil && w.driver.wire.ending && w.first() {
		return driver.Message{Gap: true}, nil
	}
	if err == nil || ctx.Err() != nil || !w.driver.wire.silent && !w.driver.wire.healing || !w.again(ctx) {
		return m, err
	}
	if w.driver.wire.healing {
		return driver.Message{Gap: true}, nil
	}
	return w.Receive(ctx)
}

// first reports whether it is called for the first time, on a connection that was not closed.
func (w *wired) first() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.said && !w.closed
	w.said = true
	return first
}

// again replaces the connection, unless it was closed on purpose.
func (w *wired) again(ctx context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	c, err := w.driver.Bus.Open(ctx)
	if err != nil {
		return false
	}
	w.conn = c
	for topic := range w.topics {
		_ = c.Subscribe(ctx, topic) // of a bus that is there
	}
	return true
}

func (w *wired) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.conn.Close()
}

func TestWhatFollowsACutIsJudged(t *testing.T) {
	const cut, restart = "a cut connection fails, and a new one works", "a restart of the broker ends the connection, and a new one works"
	for name, c := range map[string]struct {
		wire     *wire
		declared bool // Heals
		wrong    bool
	}{
		"nothing wrong":                 {&wire{}, false, false},
		"deaf after a reconnection":     {&wire{deaf: true}, false, true},
		"swallows the gap":              {&wire{silent: true}, false, true},
		"swallows the gap, and heals":   {&wire{silent: true}, true, true},
		"heals, and has not said so":    {&wire{healing: true}, false, true},
		"heals, as it has declared":     {&wire{healing: true}, true, false},
		"may heal, and does not":        {&wire{}, true, false},
		"says a gap, and ends":          {&wire{ending: true}, false, false},
		"may heal, says a gap and ends": {&wire{ending: true}, true, false},
		"may heal, and is deaf instead": {&wire{deaf: true}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := Harness{
				Driver: func(testing.TB) driver.Driver { return wireDriver{mempubsub.NewBus(), c.wire} },
				Break:  c.wire.cut, Restart: c.wire.cut, Heals: c.declared,
			}
			for _, one := range []string{cut, restart} {
				if err := found(t, h, one); (err != nil) != c.wrong {
					t.Errorf("%s: got %v; want that it is wrong: %t", one, err, c.wrong)
				}
			}
		})
	}
}

// overtakes sends every 100th message late.
func overtakes(ctx context.Context, c *conn, topic string, payload []byte) error {
	if !c.hundredth() {
		return c.Conn.Publish(ctx, topic, payload)
	}
	payload = bytes.Clone(payload)
	time.AfterFunc(time.Millisecond, func() { _ = c.Conn.Publish(context.WithoutCancel(ctx), topic, payload) }) // in a bubble
	return nil
}

// doubles sends every message twice.
func doubles(ctx context.Context, c *conn, topic string, payload []byte) error {
	_ = c.Conn.Publish(ctx, topic, payload) // the second one counts
	return c.Conn.Publish(ctx, topic, payload)
}

// both is a driver whose messages come twice and out of order, as over two brokers.
func both(ctx context.Context, c *conn, topic string, payload []byte) error {
	payload = bytes.Clone(payload)
	if c.hundredth() {
		time.AfterFunc(time.Millisecond, func() { _ = c.Conn.Publish(context.WithoutCancel(ctx), topic, payload) }) // in a bubble
	}
	return doubles(ctx, c, topic, payload)
}

func TestWhatIsDeclaredIsNotWrong(t *testing.T) {
	for name, c := range map[string]struct {
		defect                defect
		duplicates, unordered bool
		wrong                 bool
	}{
		"duplicates, declared":              {defect{publish: doubles}, true, false, false},
		"duplicates, undeclared":            {defect{publish: doubles}, false, false, true},
		"duplicates, reordering declared":   {defect{publish: doubles}, false, true, true},
		"reordering, declared":              {defect{publish: overtakes}, false, true, false},
		"reordering, undeclared":            {defect{publish: overtakes}, false, false, true},
		"reordering, duplicates declared":   {defect{publish: overtakes}, true, false, true},
		"both, declared":                    {defect{publish: both}, true, true, false},
		"loss, both declared":               {defect{publish: drop}, true, true, true},
		"a wrong topic, both declared":      {defect{publish: everywhere}, true, true, true},
		"no Unsubscribe, both declared":     {defect{unsubscribe: func(context.Context, *conn, string) error { return nil }}, true, true, true},
		"a folded payload, both declared":   {payloads(strings.ToUpper), true, true, true},
		"joined neighbours, both declared":  {defect{publish: join}, true, true, true},
		"an early Subscribe, both declared": {defect{subscribe: late}, true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := Harness{
				Driver:     func(testing.TB) driver.Driver { return c.defect.of(mempubsub.NewBus()) },
				Duplicates: c.duplicates, Unordered: c.unordered,
			}
			if got := failuresOf(t, h, cases()); (len(got) > 0) != c.wrong {
				t.Errorf("got %q failing; want that it is wrong: %t", got, c.wrong)
			}
		})
	}
}

// othersFirst has the second connection see what others have published before what comes first,
// where both are there. The first one sees them as they come.
func othersFirst(ctx context.Context, c *conn) (driver.Message, error) {
	if !c.isSecond() {
		return c.Conn.Receive(ctx)
	}
	held := c.held // only Receive uses it
	if len(held) == 0 {
		m, err := c.Conn.Receive(ctx)
		if err != nil {
			return m, err
		}
		soon, cancel := context.WithTimeout(ctx, time.Millisecond) // in a bubble
		defer cancel()
		for ; err == nil; m, err = c.Conn.Receive(soon) {
			held = append(held, m)
		}
		first := publisherOf(string(held[0].Payload))
		slices.SortStableFunc(held, func(a, b driver.Message) int {
			distance := func(m driver.Message) int {
				return max(first, publisherOf(string(m.Payload))) - min(first, publisherOf(string(m.Payload)))
			}
			return cmp.Compare(distance(b), distance(a))
		})
	}
	c.held = held[1:]
	return held[0], nil
}

// isSecond reports whether this is the second connection that was opened.
func (c *conn) isSecond() bool {
	c.defect.mu.Lock()
	defer c.defect.mu.Unlock()
	return len(*c.defect.conns) > 1 && (*c.defect.conns)[1] == c
}

func TestPublishersMayBeApartWhereThatIsDeclared(t *testing.T) {
	for name, c := range map[string]struct {
		defect   defect
		declared bool
		finds    []string
	}{
		"apart, declared":     {defect{receive: othersFirst}, true, nil},
		"apart, undeclared":   {defect{receive: othersFirst}, false, []string{"two subscribers see the same order"}},
		"reordered, declared": {defect{publish: swap}, true, []string{"the order of one publisher is kept"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := Harness{Driver: func(testing.TB) driver.Driver { return c.defect.of(mempubsub.NewBus()) }, PublishersApart: c.declared}
			got := failuresOf(t, h, cases())
			if len(c.finds) == 0 && len(got) > 0 || len(c.finds) > 0 && !slices.Contains(got, c.finds[0]) {
				t.Errorf("got %q failing, want %q", got, c.finds)
			}
		})
	}
}

// A handover is a bus without queues: Publish, and whatever comes behind it, waits until each
// subscriber's Receive has taken the message. It keeps the contract.
type handover struct {
	mu    sync.Mutex // guards the rest
	conns []*handed
}

func (h *handover) Name() string { return "handover" }

func (h *handover) Open(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &handed{bus: h, topics: make(map[string]bool), Inbox: driver.NewInbox(func() {})}
	h.conns = append(h.conns, c)
	return c, nil
}

type handed struct {
	*driver.Inbox
	bus     *handover
	publish sync.Mutex
	topics  map[string]bool // guarded by bus.mu
}

func (c *handed) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	var to []*handed
	for _, other := range c.bus.conns {
		if other.topics[topic] {
			to = append(to, other)
		}
	}
	c.bus.mu.Unlock()
	for _, other := range to {
		other.publish.Lock() // one after the other, so that all have the same order
	}
	for _, other := range to {
		other.Put(driver.Message{Topic: topic, Payload: bytes.Clone(payload)})
		other.publish.Unlock()
	}
	return nil
}

func (c *handed) set(ctx context.Context, topic string, to bool) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.topics[topic] = to
	return nil
}

func (c *handed) Subscribe(ctx context.Context, topic string) error { return c.set(ctx, topic, true) }

func (c *handed) Unsubscribe(ctx context.Context, topic string) error {
	return c.set(ctx, topic, false)
}

func (c *handed) Close() error { c.End(driver.ErrClosed); return nil }

// TestADriverThatHandsOverPasses: the contract lets calls wait for Receive, which somebody always
// calls.
func TestADriverThatHandsOverPasses(t *testing.T) {
	h := Harness{Driver: func(testing.TB) driver.Driver { return &handover{} }}
	if got := failuresOf(t, h, deliveryCases()); len(got) > 0 {
		t.Errorf("got %q failing", got)
	}
}

// TestACallThatHangsIsNamed, with what to look at, however deaf the driver is.
func TestACallThatHangsIsNamed(t *testing.T) {
	never := make(chan struct{})
	hang := func() error { <-never; return driver.ErrClosed }
	for name, c := range map[string]struct {
		defect defect
		want   []string
	}{
		"Publish":   {defect{publish: func(context.Context, *conn, string, []byte) error { return hang() }}, []string{"Publish of \"t\" on connection 1", "a full queue"}},
		"Subscribe": {defect{subscribe: func(context.Context, *conn, string) error { return hang() }}, []string{"Subscribe of \"t\" on connection 1", "confirmation"}},
		"Open":      {defect{open: func(context.Context, driver.Driver) (driver.Conn, error) { return nil, hang() }}, []string{"Open on the driver", "does it answer?"}},
		"Close":     {defect{close: func(*conn) error { return hang() }}, []string{"connection 1: Close did not return", "goodbye"}},
		"Receive":   {defect{receive: func(context.Context, *conn) (driver.Message, error) { return driver.Message{}, hang() }}, []string{"Receive", "was the subscription confirmed"}},
		"no message": {defect{publish: func(context.Context, *conn, string, []byte) error { return nil }},
			[]string{`receive, waiting for "x" on "t"`, "a message of the own connection"}},
	} {
		t.Run(name, func(t *testing.T) {
			never = make(chan struct{})
			synctest.Test(t, func(t *testing.T) {
				never = make(chan struct{})
				defer close(never) // or what hangs outlives the bubble
				h := Harness{Driver: func(testing.TB) driver.Driver { return c.defect.of(mempubsub.NewBus()) }}
				err := h.try(t, deliveryCases()[0])
				for _, want := range c.want {
					if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
						t.Errorf("got %v, want %q in it", err, want)
					}
				}
			})
		})
	}
}

// TestTheDocumentNamesEachCase that the suite has: docs/your-own-backend.md says what is checked.
func TestTheDocumentNamesEachCase(t *testing.T) {
	text, err := os.ReadFile("../../docs/your-own-backend.md")
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Join(strings.Fields(string(text)), " ")
	for _, c := range cases() {
		if !strings.Contains(document, c.name) {
			t.Errorf("docs/your-own-backend.md does not say %q", c.name)
		}
	}
}
