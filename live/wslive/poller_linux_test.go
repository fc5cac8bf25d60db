//go:build amd64 || arm64

package wslive

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/live"
)

// blank is a view that does nothing.
type blank struct{}

func (blank) Mount(context.Context, *live.Session) error { return nil }

func (blank) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

func TestAConnectionThatCannotBeWaitedForIsClosed(t *testing.T) {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := NewHandler(rt, func(*http.Request) live.View { return blank{} }, nil)
	defer h.Close()
	srv := httptest.NewServer(h)
	defer srv.Close()
	h.poller.close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for err == nil {
		_, _, err = ws.Read(ctx)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for rt.Closed(live.ReasonTransport) != 1 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no session ended because it could not be served")
		}
	}
}
