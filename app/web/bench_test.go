package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"lockstep/counter/memcounter"
)

// BenchmarkPage is a page for a browser that has been here before, without the
// network.
func BenchmarkPage(b *testing.B) {
	h := newServer(b, memcounter.New(nil), nil)
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest(http.MethodGet, "/", nil))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range first.Result().Cookies() {
		r.AddCookie(c)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
