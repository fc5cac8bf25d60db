package deploy_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// asked are the metrics of ours that a text asks for.
func asked(text string) []string {
	names := regexp.MustCompile(`\blockstep_[a-z_]+`).FindAllString(text, -1)
	slices.Sort(names)
	return slices.Compact(names)
}

func TestAlertsAndDashboardsAskForWhatThereIs(t *testing.T) {
	there := exported(t)
	for _, file := range []string{"deploy/prometheus/alerts.yml", "deploy/prometheus/alerts_test.yml", "deploy/grafana/dashboards/lockstep.json"} {
		names := asked(read(t, file))
		if len(names) < 5 {
			t.Errorf("%s: got %v, want more", file, names)
		}
		for _, name := range names {
			if !there[name] {
				t.Errorf("%s: nobody exports %s", file, name)
			}
		}
	}
}

// TestTheDashboardShowsEverything that replicas export of themselves; of a histogram, its buckets.
func TestTheDashboardShowsEverything(t *testing.T) {
	shown, there := asked(read(t, "deploy/grafana/dashboards/lockstep.json")), exported(t)
	for name := range there {
		histogram, _ := strings.CutSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if !slices.Contains(shown, name) && !there[histogram+"_bucket"] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// A dashboard is what matters here of Grafana's format.
type dashboard struct {
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name, Type string
			Datasource struct{ UID string }
			Query      any
		}
	}
	Panels []struct {
		ID         int
		Title      string
		Datasource struct{ UID string }
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
}

func TestTheDashboardIsWhole(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/lockstep.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || len(d.Panels) < 10 {
		t.Errorf("got %q, %q and %d panels", d.UID, d.Title, len(d.Panels))
	}
	cells, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || ids[p.ID] {
			t.Errorf("%s: no data, or a number twice", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies on %q, or beside the page", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

// TestTheDashboardIsOfOneInstallation, if its reader wants that: of several, which one Prometheus
// watches.
func TestTheDashboardIsOfOneInstallation(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/lockstep.json")), &d); err != nil {
		t.Fatal(err)
	}
	chosen := regexp.MustCompile(`^\{namespace=~"\$namespace", job=~"\$job"`)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			metrics := regexp.MustCompile(`\b(?:lockstep|process|go)_[a-z_]+`).FindAllStringIndex(target.Expr, -1)
			if len(metrics) == 0 || target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: no metric, or not of the data source that was chosen: %s", p.Title, target.Expr)
			}
			for _, at := range metrics {
				if !chosen.MatchString(target.Expr[at[1]:]) {
					t.Errorf("%s: %s is of all installations together: %s", p.Title, target.Expr[at[0]:at[1]], target.Expr)
				}
			}
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		// Each is asked for among those that were chosen before it.
		for _, before := range names {
			of := v.Datasource.UID
			if before != "datasource" {
				of = fmt.Sprint(v.Query)
			}
			if !strings.Contains(of, "${"+before+"}") && !strings.Contains(of, before+`=~"$`+before+`"`) {
				t.Errorf("the variable %s does not go by %s", v.Name, before)
			}
		}
		names = append(names, v.Name)
	}
	if got, want := strings.Join(names, " "), "datasource namespace job replica"; got != want {
		t.Errorf("got the variables %s, want %s", got, want)
	}
}

// TestTheDashboardsQueriesParse: promtool knows PromQL, and takes queries only
// as rules.
func TestTheDashboardsQueriesParse(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dashboards/lockstep.json")), &d); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{"x:y", strings.NewReplacer("$__rate_interval", "1m", "$replica", ".*", "$namespace", ".*", "$job", ".*").Replace(target.Expr)})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(promtool, "check", "rules", "--lint=none", write(t, "rules.yml", string(text)))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEachAlertIsTestedAndExplained: somebody is woken by it.
func TestEachAlertIsTestedAndExplained(t *testing.T) {
	tests, guide := read(t, "deploy/prometheus/alerts_test.yml"), read(t, "docs/operations.md")
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(read(t, "deploy/prometheus/alerts.yml"), -1)
	if len(alerts) < 10 {
		t.Errorf("got %d alerts", len(alerts))
	}
	for _, a := range alerts {
		if !strings.Contains(tests, `alertname="`+a[1]+`"`) {
			t.Errorf("%s has never been seen to fire", a[1])
		}
		if !strings.Contains(guide, "`"+a[1]+"`") {
			t.Errorf("docs/operations.md does not say what to do about %s", a[1])
		}
	}
}
