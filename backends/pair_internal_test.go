package backends

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
)

// TestTwoBrokersAtOnceAreABroker: Redis and NATS together pass the suite, also when both are cut
// off, restarted or frozen.
func TestTwoBrokersAtOnceAreABroker(t *testing.T) {
	redis, nats := testserver.Redis(t), testserver.NATS(t, "")
	redis.Own()
	nats.Own()
	ways := []*testserver.Proxy{testserver.NewProxy(t, redis.Addr), testserver.NewProxy(t, nats.Addr)}
	url := ways[0].Rewrite(redis.URL) + " " + ways[1].Rewrite(nats.URL)
	all := func(f func(*testserver.Proxy)) {
		for _, way := range ways {
			f(way)
		}
	}
	drivertest.Run(t, drivertest.Harness{
		Driver: func(t testing.TB) driver.Driver {
			d, err := newDriver(url, &Options{Secret: [][]byte{[]byte(longSecret)}})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Break: func(testing.TB, driver.Driver) { all((*testserver.Proxy).Cut) },
		Restart: func(testing.TB, driver.Driver) {
			redis.Stop()
			nats.Stop()
			redis.Start()
			nats.Start()
		},
		Freeze: func(testing.TB, driver.Driver) (thaw func()) {
			all(func(p *testserver.Proxy) { p.Stall(true) })
			return func() { all(func(p *testserver.Proxy) { p.Stall(false) }) }
		},
		Duplicates: true, Unordered: true, Heals: true,
	})
}

// TestOneOfTwoBrokersIsEnough to start with, and its address is what people are told; none is an
// error that says both, without passwords.
func TestOneOfTwoBrokersIsEnough(t *testing.T) {
	nats := testserver.NATS(t, "")
	part := precondition.NewPart("broker", nil)
	const nobody = "redis://u:hunter2@127.0.0.1:1/0"
	d, err := Driver(nobody+" "+nats.URL, &Options{BrokerUnmet: part})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close() // it was there
	unmet := part.Unmet()
	if len(unmet) != 1 || unmet[0].Name != "first_broker_away" || !strings.Contains(unmet[0].Text, "redis://127.0.0.1:1 is away") || strings.Contains(unmet[0].Text, "hunter2") {
		t.Errorf("got %+v", unmet)
	}
	const neither = nobody + " nats://u:hunter2@127.0.0.1:1"
	if d, err = Driver(neither, nil); err != nil {
		t.Fatal(err)
	}
	_, err = d.Open(t.Context())
	said := Explain(neither, err).Error()
	if want := "backends: neither redis://127.0.0.1:1 can be used: dial tcp 127.0.0.1:1: connect: connection refused; nor nats://127.0.0.1:1: "; !strings.HasPrefix(said, want) {
		t.Errorf("got  %q\nwant %q", said, want)
	}
	if strings.Contains(said, "hunter2") {
		t.Errorf("a password is shown: %q", said)
	}
}

// TestReplicasWithOneBrokerAndWithTwoHearEachOther: what goes out on both is what goes out on one,
// signed in the same way.
func TestReplicasWithOneBrokerAndWithTwoHearEachOther(t *testing.T) {
	redis, nats := testserver.Redis(t), testserver.NATS(t, "")
	o := &Options{Prefix: "app:", Secret: [][]byte{[]byte(longSecret)}}
	var conns []driver.Conn
	for _, url := range []string{redis.URL, redis.URL + " " + nats.URL, nats.URL} {
		d, err := Driver(url, o)
		if err != nil {
			t.Fatal(err)
		}
		c := openOn(t, d)
		if err := c.Subscribe(t.Context(), "app:x"); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	hears := func(to driver.Conn, want string) {
		t.Helper()
		for {
			m, err := to.Receive(t.Context())
			if err != nil || m.Gap || !m.Trusted {
				t.Fatalf("got %+v, %v; want %q", m, err, want)
			}
			if string(m.Payload) == want {
				return
			}
		}
	}
	for i, text := range []string{"of the old", "of both", "of the new"} {
		if err := conns[i].Publish(t.Context(), "app:x", []byte(text)); err != nil {
			t.Fatal(err)
		}
		hears(conns[1], text)
	}
	hears(conns[0], "of both")
	hears(conns[2], "of both")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := conns[0].Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestATableWithoutSurprises(t *testing.T) {
	seen := make(map[string]string)
	for _, b := range table() {
		for _, s := range b.schemes {
			if seen[s] != "" || b.name == "" || b.broker == nil && b.store == nil {
				t.Errorf("%s is of %s and of %s", s, b.name, seen[s])
			}
			seen[s] = b.name
		}
	}
}
