package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
			run: func(v *victim) error {
				lobby := v.topic("lobby")
				return v.patiently(func() error {
					return neighbour(v, func(b *brokerWire, now count) {
						// What has a replica read the store comes first: it would set the rest right.
						for i := range uint64(3) {
							b.publish("_digest:"+v.app.family, fmt.Sprintf(`{"lobby":[%d,%d]}`, now.Epoch, now.Version+1+i))
							b.publish(lobby, v.app.falsehood(now, now.Epoch+1_000_000_000, 1))
							b.publish("presence", fmt.Sprintf(`{"r":"x","n":%d,"c":{%q:666}}`, i+1, lobby))
							for _, version := range []uint64{1<<64 - 1, 1 << 40, now.Version + 100_000, now.Version + 1000, now.Version + 1 + i} {
								b.publish(lobby, v.app.falsehood(now, now.Epoch, version))
							}
						}
						for i := range uint64(20) {
							b.publish(lobby, v.app.falsehood(now, now.Epoch, now.Version+200_000+i))
						}
					})
				})
			},
		},
		{
			name: "the state of another counter, as a replica has signed it", redis: true, guards: []guard{topicGuard()},
			refused: "lockstep_pubsub_forged_total",
			run: func(v *victim) error {
				return neighbour(v, func(b *brokerWire, _ count) {
					ops, said := v.app.elsewhere(v.newOpOn("other"))
					state := b.listen(v.topic("other"), said)
					other := v.from(honest).connect("other")
					// Each chunk is a version, or more: they come to more than lobby has.
					for chunk := range slices.Chunk(ops, 16) {
						for _, op := range chunk {
							other.text(clickText(op))
						}
						m := other.verdict()
						for _, op := range chunk {
							for !m.acks(op.ID) { // one message may have several
								if m = other.verdict(); len(m.Ack) == 0 {
									v.Fatalf("an op is %s", m)
								}
							}
						}
					}
					b.publish(v.topic("lobby"), state())
				})
			},
		},
		{
			name: "garbage on the broker", redis: true, flood: true, why: "what can't be decoded is dropped, and a payload has nothing in it but numbers",
			run: func(v *victim) error {
				return neighbour(v, func(b *brokerWire, now count) {
					rnd := rand.New(rand.NewPCG(7, 7))
					for range v.rounds {
						garbage(rnd, v.app, b.publish, now)
					}
				})
			},
		},
	}
}

// garbage publishes what no replica would, on all topics.
func garbage(rnd *rand.Rand, a *target, publish func(topic, payload string), now count) {
	topics := []string{a.topic("lobby"), "_digest:" + a.family, "presence", "_hub:x", "_hub:", a.topic(marker), "nothing", ""}
	payloads := append(poisons(now.state()),
		`{"s":"1 \"<x-injected>\"","v":2,"e":3}`, `{"s":"<x-injected>","v":2,"e":3}`, `{"__proto__":{"s":"1 666"}}`, strings.Repeat("[", 100_000), strings.Repeat("x", 1<<20),
		`{"lobby":[99999999999999999999,1]}`, `{"lobby":"x"}`, `{"lobby":[1]}`, `{"<x-injected>":[1,1]}`,
		`{"r":"<x-injected>","c":{"`+a.topic("lobby")+`":-5}}`, `{"r":7}`, `{"c":{"`+a.topic("lobby")+`":"many"}}`, `{"r":"x","c":{"<x-injected>":3}}`, `{"ask":true}`,
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
	v     *victim
	redis *goredis.Client
	ctx   context.Context
}

func openBrokerWire(v *victim) *brokerWire {
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

// neighbour opens a tab, has poison publish, and returns an error if the tab
// or the page shows anything but the truth.
func neighbour(v *victim, poison func(b *brokerWire, now count)) error {
	b := openBrokerWire(v)
	ws := v.from(honest).connect("lobby")
	ws.text(clickText(v.newOp()))
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
		if err := v.honestClick(ws); err != nil {
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
func (v *victim) honestClick(ws *rawSocket) error {
	op := v.newOp()
	ws.text(clickText(op))
	for {
		m := ws.hear()
		if v.app.shows.MatchString(m.Content) {
			return errors.New("a tab shows 666, which never was")
		}
		if injected(m.Content) {
			return errors.New("a tab shows markup of a neighbour")
		}
		if m.cut || m.code != 0 || m.Op != nil || m.Error != "" {
			return fmt.Errorf("a tab is %s", m)
		}
		if m.acks(op.ID) {
			return nil
		}
	}
}
