package livetest

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// heard is what a message says: docs/protocol.md.
type heard struct {
	T, Content, Error, Status string
	E, A, V                   *uint64
	Ack                       []opName
	Op                        *opName
	Refused                   *string
	Retry, Settled, Old, Back bool
	Clock                     int64
}

// An opName is that of an op, beside its topic.
type opName struct {
	client string
	seq    uint64
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *opName) UnmarshalJSON(raw []byte) error {
	parts := []any{&n.client, &n.seq}
	return json.Unmarshal(raw, &parts)
}

// take takes in one message.
func (p *page) take(l *link, message []byte) {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	defer p.tab.wake()
	var m heard
	if err := json.Unmarshal(message, &m); err != nil {
		p.tab.t.Errorf("livetest: the server sent %q: %v", message, err)
		return
	}
	p.update(l, &m)
	p.answers(&m)
	if m.Clock != 0 {
		p.clock = m.Clock
		l.heard = true
	}
	if m.Status != "" {
		p.setStatus(m.Status)
	}
	if m.Error != "" {
		p.tell(m.Error)
	}
	l.wake()
}

// update shows what a message says of the page. The caller holds mu.
func (p *page) update(l *link, m *heard) {
	if m.E != nil && m.V != nil {
		is, was := at{*m.E, *m.V}, p.shown[m.T]
		switch {
		case !m.Back && is.before(was):
			return
		case m.A != nil && (was.epoch != is.epoch || was.version < *m.A):
			p.hello(l, "") // something is missing
			return
		}
		p.shown[m.T] = is
	}
	if m.Content == "" {
		return
	}
	if err := p.doc.apply(m.Content); err != nil {
		p.hello(l, m.T)
	}
}

// answers takes in what a message says of ops. The caller holds mu.
func (p *page) answers(m *heard) {
	b := p.tab.b
	for _, n := range m.Ack {
		if o := b.find(laneKey{n.client, m.T}, n.seq); o != nil {
			p.settled(o, false)
		}
	}
	if m.Op == nil {
		return
	}
	o := b.find(laneKey{m.Op.client, m.T}, m.Op.seq)
	switch {
	case o == nil:
	case m.Retry:
		p.again(b, m.T)
	case m.Refused != nil:
		p.refused(o, *m.Refused)
		p.settled(o, true)
	case m.Old:
		p.lose()
		p.settled(o, false)
	default:
		p.settled(o, false)
	}
}

// settled takes in that an op has its final answer. The caller holds mu.
func (p *page) settled(o *op, refused bool) {
	p.doc.settle(o, refused)
	p.tab.b.remove(o)
	delete(p.pauses, o.name.topic)
	delete(p.resend, o.name.topic)
	p.tab.b.showWaiting()
}

// showWaiting has all pages say how much waits. The caller holds mu.
func (b *Browser) showWaiting() {
	for _, tab := range b.tabs {
		if tab.page != nil {
			tab.page.showWaiting()
		}
		tab.wake()
	}
}

// showWaiting has the page say how much of what it sees to waits. The caller holds mu.
func (p *page) showWaiting() {
	waiting := 0
	for _, o := range p.tab.b.outbox {
		if o.keeper == p {
			waiting++
		}
	}
	p.doc.count("waiting", waiting)
}

// count has an element say how many of something there are; none: it is hidden.
func (d *document) count(id string, n int) {
	el := d.byID(id)
	if el == nil {
		return
	}
	setAttr(el, "data-n", strconv.Itoa(n))
	setFlag(el, "hidden", n == 0)
	if first := firstElement(el); first != nil {
		setText(first, strconv.Itoa(n))
	}
}

// lose says that nobody knows of an op whether it counted. The caller holds mu.
func (p *page) lose() {
	n := 0
	if el := p.doc.byID("lost"); el != nil && !has(el, "hidden") {
		n, _ = strconv.Atoi(attr(el, "data-n"))
	}
	p.doc.count("lost", n+1)
}

// tell says something to the person. The caller holds mu.
func (p *page) tell(text string) {
	if n := p.doc.byID("notice"); n != nil {
		setText(n, text)
	}
}

// refused says why an op is not done: beside the fields that it is of, or in the notice. What was
// written is given back. The caller holds mu.
func (p *page) refused(o *op, reason string) {
	form := p.doc.formOf(o)
	var wrong map[*html.Node]string
	if has(form, "data-once") && p.doc.loads("forms") {
		wrong = p.doc.wrong(reason)
	}
	if wrong == nil {
		p.tell(reason)
	}
	for place, text := range wrong {
		setText(place, text)
	}
	if form != nil && p.doc.isWritten(form) {
		p.doc.giveBack(form, o)
	}
}

// fieldError is a line of a refusal that is of fields.
var fieldError = regexp.MustCompile(`^([A-Za-z][\w-]*): (.*)$`)

// wrong returns what is wrong with the fields of a form, by the places where that is said; nil: the
// reason is of something else.
func (d *document) wrong(reason string) map[*html.Node]string {
	all := make(map[*html.Node]string)
	for line := range strings.SplitSeq(reason, "\n") {
		m := fieldError.FindStringSubmatch(line)
		if m == nil || d.byID("error-"+m[1]) == nil {
			return nil
		}
		all[d.byID("error-"+m[1])] = m[2]
	}
	return all
}

// submit keeps an op, and has it sent. The caller holds mu.
func (p *page) submit(topic, do string, in map[string]any, form *html.Node) {
	b := p.tab.b
	o := &op{name: laneKey{topic: topic}, do: do, in: in, form: form, secret: form != nil && p.doc.isSecret(form)}
	p.tell("")
	switch {
	case form != nil && has(form, "data-once") && p.doc.loads("forms") && b.waits(p, topic, do):
		return // it is not sent again while it waits
	case len(b.message(p, o, time.Now())) > maxOp:
		p.tell(attr(p.doc.byID("notice"), "data-long"))
		return
	case b.keep(p, o):
		p.tell(attr(p.doc.byID("notice"), "data-full"))
		return
	}
	if form != nil {
		p.doc.sent(form, o)
	}
	if p.link != nil {
		p.link.wake()
	}
	b.showWaiting()
}
