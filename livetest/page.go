package livetest

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/html"
)

// How long pauses are between two attempts to connect.
const (
	reconnectMin = 2 * time.Millisecond
	reconnectMax = 200 * time.Millisecond
)

// maxMessage is the longest message that a tab takes, in bytes.
const maxMessage = 4 << 20

// A page is one load of a page in a tab.
type page struct {
	// set once
	tab    *Tab
	url    *url.URL
	code   int    // of the answer to its request
	socket string // its address; "": the page is not live
	client string
	user   string
	grants map[string]string // by topic
	stop   context.CancelFunc
	done   chan struct{} // closed when run has ended

	// guarded by Browser.mu
	doc     *document
	shown   map[string]at        // by topic
	resend  map[string]time.Time // by topic: when what waits is sent again; zero: now
	pauses  map[string]time.Duration
	clock   int64 // of the server, as it was heard last
	link    *link // nil: there is none
	status  string
	problem string // why there is no connection; "": nobody knows
	casts   []cast
}

// An at is how new a state is.
type at struct{ epoch, version uint64 }

func (a at) before(b at) bool {
	if a.epoch != b.epoch {
		return a.epoch < b.epoch
	}
	return a.version < b.version
}

// A cast is what is sent once, or not at all.
type cast struct {
	topic, name string
	in          map[string]any
}

// A link is one connection of a page.
type link struct {
	// set once
	kick  chan struct{}
	end   context.CancelFunc
	ended chan struct{}

	// guarded by Browser.mu
	queue [][]byte // is to be sent at once
	heard bool     // the server has told its clock
	last  bool     // it ends when what is due was sent
}

// newPage reads a page. The caller starts it.
func newPage(tab *Tab, u *url.URL, code int, root *html.Node) *page {
	p := &page{
		tab: tab, url: u, code: code, client: newClient(), done: make(chan struct{}), doc: newDocument(root, tab.b.script),
		shown: make(map[string]at), resend: make(map[string]time.Time), pauses: make(map[string]time.Duration),
	}
	live := p.doc.first(func(n *html.Node) bool { return has(n, "hx-ws:connect") })
	if live == nil || !tab.b.script {
		return p
	}
	p.socket, p.user, p.status = attr(live, "hx-ws:connect"), attr(live, "data-user"), "connecting"
	_ = json.Unmarshal([]byte(cmp.Or(attr(live, "data-grants"), "{}")), &p.grants) // without any it can show, and not leave anything
	for _, n := range p.doc.all(func(n *html.Node) bool { return has(n, "data-version") }) {
		p.shown[attr(n, "data-topic")] = at{number(n, "data-epoch"), number(n, "data-version")}
	}
	return p
}

// run keeps the page connected until ctx ends.
func (p *page) run(ctx context.Context) {
	defer close(p.done)
	for pause := reconnectMin; ctx.Err() == nil; {
		if !p.tab.awaitOnline(ctx) {
			return
		}
		if p.connect(ctx) {
			pause = reconnectMin
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
		}
		pause = min(2*pause, reconnectMax)
	}
}

// connect is one connection, from its beginning to its end. It reports whether there was one.
func (p *page) connect(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ws, answer, err := websocket.Dial(ctx, p.address(), &websocket.DialOptions{ //nolint:bodyclose // the library has closed it
		HTTPClient: p.tab.client(), HTTPHeader: http.Header{"Origin": {site}},
	})
	if err != nil {
		p.failed(answer, err)
		return false
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxMessage)
	l := p.linked(cancel)
	defer p.unlinked(l)
	written := make(chan struct{})
	go func() { // ends with ctx
		p.write(ctx, ws, l)
		close(written)
	}()
	for {
		_, message, err := ws.Read(ctx)
		if err != nil {
			break
		}
		p.take(l, message)
	}
	cancel()
	<-written
	return true
}

// address is that of the socket: as the page says it, relative to the page.
func (p *page) address() string {
	u, err := p.url.Parse(p.socket)
	if err != nil {
		return p.socket // which nobody can connect to either
	}
	return "ws" + strings.TrimPrefix(u.String(), "http")
}

// failed takes note of why there is no connection.
func (p *page) failed(answer *http.Response, err error) {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.problem = err.Error()
	if answer != nil && answer.Header.Get(problemHeader) != "" {
		p.problem = answer.Header.Get(problemHeader)
	}
	p.setStatus("offline")
}

// problemHeader has a sentence for the person at a page that can't connect.
const problemHeader = "Lockstep-Problem"

func (p *page) linked(end context.CancelFunc) *link {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	l := &link{kick: make(chan struct{}, 1), end: end, ended: make(chan struct{})}
	p.link, p.problem = l, ""
	p.hello(l, "")
	if p.tab.offline {
		end()
	}
	return l
}

func (p *page) unlinked(l *link) {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.link, p.casts = nil, nil
	close(l.ended)
	clear(p.resend)
	b.release(p, false)
	p.setStatus("offline")
}

// hello says what the page shows; of the topic missed it says that it shows nothing. The caller
// holds mu.
func (p *page) hello(l *link, missed string) {
	all := make(map[string][2]uint64)
	for topic, at := range p.shown {
		all[topic] = [2]uint64{at.epoch, at.version}
		if topic == missed {
			all[topic] = [2]uint64{}
		}
	}
	l.queue = append(l.queue, encode(map[string]any{"hello": 2, "client": p.client, "at": all}))
	l.wake()
}

func (l *link) wake() {
	select {
	case l.kick <- struct{}{}:
	default: // it is awake
	}
}

// write sends what is due until ctx ends, or the connection does.
func (p *page) write(ctx context.Context, ws *websocket.Conn, l *link) {
	for {
		messages, next, last := p.outgoing(l)
		for _, m := range messages {
			last = ws.Write(ctx, websocket.MessageText, m) != nil || last
		}
		if last {
			l.end()
			return
		}
		wait := time.Hour // nobody knows of anything
		if !next.IsZero() {
			wait = time.Until(next)
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.kick:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// outgoing returns what is to be sent now, when to look again, and whether that is all.
func (p *page) outgoing(l *link) (messages [][]byte, next time.Time, last bool) {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, l.queue = l.queue, nil
	if !l.heard {
		return messages, next, l.last
	}
	posts, next := b.posts(p, time.Now())
	messages = append(messages, posts...)
	for _, c := range p.casts {
		messages = append(messages, encode(map[string]any{"cast": c.name, "t": c.topic, "in": c.in}))
	}
	p.casts = nil
	return messages, next, l.last
}

// again has all that waits of a topic sent again, after a pause that grows. The caller holds mu.
func (p *page) again(b *Browser, topic string) {
	for _, o := range b.outbox {
		if o.keeper == p && o.name.topic == topic {
			o.flying = time.Time{}
		}
	}
	pause := max(p.pauses[topic], retryMin)
	p.resend[topic] = time.Now().Add(pause)
	p.pauses[topic] = min(2*pause, retryMax)
}

// setStatus has the page say how it is. The caller holds mu.
func (p *page) setStatus(status string) {
	p.status = status
	if n := p.doc.byID("status"); n != nil {
		setAttr(n, "data-state", status)
	}
	p.tab.wake()
}

// lastWords is how long a page that is left may take to say that it needs no more answers.
const lastWords = time.Second

// leave ends the page: what waits is left to others. It waits for run.
func (p *page) leave() {
	if p.stop == nil {
		return
	}
	if l := p.sayFin(); l != nil {
		select {
		case <-l.ended:
		case <-time.After(lastWords):
		}
	}
	p.stop()
	<-p.done
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.release(p, true)
}

// sayFin ends the connection after the replica was told what needs no answers any more. Nil: there
// is none.
func (p *page) sayFin() *link {
	b := p.tab.b
	b.mu.Lock()
	defer b.mu.Unlock()
	l := p.link
	if l == nil {
		return nil
	}
	if l.heard {
		messages, _ := b.fins(p, time.Now(), 0)
		l.queue = append(l.queue, messages...)
	}
	l.last = true
	l.wake()
	return l
}

// number is an attribute that is one; 0: it is none.
func number(n *html.Node, name string) uint64 {
	var v uint64
	_ = json.Unmarshal([]byte(attr(n, name)), &v) // it is 0 then
	return v
}
