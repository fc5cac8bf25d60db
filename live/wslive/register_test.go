package wslive

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	"lockstep/htmx"
	"lockstep/live"
)

// vanishing is a view whose tab vanishes while it is mounted.
type vanishing struct{ peer net.Conn }

func (v vanishing) Mount(context.Context, *live.Session) error {
	_ = v.peer.Close()
	synctest.Wait() // the welcome can't be written
	return nil
}

func (vanishing) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

// piped is a response whose connection is in memory.
type piped struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (p piped) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return p.conn, bufio.NewReadWriter(bufio.NewReader(p.conn), bufio.NewWriter(p.conn)), nil
}

func TestAConnectionThatEndsBeforeItIsServedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := live.NewRuntime(nil)
		rt.Start()
		ours, theirs := net.Pipe()
		h := NewHandler(rt, func(*http.Request) live.View { return vanishing{ours} }, &Options{Plain: true, PingInterval: -1})
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		} {
			r.Header.Set(name, value)
		}
		var answered sync.WaitGroup
		answered.Go(func() { _, _ = ours.Read(make([]byte, 4096)) }) // all of it at once, by net.Pipe
		h.ServeHTTP(piped{httptest.NewRecorder(), theirs}, r)
		answered.Wait()
		synctest.Wait()
		n := 0
		h.mu.Lock()
		for _, part := range h.conns {
			n += len(part)
		}
		h.mu.Unlock()
		if n != 0 || rt.Closed(live.ReasonLost) != 1 {
			t.Errorf("got %d connections and %d lost sessions, want none and 1", n, rt.Closed(live.ReasonLost))
		}
		rt.Stop()
		h.Close()
	})
}
