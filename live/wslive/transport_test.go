package wslive_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"lockstep/live"
	"lockstep/live/transporttest"
	"lockstep/live/wslive"
)

// A socketServer serves tabs of the suite.
type socketServer struct{ url string }

// Dial implements transporttest.Server.
func (s socketServer) Dial(t *testing.T) (transporttest.Tab, error) {
	ws, err := dial(t, s.url, nil)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(1 << 20)
	return &socketTab{ws, t}, nil
}

// Stall implements transporttest.Server.
func (s socketServer) Stall(t *testing.T) { connect(t, s.url, nil) }

// A socketTab is a tab of the suite.
type socketTab struct {
	ws *websocket.Conn
	t  *testing.T
}

// Say implements transporttest.Tab. A connection may end meanwhile.
func (b *socketTab) Say(messages ...string) {
	for _, m := range messages {
		_ = b.ws.Write(b.t.Context(), websocket.MessageText, []byte(m))
	}
}

// Hear implements transporttest.Tab.
func (b *socketTab) Hear() (string, live.Code) {
	_, m, err := b.ws.Read(b.t.Context())
	if err == nil {
		return string(m), 0
	}
	if code := websocket.CloseStatus(err); code > 0 {
		return "", live.Code(code)
	}
	return "", live.CodeLost
}

// Vanish implements transporttest.Tab.
func (b *socketTab) Vanish() { _ = b.ws.CloseNow() }

func TestSocketsKeepWhatTransportsPromise(t *testing.T) {
	modes(t, func(t *testing.T, opts *wslive.Options) {
		transporttest.Run(t, func(t *testing.T, rt *live.Runtime, view live.View) transporttest.Server {
			h := wslive.NewHandler(rt, func(*http.Request) live.View { return view }, opts)
			srv := httptest.NewServer(h)
			t.Cleanup(func() { rt.Stop(); h.Close(); srv.Close() })
			return socketServer{srv.URL}
		})
	})
}
