package load

import (
	"crypto/tls"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load/workload"
)

// A socket that the event loop can't wait for itself must do the same.
func TestSocketsWithGoroutinesDoTheSame(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{CutEvery: 70})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(u))
	t.Cleanup(secure.Close)
	for name, o := range map[string]Options{
		"plain": {Targets: []string{s.URL}, plain: true},
		"TLS":   {Targets: []string{secure.URL}, TLS: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // a test's certificate
	} {
		o.Plan = workload.Plan{Seed: 1, Stages: []workload.Stage{{Browsers: 20, Duration: time.Second, Rate: workload.Rate{{From: 100, To: 100}}}}}
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if reasons := failures(r); len(reasons) > 0 || r.Totals.Acked != 100 || r.Totals.Reconnects == 0 {
			t.Errorf("%s: got %q, %d acknowledged, %d reconnections; want 100 and some", name, reasons, r.Totals.Acked, r.Totals.Reconnects)
		}
	}
}
