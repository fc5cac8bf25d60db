package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lockstep/tools/loadgen/load"
)

func metricsOf(t *testing.T, e *exporter) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + e.addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("got %d, %v", resp.StatusCode, err)
	}
	return string(b)
}

func TestPrometheusReadsTheProgress(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e, err := newExporter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if got := metricsOf(t, e); !strings.Contains(got, "loadgen_clicks_sent_total 0\n") {
		t.Errorf("before the first progress: got\n%s", got)
	}
	e.set(load.Progress{
		Stage:  "rush \xff hour",
		Sample: load.Sample{Connected: 14998, Stalest: 81}, Totals: load.Totals{Sent: 13_000}, Errors: 3,
		Latencies: map[string]load.Latency{load.LatencyAll: {Count: 200, P99: 197}},
	})
	got := metricsOf(t, e)
	for _, want := range []string{
		"# TYPE loadgen_clicks_sent_total counter", "loadgen_clicks_sent_total 13000\n", "loadgen_browsers_connected 14998\n",
		"loadgen_stage{stage=\"rush ? hour\"} 1\n", `loadgen_latency_seconds{quantile="0.99",what="all"} 0.197`, "loadgen_errors_total 3\n", "loadgen_stalest_seconds 0.081\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if err := e.close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	e, err := newExporter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if other, err := newExporter(e.addr()); err == nil {
		other.close()
		t.Error("got no error")
	}
}
