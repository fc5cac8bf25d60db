package drivertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"lockstep/pubsub/driver"
)

// payloadCases say that topics and payloads pass as they are.
func payloadCases() []testCase {
	return []testCase{
		{name: "topics that look alike are different", run: lookAlikes, exact: true},
		{name: "a topic of MaxTopic bytes carries a payload of MaxPayload bytes", run: largest, exact: true},
		{name: "an empty payload arrives", run: func(e *env) error { return e.unchanged("") }},
		{name: "every byte value arrives", run: func(e *env) error { return e.unchanged(everyByte()) }},
		{name: "a payload is the receiver's own", run: ownPayload},
		{name: "a payload of 64 KiB arrives unchanged or as a Gap", run: func(e *env) error { return e.large(64 << 10) }},
		{name: "a payload of 1 MiB arrives unchanged or as a Gap", run: func(e *env) error { return e.large(1 << 20) }},
	}
}

// alike returns topics that a driver could take for one another, or for
// patterns: folded, trimmed, cut, split, escaped or expanded.
func alike() []string {
	topics := []string{
		"a", "A", "b", "x:b", " a", "a ", "a\t", "a\n", "aa", "a.b", "a.B", "a.b.c", "a..b", ".a", "a.", "a/b", "a:b", "a_b", "a-b",
		"*", "a*", "a.*", ">", "a.>", "?", "a?", "[a]", "{a}", "%", "a%62", "a%", "%%", "$a", "#", "+", "a/#", "a/+",
		`"`, `"a"`, `'`, `'a'`, `''`, "`a`", `\`, `\\`, `a\b`, `\x61`, ";", "a;DROP TABLE x;--", "a,b", "a b", "a  b",
		"é", "e\u0301", "É", "ä", "😀", "😁", "\u200b", "a\u200b", "\x01", "\x7f", "null", "NULL", "0", "00", "YQ", "YQ==",
	}
	long := strings.Repeat("x", 500)
	for _, n := range []int{62, 63, 64, 127, 128, 255, 256, 499, 500} {
		topics = append(topics, long[:n])
	}
	return append(topics, long+"y", long+"Y", strings.Repeat("😀", 125), strings.Repeat("\\", 500), strings.Repeat("'", 500))
}

// lookAlikes subscribes every second topic on one connection and the others on
// a second one, and publishes on all.
func lookAlikes(e *env) error {
	topics := alike()
	var mine [2][]string
	for i, topic := range topics {
		mine[i%2] = append(mine[i%2], topic)
	}
	even, odd, err := e.pair(append(mine[0], "marker")...)
	if err != nil {
		return err
	}
	for _, topic := range append(mine[1], "marker") {
		if err := odd.Subscribe(e.ctx, topic); err != nil {
			return fmt.Errorf("subscribe to %q: %w", topic, err)
		}
	}
	for _, topic := range append(topics, "marker") {
		if err := e.publish(even, topic, "to "+topic); err != nil {
			return err
		}
	}
	return errors.Join(e.expectAll(even, mine[0]), e.expectAll(odd, mine[1]))
}

// expectAll receives one message of each topic and of the marker, and nothing
// else. A broker of several nodes keeps the order of a topic, and none between
// topics.
func (e *env) expectAll(c *link, topics []string) error {
	missing := make(map[string]bool)
	for _, topic := range append(topics, "marker") {
		missing[topic] = true
	}
	for len(missing) > 0 {
		m, err := c.next(e.ctx)
		if err != nil {
			return fmt.Errorf("receive, waiting for %d topics: %w", len(missing), err)
		}
		if m.Gap || !missing[m.Topic] || string(m.Payload) != "to "+m.Topic {
			return fmt.Errorf("got %s on %s (gap %v), which is not what was published there once", short(string(m.Payload)), short(m.Topic), m.Gap)
		}
		delete(missing, m.Topic)
	}
	return nil
}

func largest(e *env) error {
	// The byte that escapes worst is not known, so try several.
	for _, unit := range []string{"x", "'", "\\", "\x01", "é"} {
		topic := strings.Repeat(unit, driver.MaxTopic/len(unit))
		sub, pub, err := e.pair(topic)
		if err != nil {
			return err
		}
		for _, payload := range []string{noise(driver.MaxPayload), strings.Repeat("\x00", driver.MaxPayload), strings.Repeat("'", driver.MaxPayload)} {
			if err := e.roundTrip(pub, sub, topic, payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// unchanged sends one payload.
func (e *env) unchanged(payload string) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	return e.roundTrip(pub, sub, "t", payload)
}

// everyByte returns all byte values, NUL and half characters included.
func everyByte() string {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return string(b) + "\x00\x00\xff\xfe\xc3"
}

func ownPayload(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	sent := []byte("first")
	if err := pub.Publish(e.ctx, "t", sent); err != nil {
		return err
	}
	copy(sent, "wrong")
	m, err := sub.next(e.ctx)
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "other"); err != nil {
		return err
	}
	if string(m.Payload) != "first" {
		return fmt.Errorf("got %q, want %q", m.Payload, "first")
	}
	return nil
}

// large sends n bytes between two small payloads.
func (e *env) large(n int) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "before"); err != nil {
		return err
	}
	payload := noise(n)
	if err := e.publish(pub, "t", payload); err != nil {
		return err
	}
	m, err := sub.next(e.ctx)
	if err != nil {
		return fmt.Errorf("receive of %d bytes: %w", n, err)
	}
	whole := m.Topic == "t" && !m.Gap && string(m.Payload) == payload
	gap := m.Gap && m.Payload == nil && (m.Topic == "t" || m.Topic == "")
	if !whole && !gap {
		return fmt.Errorf("got %s on %q (gap %v), want the payload or a gap", short(string(m.Payload)), m.Topic, m.Gap)
	}
	// Over two brokers one may carry it, and the other announce it.
	sub.first(message{"t", payload})
	if err = e.roundTrip(pub, sub, "t", "after"); errors.Is(err, errGap) {
		err = e.expect(sub, "t", "after")
	}
	return err
}

// noise returns n bytes that do not compress, the same each time.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}
