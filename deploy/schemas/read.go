package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// wanted are the kinds of Kubernetes itself, by the file of its OpenAPI document.
var wanted = map[string][]string{
	"api__v1_openapi.json":                     {"ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"},
	"apis__apps__v1_openapi.json":              {"Deployment", "StatefulSet"},
	"apis__autoscaling__v2_openapi.json":       {"HorizontalPodAutoscaler"},
	"apis__networking.k8s.io__v1_openapi.json": {"Ingress", "NetworkPolicy"},
	"apis__policy__v1_openapi.json":            {"PodDisruptionBudget"},
}

const componentAt = "#/components/schemas/"

// readKubernetes takes the wanted kinds out of the OpenAPI documents of one version.
func readKubernetes(dir string, to *bundle) error {
	for _, file := range slices.Sorted(maps.Keys(wanted)) {
		text, err := os.ReadFile(filepath.Join(dir, "api", "openapi-spec", "v3", file))
		if err != nil {
			return err
		}
		var doc struct {
			Components struct{ Schemas map[string]map[string]any }
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, kind := range wanted[file] {
			if err := takeKind(doc.Components.Schemas, kind, to); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// takeKind adds a kind, and all that its schema refers to.
func takeKind(from map[string]map[string]any, kind string, to *bundle) error {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		for _, gvk := range list(from[name]["x-kubernetes-group-version-kind"]) {
			known, _ := gvk.(map[string]any)
			if known["kind"] != kind || !strings.HasSuffix(name, "."+kind) {
				continue
			}
			api, _ := known["version"].(string)
			if group, _ := known["group"].(string); group != "" {
				api = group + "/" + api
			}
			to.Kinds[api+" "+kind] = name
			return take(from, name, to)
		}
	}
	return fmt.Errorf("there is no %s", kind)
}

// take adds a definition, and those that it refers to.
func take(from map[string]map[string]any, name string, to *bundle) error {
	if _, ok := to.Defs[name]; ok {
		return nil
	}
	def, ok := from[name]
	if !ok {
		return fmt.Errorf("there is no %s", name)
	}
	to.Defs[name] = nil // it may refer to itself
	closed, refs := strict(def)
	to.Defs[name] = closed
	for _, ref := range refs {
		if err := take(from, ref, to); err != nil {
			return err
		}
	}
	return nil
}

// definitions takes kinds out of CustomResourceDefinitions, the version "v1" of each. Rules in CEL
// are left out: only an API server knows them.
func definitions(files ...string) func(string, *bundle) error {
	return func(dir string, to *bundle) error {
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
			if err != nil {
				return err
			}
			if err := takeDefinition(text, to); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return nil
	}
}

func takeDefinition(text []byte, to *bundle) error {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		if v.Name == "v1" {
			kind := crd.Spec.Group + "/v1 " + crd.Spec.Names.Kind
			closed, _ := strict(v.Schema.OpenAPIV3Schema)
			to.Kinds[kind], to.Defs[kind] = kind, closed
			return nil
		}
	}
	return errors.New("there is no version v1")
}

// dropped says nothing of what is valid, or of what a default is.
func dropped(key string) bool {
	kept := key == "x-kubernetes-list-type" || key == "x-kubernetes-patch-merge-key"
	return key == "description" || key == "example" || strings.HasPrefix(key, "x-kubernetes-") && !kept
}

// strict returns a schema in which an object has no fields but those that are named, and what it
// refers to.
func strict(schema map[string]any) (closed map[string]any, refs []string) {
	closed = map[string]any{}
	for key, value := range schema {
		if dropped(key) {
			continue
		}
		switch value := value.(type) {
		case map[string]any:
			inner, more := strictIn(key, value)
			if key == "default" && len(value) == 0 {
				continue // of a struct: its fields have their own
			}
			closed[key], refs = inner, append(refs, more...)
		case []any:
			items := []any{}
			for _, item := range value {
				if object, ok := item.(map[string]any); ok {
					inner, more := strict(object)
					item, refs = inner, append(refs, more...)
				}
				items = append(items, item)
			}
			closed[key] = items
		case string:
			if name, ok := strings.CutPrefix(value, componentAt); ok && key == "$ref" {
				refs, value = append(refs, name), "#/$defs/"+name
			}
			closed[key] = value
		default:
			closed[key] = value
		}
	}
	_, properties := schema["properties"].(map[string]any)
	_, said := schema["additionalProperties"]
	if open, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); properties && !said && !open {
		closed["additionalProperties"] = false
	}
	return closed, refs
}

// strictIn is strict for what stands below a key: below "properties" are names of fields, which may
// be those of keywords.
func strictIn(key string, value map[string]any) (closed map[string]any, refs []string) {
	if key != "properties" {
		return strict(value)
	}
	closed = map[string]any{}
	for name, property := range value {
		object, _ := property.(map[string]any)
		inner, more := strict(object)
		closed[name], refs = inner, append(refs, more...)
	}
	return closed, refs
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// lines writes the entries of a JSON object, sorted, one a line.
func lines[T any](out io.Writer, entries map[string]T) error {
	for i, name := range slices.Sorted(maps.Keys(entries)) {
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		value, err := json.Marshal(entries[name])
		if err != nil {
			return err
		}
		comma := ","
		if i == len(entries)-1 {
			comma = ""
		}
		if _, err := fmt.Fprintf(out, "%s: %s%s\n", key, value, comma); err != nil {
			return err
		}
	}
	return nil
}
