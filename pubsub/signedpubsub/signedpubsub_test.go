package signedpubsub_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/signedpubsub"
)

var (
	oldKey = []byte("an old secret of thirty-two bytes")
	newKey = []byte("a new secret of thirty-two bytes!")
)

func TestConformance(t *testing.T) {
	for name, opts := range map[string]*signedpubsub.Options{"signed": nil, "the first step of a deploy": {Unsigned: true}} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return with(t, mempubsub.NewBus(), opts, newKey) }})
		})
	}
}

func signed(t testing.TB, d driver.Driver, keys ...[]byte) driver.Driver {
	t.Helper()
	return with(t, d, nil, keys...)
}

func with(t testing.TB, d driver.Driver, opts *signedpubsub.Options, keys ...[]byte) driver.Driver {
	t.Helper()
	s, err := signedpubsub.NewDriver(d, keys, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, d driver.Driver, topics ...string) driver.Conn {
	t.Helper()
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // of a broker in memory
	for _, topic := range topics {
		if err := c.Subscribe(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestWhoMayBelieveWhom(t *testing.T) {
	for name, c := range map[string]struct {
		from func(bus driver.Driver) driver.Driver
		to   [][]byte
		want bool
	}{
		"the same key":                         {func(d driver.Driver) driver.Driver { return signed(t, d, newKey) }, [][]byte{newKey}, true},
		"a replica that has the new key first": {func(d driver.Driver) driver.Driver { return signed(t, d, newKey, oldKey) }, [][]byte{oldKey, newKey}, true},
		"a replica that has only the old key":  {func(d driver.Driver) driver.Driver { return signed(t, d, oldKey) }, [][]byte{newKey, oldKey}, true},
		"a key that is not known":              {func(d driver.Driver) driver.Driver { return signed(t, d, oldKey) }, [][]byte{newKey}, false},
		"replicas of another prefix with the same secret": {func(d driver.Driver) driver.Driver {
			return with(t, d, &signedpubsub.Options{Prefix: "other:"}, newKey)
		}, [][]byte{newKey}, false},
		"no signature": {func(d driver.Driver) driver.Driver { return d }, [][]byte{newKey}, false},
		"a replica that does not sign yet": {func(d driver.Driver) driver.Driver {
			return with(t, d, &signedpubsub.Options{Unsigned: true}, newKey)
		}, [][]byte{newKey}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bus := mempubsub.NewBus()
			to, from := open(t, signed(t, bus, c.to...), "t"), open(t, c.from(bus))
			if err := from.Publish(t.Context(), "t", []byte("payload")); err != nil {
				t.Fatal(err)
			}
			m, err := to.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Trusted != c.want || m.Gap == c.want || m.Forged == c.want || c.want && string(m.Payload) != "payload" || !c.want && m.Payload != nil {
				t.Errorf("got %+v, want that it is believed: %t", m, c.want)
			}
		})
	}
}

// What one has seen on the wire is all that a neighbour has.
func TestASignatureIsOfItsTopicAndPayload(t *testing.T) {
	bus := mempubsub.NewBus()
	wire := open(t, bus, "a:topic")
	if err := open(t, signed(t, bus, newKey)).Publish(t.Context(), "a:topic", []byte("payload")); err != nil {
		t.Fatal(err)
	}
	m, err := wire.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := m.Payload
	topics := []string{"a:topic", "b:topic", "a:topi", "a:topicp", ""}
	to := open(t, signed(t, bus, newKey), topics[:4]...)
	try := func(topic string, payload []byte, want bool) {
		t.Helper()
		if err := wire.Publish(t.Context(), topic, payload); err != nil {
			t.Fatal(err)
		}
		m, err := to.Receive(t.Context())
		if err != nil || m.Trusted != want {
			t.Errorf("got %+v, %v for %q on %q, want that it is believed: %t", m, err, payload, topic, want)
		}
	}
	try("a:topic", seen, true) // again: whoever receives must not mind
	for _, topic := range topics[1:4] {
		try(topic, seen, false)
	}
	for i := range seen {
		changed := bytes.Clone(seen)
		changed[i] ^= 1
		try("a:topic", changed, false)
		try("a:topic", seen[:i], false)
	}
	try("a:topic", append(bytes.Clone(seen), 'x'), false)
	// The first letter of the payload moved to the topic.
	try("a:topicp", append(bytes.Clone(seen[:signedpubsub.Overhead]), "ayload"...), false)
}

func TestADriverThatSendsUnsignedBelievesOnlySignatures(t *testing.T) {
	bus := mempubsub.NewBus()
	to := open(t, with(t, bus, &signedpubsub.Options{Unsigned: true}, newKey), "t")
	for _, c := range []struct {
		from            driver.Driver
		trusted, forged bool
	}{
		{signed(t, bus, newKey), true, false}, {signed(t, bus, oldKey), false, true}, {bus, false, false},
		{with(t, bus, &signedpubsub.Options{Unsigned: true}, newKey), false, false},
	} {
		if err := open(t, c.from).Publish(t.Context(), "t", []byte("payload")); err != nil {
			t.Fatal(err)
		}
		m, err := to.Receive(t.Context())
		if err != nil || m.Trusted != c.trusted || m.Forged != c.forged || m.Gap != c.forged || !c.forged && string(m.Payload) != "payload" {
			t.Errorf("got %+v, %v; want trusted %t, forged %t", m, err, c.trusted, c.forged)
		}
	}
}

func TestADriverNeedsAKey(t *testing.T) {
	if _, err := signedpubsub.NewDriver(mempubsub.NewBus(), nil, nil); !errors.Is(err, signedpubsub.ErrNoKeys) {
		t.Errorf("got %v, want ErrNoKeys", err)
	}
}

func BenchmarkBroadcast(b *testing.B) {
	for _, size := range []int{50, 4000} {
		payload := bytes.Repeat([]byte("x"), size)
		for name, d := range map[string]driver.Driver{"unsigned": mempubsub.NewBus(), "signed": signed(b, mempubsub.NewBus(), newKey)} {
			b.Run(name+"/"+strconv.Itoa(size), func(b *testing.B) {
				c := open(b, d, "lockstep:counter:lobby")
				ctx := context.Background()
				b.ReportAllocs()
				for b.Loop() {
					if err := c.Publish(ctx, "lockstep:counter:lobby", payload); err != nil {
						b.Fatal(err)
					}
					if _, err := c.Receive(ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
