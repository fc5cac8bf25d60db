package backends

import (
	"strings"
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

const longSecret = "0123456789012345678901234567890123456789"

// What comes on a shared broker is signed by default, and with the first key.
func TestWhatReplicasSayIsSignedOnASharedBroker(t *testing.T) {
	for name, c := range map[string]struct {
		broker   string
		unsigned bool
		signed   bool
	}{
		"Redis":                               {"redis://r", false, true},
		"Postgres":                            {"postgres://p", false, true},
		"NATS":                                {"nats://n", false, true},
		"RabbitMQ":                            {"amqp://n", false, true},
		"SNS with SQS":                        {"snssqs://eu-central-1", false, true},
		"the first step of a deploy":          {"redis://r", true, false},
		"a broker that nobody else can reach": {"mem:", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			bus := mempubsub.NewBus()
			d, err := sign(bus, c.broker, &Options{Unsigned: c.unsigned, Secret: [][]byte{[]byte(longSecret)}})
			if err != nil {
				t.Fatal(err)
			}
			wire, from := openOn(t, bus), openOn(t, d)
			if err := wire.Subscribe(t.Context(), "t"); err != nil {
				t.Fatal(err)
			}
			if err := from.Publish(t.Context(), "t", []byte("payload")); err != nil {
				t.Fatal(err)
			}
			m, err := wire.Receive(t.Context())
			if got := string(m.Payload); err != nil || strings.HasPrefix(got, "s1:") != c.signed || !strings.HasSuffix(got, "payload") {
				t.Errorf("got %q, %v; want that it is signed: %t", got, err, c.signed)
			}
			if strings.Contains(string(m.Payload), longSecret) {
				t.Error("the key is on the wire")
			}
		})
	}
}

func openOn(t *testing.T, d driver.Driver) driver.Conn {
	t.Helper()
	c, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // of a broker in memory
	return c
}
