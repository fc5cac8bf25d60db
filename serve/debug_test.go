package serve_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/serve"
)

func TestTheAdminAddressHasPagesOfTheApplication(t *testing.T) {
	admin := serve.NewAdmin(nil, &serve.AdminOptions{Pages: []serve.DebugPage{
		{Name: "cache", Text: "what is <in> it", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "at "+r.URL.Path)
		})},
		{Name: "ops", Text: "all replicas", To: "http://localhost:8000/ops"},
	}})
	get := func(path string) string {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost:9100"+path, nil))
		return w.Body.String()
	}
	index := get("/debug/")
	for _, want := range []string{`<a href='/debug/cache/'>cache</a> what is &lt;in&gt; it`, `<a href='http://localhost:8000/ops'>ops</a> all replicas`} {
		if !strings.Contains(index, want) {
			t.Errorf("the index has no %s: %s", want, index)
		}
	}
	if got := get("/debug/cache/keys"); got != "at /keys" {
		t.Errorf("got %q of a page below", got)
	}
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://rebound.example/debug/cache/", nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("got %d for a name that may be anybody's, want 403", w.Code)
	}
}
