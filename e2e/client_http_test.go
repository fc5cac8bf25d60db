package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"lockstep/htmx"
)

// exchangeClicks is how many messages of a client go in one exchange, at most.
const exchangeClicks = 20

var errCutOff = errors.New("the answer was cut off")

// A plainConn is the connection of a client without a websocket: a stream, and exchanges.
type plainConn struct {
	client *client
	base   string
	hello  string
	http   *http.Client
	cancel context.CancelFunc
}

// CloseNow implements tabConn.
func (p *plainConn) CloseNow() error { p.cancel(); return nil }

// withoutSocket is connection over plain HTTP, for the same time.
func (c *client) withoutSocket(ctx context.Context) error {
	c.group.join(c.name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	c.mu.Lock()
	p := &plainConn{
		client: c, http: &http.Client{Jar: c.http.Jar, Transport: transport}, cancel: cancel,
		hello: helloText(c.id, c.group.topic(), c.shown),
	}
	bases := c.bases
	c.mu.Unlock()
	kick := make(chan struct{}, 1)
	c.mu.Lock()
	c.begin(nil, kick) // its first answer has the clock
	c.mu.Unlock()
	if err := p.find(ctx, bases); err != nil {
		return err
	}
	c.mu.Lock()
	c.ws = p
	c.mu.Unlock()
	c.ended.Go(func() {
		defer cancel()
		for p.request(ctx, "&stream=1") == nil {
		}
	})
	return p.send(ctx, kick)
}

// find makes the first exchange with a base that answers.
func (p *plainConn) find(ctx context.Context, bases []string) error {
	err := errors.New("nowhere to connect")
	for _, p.base = range bases {
		if err = p.exchange(ctx); err == nil {
			return nil
		}
	}
	return err
}

// send is client.write.
func (p *plainConn) send(ctx context.Context, kick <-chan struct{}) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		for texts := p.client.unsent(p); len(texts) > 0; {
			n := min(len(texts), exchangeClicks)
			if err := p.exchange(ctx, texts[:n]...); err != nil {
				return err
			}
			texts = texts[n:]
		}
		select {
		case <-kick:
		case <-tick.C:
			if p.client.hangs() {
				return errors.New("it hangs")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// exchange sends messages and takes the answer. One is under way at a time.
func (p *plainConn) exchange(ctx context.Context, messages ...string) error {
	ctx, cancel := context.WithTimeout(ctx, htmx.ExchangeTimeout+htmx.ConnectTimeout)
	defer cancel()
	return p.request(ctx, "", messages...)
}

// request makes a request, and hands its answer to the client. It returns an error if the answer
// ends otherwise than after all was said.
func (p *plainConn) request(ctx context.Context, query string, messages ...string) error {
	address := p.base + p.client.socket + query
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Origin", p.base)
	req.Header.Set("Lockstep-Messages", strings.Join(append([]string{p.hello}, messages...), ", "))
	p.client.group.requests.Add(1)
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return p.read(ctx, resp.Body)
}

// read takes the events of an answer. An event is one when the empty line behind it has come: the
// replica may be killed in the middle of it.
func (p *plainConn) read(ctx context.Context, body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	closing, data := false, ""
	for lines.Scan() {
		closing = closing || lines.Text() == "event: close"
		if more, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			data = more
		}
		switch {
		case lines.Text() != "" || data == "":
		case closing:
			var end struct{ Code int }
			if err := json.Unmarshal([]byte(data), &end); err != nil || end.Code == 1000 {
				return err
			}
			return fmt.Errorf("it ended with %s", data)
		default:
			p.client.receive([]byte(data))
			data = ""
			if !p.client.mayRead(ctx) {
				return ctx.Err()
			}
		}
	}
	return errors.Join(errCutOff, lines.Err())
}
