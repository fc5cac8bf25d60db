package livetest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"lockstep/htmx"
)

// This file has the rules of docs/protocol.md by which an op counts once, as they are for a browser
// that loses nothing of its outbox.

// An op is what a person did, until it has its final answer. It is guarded by Browser.mu.
type op struct {
	// set once
	name         laneKey
	seq          uint64
	do           string
	in           map[string]any // texts, and lists of texts
	user, grant  string
	secret       bool // it is not kept when its page is closed
	maker        *page
	form         *html.Node            // that it was sent by; nil: none
	edited       map[*html.Node]string // what was typed into the form's controls
	checks       map[*html.Node]bool   // likewise: checked
	keeper       *page                 // sends it; nil: nobody does
	flying, sent time.Time             // when the keeper has sent it last, and when it was sent first; zero: it was not
}

// A laneKey names the ops of one page load on one topic.
type laneKey struct{ client, topic string }

// A lane is what a browser knows of these.
type lane struct {
	last, done uint64 // the newest seq, and that up to which the replica was told that it is done with
	touched    time.Time
	user       string
	grant      string
	keeper     *page // nil: its page is closed
}

// How long pauses are between two sendings of what a replica could not take.
const (
	retryMin = 20 * time.Millisecond
	retryMax = 500 * time.Millisecond
)

// newClient returns what no other page load is called.
func newClient() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// from is the lowest seq of a lane that has no answer; 0: there is none. The caller holds mu.
func (b *Browser) from(name laneKey) uint64 {
	for _, o := range b.outbox {
		if o.name == name {
			return o.seq
		}
	}
	return 0
}

// keep takes an op, and gives it its number; full: there are too many. The caller holds mu.
func (b *Browser) keep(p *page, o *op) (full bool) {
	name := laneKey{p.client, o.name.topic}
	l := b.lanes[name]
	if l == nil {
		l = &lane{user: p.user, grant: p.grants[name.topic], keeper: p}
		b.lanes[name] = l
	}
	if from := b.from(name); from > 0 && l.last+1-from >= htmx.MaxOutbox {
		return true
	}
	l.last++
	l.touched = time.Now()
	o.name, o.seq, o.user, o.grant, o.maker, o.keeper = name, l.last, p.user, l.grant, p, p
	b.outbox = append(b.outbox, o)
	return false
}

// waits reports whether an action of a page waits. The caller holds mu.
func (b *Browser) waits(p *page, topic, do string) bool {
	return slices.ContainsFunc(b.outbox, func(o *op) bool { return o.maker == p && o.name.topic == topic && o.do == do })
}

// find returns an op that waits, or nil. The caller holds mu.
func (b *Browser) find(name laneKey, seq uint64) *op {
	i := slices.IndexFunc(b.outbox, func(o *op) bool { return o.name == name && o.seq == seq })
	if i < 0 {
		return nil
	}
	return b.outbox[i]
}

// remove takes an op out that has its answer. The caller holds mu.
func (b *Browser) remove(o *op) {
	b.outbox = slices.DeleteFunc(b.outbox, func(one *op) bool { return one == o })
	if l := b.lanes[o.name]; l != nil {
		l.touched = time.Now()
	}
}

// adopt has a page see to what closed pages of the same person have left. The caller holds mu.
func (b *Browser) adopt(p *page) {
	for _, o := range b.outbox {
		if o.keeper == nil && o.user == p.user {
			o.keeper, o.flying = p, time.Time{}
		}
	}
	for _, l := range b.lanes {
		if l.keeper == nil && l.user == p.user {
			l.keeper = p
		}
	}
}

// release gives up what a page sees to: with all of it when it is closed, or, when it has lost its
// connection, with what others have left. The caller holds mu.
func (b *Browser) release(p *page, closed bool) {
	b.outbox = slices.DeleteFunc(b.outbox, func(o *op) bool { return closed && o.maker == p && o.secret })
	for _, o := range b.outbox {
		if o.keeper != p {
			continue
		}
		o.flying = time.Time{}
		if closed || o.maker != p {
			o.keeper = nil
		}
	}
	for name, l := range b.lanes {
		if l.keeper == p && (closed || name.client != p.client) {
			l.keeper = nil
		}
	}
	b.wake()
}

// message is an op as it is sent now. The caller holds mu.
func (b *Browser) message(p *page, o *op, now time.Time) []byte {
	m := map[string]any{
		"op": []any{o.name.client, o.seq, b.from(o.name)}, "seen": p.clock, "t": o.name.topic, "do": o.do, "in": o.in,
	}
	if age := now.Sub(o.sent); !o.sent.IsZero() && age >= time.Second {
		m["age"] = age.Seconds()
	}
	if p.grants[o.name.topic] == "" && o.grant != "" {
		m["grant"] = o.grant
	}
	return encode(m)
}

// encode encodes what has texts, numbers and lists.
func encode(m map[string]any) []byte {
	text, _ := json.Marshal(m) // it can be
	return text
}

// posts are the messages of ops that are due, and when there are more; the zero time: nobody knows.
// The caller holds mu.
func (b *Browser) posts(p *page, now time.Time) (messages [][]byte, next time.Time) {
	b.adopt(p)
	for _, o := range b.outbox {
		if o.keeper == p && !o.flying.IsZero() && now.Sub(o.flying) >= htmx.AnswerTimeout {
			p.again(b, o.name.topic)
		}
	}
	for _, o := range b.outbox {
		switch at := p.resend[o.name.topic]; {
		case o.keeper != p:
		case at.After(now):
			next = earlier(next, at)
		case o.flying.IsZero():
			messages = append(messages, b.message(p, o, now))
			o.flying = now
			if o.sent.IsZero() {
				o.sent = now
			}
			fallthrough
		default:
			next = earlier(next, o.flying.Add(htmx.AnswerTimeout))
		}
	}
	fins, at := b.fins(p, now, htmx.FinPause)
	return append(messages, fins...), earlier(next, at)
}

// fins are messages of lanes of which no answer is needed any more, and when there are more. What
// closed pages have left is done with at once. The caller holds mu.
func (b *Browser) fins(p *page, now time.Time, pause time.Duration) (messages [][]byte, next time.Time) {
	for _, name := range slices.SortedFunc(maps.Keys(b.lanes), laneKey.compare) {
		l := b.lanes[name]
		if l.keeper != p || l.done == l.last || b.from(name) > 0 {
			continue
		}
		due := l.touched.Add(pause)
		if name.client != p.client {
			due = l.touched
		}
		if due.After(now) {
			next = earlier(next, due)
			continue
		}
		l.done = l.last
		m := map[string]any{"fin": []any{name.client, l.last}, "t": name.topic}
		if p.grants[name.topic] == "" && l.grant != "" {
			m["grant"] = l.grant
		}
		messages = append(messages, encode(m))
	}
	return messages, next
}

func (k laneKey) compare(other laneKey) int {
	if k.topic != other.topic {
		return strings.Compare(k.topic, other.topic)
	}
	return strings.Compare(k.client, other.client)
}

// earlier is the earlier of two times, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
