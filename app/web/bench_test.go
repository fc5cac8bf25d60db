package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/counter/memcounter"
	"lockstep/pubsub/mempubsub"
	"lockstep/static"
)

// BenchmarkPage is a page for a browser that has been here before, without the
// network.
func BenchmarkPage(b *testing.B) {
	a := app.New(mempubsub.NewBus(), memcounter.New(nil), &app.Options{Replica: "one"})
	if err := a.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	assets, err := static.New()
	if err != nil {
		b.Fatal(err)
	}
	h := web.New(a, assets, nil)
	b.Cleanup(func() {
		_ = a.Stop(context.Background(), 0)
		h.Close()
	})
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
