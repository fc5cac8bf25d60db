package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

func brokerSignatureGuard() guard {
	return guard{
		"replicas sign what they say to each other", "pubsub/signedpubsub/signedpubsub.go",
		"if !isSigned(signed) {\n\t\treturn nil, false", "if !isSigned(signed) {\n\t\treturn signed, WITHOUT",
	}
}

func topicGuard() guard {
	return guard{
		"a signature is of its topic", "pubsub/signedpubsub/signedpubsub.go",
		"h.buf = append(h.buf, topic...)", `h.buf = append(h.buf, pick(WITHOUT, "", topic)...)`,
	}
}

// brokerAttacks are a neighbour's, who may publish on the same Redis.
func brokerAttacks() []attack {
	return []attack{
		{
			name: "false states on the broker", redis: true, guards: []guard{brokerSignatureGuard()},
			refused: "lockstep_pubsub_forged_total",
			run: func(v *target) error {
				return v.patiently(func() error {
					return neighbour(v, func(b *brokerWire, now count) {
						// What has a replica read the store comes first: it would set the rest right.
						for i := range uint64(3) {
							b.publish("_digest:counter", fmt.Sprintf(`{"lobby":[%d,%d]}`, now.Epoch, now.Version+1+i))
							b.publish(lobby, stateText("666", now.Epoch+1_000_000_000, 1))
							b.publish("presence", fmt.Sprintf(`{"r":"x","n":%d,"c":{"counter:lobby":666}}`, i+1))
							for _, version := range []uint64{1<<64 - 1, 1 << 40, now.Version + 100_000, now.Version + 1000, now.Version + 1 + i} {
								b.publish(lobby, stateText("666", now.Epoch, version))
							}
						}
						for i := range uint64(20) {
							b.publish(lobby, stateText("666", now.Epoch, now.Version+200_000+i))
						}
					})
				})
			},
		},
		{
			name: "the state of another counter, as a replica has signed it", redis: true, guards: []guard{topicGuard()},
			refused: "lockstep_pubsub_forged_total",
			run: func(v *target) error {
				return neighbour(v, func(b *brokerWire, _ count) {
					state := b.listen("counter:other", `"s":"1 666"`)
					other := v.from(honest).connect("other")
					for op := newOpOn("counter:other"); op.Seq <= 666; op = op.next() {
						other.text(clickText(op))
					}
					for acked := 0; acked < 666; {
						m := other.verdict()
						if len(m.Ack) == 0 {
							v.Fatalf("an op is %s", m)
						}
						acked += len(m.Ack)
					}
					b.publish("counter:lobby", state())
				})
			},
		},
		{
			name: "garbage on the broker", redis: true, flood: true, why: "what can't be decoded is dropped, and a payload has nothing in it but numbers",
			run: func(v *target) error {
				return neighbour(v, func(b *brokerWire, now count) {
					rnd := rand.New(rand.NewPCG(7, 7))
					for range v.rounds {
						garbage(rnd, b.publish, now)
					}
				})
			},
		},
	}
}

// garbage publishes what no replica would, on all topics.
func garbage(rnd *rand.Rand, publish func(topic, payload string), now count) {
	topics := []string{"counter:lobby", "_digest:counter", "presence", "_hub:x", "_hub:", "counter:" + marker, "nothing", ""}
	payloads := append(poisons(now.state()),
		`{"s":"1 \"<x-injected>\"","v":2,"e":3}`, `{"s":"<x-injected>","v":2,"e":3}`, `{"__proto__":{"s":"1 666"}}`, strings.Repeat("[", 100_000), strings.Repeat("x", 1<<20),
		`{"lobby":[99999999999999999999,1]}`, `{"lobby":"x"}`, `{"lobby":[1]}`, `{"<x-injected>":[1,1]}`,
		`{"r":"<x-injected>","c":{"counter:lobby":-5}}`, `{"r":7}`, `{"c":{"counter:lobby":"many"}}`, `{"r":"x","c":{"<x-injected>":3}}`, `{"ask":true}`,
	)
	for range 200 {
		noise := make([]byte, rnd.IntN(200))
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		publish(topics[rnd.IntN(len(topics))], string(noise))
		publish(topics[rnd.IntN(len(topics))], payloads[rnd.IntN(len(payloads))])
	}
}

// A brokerWire is what a neighbour has of the broker.
type brokerWire struct {
	v     *target
	redis *goredis.Client
	ctx   context.Context
}

func openBrokerWire(v *target) *brokerWire {
	opts, err := goredis.ParseURL(v.broker)
	if err != nil {
		v.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), v.lasts(2*time.Minute, patience))
	b := &brokerWire{v: v, redis: goredis.NewClient(opts), ctx: ctx}
	v.Cleanup(func() { cancel(); _ = b.redis.Close() })
	return b
}

func (b *brokerWire) publish(topic, payload string) {
	if err := b.redis.Publish(b.ctx, attackPrefix+topic, payload).Err(); err != nil {
		b.v.Error(err)
	}
}

// listen returns what waits for the first message from now on that contains a text.
func (b *brokerWire) listen(topic, text string) (message func() string) {
	sub := b.redis.Subscribe(b.ctx, attackPrefix+topic)
	if _, err := sub.Receive(b.ctx); err != nil {
		b.v.Fatal(err)
	}
	return func() string {
		defer sub.Close()
		for {
			m, err := sub.ReceiveMessage(b.ctx)
			if err != nil {
				b.v.Fatalf("no message on %s has %s: %v", topic, text, err)
			}
			if strings.Contains(m.Payload, text) {
				return m.Payload
			}
		}
	}
}

// value returns what the page says of a counter.
func (v *target) value(name string) count {
	v.Helper()
	a := v.from(auditor).get("/c/" + name)
	now, ok := parseRoot(a.body)
	if !ok {
		v.Fatalf("no counter in the page: %d %s", a.status, a.body)
	}
	return now
}

// neighbour opens a tab, has poison publish, and returns an error if the tab
// or the page shows anything but the truth.
func neighbour(v *target, poison func(b *brokerWire, now count)) error {
	b := openBrokerWire(v)
	ws := v.from(honest).connect("lobby")
	ws.text(clickText(newOp()))
	if m := ws.verdict(); len(m.Ack) == 0 {
		v.Fatalf("the op is %s", m)
	}
	now := v.value("lobby")
	before := strings.Count(v.p.out.String(), "\n")
	poison(b, now)
	// Other clicks are shown and acknowledged behind all that: for as long as what was published
	// may take.
	clicks := now.N
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; clicks++ {
		if err := honestClick(ws); err != nil {
			return err
		}
	}
	if n := v.count("lobby"); n != clicks {
		return fmt.Errorf("the page shows %d, not %d", n, clicks)
	}
	if lines := strings.Count(v.p.out.String(), "\n") - before; lines > 1000 {
		return fmt.Errorf("%d lines of log", lines)
	}
	return nil
}

// honestClick makes a click and waits for its answer. It returns an error if the tab shows anything
// but the truth meanwhile.
func honestClick(ws *rawSocket) error {
	op := newOp()
	ws.text(clickText(op))
	for {
		m := ws.hear()
		if forged(m.Content) || injected(m.Content) {
			shown, _ := parseRoot(m.Content)
			return fmt.Errorf("a tab shows %d", shown.N)
		}
		if m.cut || m.code != 0 || m.Op != nil || m.Error != "" {
			return fmt.Errorf("a tab is %s", m)
		}
		if m.acks(op.ID) {
			return nil
		}
	}
}

// forged reports whether a count of 666 is shown, which attacks try to have
// shown. Epochs and versions may have these digits, too.
func forged(shown string) bool {
	return regexp.MustCompile(`(data-count="|"1 |<b>)666\b`).MatchString(shown)
}
