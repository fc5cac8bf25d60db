package load_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/tools/loadgen/load"
)

func inTheMiddle() load.Progress {
	return load.Progress{
		Phase: "load", Elapsed: 65 * time.Second, Left: 15 * time.Second, Browsers: 15000,
		Sample: load.Sample{At: 65, Connected: 14998, Clicks: 200, Acks: 199, Deliveries: 288_000, Bytes: 204_000_000, Stalest: 81},
		Totals: load.Totals{Due: 13_001, Sent: 13_000, Acked: 12_990, Refused: 2, Deliveries: 9_000_000, Bytes: 1 << 32, Reconnects: 48, Refusals: 1},
		Latencies: map[string]load.Latency{
			load.LatencyOwn: {Count: 200, P50: 6, P90: 9, P99: 61.8, P999: 83, Max: 88.4},
			load.LatencyAll: {Count: 200, P50: 71.9, P90: 93.4, P99: 197, P999: 238, Max: 1248},
		},
		Errors: 3,
	}
}

func metricsOf(t *testing.T, e *load.Exporter) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + e.Addr() + "/metrics")
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
	e, err := load.NewExporter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got := metricsOf(t, e); !strings.Contains(got, "loadgen_clicks_sent_total 0\n") {
		t.Errorf("before the first progress: got\n%s", got)
	}
	e.Set(inTheMiddle())
	got := metricsOf(t, e)
	for _, want := range []string{
		"# TYPE loadgen_clicks_sent_total counter", "loadgen_clicks_sent_total 13000\n", "loadgen_browsers_connected 14998\n",
		`loadgen_latency_seconds{quantile="0.99",what="all"} 0.197`, "loadgen_errors_total 3\n", "loadgen_stalest_seconds 0.081\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	e, err := load.NewExporter("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if other, err := load.NewExporter(e.Addr()); err == nil {
		other.Close()
		t.Error("got no error")
	}
}
