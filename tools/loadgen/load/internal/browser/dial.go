package browser

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455, 4.2.2
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// Times and sizes of connecting, as a page has them.
const (
	pageTimeout = 20 * time.Second
	maxPage     = 4 << 20 // bytes
)

// A Refusal is a server's answer that turns a tab away.
type Refusal struct{ Status string }

func (r Refusal) Error() string { return "turned away with " + r.Status }

// An opening is what came of an attempt to open a page, or to connect.
type opening struct {
	began int64          // of the request for the page
	view  *protocol.View // nil: the page was there already, or did not come
	conn  net.Conn       // of a websocket; nil: none
	rest  []byte         // what came after the handshake
	body  io.ReadCloser  // a stream of events; nil: none
	said  [][]byte       // messages that came over plain HTTP
	err   error
}

// drop closes a connection that is not wanted any more.
func (o opening) drop() {
	if o.conn != nil {
		_ = o.conn.Close() // nothing is lost with it
	}
	if o.body != nil {
		_ = o.body.Close() // likewise
	}
}

// NewClient makes the client that gets pages; nil is the default for TLS, and no login. It reuses
// connections: the cost of getting a page is not what is measured.
func NewClient(t *tls.Config, login *Login) *http.Client {
	return &http.Client{Transport: withLogin{&http.Transport{
		TLSClientConfig: t, MaxIdleConnsPerHost: maxInFlight, IdleConnTimeout: 10 * time.Second,
		DisableCompression: true, TLSHandshakeTimeout: htmx.ConnectTimeout,
	}, login}}
}

// open has a tab connect, after it has opened its page if it has none.
func (f *Fleet) open(l *loop, t *tab) {
	slot, counter, life, view := t.slot, t.counter, t.life, t.view
	t.queued = false
	f.begin(func() {
		o := opening{began: f.now()}
		if view == nil {
			o.view, o.err = f.page(slot, counter)
			view = o.view
		}
		if o.err == nil {
			f.connect(slot, view, &o)
		}
		l.post(func() { l.opened(t, life, o) })
	})
}

// page gets the page of a tab.
func (f *Fleet) page(slot, counter int) (*protocol.View, error) {
	return Page(f.ctx, f.client, f.config.Protocol, f.config.Targets[slot%len(f.config.Targets)], counter)
}

// Page gets and reads the page of a counter from a target, as a tab does.
func Page(ctx context.Context, c *http.Client, p protocol.Protocol, target *url.URL, counter int) (*protocol.View, error) {
	u := *target
	u.User = nil // it is the login's
	if path := p.Page(counter); path != "" {
		u.Path = strings.TrimSuffix(u.Path, "/") + path
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the page: %w", Refusal{resp.Status})
	}
	v, err := p.Open(resp.Request.URL, resp.Header, body)
	if err != nil {
		return nil, redirected(&u, resp.Request, err)
	}
	return &v, nil
}

// connect opens the socket that a page names, or finds out whether it gets an answer over plain
// HTTP.
func (f *Fleet) connect(slot int, v *protocol.View, o *opening) {
	if f.config.OverHTTP {
		o.said, o.err = f.tryHTTP(v)
		return
	}
	u, err := url.Parse(v.Socket)
	if err != nil {
		o.err = err
		return
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		o.body, o.err = f.stream(v)
		return
	}
	ctx, cancel := context.WithTimeout(f.ctx, htmx.ConnectTimeout)
	defer cancel()
	conn, err := f.dial(ctx, slot, u)
	if err != nil {
		o.err = err
		return
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // an error shows in the handshake
	o.rest, o.err = handshake(conn, u, v.Cookie, f.login)
	if o.err != nil {
		_ = conn.Close() // it failed
		return
	}
	_ = conn.SetDeadline(time.Time{}) // likewise
	o.conn = conn
}

func (f *Fleet) dial(ctx context.Context, slot int, u *url.URL) (net.Conn, error) {
	d := net.Dialer{}
	if f.config.Sources {
		d.LocalAddr, d.Control = source(slot), lateBind
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"ws": "80", "wss": "443"}[u.Scheme])
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil || u.Scheme != "wss" {
		return conn, err
	}
	config := &tls.Config{}
	if f.config.TLS != nil {
		config = f.config.TLS.Clone()
	}
	config.ServerName = u.Hostname()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // it failed
		return nil, err
	}
	return secure, nil
}

// perSource is how many tabs share a source address: a pair of addresses has 28,000 ports on Linux.
const perSource = 20_000

// source is the loopback address that a tab connects from. 127.0.0.1 is left to other programs.
func source(slot int) *net.TCPAddr {
	n := slot/perSource + 2
	return &net.TCPAddr{IP: net.IPv4(127, 0, byte(n>>8), byte(n))}
}

// handshake upgrades a connection (RFC 6455, 4.1) and returns what came after it.
func handshake(conn net.Conn, u *url.URL, cookie string, login *Login) ([]byte, error) {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // it never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		"Origin": {strings.Replace(u.Scheme, "ws", "http", 1) + "://" + u.Host},
	}}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	login.apply(req)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 1024)
	resp, err := http.ReadResponse(r, req) //nolint:bodyclose // what follows is not a body
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the socket: %w", Refusal{resp.Status})
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455, 4.2.2
	if resp.Header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, errors.New("the socket's handshake is not that of a websocket")
	}
	rest := make([]byte, r.Buffered())
	_, err = io.ReadFull(r, rest)
	return rest, err
}

// request makes a click that is an HTTP request. Its answer may have the new state.
func (f *Fleet) request(l *loop, t *tab, req *http.Request) {
	life := t.life
	if t.view.Cookie != "" {
		req.Header.Set("Cookie", t.view.Cookie)
	}
	f.begin(func() {
		body, err := f.do(req)
		l.post(func() {
			switch {
			case t.life != life:
			case err != nil:
				l.countError("a click: " + Cause(err))
			case len(body) > 0:
				t.receive(l, body)
			}
		})
	})
}

// do makes a request, and returns its body if that is HTML.
func (f *Fleet) do(req *http.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.ctx, pageTimeout)
	defer cancel()
	resp, err := f.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode >= 300:
		return nil, Refusal{resp.Status}
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return nil, nil
	}
	return body, nil
}

// Cause says in few words, which are the same for all tabs, why something failed.
func Cause(err error) string {
	var errno syscall.Errno
	var timeout net.Error
	var r Refusal
	switch {
	case errors.As(err, &r):
		return r.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without a word"
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // the address is known
	}
	text := err.Error()
	return text[:min(len(text), 120)]
}
