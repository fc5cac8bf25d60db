package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"lockstep/state/memstate"
)

// BenchmarkPage is a page for a browser that has been here before, without the
// network.
func BenchmarkPage(b *testing.B) {
	for _, encoding := range []string{"identity", "gzip", "br"} {
		b.Run(encoding, func(b *testing.B) { benchmarkPage(b, encoding) })
	}
}

func benchmarkPage(b *testing.B, encoding string) {
	h := newServer(b, memstate.New(nil), nil)
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/", nil))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", encoding)
	for _, c := range first.Result().Cookies() {
		r.AddCookie(c)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
		b.ReportMetric(float64(w.Body.Len()), "bytes/page")
	}
}
