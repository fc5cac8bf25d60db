package lanetest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep/state"
)

// An op is one click.
type op struct {
	client state.Client
	page   int // for people
	topic  int
	seq    uint64
	do     string
	name   string // its input: so the state has it
	made   time.Duration
	void   bool // withdrawn, durably: is adopted as void
	origin *op  // of the mutant renumber

	// Ground truth.
	durable  bool // has been in an outbox on disk: the person may have seen "saved"
	answered bool // a page has had a final answer
	gaveUp   bool // a page has dropped it without an answer
	ever     bool // applied in some history
	sends    int  // since faults stopped
	putAt    time.Duration
	in       [histories + 1]state.Verdict // by history: Ack or Refused, when decided
}

func (o *op) String() string { return fmt.Sprintf("(c%d,%d)t%d:%s", o.page, o.seq, o.topic, o.do) }

// A browser has one outbox and the locks of its page loads.
type browser struct {
	*sim
	id      int
	outbox  []*op         // durable
	before  []*op         // some changes ago: for the mutant relaxed
	written time.Duration // when the latest write is durable
	life    int           // grows with each crash
	tabs    []*page
}

// write makes a change of the outbox durable later, in order, unless the
// browser crashes or the page ends too hard before.
func (b *browser) write(p *page, o *op, do func()) {
	at := max(b.now()+b.ms(1, 40), o.putAt)
	if b.chance(0.05) {
		at += b.ms(0, 600)
	}
	if !b.noOrder {
		at = max(at, b.written+time.Microsecond)
		b.written = at
	}
	o.putAt = at + time.Microsecond // what is done to one op is done in order
	life := b.life
	b.after(at-b.now(), func() {
		if b.life != life || p.torn {
			return
		}
		if b.maybe(0.3) {
			b.before = b.outbox
		}
		do()
	})
}

// orphan reports whether no page load holds the lock of a client.
func (b *browser) orphan(client state.Client) bool {
	for _, p := range b.tabs {
		if p.client == client && !b.noLocks && p.locked && !p.dead {
			return false
		}
	}
	return true
}

// An entry is an op in the memory of a page.
type entry struct {
	op   *op
	void bool   // withdrawn: is sent as void
	done bool   // answered; its removal is not durable yet
	from uint64 // of its first sending: for the mutant staleFrom
}

// A page is one page load. Its client is its own.
type page struct {
	*browser
	n            int // for people
	client       state.Client
	seqs         [topics]uint64
	shown        int
	entries      []*entry // by client, topic, seq
	conn         *conn
	locked       bool
	frozen, dead bool
	adopted      bool // has looked for orphans
	leaving      bool // the browser is closed with the next answer
	torn         bool // ended, and what it had begun to write is lost
	retry        [topics]bool
	backoff      time.Duration
	waiting      bool // for an answer
	since        time.Duration
	finned       [topics]uint64 // upto of its last fin
	foreign      []finMessage   // what it adopted, up to which seq
}

func (p *page) awake() bool { return !p.dead && !p.frozen }

// open begins a page load; like is the page that it duplicates or reloads.
func (b *browser) open(like *page) *page {
	b.pages++
	p := &page{browser: b, n: b.pages, shown: b.pick(topics)}
	binary.BigEndian.PutUint64(p.client[:], uint64(p.n))
	if like != nil {
		p.shown = like.shown
		if b.perTab { // sessionStorage: copied with what it holds at this moment
			p.client, p.seqs = like.client, like.seqs
		}
	}
	b.tabs = append(b.tabs, p)
	b.log("browser %d: page c%d opens, topic %d", b.id, p.n, p.shown)
	b.after(b.ms(0, 10), func() { p.locked = !p.dead }) // locks are granted later
	b.after(b.ms(1, 30), p.connect)
	b.after(b.ms(1, 60), p.watch)
	return p
}

// watch runs for as long as the page lives: it adopts, and gives up a
// connection that says nothing.
func (p *page) watch() {
	if p.dead {
		return
	}
	if p.awake() {
		if !p.adoptOnce {
			p.adopt()
		}
		p.finish()
		if p.waiting && p.now()-p.since > 8*time.Second {
			p.disconnect(true)
		}
	}
	pause := p.ms(300, 900)
	if !p.busyNow() {
		pause = p.ms(2000, 15_000)
	}
	p.after(pause, p.watch)
}

// busyNow reports whether something is going on, so that pages look more often.
func (p *page) busyNow() bool { return p.busy || p.waiting }

func (p *page) click(do string) {
	t := p.shown
	if p.maybe(0.25) {
		t = p.pick(topics)
	}
	if low := p.floor(p.client, t); low > 0 && low+window <= p.seqs[t]+1 {
		return // as many as may wait
	}
	p.seqs[t]++
	o := &op{client: p.client, page: p.n, topic: t, seq: p.seqs[t], do: do, made: p.now()}
	p.register(o)
	p.log("c%d: click %v", p.n, o)
	p.add(o)
	p.keep(o)
	p.send(p.entry(o))
}

// register makes an op known to the truth.
func (s *sim) register(o *op) {
	o.name = strconv.Itoa(len(s.ops))
	s.byName[o.name] = o
	s.ops = append(s.ops, o)
}

// keep writes an op to the outbox, for good.
func (p *page) keep(o *op) {
	p.write(p, o, func() {
		p.outbox = append(slices.Clone(p.outbox), o)
		o.durable = true
		p.log("outbox: %v is durable", o)
	})
}

func (p *page) add(o *op) {
	p.entries = append(p.entries, &entry{op: o, void: o.void})
	slices.SortStableFunc(p.entries, func(a, b *entry) int {
		if d := slices.Compare(a.op.client[:], b.op.client[:]); d != 0 {
			return d
		}
		if d := a.op.topic - b.op.topic; d != 0 {
			return d
		}
		return int(a.op.seq) - int(b.op.seq)
	})
}

func (p *page) entry(o *op) *entry {
	for _, e := range p.entries {
		if e.op == o {
			return e
		}
	}
	return nil
}

// floor is from: the lowest seq that is not answered, or whose answer is not
// durable; 0 if there is none.
func (p *page) floor(client state.Client, topic int) uint64 {
	for _, e := range p.entries {
		if e.op.client == client && e.op.topic == topic && (!e.done || !p.fromMemory) {
			return e.op.seq
		}
	}
	return 0
}

// adopt takes what no living page load owns, for any topic.
func (p *page) adopt() {
	for _, o := range p.outbox {
		switch {
		case o.client == p.client || p.entry(o) != nil || !p.orphan(o.client) || p.adoptShown && o.topic != p.shown:
		case p.renumber:
			p.adoptAnew(o)
		default:
			p.log("c%d adopts %v", p.n, o)
			p.add(o)
			p.owe(o)
			p.schedule(o.topic, time.Millisecond)
		}
	}
}

// adoptAnew is what the mutant renumber does.
func (p *page) adoptAnew(o *op) {
	p.seqs[o.topic]++
	n := &op{client: p.client, page: p.n, topic: o.topic, seq: p.seqs[o.topic], do: o.do, made: o.made, origin: o}
	p.log("c%d adopts %v as %v", p.n, o, n)
	p.register(n)
	p.add(n)
	p.forgetOp(o)
	p.keep(n)
	p.resend(o.topic)
}

// owe remembers to say fin for what was adopted.
func (p *page) owe(o *op) {
	for i := range p.foreign {
		if f := &p.foreign[i]; f.client == o.client && f.topic == o.topic {
			f.upto = max(f.upto, o.seq)
			return
		}
	}
	p.foreign = append(p.foreign, finMessage{o.client, o.topic, o.seq})
}

func (p *page) connect() {
	if !p.awake() || p.conn != nil {
		return
	}
	r := p.replicas[p.pick(len(p.replicas))]
	if !r.up {
		p.after(p.ms(20, 200), p.connect)
		return
	}
	p.conn = &conn{page: p, replica: r, life: r.life, lostFrom: 1 << 30}
	p.log("c%d connects to replica %d", p.n, r.id)
	if !p.adopted || !p.adoptOnce {
		p.adopted = true
		p.adopt()
	}
	p.waiting, p.since = true, p.now()
	r.beat(p.conn) // all is sent when the stamp has come
}

// disconnect cuts the connection; a part of what is under way still arrives.
func (p *page) disconnect(back bool) {
	if c := p.conn; c != nil {
		c.cut = true
		if p.maybe(0.5) {
			c.lostFrom = c.sent - p.pick(c.sent+1)
		}
		p.conn, p.waiting = nil, false
		p.log("c%d is cut off", p.n)
	}
	if back {
		p.after(p.ms(5, 300), p.connect)
	}
}

// resend sends all that is unanswered on a topic, in order. It looks into the
// outbox before: what was in it and is no more, another page has had the answer
// of.
func (p *page) resend(t int) {
	c := p.conn
	if c == nil || !c.told {
		return
	}
	if p.finMemory {
		p.transmitAll(c, t, c.stamp)
		return
	}
	stamp := c.stamp // before the outbox is read
	p.after(p.ms(1, 20), func() {
		if p.conn == c && p.awake() {
			p.transmitAll(c, t, stamp)
		}
	})
}

// transmitAll reads the outbox, and sends what waits of a topic.
func (p *page) transmitAll(c *conn, t int, stamp time.Time) {
	p.entries = slices.DeleteFunc(slices.Clone(p.entries), func(e *entry) bool {
		return !p.finMemory && e.op.topic == t && !e.done && e.op.durable && !slices.Contains(p.outbox, e.op)
	})
	p.waiting = p.waiting && slices.ContainsFunc(p.entries, func(e *entry) bool { return !e.done })
	var list []*entry
	var from []uint64
	for _, e := range p.entries {
		if e.op.topic == t && !e.done {
			list, from = append(list, e), append(from, p.floor(e.op.client, t))
		}
	}
	sleep := time.Duration(0) // of the whole machine, between reading and sending
	if p.chance(0.1) {
		most := []int64{9000, 150_000, 720_000}[p.pick(3)]
		sleep = p.ms(most/6, most)
	}
	p.after(sleep, func() {
		if p.conn != c || !p.awake() {
			return
		}
		if p.lateStamp {
			stamp = c.stamp
		}
		for i, e := range list {
			p.transmit(e, stamp, from[i])
		}
	})
}

// finish says fin for every topic on which nothing is left: of the page's own
// client, and of those it has adopted from.
func (p *page) finish() {
	if p.conn == nil {
		return
	}
	for t, upto := range p.seqs {
		if upto > p.finned[t] && p.empty(p.client, t) {
			p.finned[t] = upto
			p.say(finMessage{p.client, t, upto})
		}
	}
	p.foreign = slices.DeleteFunc(slices.Clone(p.foreign), func(m finMessage) bool {
		left := slices.ContainsFunc(p.outbox, func(o *op) bool { return o.client == m.client && o.topic == m.topic })
		if !p.empty(m.client, m.topic) || left && !p.finEarly {
			return false
		}
		p.say(m)
		return true
	})
}

// empty reports whether nothing of a client is left in memory on a topic.
func (p *page) empty(client state.Client, t int) bool {
	return !slices.ContainsFunc(p.entries, func(e *entry) bool {
		return e.op.client == client && e.op.topic == t && !(p.finEarly && e.done)
	})
}

func (p *page) say(m finMessage) {
	p.log("c%d: fin (c%d, %d)t%d", p.n, binary.BigEndian.Uint64(m.client[:]), m.upto, m.topic)
	c := p.conn
	p.up(func() { c.replica.finished(m) })
}

// up sends one message.
func (p *page) up(arrives func()) {
	c, n := p.conn, p.conn.sent
	c.sent++
	c.lastUp = max(c.lastUp+time.Microsecond, p.now()+p.wire())
	p.after(c.lastUp-p.now(), func() {
		if n < c.lostFrom && c.replica.life == c.life {
			arrives()
		}
	})
}

// send sends what is new.
func (p *page) send(e *entry) {
	if p.conn != nil && p.conn.told {
		p.transmit(e, p.conn.stamp, p.floor(e.op.client, e.op.topic))
	}
}

func (p *page) transmit(e *entry, stamp time.Time, from uint64) {
	c := p.conn
	if e.done {
		return
	}
	if !p.waiting {
		p.waiting, p.since = true, p.now()
	}
	m := message{op: e.op, do: e.op.do, age: p.now() - e.op.made, conn: c, stamp: stamp, from: from}
	if p.noAge {
		m.age = 0
	}
	if p.calm {
		e.op.sends++
	}
	if e.void {
		m.do = state.Void
	}
	if p.staleFrom {
		if e.from == 0 {
			e.from = m.from
		}
		m.from = e.from
	}
	p.up(func() { c.replica.receive(m) })
}

// hear takes an answer.
func (p *page) hear(o *op, v state.Verdict) {
	p.waiting = slices.ContainsFunc(p.entries, func(e *entry) bool { return !e.done && e.op != o })
	p.since = p.now()
	e := p.entry(o)
	switch {
	case e == nil || e.done:
	case v == state.Retry && p.retryOne:
		p.after(p.ms(50, 800), func() { p.resendOne(e) })
	case v == state.Retry:
		p.backoff = min(max(50*time.Millisecond, p.backoff*2), 5*time.Second)
		p.schedule(o.topic, p.backoff+time.Duration(p.rng.Int64N(int64(p.backoff)/2)))
	default:
		p.backoff = 0
		p.log("c%d hears: %v %v", p.n, o, v)
		p.heard(o, v, slices.Contains(p.outbox, o))
		p.forgetOp(o)
		if p.leaving {
			p.quit()
		}
	}
}

// resendOne is resend of one op alone.
func (p *page) resendOne(e *entry) {
	c := p.conn
	if c == nil || !c.told || !p.awake() {
		return
	}
	stamp := c.stamp
	p.after(p.ms(1, 20), func() {
		if p.conn == c && p.awake() && (!e.op.durable || slices.Contains(p.outbox, e.op)) {
			p.transmit(e, stamp, p.floor(e.op.client, e.op.topic))
		}
	})
}

// schedule has all of a topic sent again, in order: never the one op alone.
func (p *page) schedule(t int, after time.Duration) {
	if p.retry[t] {
		return
	}
	p.retry[t] = true
	p.after(after, func() {
		p.retry[t] = false
		if p.awake() {
			p.resend(t)
		}
	})
}

// forgetOp removes an op from the outbox.
func (p *page) forgetOp(o *op) {
	if e := p.entry(o); e != nil {
		e.done = true
	}
	p.write(p, o, func() {
		p.outbox = slices.DeleteFunc(slices.Clone(p.outbox), func(x *op) bool { return x == o })
		p.entries = slices.DeleteFunc(slices.Clone(p.entries), func(e *entry) bool { return e.op == o })
	})
}

// giveUp drops an op without an answer: nobody will know what became of it.
func (p *page) giveUp() {
	if e := p.unanswered(); e != nil {
		e.op.gaveUp = true
		p.log("c%d gives up %v", p.n, e.op)
		p.forgetOp(e.op)
	}
}

// withdraw asks for an op not to count: it becomes a void op with its seq. The
// answer says which of the two it was: refused is withdrawn, ack is applied.
func (p *page) withdraw() {
	if e := p.unanswered(); e != nil && !p.renumber {
		p.log("c%d withdraws %v", p.n, e.op)
		e.void = true
		p.write(p, e.op, func() { e.op.void = true })
		p.resend(e.op.topic)
	}
}

// unanswered is one of the ops that wait, or nil.
func (p *page) unanswered() *entry {
	for _, e := range p.entries {
		if !e.done && p.maybe(0.5) {
			return e
		}
	}
	return nil
}

// freeze is what bfcache does. The lock goes, as Web Locks says, or stays.
func (p *page) freeze() {
	p.finish()
	p.log("c%d is frozen", p.n)
	p.disconnect(false)
	p.frozen = true
	if p.maybe(0.7) {
		p.locked = false // and is not asked for again
	}
}

func (p *page) thaw() {
	p.log("c%d thaws", p.n)
	p.frozen = false
	p.after(p.ms(0, 50), p.connect)
}

// end ends a page load; torn: what it was writing is lost.
func (p *page) end(torn bool) {
	if p.awake() && !torn {
		p.finish() // pagehide
	}
	p.log("c%d ends", p.n)
	p.disconnect(false)
	p.dead, p.torn, p.locked = true, torn, false
	p.tabs = slices.DeleteFunc(slices.Clone(p.tabs), func(x *page) bool { return x == p })
}

// quit is what a person does who closes the browser: pages are told, and may not
// write all that they have begun to.
func (b *browser) quit() {
	ended := slices.Clone(b.tabs)
	for _, p := range ended {
		p.end(false)
	}
	b.after(b.ms(0, 40), func() {
		for _, p := range ended {
			p.torn = true
		}
	})
}

func (b *browser) crash() {
	b.log("browser %d crashes", b.id)
	b.life++
	b.written = b.now()
	if b.relaxed && b.before != nil {
		b.outbox = b.before
	}
	for _, p := range slices.Clone(b.tabs) {
		p.end(true)
	}
}
