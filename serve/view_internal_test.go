package serve

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
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
		var got client
		if err := cs.identify(func(_ http.ResponseWriter, r *http.Request) error { got = clientOf(r); return nil })(nil, r); err != nil {
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
