package deploy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are made of others anew")

// same wants a file to have this text, or writes it with -update.
func same(t testing.TB, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(path)), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("%s is not what its source gives: go generate ./... in the folder deploy", path)
	}
}

// TestAlertsAndDashboardAreTheSameEverywhere: a chart and a kustomization read nothing outside of
// their folders, so there are copies.
func TestAlertsAndDashboardAreTheSameEverywhere(t *testing.T) {
	alerts, dashboard := read(t, "deploy/prometheus/alerts.yml"), read(t, "deploy/grafana/dashboards/lockstep.json")
	same(t, "deploy/helm/lockstep/files/alerts.yml", alerts)
	same(t, "deploy/helm/lockstep/files/lockstep.json", dashboard)
	same(t, "deploy/kubernetes/components/monitoring/lockstep.json", dashboard)
	var rules strings.Builder
	rules.WriteString("# Written by \"go generate ./...\" in the folder deploy: deploy/prometheus/alerts.yml for the Prometheus\n# operator.\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: lockstep\n" +
		"  labels: {app.kubernetes.io/name: lockstep, app.kubernetes.io/part-of: lockstep}\nspec:\n")
	for line := range strings.Lines(alerts) {
		if !strings.HasPrefix(line, "#") {
			rules.WriteString("  " + line)
		}
	}
	same(t, "deploy/kubernetes/components/monitoring/rules.yaml", rules.String())
}
