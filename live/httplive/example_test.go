package httplive_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/httplive"
)

// A silence is a view of no rooms.
type silence struct{}

func (silence) Mount(context.Context, *live.Session) error                   { return nil }
func (silence) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

// A view at an address for tabs that have no websockets. Package serve has sessions, origins and
// limits around one.
func ExampleHandler() {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := httplive.NewHandler(rt, func(*http.Request) live.View { return silence{} }, nil)
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	hello := `{"hello":2,"client":"kqTlWWkEdZp1Yw3AXh2ZqA","at":{}}` // what a page does
	resp, err := http.Post(server.URL, "text/plain", strings.NewReader(hello))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get("Content-Type"))
	// Output: 200 text/event-stream
}
