package httplive_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"lockstep/live"
	"lockstep/live/httplive"
	"lockstep/live/transporttest"
)

// An answer is one event: a message, or the end.
type answer struct {
	message string
	code    live.Code
}

// A plainServer serves tabs of the suite.
type plainServer struct{ srv *httptest.Server }

// startPlain serves a view, until the test ends.
func startPlain(t *testing.T, rt *live.Runtime, view live.View, opts *httplive.Options) *httptest.Server {
	h := httplive.NewHandler(rt, func(r *http.Request) live.View {
		if httplive.IsStream(r) {
			return view
		}
		return passing{view}
	}, opts)
	srv := httptest.NewServer(h)
	t.Cleanup(func() { rt.Stop(); h.Close(); srv.Close() })
	return srv
}

// passing is the view of one request.
type passing struct{ live.View }

func (passing) Passing() bool { return true }

// Allow implements live.Limiter for views that do.
func (p passing) Allow() bool {
	l, ok := p.View.(live.Limiter)
	return !ok || l.Allow()
}

// post sends messages and returns the answer's events, and its status as an
// error if it is not 200.
func post(ctx context.Context, url string, messages ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strings.Join(messages, "\n")))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	return resp, nil
}

// events hands the events of an answer to f. The last one is the end of it, with
// live.CodeLost if it was cut off.
func events(body io.ReadCloser, f func(answer)) {
	defer body.Close()
	lines := bufio.NewReader(body)
	closing := false
	for {
		line, err := lines.ReadString('\n')
		data, isData := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: ")
		switch {
		case err != nil:
			f(answer{code: live.CodeLost})
			return
		case line == "event: close\n":
			closing = true
		case isData && closing:
			var end struct{ Code live.Code }
			_ = json.Unmarshal([]byte(data), &end) // 0 fails the test
			f(answer{code: end.Code})
			return
		case isData:
			f(answer{message: data})
		}
	}
}

// Dial implements transporttest.Server.
func (s plainServer) Dial(t *testing.T) (transporttest.Tab, error) {
	ctx, cancel := context.WithCancel(t.Context())
	b := &plainTab{url: s.srv.URL, ctx: ctx, cancel: cancel, heard: make(chan answer, 10_000)}
	t.Cleanup(b.Vanish)
	resp, err := post(ctx, b.url+"?stream=1", b.hello...)
	if err != nil {
		return nil, err
	}
	b.running.Go(func() {
		events(resp.Body, func(a answer) {
			if a.code != 0 {
				b.saying.Wait() // what was sent before has its answer first
			}
			b.take(a)
		})
	})
	return b, nil
}

// Stall implements transporttest.Server.
func (s plainServer) Stall(t *testing.T) {
	c, err := net.Dial("tcp", s.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "POST /?stream=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// A plainTab is a tab of the suite: a stream, and an exchange for what it says.
type plainTab struct {
	url     string
	ctx     context.Context
	cancel  context.CancelFunc
	heard   chan answer
	running sync.WaitGroup // the stream
	saying  sync.WaitGroup // exchanges
	hello   []string       // the last one, which begins each exchange
}

func (b *plainTab) take(a answer) { b.heard <- a }

// Say implements transporttest.Tab: it waits for the answer, as a page does.
func (b *plainTab) Say(messages ...string) {
	if strings.Contains(messages[0], `"hello"`) {
		b.hello, messages = messages[:1], messages[1:]
	}
	body := append(append([]string(nil), b.hello...), messages...)
	b.saying.Go(func() {
		resp, err := post(b.ctx, b.url, body...)
		if err != nil {
			b.take(answer{code: live.CodeLost})
			return
		}
		events(resp.Body, func(a answer) {
			if a.code != live.CodeNormal {
				b.take(a)
			}
		})
	})
}

// Hear implements transporttest.Tab.
func (b *plainTab) Hear() (string, live.Code) {
	a := <-b.heard
	return a.message, a.code
}

// Vanish implements transporttest.Tab.
func (b *plainTab) Vanish() {
	b.cancel()
	b.running.Wait()
	b.saying.Wait()
}

func TestPlainHTTPKeepsWhatTransportsPromise(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, rt *live.Runtime, view live.View) transporttest.Server {
		return plainServer{startPlain(t, rt, view, nil)}
	})
}
