package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// Sizes of requests, as static/tab/request.js has them, in bytes.
const (
	batchBytes  = 3000 // of messages that go together, about
	headerBytes = 4000 // of messages in the header
)

// HiddenPause is the time between two questions of a hidden tab without a websocket.
const HiddenPause = htmx.PollHidden

// codeNormal is how an answer ends after which the tab goes on.
const codeNormal = 1000

var (
	errHeld   = errors.New("a stream is held back")
	errSilent = errors.New("a stream says nothing")
)

// overHTTP is the connection of a tab without a websocket, as static/plain.js has it: a stream
// shows what is new, and what the tab sends goes in exchanges, one at a time. It has a goroutine
// for each request, which ends with the request or with close.
type overHTTP struct {
	plain // does nothing, where there is no socket

	// set once
	l      *loop
	t      *tab
	life   uint32
	view   *protocol.View
	ctx    context.Context // ends with close; it is of the requests, not of a call
	cancel context.CancelFunc

	// owned by the loop
	hello  []byte   // each request begins with it; nil: none was sent
	queue  [][]byte // messages to be sent
	asking bool     // an exchange is under way, or about to be
	held   bool     // something holds streams back
	ending int      // the code that the stream has ended with, during an exchange; 0: it has not
}

func newOverHTTP(l *loop, t *tab) *overHTTP {
	c := &overHTTP{l: l, t: t, life: t.life, view: t.view}
	c.ctx, c.cancel = context.WithCancel(l.fleet.ctx)
	return c
}

func (c *overHTTP) write([]byte) error { return nil }
func (c *overHTTP) close()             { c.cancel() }

// begin takes what was said before there was a connection, and opens the stream.
func (c *overHTTP) begin(said [][]byte) {
	order := new(sequence)
	for _, message := range said {
		if c.alive() {
			c.take(message, order)
		}
	}
	if c.alive() {
		c.follow()
	}
}

// alive reports whether it is still the connection of its tab.
func (c *overHTTP) alive() bool { return c.t.life == c.life }

// text sends a message. The first is the hello.
func (c *overHTTP) text(message []byte, _ *rand.Rand) error {
	switch {
	case c.hello == nil:
		c.hello = message
	case len(c.queue) >= plainQueue:
		return io.ErrShortWrite
	default:
		c.queue = append(c.queue, message)
	}
	c.ask()
	return nil
}

// ---- messages ----

// ask sends what waits, and hears what there is. What is sent in the same round goes together.
func (c *overHTTP) ask() {
	if c.asking {
		return
	}
	c.asking = true
	c.l.post(func() {
		if c.alive() {
			c.exchange()
		}
	})
}

func (c *overHTTP) exchange() {
	messages := append(c.greeting(), c.batch()...)
	c.l.fleet.sockets.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, htmx.ExchangeTimeout+htmx.ConnectTimeout)
		defer cancel()
		code, err := c.request(ctx, "", messages, func() {})
		c.post(func() { c.answered(code, err) })
	})
}

// answered goes on after an exchange.
func (c *overHTTP) answered(code int, err error) {
	c.asking = false
	switch {
	case err != nil:
		c.t.lost(c.l, err)
	case code != codeNormal:
		c.t.closed(c.l, code)
	case c.ending != 0:
		c.t.closed(c.l, c.ending)
	case len(c.queue) > 0:
		c.ask()
	}
}

// greeting is what each request begins with.
func (c *overHTTP) greeting() [][]byte {
	if c.hello == nil {
		return nil
	}
	return [][]byte{c.hello}
}

// batch takes the messages out of the queue that go together in one request.
func (c *overHTTP) batch() [][]byte {
	n := 0
	for size := 0; n < len(c.queue) && size < batchBytes; n++ {
		size += len(c.queue[n])
	}
	messages := c.queue[:n:n]
	c.queue = c.queue[n:]
	return messages
}

// ---- what is new ----

// follow opens the stream; or asks after a while, where there can be none. A browser has six
// connections to a server, so tabs that nobody looks at have none.
func (c *overHTTP) follow() {
	if c.t.hidden || c.held {
		c.poll()
		return
	}
	hello := c.greeting()
	c.l.fleet.sockets.Go(func() {
		code, err := c.listen(hello)
		c.post(func() { c.streamed(code, err) })
	})
}

// poll has the tab ask, and try again to have a stream, after a while.
func (c *overHTTP) poll() {
	pause := htmx.PollVisible
	if c.t.hidden {
		pause = HiddenPause
	}
	c.l.after(c.t, pause, timerPoll)
}

// streamed goes on after a stream.
func (c *overHTTP) streamed(code int, err error) {
	switch {
	case errors.Is(err, errHeld):
		c.held = true
		c.follow()
	case errors.Is(err, errSilent), err == nil && code == codeNormal:
		c.follow()
	case errors.As(err, new(Refusal)):
		c.l.countError("a stream: " + Cause(err))
		c.poll()
	case err != nil:
		c.t.lost(c.l, err)
	case c.asking:
		c.ending = code // what was sent before has its answer first
	default:
		c.t.closed(c.l, code)
	}
}

// listen has one stream, until it ends or says nothing for too long.
func (c *overHTTP) listen(hello [][]byte) (code int, err error) {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	held := time.AfterFunc(htmx.StreamTimeout, func() { cancel(errHeld) })
	defer held.Stop()
	silent := time.AfterFunc(htmx.StreamTimeout+htmx.SilenceTimeout, func() { cancel(errSilent) })
	defer silent.Stop()
	code, err = c.request(ctx, "stream=1", hello, func() {
		held.Stop()
		silent.Reset(htmx.SilenceTimeout)
	})
	if cause := context.Cause(ctx); err != nil && (errors.Is(cause, errHeld) || errors.Is(cause, errSilent)) {
		return 0, cause
	}
	return code, err
}

// ---- requests ----

// request makes a request, whose answer the tab takes, and returns the code that the answer ends
// with. It calls heard for each event.
func (c *overHTTP) request(ctx context.Context, query string, messages [][]byte, heard func()) (code int, err error) {
	body, err := c.l.fleet.postMessages(ctx, c.view, query, messages)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }() // it was read, or is not wanted
	reader := io.Reader(body)
	if c.t.slow && query != "" {
		reader = &slowly{ctx: ctx, r: body}
	}
	order := new(sequence)
	return answer(reader, func(message []byte) {
		heard()
		c.post(func() { c.take(message, order) })
	})
}

// take has the tab take a message.
func (c *overHTTP) take(message []byte, order *sequence) {
	c.l.seen.Counts.Bytes += int64(len(message))
	c.l.replicas[c.t.replica].seen.Bytes += int64(len(message))
	c.t.take(c.l, message, order)
}

// post has f run on the loop, if it is still the connection of its tab.
func (c *overHTTP) post(f func()) {
	c.l.post(func() {
		if c.alive() {
			f()
		}
	})
}

// tryHTTP finds out whether there is an answer at all, and returns what it says.
func (f *Fleet) tryHTTP(v *protocol.View) (said [][]byte, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, htmx.ExchangeTimeout+htmx.ConnectTimeout)
	defer cancel()
	body, err := f.postMessages(ctx, v, "", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // it was read, or is not wanted
	code, err := answer(body, func(message []byte) { said = append(said, message) })
	if err == nil && code != codeNormal {
		err = fmt.Errorf("closed by the server with %d", code)
	}
	return said, err
}

// postMessages makes a request of a tab and returns the body of the answer, which the caller has to
// close.
func (f *Fleet) postMessages(ctx context.Context, v *protocol.View, query string, messages [][]byte) (io.ReadCloser, error) {
	u, err := url.Parse(v.Socket)
	if err != nil {
		return nil, err
	}
	u.Scheme = strings.Replace(u.Scheme, "ws", "http", 1)
	u.RawQuery = strings.Trim(u.RawQuery+"&"+query, "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return nil, err
	}
	pack(req, messages)
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	// A connection may end just when it is used again. Browsers then send a request once more, and
	// net/http does if this is there, of which nothing is sent.
	req.Header["Idempotency-Key"] = []string{}
	return f.ask(req, v)
}

// pack puts messages into a request: into its header, or into its body if they are too long for
// that, or not ASCII.
func pack(req *http.Request, messages [][]byte) {
	list := bytes.Join(messages, []byte(", "))
	if len(list) <= headerBytes && bytes.IndexFunc(list, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		req.Header.Set("Lockstep-Messages", string(list))
		return
	}
	body := bytes.Join(messages, []byte("\n"))
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// answer calls f with each message of an answer, and returns the code that the answer ends with.
// One that is cut off is an error.
func answer(body io.Reader, f func(message []byte)) (code int, err error) {
	err = events(body, func(name string, data []byte) {
		if name != "close" {
			f(data)
			return
		}
		var end struct{ Code int }
		_ = json.Unmarshal(data, &end) // without a code it is cut off
		code = end.Code
	})
	if code != 0 {
		return code, nil
	}
	return 0, err
}

// A slowly reads as a slow tab does: now and then, and then for a moment.
type slowly struct {
	ctx  context.Context
	r    io.Reader
	busy time.Time // until then it reads
}

// slowMoment is for how long.
const slowMoment = 50 * time.Millisecond

// Read implements io.Reader.
func (s *slowly) Read(b []byte) (int, error) {
	if time.Now().Before(s.busy) {
		return s.r.Read(b)
	}
	pause := time.NewTimer(slowPause)
	defer pause.Stop()
	select {
	case <-pause.C:
		s.busy = time.Now().Add(slowMoment)
		return s.r.Read(b)
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}
