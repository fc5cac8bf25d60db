package planted

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A topic is what a page shows. The server's mu guards it.
type topic struct {
	kind, name string

	count    int64             // of a counter
	votes    map[string]string // of a poll, by person
	balances []int64           // of a bank
	items    []item            // of a list or a log, whose slices are never changed
	said     int               // entries of a log
	values   map[string]value  // of a board, by owner
	frames   int               // of a board
	past     []picture         // the newest versions of items

	retried map[opID]int64 // ops that were not taken: the clock that went with that
	version uint64
	former  string // the root of the version before
	lanes   map[string]*clientLane
	ops     int
	tabs    []*tab
	actor   *tab // whose op it was
}

// An opID names an op.
type opID struct {
	client string
	seq    uint64
}

// A clientLane is what a topic knows of a client.
type clientLane struct {
	last, from uint64
	answered   map[uint64]bool
	newest     *op
	reasons    map[uint64]string // of those that were refused
	mute, old  map[uint64]bool   // these are never answered; and these are called old
}

// passesOver reports whether a client says of ops below from that it needs no answer, and has had
// none. Nil is a client that has no lane yet.
func (l *clientLane) passesOver(from uint64) bool {
	for seq := uint64(1); seq < from; seq++ {
		if l == nil || !l.answered[seq] {
			return true
		}
	}
	return false
}

// known is after what time a tab knows that an op was not taken, and does not send it again before.
const known = 500 * time.Millisecond

// isStale reports whether an op was not taken before, and was not looked for again since.
func (c *topic) isStale(op opID, seen int64) bool {
	at, ok := c.retried[op]
	return ok && seen < at && time.Since(time.UnixMilli(at)) > known
}

func newTopic(kind, name string) *topic {
	c := &topic{kind: kind, name: name, lanes: make(map[string]*clientLane), votes: make(map[string]string), values: make(map[string]value), retried: make(map[opID]int64)}
	if kind == "bank" {
		c.balances = []int64{100, 100, 100, 100, 100, 100}
	}
	c.remember()
	c.former = c.root(0)
	return c
}

// seasons are what can be voted for.
func seasons() []string { return []string{"spring", "summer", "autumn", "winter"} }

// A transfer is between accounts from 0.
type transfer struct {
	from, to int
	amount   int64
}

func transferOf(o op) (t transfer) {
	t.from, _ = strconv.Atoi(o.in["from"]) // tabs send numbers
	t.to, _ = strconv.Atoi(o.in["to"])
	t.amount, _ = strconv.ParseInt(o.in["amount"], 10, 64)
	return transfer{t.from - 1, t.to - 1, t.amount}
}

// check says why an op is refused; "": it is not.
func (c *topic) check(o op, overdraft bool) string {
	if c.isItems() {
		return c.checkItem(o)
	}
	switch t := transferOf(o); {
	case c.kind != "bank":
	case t.from == t.to:
		return "one and the same account"
	case t.amount > 600, !overdraft && t.amount > c.balances[t.from]:
		return "the account has not that much"
	}
	return ""
}

// apply does an op, which makes a version.
func (c *topic) apply(o op) {
	c.step()
	c.applyMore(o)
}

// step makes a version, which shows what the one before does.
func (c *topic) step() {
	c.former = c.root(0)
	c.version++
}

// applyMore does an op under the same version.
func (c *topic) applyMore(o op) {
	switch c.kind {
	case "poll":
		c.votes[o.user] = o.in["option"]
	case "bank":
		t := transferOf(o)
		c.balances[t.from] -= t.amount
		c.balances[t.to] += t.amount
	case "list", "log":
		c.act(o)
	default:
		c.count++
	}
}

// root is the element that shows the topic. more is added to the number of a counter.
func (c *topic) root(more int64) string {
	open := fmt.Sprintf(`<section id="%s" data-topic="%s:%s" data-version="%d" data-epoch="1"`, c.kind, c.kind, c.name, c.version)
	var b strings.Builder
	switch c.kind {
	case "poll":
		fmt.Fprintf(&b, `%s data-sum="%d votes">`, open, len(c.votes))
		for _, season := range seasons() {
			n := 0
			for _, vote := range c.votes {
				if vote == season {
					n++
				}
			}
			fmt.Fprintf(&b, `<div id="option-%s" data-votes="%d"></div>`, season, n)
		}
	case "bank":
		fmt.Fprintf(&b, `%s data-sum="600">`, open)
		for i, n := range c.balances {
			fmt.Fprintf(&b, `<li id="account-%d" data-balance="%d"></li>`, i+1, n)
		}
	case "soft":
		return fmt.Sprintf(`<section id="board" data-topic="soft:%s"></section>`, c.name)
	case "list":
		fmt.Fprintf(&b, `%s><ul id="items" data-list>%s</ul>`, open, c.elements(c.items))
	case "log":
		fmt.Fprintf(&b, `%s><ol id="items" data-list>%s</ol>`, open, c.elements(c.items[max(0, len(c.items)-pageWindow):]))
	default:
		fmt.Fprintf(&b, `%s data-count="%d"><p>%d</p>`, open, c.count+more, c.count+more)
	}
	b.WriteString(`</section>`)
	return b.String()
}

// controls are what people choose from.
func (c *topic) controls() string {
	if c.kind != "poll" {
		return ""
	}
	return `<button name="option" value="` + strings.Join(seasons(), `"></button><button name="option" value="`) + `"></button>`
}

// message has a state.
func (c *topic) message(version uint64, root string) string {
	content := `<hx-partial hx-target="#live" hx-swap="innerMorph">` + root + `</hx-partial>`
	return fmt.Sprintf(`{"t":"%s:%s","e":1,"v":%d,"swap":"none","content":%q}`, c.kind, c.name, version, content)
}

func (c *topic) ack(o op) string {
	return fmt.Sprintf(`{"t":"%s:%s","ack":[[%q,%d]],%s}`, c.kind, c.name, o.client, o.seq, clock())
}

func (c *topic) answer(o op, what string) string {
	return fmt.Sprintf(`{"t":"%s:%s","op":[%q,%d],%s,%s}`, c.kind, c.name, o.client, o.seq, what, clock())
}
