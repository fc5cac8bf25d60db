package wslive_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/coder/websocket"

	"lockstep/live"
	"lockstep/live/wslive"
)

// A view at an address for websockets. Package serve has sessions, origins and limits around one.
func ExampleHandler() {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	h := wslive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, nil)
	defer h.Close()
	server := httptest.NewServer(h)
	defer server.Close()

	ctx := context.Background() // what a page does, whose script has the rest of the protocol
	socket, _, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = socket.CloseNow() }()
	_, message, err := socket.Read(ctx)
	fmt.Println(strings.Contains(string(message), `"status":"live"`), err)
	// Output: true <nil>
}
