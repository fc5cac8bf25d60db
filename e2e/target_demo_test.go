package e2e_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
)

// demo is cmd/web: its counters are what is attacked, and all its kinds are clicked on.
func demo() *target {
	return &target{
		name: "demo", often: true, program: binary, build: buildWeb,
		backends: func(broker, store, prefix string) (args, env []string) {
			args = []string{"-secret", testSecret}
			for flag, value := range map[string]string{"-pubsub": broker, "-store": store, "-channel-prefix": prefix} {
				if value != "" {
					args = append(args, flag, value)
				}
			}
			return args, nil
		},
		family: "counter", page: func(name string) string { return "/c/" + name }, do: "increment",
		wrongNames: append(noNames(), "A", "a_b", "__proto__"),
		form:       func(name, do string) (string, url.Values) { return "/c/" + name + "/" + url.PathEscape(do), nil },
		read:       parseRoot,
		counts:     func(n int) []string { return []string{fmt.Sprintf(`data-count=\"%d\"`, n), fmt.Sprintf(`\"1 %d\"`, n)} },
		button:     "[data-action=increment]",

		falsehood: func(_ count, epoch, version uint64) string { return stateText("666", epoch, version) },
		shows:     regexp.MustCompile(`(data-count="|"1 |<b>)666\b`), // epochs and versions may have these digits, too
		elsewhere: func(op wireOp) (ops []wireOp, said string) {
			for ; op.Seq <= 666; op = op.next() {
				ops = append(ops, op)
			}
			return ops, `"s":"1 666"`
		},

		has:   []string{"bank", "board", "clock", "counter", "form of names", "limit", "list", "log over HTTP", natsWithin, "page of one topic", "poll", "replicas in the test", "sign-up", snsRedis, "uploads"},
		items: itemsTarget{todosPage, todos, "add"}, log: itemsTarget{lobbyLog, logRoom, "say"},
		board: boardPage,
		cast:  func(n int) string { return spot("t", n%1000+1) },

		named: []guard{nameGuard(), topicNameGuard()}, escaped: []guard{escapedTopicGuard()},
		replicaOf: escapedReplicaGuard(), writtenOf: escapedEntryGuard(), longForm: acceptGuard(),
		more: []string{"/wasm/static/", "/wasm/", "/wasm", "/c?name=lobby"}, moreMarked: markedInDemo,

		kinds:  []kind{counters(), polls(), banks(), lists(), logs()},
		pieces: []kind{counters(), lists(), logs()}, nameless: []kind{counters(), banks()}, // a vote is the sender's
		usual: func(c faultCase) []string { return c.quick },
	}
}

// markedInDemo puts the marker into what only the demo has.
func markedInDemo(v *victim, cookie string) map[string]answer {
	who, escaped := v.from(hostile), url.PathEscape(marker)
	poll, err := readPage(who.get("/poll/lobby", cookie).body)
	if err != nil {
		v.Fatal(err)
	}
	return map[string]answer{
		"the name of a poll":     who.get("/poll/" + escaped),
		"a vote":                 who.post(poll.forms["vote"], url.Values{"x": {"y"}, "option": {marker}}, cookie),
		"the name to open":       who.get("/c?name=" + url.QueryEscape(marker)),
		"the application's name": who.get("/wasm/?topic=" + url.QueryEscape(marker)),
	}
}

// stateText is a counter's state as replicas tell it each other.
func stateText(n string, epoch, version uint64) string {
	return fmt.Sprintf(`{"e":%d,"v":%d,"s":%s}`, epoch, version, strconv.Quote("1 "+n))
}
