package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// A value is one of the chart's: a leaf of values.yaml, or a group of them.
type value struct {
	path  []string
	about string   // after "# --"
	whole bool     // "@whole": its parts are not values of their own
	enum  []string // "@enum": all that it may be
	types []string // "@type", or "@null": that or nothing
	node  *yamlv3.Node
	below []*value
}

// valuesOf reads values.yaml with its comments.
func valuesOf(t testing.TB) []*value {
	t.Helper()
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal([]byte(read(t, "deploy/helm/lockstep/values.yaml")), &doc); err != nil {
		t.Fatal(err)
	}
	return below(t, nil, doc.Content[0])
}

func below(t testing.TB, path []string, node *yamlv3.Node) (all []*value) {
	t.Helper()
	for i := 0; i < len(node.Content); i += 2 {
		key, inner := node.Content[i], node.Content[i+1]
		v := &value{path: append(slices.Clone(path), key.Value), node: inner}
		for line := range strings.SplitSeq(key.HeadComment, "\n") {
			word, rest, _ := strings.Cut(strings.TrimPrefix(line, "# "), " ")
			switch word {
			case "--":
				v.about = strings.TrimSpace(v.about + " " + rest)
			case "@whole":
				v.whole = true
			case "@enum":
				v.enum = strings.Fields(rest)
			case "@type":
				v.types = strings.Fields(rest)
			case "@null":
				v.types = append(strings.Fields(rest), "null")
			}
		}
		if inner.Kind == yamlv3.MappingNode && len(inner.Content) > 0 && !v.whole {
			v.below = below(t, v.path, inner)
		} else if v.about == "" {
			t.Errorf("values.yaml does not say what %s is", strings.Join(v.path, "."))
		}
		all = append(all, v)
	}
	return all
}

// leaves are the values without groups.
func leaves(all []*value) (out []*value) {
	for _, v := range all {
		if v.below != nil {
			out = append(out, leaves(v.below)...)
		} else {
			out = append(out, v)
		}
	}
	return out
}

// schema is what may stand for a value.
func (v *value) schema() map[string]any {
	s := map[string]any{}
	if v.about != "" {
		s["description"] = v.about
	}
	name := strings.ToLower(v.path[len(v.path)-1])
	switch {
	case v.below != nil:
		s["type"], s["additionalProperties"] = "object", false
		s["properties"] = properties(v.below)
	case v.enum != nil:
		s["enum"] = v.enum
	case v.types != nil:
		s["type"] = v.types
	case v.node.Kind == yamlv3.SequenceNode:
		s["type"] = "array"
	case v.node.Kind == yamlv3.MappingNode:
		s["type"] = "object"
		if strings.HasSuffix(name, "labels") || strings.HasSuffix(name, "annotations") || name == "nodeselector" || name == "secretvalues" {
			s["additionalProperties"] = map[string]any{"type": "string"}
		}
		if name == "settings" {
			s["additionalProperties"] = map[string]any{"type": []string{"string", "integer", "boolean", "null"}}
		}
	default:
		s["type"] = map[string]string{"!!str": "string", "!!int": "integer", "!!bool": "boolean"}[v.node.Tag]
	}
	return s
}

func properties(all []*value) map[string]any {
	out := map[string]any{}
	for _, v := range all {
		out[v.path[len(v.path)-1]] = v.schema()
	}
	return out
}

// row is a value's line in README.md.
func (v *value) row(t testing.TB) string {
	t.Helper()
	var out any
	if err := v.node.Decode(&out); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	text := "`" + strings.ReplaceAll(string(b), "|", `\|`) + "`"
	if len(text) > 60 {
		text = "see `values.yaml`"
	}
	return fmt.Sprintf("| `%s` | %s | %s |", strings.Join(v.path, "."), text, v.about)
}

// TestTheChartsValuesAreDocumented, in README.md and values.schema.json, which are made of the
// comments in values.yaml: "go generate ./..." writes both.
func TestTheChartsValuesAreDocumented(t *testing.T) {
	all := valuesOf(t)
	schema := map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart", "type": "object",
		"additionalProperties": false, "properties": properties(all),
	}
	// Of charts that this one is a part of.
	schema["properties"].(map[string]any)["global"] = map[string]any{"type": "object"}
	b, err := json.MarshalIndent(schema, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "deploy/helm/lockstep/values.schema.json", string(b)+"\n")

	rows := []string{"| value | default | what |", "|---|---|---|"}
	for _, v := range leaves(all) {
		rows = append(rows, v.row(t))
	}
	const begin, end = "<!-- values, of values.yaml -->\n", "<!-- end of the values -->\n"
	readme := read(t, "deploy/helm/lockstep/README.md")
	head, rest, _ := strings.Cut(readme, begin)
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("README.md has no place for the table, between %q and %q", begin, end)
	}
	same(t, "deploy/helm/lockstep/README.md", head+begin+"\n"+strings.Join(rows, "\n")+"\n\n"+end+tail)
}

// TestEachValueOfTheChartDoesSomething: some file of trials sets it, and without that the chart
// makes something else.
func TestEachValueOfTheChartDoesSomething(t *testing.T) {
	c, all := loadChart(t), trials(t)
	made := map[string]map[string]string{}
	for name, v := range all {
		texts, err := render(c, v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		made[name] = texts
	}
	for _, v := range leaves(valuesOf(t)) {
		path, does := strings.Join(v.path, "."), false
		for _, name := range slices.Sorted(maps.Keys(all)) {
			less, ok := without(all[name], v.path)
			if !ok {
				continue
			}
			// What can't be rendered without it is something too.
			texts, err := render(c, less)
			does = does || err != nil || !maps.Equal(texts, made[name])
		}
		if !does {
			t.Errorf("%s: no file in ci/ sets it, or nothing comes of it", path)
		}
	}
}

// without returns a copy of values in which one is not set, and whether it was.
func without(v values, path []string) (values, bool) {
	b, err := yaml.Marshal(v)
	if err != nil {
		return nil, false
	}
	copied := values{}
	if err := yaml.Unmarshal(b, &copied); err != nil {
		return nil, false
	}
	at := copied
	for _, name := range path[:len(path)-1] {
		inner, ok := at[name].(values)
		if !ok {
			return nil, false
		}
		at = inner
	}
	last := path[len(path)-1]
	_, ok := at[last]
	delete(at, last)
	return copied, ok
}
