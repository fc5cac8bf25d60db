package wslive_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"lockstep/live"
	"lockstep/live/wslive"
)

func TestAnApplicationThatHasNoViewClosesTheTab(t *testing.T) {
	for name, view := range map[string]func(*http.Request) live.View{
		"panics": func(*http.Request) live.View { panic("sabotage") },
		"none":   func(*http.Request) live.View { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			rt := live.NewRuntime(nil)
			rt.Start()
			h := wslive.NewHandler(rt, view, nil)
			srv := httptest.NewServer(h)
			defer srv.Close()
			defer h.Close()
			defer rt.Stop()
			ws := mustDial(t, srv.URL)
			if got := websocket.CloseStatus(until(t, ws, "never sent")); got != websocket.StatusInternalError {
				t.Errorf("got close code %d, want %d", got, websocket.StatusInternalError)
			}
			waitSessions(t, rt, 0)
			if got := rt.Closed(live.ReasonMountFailed); got != 1 {
				t.Errorf("got %d sessions that could not be mounted, want 1", got)
			}
		})
	}
}
