package web

import (
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestOnlyATabThatCameThroughAProxyCanBeMoved(t *testing.T) {
	cs := newClients([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "", nil, slog.New(slog.DiscardHandler))
	for _, tc := range []struct {
		peer, forwarded string
		want            bool
	}{
		{"127.0.0.1:1", "192.0.2.1", true},
		{"127.0.0.1:1", "", false}, // somebody on the machine of the proxy
		{"192.0.2.1:1", "192.0.2.2", false},
		{"", "192.0.2.1", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.peer
		r.Header.Set("X-Forwarded-For", tc.forwarded)
		c := echo.New().NewContext(r, httptest.NewRecorder())
		var got client
		if err := cs.identify(func(c echo.Context) error { got = clientOf(c); return nil })(c); err != nil {
			t.Fatal(err)
		}
		if v := (&limitedView{visitor: visitor{who: got}}); v.Movable() != tc.want {
			t.Errorf("from %q for %q: got %v, want %v", tc.peer, tc.forwarded, v.Movable(), tc.want)
		}
		if v := (&limitedView{visitor: visitor{who: got}, passing: true}); v.Movable() {
			t.Errorf("from %q for %q: one request can be moved", tc.peer, tc.forwarded)
		}
	}
}
