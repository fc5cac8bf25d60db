package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

// An outsider is a tab whose author has read docs/protocol.md and nothing else: what it knows
// of the page and of the wire is in this file.
type outsider struct {
	page, topic string
	http        *http.Client
	socket      string // of the page
	client      string

	ws    *websocket.Conn
	clock int64        // of the replica, as this connection has heard it last
	open  []outsiderOp // without an answer, in their order
	seq   uint64       // of the last
	said  map[uint64]outsiderAnswer
	shown outsiderState // the newest
}

// An outsiderOp is an op in an outbox.
type outsiderOp struct {
	seq  uint64
	do   string
	in   map[string]string
	made time.Time
}

type outsiderState struct{ epoch, version, count uint64 }

// An outsiderMessage is what a replica says.
type outsiderMessage struct {
	T       string              `json:"t"`
	E       uint64              `json:"e"`
	V       uint64              `json:"v"`
	Content string              `json:"content"`
	Back    bool                `json:"back"`
	Ack     [][]json.RawMessage `json:"ack"`
	Op      []json.RawMessage   `json:"op"`
	Refused *string             `json:"refused"`
	Settled bool                `json:"settled"`
	Old     bool                `json:"old"`
	Retry   bool                `json:"retry"`
	Error   string              `json:"error"`
	Status  string              `json:"status"`
	Clock   int64               `json:"clock"`
}

// An outsiderAnswer is what became of an op: "ack", "settled", "old", "retry" or "refused: " and
// why.
type outsiderAnswer string

// visitOutside loads a page as a browser does.
func visitOutside(t *testing.T, url, topic string) *outsider {
	t.Helper()
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	o := &outsider{
		page: url, topic: topic, http: newVisitorClient(t), client: base64.RawURLEncoding.EncodeToString(raw),
		said: make(map[uint64]outsiderAnswer),
	}
	o.load(t)
	return o
}

// load gets the page, and what is in it.
func (o *outsider) load(t *testing.T) {
	t.Helper()
	resp, err := o.http.Get(o.page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`hx-ws:connect="([^"]*)"`).FindAllSubmatch(text, -1)
	if len(m) != 1 {
		t.Fatalf("got %d elements with hx-ws:connect: %s", len(m), text)
	}
	o.socket = html.UnescapeString(string(m[0][1]))
	if !o.show(string(text)) {
		t.Fatalf("the page does not show %s: %s", o.topic, text)
	}
}

// show takes in a state that is part of a text, unless it is older than what is shown.
func (o *outsider) show(text string) bool {
	read := func(name string) (n uint64) {
		if m := regexp.MustCompile(name + `="(\d*)"`).FindStringSubmatch(text); m != nil {
			n, _ = strconv.ParseUint(m[1], 10, 64) // a page whose store is away says nothing
		}
		return n
	}
	if !regexp.MustCompile(`data-topic="` + o.topic + `"`).MatchString(text) {
		return false
	}
	s := outsiderState{read("data-epoch"), read("data-version"), read("data-count")}
	if s.epoch > o.shown.epoch || s.epoch == o.shown.epoch && s.version >= o.shown.version {
		o.shown = s
	}
	return true
}

// connect opens the socket, says hello, and waits for the replica's clock.
func (o *outsider) connect(ctx context.Context) error {
	origin := regexp.MustCompile(`^https?://[^/]+`).FindString(o.page)
	ws, _, err := websocket.Dial(ctx, origin+o.socket, &websocket.DialOptions{HTTPClient: o.http, HTTPHeader: http.Header{"Origin": {origin}}})
	if err != nil {
		return err
	}
	ws.SetReadLimit(1 << 20)
	o.ws, o.clock = ws, 0
	if err := o.tell(ctx, map[string]any{"hello": 2, "client": o.client, "at": map[string]any{o.topic: []uint64{o.shown.epoch, o.shown.version}}}); err != nil {
		return err
	}
	for o.clock == 0 {
		if err := o.hear(ctx); err != nil {
			return err
		}
	}
	return nil
}

// moveTo connects to another replica, as a page does whose own is away.
func (o *outsider) moveTo(t *testing.T, ctx context.Context, page string) {
	t.Helper()
	o.ws.CloseNow()
	o.page = page
	if err := o.connect(ctx); err != nil {
		t.Fatal(err)
	}
}

func (o *outsider) tell(ctx context.Context, m map[string]any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return o.ws.Write(ctx, websocket.MessageText, text)
}

// do makes an op, which is sent by send. age is how old it is already.
func (o *outsider) do(do string, in map[string]string, age time.Duration) (seq uint64) {
	o.seq++
	o.open = append(o.open, outsiderOp{o.seq, do, in, time.Now().Add(-age)})
	return o.seq
}

// send sends all ops without an answer, in their order.
func (o *outsider) send(ctx context.Context) error {
	for _, op := range o.open {
		if err := o.sendOne(ctx, op, o.open[0].seq); err != nil {
			return err
		}
	}
	return nil
}

func (o *outsider) sendOne(ctx context.Context, op outsiderOp, from uint64) error {
	m := map[string]any{"op": []any{o.client, op.seq, from}, "seen": o.clock, "t": o.topic, "do": op.do}
	if age := time.Since(op.made); age > time.Second {
		m["age"] = age.Seconds()
	}
	if op.in != nil {
		m["in"] = op.in
	}
	return o.tell(ctx, m)
}

// hear reads one message.
func (o *outsider) hear(ctx context.Context) error {
	_, text, err := o.ws.Read(ctx)
	if err != nil {
		return err
	}
	var m outsiderMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if m.Clock != 0 {
		o.clock = m.Clock
	}
	if m.T == o.topic && m.Content != "" {
		if m.Back {
			o.shown = outsiderState{}
		}
		if !o.show(m.Content) {
			return fmt.Errorf("a frame without its topic: %s", text)
		}
	}
	for _, op := range m.Ack {
		if err := o.answered(op, "ack"); err != nil {
			return err
		}
	}
	switch {
	case m.Op == nil && m.Error != "":
		return fmt.Errorf("a message is refused: %s", m.Error)
	case m.Op == nil:
		return nil
	case m.Refused != nil:
		return o.answered(m.Op, outsiderAnswer("refused: "+*m.Refused))
	case m.Settled:
		return o.answered(m.Op, "settled")
	case m.Old:
		return o.answered(m.Op, "old")
	case m.Retry:
		return o.answered(m.Op, "retry")
	}
	return fmt.Errorf("an answer that is none: %s", text)
}

// answered takes in the answer to an op. The same may come several times; a final one is for good,
// and may only be followed by that it is settled.
func (o *outsider) answered(op []json.RawMessage, answer outsiderAnswer) error {
	var client string
	var seq uint64
	if len(op) != 2 || json.Unmarshal(op[0], &client) != nil || json.Unmarshal(op[1], &seq) != nil || client != o.client || seq < 1 || seq > o.seq {
		return fmt.Errorf("an answer to somebody else's op: %s", op)
	}
	before := o.said[seq]
	switch {
	case answer == "retry", before != "" && answer == "settled":
		return nil
	case before != "" && before != answer:
		return fmt.Errorf("op %d is %q, and before it was %q", seq, answer, before)
	}
	o.said[seq] = answer
	o.open = slices.DeleteFunc(o.open, func(op outsiderOp) bool { return op.seq == seq })
	return nil
}

// settle sends what has no answer until everything has one: again after a while, and on a new
// connection when the old one ends.
func (o *outsider) settle(ctx context.Context) error {
	for len(o.open) > 0 {
		if err := o.send(ctx); err != nil {
			return err
		}
		quiet, cancel := context.WithTimeout(ctx, 3*time.Second)
		var err error
		for err == nil && len(o.open) > 0 {
			err = o.hear(quiet)
		}
		ended := quiet.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case ended:
			o.ws.CloseNow() // a Read that was cut off has ended it
			if err := o.connect(ctx); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// click clicks n times, some at once; each third is sent twice, and now and then the connection is
// cut when the answers may be on their way.
func (o *outsider) click(ctx context.Context, n int) error {
	for i := range n {
		o.do("increment", nil, 0)
		if i%4 != 3 && i+1 < n {
			continue
		}
		if err := o.send(ctx); err != nil {
			return err
		}
		if i%3 == 0 {
			if err := o.send(ctx); err != nil {
				return err
			}
		}
		if i%8 == 7 {
			o.ws.CloseNow()
			if err := o.connect(ctx); err != nil {
				return err
			}
		}
		if err := o.settle(ctx); err != nil {
			return err
		}
	}
	for seq := uint64(1); seq <= o.seq; seq++ {
		if o.said[seq] != "ack" {
			return fmt.Errorf("click %d is %q", seq, o.said[seq])
		}
	}
	return nil
}

// shows reads until the tab shows a count.
func (o *outsider) shows(ctx context.Context, n uint64) error {
	for o.shown.count != n {
		if o.shown.count > n {
			return fmt.Errorf("it shows %d, want %d", o.shown.count, n)
		}
		if err := o.hear(ctx); err != nil {
			return fmt.Errorf("it shows %d, want %d: %w", o.shown.count, n, err)
		}
	}
	return nil
}

// clickOutside has each of tabs click n times, and waits until all show what comes of it.
func clickOutside(t *testing.T, ctx context.Context, tabs []*outsider, n int, want uint64) {
	t.Helper()
	errs := make([]error, len(tabs))
	var wg sync.WaitGroup
	for i, o := range tabs {
		wg.Go(func() {
			if errs[i] = o.click(ctx, n); errs[i] == nil {
				errs[i] = o.shows(ctx, want)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// ask sends one op and returns what it is answered, whatever was answered before.
func (o *outsider) ask(ctx context.Context, op outsiderOp, from uint64) (outsiderAnswer, error) {
	before := o.said
	o.said = make(map[uint64]outsiderAnswer)
	o.seq = max(o.seq, op.seq)
	if err := o.sendOne(ctx, op, from); err != nil {
		return "", err
	}
	for o.said[op.seq] == "" {
		if err := o.hear(ctx); err != nil {
			return "", err
		}
	}
	answer := o.said[op.seq]
	o.said = before
	return answer, nil
}

// outsideStores calls f with the flags of each store that a server can have.
func outsideStores(t *testing.T, f func(t *testing.T, flags ...string)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); f(t, "-store", "mem:") })
	t.Run("file", func(t *testing.T) { t.Parallel(); f(t) })
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		f(t, "-pubsub", testserver.Redis(t).URL, "-channel-prefix", prefixOf(t), "-secret", testSecret)
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		f(t, "-pubsub", testserver.Postgres(t).URL, "-channel-prefix", prefixOf(t), "-secret", testSecret)
	})
}

// TestAnOutsideClientIsServedAsTheDocumentSays: nine tabs, which know nothing but
// docs/protocol.md, on each store.
func TestAnOutsideClientIsServedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	outsideStores(t, func(t *testing.T, flags ...string) {
		p := start(t, t.TempDir(), append([]string{"-addr", address(testserver.FreePort(t))}, flags...)...)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		const tabs, each = 9, 40
		var all []*outsider
		for range tabs {
			o := visitOutside(t, p.url+"/c/outside", "counter:outside")
			if err := o.connect(ctx); err != nil {
				t.Fatal(err)
			}
			defer func() { o.ws.CloseNow() }()
			all = append(all, o)
		}
		clickOutside(t, ctx, all, each, tabs*each)
		if late := visitOutside(t, p.url+"/c/outside", "counter:outside"); late.shown.count != tabs*each {
			t.Errorf("who comes late is shown %d, want %d", late.shown.count, tabs*each)
		}
		asksOutside(t, ctx, p.url)
	})
}

// asksOutside asks for each answer that an op can have.
func asksOutside(t *testing.T, ctx context.Context, url string) {
	t.Helper()
	const day = 24 * time.Hour
	o := visitOutside(t, url+"/bank/outside", "bank:outside")
	if err := o.connect(ctx); err != nil {
		t.Fatal(err)
	}
	defer o.ws.CloseNow()
	op := func(seq uint64, amount int, age time.Duration) outsiderOp {
		return outsiderOp{seq, "transfer", map[string]string{"from": "1", "to": "2", "amount": strconv.Itoa(amount)}, time.Now().Add(-age)}
	}
	for i, c := range []struct {
		op   outsiderOp
		from uint64
		want outsiderAnswer
	}{
		{op(1, 101, 0), 1, "refused: account 1 has only 100"},
		{op(2, 60, 6*day), 1, "ack"}, {op(2, 60, 6*day), 1, "ack"}, {op(2, 60, 9*day), 1, "ack"}, // once
		{op(1, 101, 6*day), 1, "refused: account 1 has only 100"}, // as it was, and not of now
		{op(3, 60, 0), 3, "refused: account 1 has only 40"},
		{op(1, 101, 0), 1, "settled"}, {op(2, 60, 0), 1, "settled"},
		{op(4, 1, 9*day), 4, "old"}, {op(4, 1, 0), 4, "ack"},
		{outsiderOp{5, "void", nil, time.Now()}, 5, "refused: withdrawn"}, {op(5, 1, 0), 5, "refused: withdrawn"},
		{op(6, 39, 0), 6, "ack"}, {op(7, 1, 0), 7, "refused: account 1 has only 0"},
	} {
		got, err := o.ask(ctx, c.op, c.from)
		if err != nil {
			t.Fatalf("question %d: %v", i, err)
		}
		if got != c.want {
			t.Errorf("question %d: got %q, want %q", i, got, c.want)
		}
	}
}

// TestAnOpOfSixDaysAgoCountsOnceInTheServer, which is killed each day, or each second day, and
// started on its file when the clock has gone on: while it runs, it goes by time that nobody sets.
func TestAnOpOfSixDaysAgoCountsOnceInTheServer(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	w := &cluster{T: t}
	p := &process{t: t, dir: t.TempDir(), args: []string{"-addr", address(testserver.FreePort(t))}}
	w.setClock(p)
	p.run()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	mine, others := visitOutside(t, p.url+"/c/days", "counter:days"), visitOutside(t, p.url+"/c/days", "counter:days")
	connect := func(o *outsider) {
		t.Helper()
		if o.ws != nil {
			o.ws.CloseNow()
		}
		o.load(t) // a session ends when nobody has used it for a month
		if err := o.connect(ctx); err != nil {
			t.Fatal(err)
		}
	}
	days, clicks := 0, uint64(0)
	pass := func(n, each int) {
		t.Helper()
		for range n {
			days += each
			w.clocks[0].set(t, time.Duration(days)*day)
			p.kill()
			p.restart()
			connect(others)
			if err := others.click(ctx, 1); err != nil {
				t.Fatal(err)
			}
			clicks++
		}
	}
	want := func(seq uint64, want outsiderAnswer) {
		t.Helper()
		connect(mine)
		op := outsiderOp{seq, "increment", nil, time.Now().Add(-time.Duration(days) * day)}
		if got, err := mine.ask(ctx, op, seq); err != nil || got != want {
			t.Errorf("click %d after %d days: got %q, %v, want %q", seq, days, got, err, want)
		}
	}
	want(1, "ack")
	pass(6, 1)
	want(1, "ack")
	want(1, "ack")
	pass(14, 2)
	want(1, "old")
	want(2, "old")
	if got := visitOutside(t, p.url+"/c/days", "counter:days").shown.count; got != clicks+1 {
		t.Errorf("got %d, want %d of others, and one", got, clicks)
	}
}
