package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// An object is one of Kubernetes, as JSON has it.
type object map[string]any

// parseObject reads YAML in which no key stands twice.
func parseObject(text []byte) (object, error) {
	b, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	o := object{}
	return o, json.Unmarshal(b, &o)
}

func (o object) String() string {
	metadata, _ := o["metadata"].(map[string]any)
	return fmt.Sprint(o["kind"], " ", metadata["name"])
}

// known is how schemas name its kind.
func (o object) known() string { return fmt.Sprint(o["apiVersion"], " ", o["kind"]) }

// custom reports whether its kind is not one of Kubernetes itself.
func (o object) custom() bool {
	api := fmt.Sprint(o["apiVersion"])
	return strings.HasPrefix(api, "gateway.networking.k8s.io/") || strings.HasPrefix(api, "monitoring.coreos.com/")
}

func (o object) json() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return b
}

// schemas are what one version of Kubernetes accepts, with the kinds of others beside it.
type schemas struct {
	version string // as in 1.37
	from    string // the module that they were read from
	kinds   map[string]string
	defs    map[string]any
	compile func(def string) (*jsonschema.Schema, error) // a compiler keeps what it has compiled
}

// anObjectsMetadata is what all objects have, also those of others.
const anObjectsMetadata = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// readSchemas reads the files that "go run ./schemas" has written.
func readSchemas(files ...string) (*schemas, error) {
	s := &schemas{kinds: map[string]string{}, defs: map[string]any{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var one struct {
			From  string
			Kinds map[string]string
			Defs  map[string]any `json:"$defs"`
		}
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if s.from == "" {
			s.from = one.From
		}
		maps.Copy(s.kinds, one.Kinds)
		maps.Copy(s.defs, one.Defs)
	}
	s.version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(files[0]), "kubernetes-"), ".json")
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("kinds.json", any(map[string]any{"$defs": s.defs})); err != nil {
		return nil, err
	}
	s.compile = func(def string) (*jsonschema.Schema, error) {
		return compiler.Compile("kinds.json#/$defs/" + strings.NewReplacer("~", "~0", "/", "~1", " ", "%20").Replace(def))
	}
	return s, nil
}

// versions are those of Kubernetes that there are schemas of, the oldest first.
var versions = sync.OnceValues(func() (all []*schemas, err error) {
	files, err := filepath.Glob(filepath.Join("schemas", "kubernetes-*.json"))
	slices.Sort(files)
	for _, file := range files {
		s, err := readSchemas(file, filepath.Join("schemas", "gateway-api.json"), filepath.Join("schemas", "prometheus-operator.json"))
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, err
})

func versionsOf(t testing.TB) []*schemas {
	t.Helper()
	all, err := versions()
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d versions, and %v", len(all), err)
	}
	return all
}

// check says what a version of Kubernetes does not accept of an object.
func (s *schemas) check(o object) error {
	def, ok := s.kinds[o.known()]
	if !ok {
		return fmt.Errorf("%s: no schema of %s; it goes into deploy/schemas", o, o.known())
	}
	parts := map[string]any{def: map[string]any(o)}
	if o.custom() {
		parts[anObjectsMetadata] = o["metadata"]
	}
	for def, part := range parts {
		schema, err := s.compile(def)
		if err != nil {
			return err
		}
		if err := schema.Validate(numbered(part)); err != nil {
			return fmt.Errorf("%s: Kubernetes %s: %w", o, s.version, err)
		}
	}
	return nil
}

// numbered has numbers as the validator wants them.
func numbered(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was read from JSON
	}
	again, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		panic(err)
	}
	return again
}

// filledIn are fields that the API server fills in by code of its own: the others have their
// "default" in the schema.
var filledIn = map[string][]string{
	"io.k8s.api.networking.v1.NetworkPolicyPort":       {"protocol"},
	"io.k8s.api.core.v1.PersistentVolumeClaim":         {"apiVersion", "kind", "status"},
	"io.k8s.api.core.v1.PersistentVolumeClaimSpec":     {"volumeMode"},
	"io.k8s.api.core.v1.ObjectFieldSelector":           {"apiVersion"},
	"io.k8s.api.core.v1.ServiceAccountTokenProjection": {"expirationSeconds"},
}

// unwritten are the fields that the API server would fill in inside of lists that "kubectl apply"
// compares as a whole: with them each apply changes the object again. These are the lists without a
// key to merge by, and all of custom resources.
func (s *schemas) unwritten(o object) (bad complaints) {
	def := s.kinds[o.known()]
	s.walk(def, s.defs[def], map[string]any(o), o.String(), o.custom(), false, &bad)
	return bad
}

func (s *schemas) walk(name string, schema, value any, path string, custom, whole bool, bad *complaints) {
	about, _ := schema.(map[string]any)
	if ref, ok := about["$ref"].(string); ok {
		name = strings.TrimPrefix(ref, "#/$defs/")
		s.walk(name, s.defs[name], value, path, custom, whole, bad)
	}
	parts, _ := about["allOf"].([]any)
	for _, part := range parts {
		s.walk(name, part, value, path, custom, whole, bad)
	}
	switch value := value.(type) {
	case map[string]any:
		properties, _ := about["properties"].(map[string]any)
		for field, schema := range properties {
			inner, there := value[field]
			if there {
				s.walk("", schema, inner, path+"."+field, custom, whole, bad)
				continue
			}
			if whole && (hasDefault(schema) || slices.Contains(filledIn[name], field)) {
				bad.add("%s: %s is not written out, and each apply changes it", path, field)
			}
		}
		for field, inner := range value {
			if properties[field] == nil && about["additionalProperties"] != nil {
				s.walk("", about["additionalProperties"], inner, path+"."+field, custom, whole, bad)
			}
		}
	case []any:
		_, merged := about["x-kubernetes-patch-merge-key"]
		for i, item := range value {
			s.walk("", about["items"], item, path+"["+strconv.Itoa(i)+"]", custom, whole || custom || !merged, bad)
		}
	}
}

// hasDefault reports whether the field gets a value that is not its zero value.
func hasDefault(schema any) bool {
	about, _ := schema.(map[string]any)
	value := about["default"]
	return value != nil && !reflect.ValueOf(value).IsZero()
}

// uncanonical are values that the API server writes in another way, such as 1000m and 10000.
func uncanonical(o object) (bad complaints) {
	if o.custom() {
		return nil
	}
	typed, _, err := strictDecoder()(o.json(), nil, nil)
	if err != nil {
		bad.add("%s: %v", o, err)
		return bad
	}
	b, err := json.Marshal(typed)
	if err != nil {
		bad.add("%s: %v", o, err)
		return bad
	}
	again := object{}
	if err := json.Unmarshal(b, &again); err != nil {
		bad.add("%s: %v", o, err)
	}
	differ(o.String(), map[string]any(o), map[string]any(again), &bad)
	return bad
}

// differ names the values of ours that theirs has not, or has in another way.
func differ(path string, ours, theirs any, bad *complaints) {
	switch ours := ours.(type) {
	case map[string]any:
		there, _ := theirs.(map[string]any)
		for key, value := range ours {
			differ(path+"."+key, value, there[key], bad)
		}
	case []any:
		there, _ := theirs.([]any)
		for i, value := range ours {
			if i < len(there) {
				differ(path+"["+strconv.Itoa(i)+"]", value, there[i], bad)
			} else {
				bad.add("%s is left out by the API server", path)
			}
		}
	default:
		if !reflect.DeepEqual(ours, theirs) {
			bad.add("%s: %v becomes %v", path, ours, theirs)
		}
	}
}

// accepted says what any of the versions does not accept of the objects, and what would change at
// each apply.
func accepted(t testing.TB, objects []object) (bad complaints) {
	t.Helper()
	for _, s := range versionsOf(t) {
		for _, o := range objects {
			if err := s.check(o); err != nil {
				bad.add("%v", err)
				continue
			}
			bad = append(bad, s.unwritten(o)...)
		}
	}
	for _, o := range objects {
		bad = append(bad, uncanonical(o)...)
		bad = append(bad, misnamed(o)...)
	}
	return bad
}

// misnamed are names, labels and annotations that the API server refuses, which schemas say nothing
// of.
func misnamed(o object) (bad complaints) {
	var about struct {
		Metadata metav1.ObjectMeta
		Spec     struct {
			Template struct{ Metadata metav1.ObjectMeta }
		}
	}
	if err := json.Unmarshal(o.json(), &about); err != nil {
		bad.add("%s: %v", o, err)
	}
	wrong := validation.IsDNS1123Label(about.Metadata.Name) // the strictest of them all fits each kind
	for _, m := range []metav1.ObjectMeta{about.Metadata, about.Spec.Template.Metadata} {
		for key, value := range m.Labels {
			wrong = append(wrong, validation.IsQualifiedName(key)...)
			wrong = append(wrong, validation.IsValidLabelValue(value)...)
		}
		for key := range m.Annotations {
			wrong = append(wrong, validation.IsQualifiedName(strings.ToLower(key))...)
		}
	}
	for _, what := range wrong {
		bad.add("%s: %s", o, what)
	}
	return bad
}

// TestSchemasAreOfTheThreeNewestVersions: the newest is the one whose types this module has, so
// that an update of these asks for the schemas too.
func TestSchemasAreOfTheThreeNewestVersions(t *testing.T) {
	var minors []int
	for _, s := range versionsOf(t) {
		minor, err := strconv.Atoi(strings.TrimPrefix(s.version, "1."))
		if err != nil {
			t.Fatal(err)
		}
		minors = append(minors, minor)
	}
	found := regexp.MustCompile(`(?m)^\tk8s\.io/api v0\.(\d+)\.`).FindStringSubmatch(read(t, "deploy/go.mod"))
	if found == nil {
		t.Fatal("go.mod does not say which k8s.io/api it needs")
	}
	newest, _ := strconv.Atoi(found[1])
	if got, want := fmt.Sprint(minors), fmt.Sprint([]int{newest - 2, newest - 1, newest}); got != want {
		t.Errorf("got schemas of Kubernetes 1.%s, want 1.%s: k8s.io/api says which is the newest; see deploy/schemas", got, want)
	}
	for _, s := range versionsOf(t) {
		if from := "k8s.io/kubernetes v" + s.version + "."; !strings.HasPrefix(s.from, from) {
			t.Errorf("the schemas of Kubernetes %s are of %s", s.version, s.from)
		}
	}
	files, err := filepath.Glob(filepath.Join("schemas", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 200_000 {
			t.Errorf("%s: it is too large, or %v", file, err)
		}
	}
}

func TestTheManifestsAreAccepted(t *testing.T) {
	for _, dir := range kustomizations {
		t.Run(dir, func(t *testing.T) {
			objects, err := kustomized(dir, "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, complaint := range accepted(t, objects) {
				t.Error(complaint)
			}
		})
	}
}

func TestEachRuleOfTheSchemasObjects(t *testing.T) {
	for file, breaches := range map[string][]breach{
		"base/autoscaler.yaml": {
			{"a quantity that is written anew", "averageValue: 10k", `averageValue: "10000"`, "10000 becomes 10k"},
			{"a field of another version", "stabilizationWindowSeconds: 30", "stabilizationWindow: 30s", "'stabilizationWindow' not allowed"},
			{"a field that must be there", "  maxReplicas: 20\n", "", "missing property 'maxReplicas'"},
			{"text for a number", "minReplicas: 3", "minReplicas: three", "want integer"},
		},
		"base/service.yaml": {
			{"a name that is none", "  name: lockstep\nspec", "  name: Lockstep_1\nspec", "lowercase RFC 1123"},
			{"a label that is none", "  name: lockstep\nspec", "  name: lockstep\n  labels: {a: b/c}\nspec", "valid label must"},
		},
		"base/network.yaml": {
			{"a protocol that is filled in", "{protocol: TCP, port: admin}", "{port: admin}", "protocol is not written out"},
		},
		"base/deployment.yaml": {
			{"cores in another way", "cpu: 250m", `cpu: "0.25"`, "0.25 becomes 250m"},
			{"a field that does not exist", "minReadySeconds", "minimumReadySeconds", "'minimumReadySeconds' not allowed"},
		},
		"components/gateway/gateway.yaml": {
			{"a kind that is filled in", `{group: "", kind: Secret, name: lockstep-tls}`, "{name: lockstep-tls}", "kind is not written out"},
			{"no such protocol", "protocol: HTTPS", "protocol: https tls", "protocol"},
			{"a field in the metadata", "metadata:\n", "metadata:\n  label: {}\n", "'label' not allowed"},
		},
		"components/gateway/routes.yaml": {
			{"a weight that is filled in", ", weight: 1", "", "weight is not written out"},
			{"no duration", "{request: 60s", "{request: 1 minute", "does not match pattern"},
			{"a field that does not exist", "backendRequest: 60s", "idle: 60s", "'idle' not allowed"},
		},
	} {
		rules := func(t *testing.T, text string) []string {
			objects, err := kustomized(overlayWith(file), file, text)
			if err != nil {
				return []string{err.Error()}
			}
			return accepted(t, objects)
		}
		t.Run(file, func(t *testing.T) { provoke(t, read(t, "deploy/kubernetes/"+file), rules, breaches) })
	}
}
