// Command schemas writes what Kubernetes accepts, as JSON Schema, into files beside itself: for
// each of its three newest versions the kinds that charts and manifests here are made of, and those
// kinds of Gateway API and of the Prometheus operator. Tests validate by them, without a network.
//
// The sources are Go modules, so "go generate ./..." in the folder deploy needs a proxy of modules
// and nothing else. When a version of Kubernetes is new, it goes into sources, and the oldest
// leaves.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A source is a module, and the files in it that have schemas.
type source struct {
	file    string // that is written
	module  string
	version string
	read    func(dir string, to *bundle) error
}

// sources has, of Kubernetes, the newest patch release that is a Go module.
var sources = []source{
	{"kubernetes-1.35.json", "k8s.io/kubernetes", "v1.35.4", readKubernetes},
	{"kubernetes-1.36.json", "k8s.io/kubernetes", "v1.36.3", readKubernetes},
	{"kubernetes-1.37.json", "k8s.io/kubernetes", "v1.37.2", readKubernetes},
	{"gateway-api.json", "sigs.k8s.io/gateway-api", "v1.6.3", definitions(
		"config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
		"config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
		"config/crd/standard/gateway.networking.k8s.io_backendtlspolicies.yaml",
	)},
	// Later versions of this module are not served: what they add is refused.
	{"prometheus-operator.json", "github.com/prometheus-operator/prometheus-operator", "v0.85.0", definitions(
		"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
	)},
}

func main() {
	for _, s := range sources {
		if err := write(context.Background(), s, "schemas"); err != nil {
			fmt.Fprintln(os.Stderr, "schemas:", err)
			os.Exit(1)
		}
	}
}

// write makes the file of one source in the folder.
func write(ctx context.Context, s source, folder string) error {
	dir, sum, err := download(ctx, s.module+"@"+s.version)
	if err != nil {
		return err
	}
	b := &bundle{From: s.module + " " + s.version + " " + sum, Kinds: map[string]string{}, Defs: map[string]any{}}
	if err := s.read(dir, b); err != nil {
		return fmt.Errorf("%s %s: %w", s.module, s.version, err)
	}
	text, err := b.text()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, s.file), text, 0o644)
}

// download returns where a module is unpacked, and its checksum.
func download(ctx context.Context, module string) (dir, sum string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Env = os.TempDir(), append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	var said struct{ Dir, Sum, Error string }
	if json.Unmarshal(out, &said) == nil && said.Error != "" {
		return "", "", fmt.Errorf("%s: %s", module, said.Error)
	}
	if err != nil {
		return "", "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	return said.Dir, said.Sum, nil
}

// A bundle is what a file has: the schemas of some kinds, and those that they refer to.
type bundle struct {
	From  string
	Kinds map[string]string // "apps/v1 Deployment" to the name of its definition
	Defs  map[string]any
}

// text has a line for each definition, so that one sees in a diff what a version changes.
func (b *bundle) text() ([]byte, error) {
	var out strings.Builder
	from, err := json.Marshal(b.From)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "{\n\"from\": %s,\n\"kinds\": {\n", from)
	if err := lines(&out, b.Kinds); err != nil {
		return nil, err
	}
	out.WriteString("},\n\"$defs\": {\n")
	if err := lines(&out, b.Defs); err != nil {
		return nil, err
	}
	out.WriteString("}\n}\n")
	return []byte(out.String()), nil
}
