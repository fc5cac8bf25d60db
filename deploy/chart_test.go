package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

var chartDir = filepath.Join("helm", "lockstep")

// A values is what "helm install --values" is given.
type values = map[string]any

func loadChart(t testing.TB) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render is "helm template lockstep": the texts of the templates, by their names.
func render(c *chart.Chart, v values) (map[string]string, error) { return renderAs(c, "lockstep", v) }

// renderAs is render for a release of that name.
func renderAs(c *chart.Chart, name string, v values) (map[string]string, error) {
	capabilities := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion("v1.37.0")
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *version
	release := common.ReleaseOptions{Name: name, Namespace: "lockstep", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, v, release, capabilities)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	short := map[string]string{}
	for name, text := range texts {
		short[strings.TrimPrefix(name, "lockstep/templates/")] = text
	}
	return short, nil
}

// templated are the objects that the chart makes.
func templated(c *chart.Chart, v values) ([]object, error) {
	texts, err := render(c, v)
	if err != nil {
		return nil, err
	}
	return objectsOf(texts)
}

// objectsOf are the objects in the texts of templates.
func objectsOf(texts map[string]string) ([]object, error) {
	var objects []object
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		for _, text := range regexp.MustCompile(`(?m)^---$`).Split(texts[name], -1) {
			o, err := parseObject([]byte(text))
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", name, err, text)
			}
			if len(o) > 0 {
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

func parseValues(t testing.TB, text string) values {
	t.Helper()
	v := values{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// trials are values that the chart is tried with: none, and those that it brings for this.
func trials(t testing.TB) map[string]values {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*-values.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("got %d files, and %v", len(files), err)
	}
	all := map[string]values{"default": {}}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(file), "-values.yaml")] = parseValues(t, string(b))
	}
	return all
}

// TestHelmLintsTheChart with all values, for each version of Kubernetes.
func TestHelmLintsTheChart(t *testing.T) {
	for name, v := range trials(t) {
		for _, s := range versionsOf(t) {
			version, err := common.ParseKubeVersion("v" + s.version + ".0")
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range lint.RunAll(chartDir, v, "lockstep", lint.WithKubeVersion(version)).Messages {
				if m.Severity >= support.InfoSev {
					t.Errorf("%s, Kubernetes %s: %v", name, s.version, m)
				}
			}
		}
	}
}

func TestTheChartIsAccepted(t *testing.T) {
	c := loadChart(t)
	for name, v := range trials(t) {
		t.Run(name, func(t *testing.T) {
			objects, err := templated(c, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range accepted(t, objects) {
				t.Error(complaint)
			}
		})
	}
}

// TestALongNameOfAReleaseFits: Helm allows 53 characters, and names of Services have 63 at most.
func TestALongNameOfAReleaseFits(t *testing.T) {
	c, name := loadChart(t), strings.Repeat("long-", 10)+"one"
	for trial, v := range trials(t) {
		texts, err := renderAs(c, name, v)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := objectsOf(texts)
		if err != nil {
			t.Fatal(err)
		}
		for _, complaint := range accepted(t, objects) {
			t.Errorf("%s: %s", trial, complaint)
		}
	}
}

// alike are values, and the components of kustomize that give the same.
var alike = map[string]string{
	"":                      "{}",
	"gateway":               "gateway: {enabled: true, create: true, hostnames: [lockstep.example.com]}",
	"shared-gateway":        "gateway: {enabled: true, parentRefs: [{name: public, namespace: gateway}], hostnames: [lockstep.example.com]}",
	"ingress":               "ingress: {enabled: true, hosts: [{host: lockstep.example.com, paths: [{path: /}]}]}",
	"monitoring":            "{podMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}",
	"gateway tls openshift": "{gateway: {enabled: true, create: true, hostnames: [lockstep.example.com]}, tls: {enabled: true}, openshift: true}",
}

// TestTheChartKeepsTheRules that the manifests keep.
func TestTheChartKeepsTheRules(t *testing.T) {
	c, f := loadChart(t), factsOf(t)
	for name, text := range alike {
		t.Run(name, func(t *testing.T) {
			objects, err := templated(c, parseValues(t, text))
			if err != nil {
				t.Fatal(err)
			}
			made, err := clusterOf(objects)
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range checkCluster(made, f) {
				t.Error(complaint)
			}
		})
	}
}

// TestTheChartMakesWhatTheManifestsDo: with each component that kustomize may add. Only what tells
// releases apart may differ.
func TestTheChartMakesWhatTheManifestsDo(t *testing.T) {
	c := loadChart(t)
	for components, text := range alike {
		t.Run(components, func(t *testing.T) {
			there := "resources: [../base]\ncomponents:\n"
			for _, name := range strings.Fields(components) {
				there += "  - ../components/" + name + "\n"
			}
			want, err := kustomized("trial", "trial/kustomization.yaml", there)
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range accepted(t, want) {
				t.Error(complaint)
			}
			got, err := templated(c, parseValues(t, text))
			if err != nil {
				t.Fatal(err)
			}
			sameObjects(t, got, want)
		})
	}
}

// TestTheNameOfVisitorsStandsInOnePlace: the overlay hosts and the value hosts give it to the
// program, the Gateway and the routes.
func TestTheNameOfVisitorsStandsInOnePlace(t *testing.T) {
	want, err := kustomized("overlays/hosts", "", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := templated(loadChart(t), parseValues(t, "{hosts: [counter.example.com], gateway: {enabled: true, create: true}}"))
	if err != nil {
		t.Fatal(err)
	}
	sameObjects(t, got, want)
	for _, o := range got {
		if text := string(o.json()); strings.Contains(text, "lockstep.example.com") {
			t.Errorf("%s: another name is left: %s", o, text)
		}
	}
}

// sameObjects compares what a chart makes with what kustomize makes.
func sameObjects(t *testing.T, got, want []object) {
	t.Helper()
	ours, theirs := plain(t, got), plain(t, want)
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if ours[name] == "" {
			t.Errorf("the chart makes no %s", name)
			continue
		}
		if ours[name] != theirs[name] {
			t.Errorf("%s: chart (+) and manifests (-) differ:\n%s", name, changed(theirs[name], ours[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		if theirs[name] == "" {
			t.Errorf("only the chart makes %s", name)
		}
	}
}

// changed are the lines that only one of two texts has.
func changed(old, new string) string {
	var out []string
	before, after := strings.Split(old, "\n"), strings.Split(new, "\n")
	for _, line := range before {
		if !slices.Contains(after, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}

// plain are objects as YAML, by kind and name, without what tells releases apart.
func plain(t *testing.T, objects []object) map[string]string {
	t.Helper()
	hashed := regexp.MustCompile(`\blockstep-[0-9a-z]{10}\b`)
	all := map[string]string{}
	for _, o := range objects {
		b, err := yaml.Marshal(released(map[string]any(o)))
		if err != nil {
			t.Fatal(err)
		}
		all[hashed.ReplaceAllString(o.String(), "lockstep")] = hashed.ReplaceAllString(string(b), "lockstep")
	}
	return all
}

func released(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, inner := range v {
			switch {
			case slices.Contains([]string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart", "checksum/config"}, key):
			case key == "namespace" && inner == "lockstep":
			default:
				out[key] = released(inner)
			}
		}
		return out
	case []any:
		var out []any
		for _, inner := range v {
			out = append(out, released(inner))
		}
		slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(nameOf(a), nameOf(b)) })
		return out
	}
	return v
}

// nameOf is what volumes and the like are called, whose order does not matter.
func nameOf(v any) string {
	named, _ := v.(map[string]any)
	name, _ := named["name"].(string)
	return name
}

// TestTheChartRefusesWhatCantBeRight before anything is installed.
func TestTheChartRefusesWhatCantBeRight(t *testing.T) {
	c := loadChart(t)
	for _, test := range []struct{ name, values, want string }{
		{"a value that does not exist", "replicas: 3", "additional properties 'replicas' not allowed"},
		{"a value inside that does not exist", "image: {name: x}", "additional properties 'name' not allowed"},
		{"text for a number", "minReadySeconds: soon", "want integer"},
		{"a word that nobody knows", "image: {pullPolicy: Sometimes}", "value must be one of"},
		{"a label that is a number", "podLabels: {a: 1}", "want string"},
		{"too little time to drain", "settings: {DRAIN: 50s}", "would be killed before it has drained"},
		{"a Secret that is there and is made", "{existingSecret: x, secretValues: {secret: z}}", "the Secret is there, or the chart makes it"},
		{"a route to nowhere", "gateway: {enabled: true}", "gateway.parentRefs"},
		{"a Gateway without names", "gateway: {enabled: true, create: true}", "its listeners are for names"},
		{"an Ingress without names", "ingress: {enabled: true}", "ingress.hosts, or hosts"},
		{"metrics that count twice", "{podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}", "counted twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := render(c, parseValues(t, test.values))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// TestTheChartsNotesSayWhatIsMissing of what an installation needs.
func TestTheChartsNotesSayWhatIsMissing(t *testing.T) {
	c := loadChart(t)
	for _, test := range []struct{ values, want, not string }{
		{"{}", `create secret generic lockstep`, "https://"},
		{"{}", "port-forward service/lockstep 8000:80", "It is reached at"},
		{"{}", "networkPolicy.extraEgress", "\n\n\n"},
		{"existingSecret: mine", "create secret generic mine", "\n\n\n"},
		{"secretKeys: {storeUrl: store-url}", "--from-literal=store-url=", "ops"},
		{"secretValues: {secret: x}", "port-forward", "create secret"},
		{"{gateway: {enabled: true, create: true}, hosts: [lockstep.example.com], basePath: /counter}", "https://lockstep.example.com/counter", "port-forward"},
		{"{ingress: {enabled: true}, hosts: [lockstep.example.com]}", "https://lockstep.example.com", "HOSTS"},
	} {
		texts, err := render(c, parseValues(t, test.values))
		if err != nil {
			t.Fatal(err)
		}
		if notes := texts["NOTES.txt"]; !strings.Contains(notes, test.want) || strings.Contains(notes, test.not) {
			t.Errorf("%s: got\n%s\nwant %q in it, and no %q", test.values, notes, test.want, test.not)
		}
	}
}

// TestTheChartGivesNumbersAsTheyAre: Helm has all numbers as floating ones, which print as 2e+06.
func TestTheChartGivesNumbersAsTheyAre(t *testing.T) {
	texts, err := render(loadChart(t), parseValues(t, "settings: {MAX_CONNS: 2000000, DRAIN: 30s}"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := texts["configmap.yaml"], `MAX_CONNS: "2000000"`; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %s in it", got, want)
	}
}

// TestNothingInTheChartChangesByItself: a second render of the same values is the same, or each
// upgrade would roll the pods and replace secrets.
func TestNothingInTheChartChangesByItself(t *testing.T) {
	c := loadChart(t)
	for name, v := range trials(t) {
		first, err := render(c, v)
		if err != nil {
			t.Fatal(err)
		}
		second, err := render(c, v)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(first, second) {
			t.Errorf("%s: the same values give other objects", name)
		}
	}
}
