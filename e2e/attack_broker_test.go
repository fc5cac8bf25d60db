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

func doubtGuard() guard {
	return guard{
		"what is far ahead is checked against the store", "live/rooms.go",
		"if rs.doubtful(r, s) {", "if !WITHOUT && rs.doubtful(r, s) {",
	}
}

// brokerAttacks are a neighbour's, who may publish on the same Redis.
func brokerAttacks() []attack {
	return []attack{
		{
			name: "false states on the broker", redis: true, guards: []guard{doubtGuard()},
			run: func(v *target) error {
				return neighbour(v, func(publish func(topic, payload string), epoch uint64) {
					for range 20 {
						publish("counter:lobby", fmt.Sprintf(`{"n":666,"v":18446744073709551615,"e":%d}`, epoch))
						publish("counter:lobby", fmt.Sprintf(`{"n":666,"v":1,"e":%d}`, epoch+1_000_000_000))
						publish("counter:lobby", fmt.Sprintf(`{"n":666,"v":%d,"e":%d}`, 1<<40, epoch))
					}
				})
			},
		},
		{
			name: "garbage on the broker", redis: true, flood: true, why: "what can't be decoded is dropped, and a payload has nothing in it but numbers",
			run: func(v *target) error {
				return neighbour(v, func(publish func(topic, payload string), epoch uint64) {
					rnd := rand.New(rand.NewPCG(7, 7))
					for range v.rounds {
						garbage(rnd, publish, epoch)
					}
				})
			},
		},
	}
}

// garbage publishes what no replica would, on all topics.
func garbage(rnd *rand.Rand, publish func(topic, payload string), epoch uint64) {
	topics := []string{"counter:lobby", "_digest:counter", "presence", "_hub:x", "_hub:", "counter:" + marker, "nothing", ""}
	payloads := append(poisons(epoch-1), // of the epoch before: nothing in them is newer
		`{"n":"<x-injected>","v":2,"e":3}`, `{"__proto__":{"n":666}}`, strings.Repeat("[", 100_000), strings.Repeat("x", 1<<20),
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

// neighbour opens a tab, has poison publish, and returns an error if the tab
// or the page shows anything but the truth.
func neighbour(v *target, poison func(publish func(topic, payload string), epoch uint64)) error {
	opts, err := goredis.ParseURL(v.broker)
	if err != nil {
		v.Fatal(err)
	}
	redis := goredis.NewClient(opts)
	defer redis.Close()
	ws := v.from(honest).connect("lobby")
	ws.text(clickText(newOp()))
	epoch := ws.shown("counter:lobby").E
	if m := ws.verdict(); len(m.Ack) == 0 {
		v.Fatalf("the op is %s", m)
	}
	before := strings.Count(v.p.out.String(), "\n")
	ctx, cancel := context.WithTimeout(context.Background(), v.lasts(2*time.Minute, patience))
	defer cancel()
	poison(func(topic, payload string) {
		if err := redis.Publish(ctx, attackPrefix+topic, payload).Err(); err != nil {
			v.Error(err)
		}
	}, epoch)
	// Another click is shown and acknowledged behind all that.
	last := newOp()
	ws.text(clickText(last))
	for {
		m := ws.hear()
		if forged(m.Content) || injected(m.Content) {
			shown, _ := parseRoot(m.Content)
			return fmt.Errorf("a tab shows %d", shown.N)
		}
		if m.cut || m.code != 0 || m.Error != "" {
			return fmt.Errorf("a tab is %s", m)
		}
		if len(m.Ack) > 0 && m.Ack[0] == last {
			break
		}
	}
	if n := v.count("lobby"); n != 2 {
		return fmt.Errorf("the page shows %d, not 2", n)
	}
	if lines := strings.Count(v.p.out.String(), "\n") - before; lines > 1000 {
		return fmt.Errorf("%d lines of log", lines)
	}
	return nil
}

// forged reports whether a count of 666 is shown, which attacks try to have
// shown. Epochs and versions may have these digits, too.
func forged(shown string) bool {
	return regexp.MustCompile(`(data-count="|"n":|<b>)666\b`).MatchString(shown)
}
