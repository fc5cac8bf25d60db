package outside_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/internal/short"
)

const module = "lockstep"

// most is how many modules may come with the one that is imported, itself and
// the importer included.
const most = 12

const alone = `package main

import (
	"context"
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

func main() {
	ctx := context.Background()
	hub := pubsub.NewHub(mempubsub.NewBus(), nil)
	if err := hub.Start(ctx); err != nil {
		panic(err)
	}
	heard := make(chan int)
	prices := pubsub.NewTopic[int]("prices")
	err := prices.Subscribe(ctx, hub, "me", func(_ context.Context, e pubsub.Event[int]) error {
		if !e.Gap {
			heard <- e.Value
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	if err := prices.Broadcast(ctx, hub, 42); err != nil {
		panic(err)
	}
	fmt.Println(<-heard)
}
`

const withRedis = `package main

import (
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/redispubsub"
)

func main() {
	driver, err := redispubsub.NewDriver("redis://localhost")
	if err != nil {
		panic(err)
	}
	fmt.Println(pubsub.NewHub(driver, nil) != nil)
}
`

const withNATS = `package main

import (
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/natspubsub"
)

func main() {
	driver, err := natspubsub.NewDriver("nats://localhost")
	if err != nil {
		panic(err)
	}
	fmt.Println(pubsub.NewHub(driver, nil) != nil)
}
`

const withSNSSQS = `package main

import (
	"fmt"

	"lockstep/pubsub"
	"lockstep/pubsub/snssqspubsub"
)

func main() {
	driver, err := snssqspubsub.NewDriver("snssqs://eu-central-1", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(pubsub.NewHub(driver, nil) != nil)
}
`

const withBackends = `package main

import "lockstep/backends"

func main() { _ = backends.MustOpen("mem:", nil) }
`

const withComponents = `package main

import (
	"fmt"

	"lockstep/components"
)

func main() { fmt.Println(components.StyleSheet() != "") }
`

func TestAModuleUsesPubsubByReplace(t *testing.T) {
	m := newOutsider(t, alone)
	m.run(t, "go", "mod", "tidy")
	if got := m.run(t, "go", "run", "."); got != "42\n" {
		t.Errorf("got %q, want 42", got)
	}
	if all := strings.Fields(m.run(t, "go", "list", "-m", "-f", "{{.Path}}", "all")); len(all) > most {
		t.Errorf("%d modules come with pubsub, and no more than %d may: %q", len(all), most, all)
	}
}

func TestAModuleUsesPubsubByAWorkspace(t *testing.T) {
	m := newOutsider(t, alone)
	if err := os.WriteFile(filepath.Join(m.dir, "go.mod"), []byte("module example.com/mine\n\ngo 1.26.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.run(t, "go", "work", "init", ".", m.root)
	if got := m.run(t, "go", "run", "."); got != "42\n" {
		t.Errorf("got %q, want 42", got)
	}
}

func TestAModuleUsesABackendByReplace(t *testing.T) {
	m := newOutsider(t, withRedis, "pubsub/redispubsub", "internal/redisclient")
	m.run(t, "go", "mod", "tidy")
	if got := m.run(t, "go", "run", "."); got != "true\n" {
		t.Errorf("got %q, want true", got)
	}
}

// TestAModuleUsesNATSWithoutItsServer: the server is for tests of this tree.
func TestAModuleUsesNATSWithoutItsServer(t *testing.T) {
	m := newOutsider(t, withNATS, "pubsub/natspubsub", "internal/natsclient")
	m.run(t, "go", "mod", "tidy")
	if got := m.run(t, "go", "run", "."); got != "true\n" {
		t.Errorf("got %q, want true", got)
	}
	if all := m.run(t, "go", "list", "-m", "-f", "{{.Path}}", "all"); strings.Contains(all, "nats-server") || strings.Contains(all, "redis") {
		t.Errorf("these modules come with the driver for NATS: %s", all)
	}
}

// TestADriverFromOutsidePassesTheSuite, with all its cases: that of docs/your-own-backend.md, in a
// module that can import nothing internal.
func TestADriverFromOutsidePassesTheSuite(t *testing.T) {
	m := newOutsider(t, "package main\n\nfunc main() {}\n")
	for _, name := range []string{"driver.go", "server.go", "driver_test.go"} {
		text, err := os.ReadFile(filepath.Join(m.root, "examples/unixpubsub", name))
		if err == nil {
			err = os.MkdirAll(filepath.Join(m.dir, "unixpubsub"), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(m.dir, "unixpubsub", name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m.run(t, "go", "mod", "tidy")
	if said := m.run(t, "go", "test", "-v", "./unixpubsub"); !strings.Contains(said, "--- PASS: TestDriver/Close_ends_calls_without_an_answer") || strings.Contains(said, "SKIP") {
		t.Errorf("not all cases have run: %s", said)
	}
}

// TestAModuleUsesSNSAndSQSWithoutTheirEmulator, nor any other client.
func TestAModuleUsesSNSAndSQSWithoutTheirEmulator(t *testing.T) {
	m := newOutsider(t, withSNSSQS, "pubsub/snssqspubsub")
	m.run(t, "go", "mod", "tidy")
	if got := m.run(t, "go", "run", "."); got != "true\n" {
		t.Errorf("got %q, want true", got)
	}
	m.without(t, "goaws", "redis", "nats", "amqp", "pgx")
}

// TestHeavyClientsStayOutOfTheWay: who imports pubsub or components downloads none of them, and
// who imports backends all but that of AWS.
func TestHeavyClientsStayOutOfTheWay(t *testing.T) {
	heavy := []string{"github.com/aws/", "nats-server", "goaws"}
	clients := append([]string{"nats.go", "amqp091", "go-redis", "pgx"}, heavy...)
	for name, c := range map[string]struct {
		program string
		folders []string
		without []string
	}{
		"pubsub":     {alone, nil, clients},
		"components": {withComponents, []string{"components"}, clients},
		"backends":   {withBackends, folders(t), heavy},
	} {
		t.Run(name, func(t *testing.T) {
			m := newOutsider(t, c.program, c.folders...)
			m.run(t, "go", "mod", "tidy")
			m.without(t, c.without...)
		})
	}
}

// folders returns where the modules of this tree are, but for the one in its root.
func folders(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || path != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.Name() == "go.mod" && path != "go.mod":
			all = append(all, filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// without wants no module to come whose path has one of these parts.
func (m outsider) without(t *testing.T, parts ...string) {
	t.Helper()
	for path := range strings.FieldsSeq(m.run(t, "go", "list", "-m", "-f", "{{.Path}}", "all")) {
		for _, part := range parts {
			if strings.Contains(path, part) {
				t.Errorf("%s comes with it", path)
			}
		}
	}
}

// An outsider is a module in a folder outside of this tree.
type outsider struct {
	dir  string
	root string // of this tree
}

// newOutsider makes a module with one program, which finds this tree and the
// modules in these folders of it by replace.
func newOutsider(t *testing.T, program string, folders ...string) outsider {
	t.Helper()
	short.Skip(t, "builds other modules")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m := outsider{t.TempDir(), root}
	file := "module example.com/mine\n\ngo 1.26.0\n\nrequire " + module + " v0.0.0\nreplace " + module + " => " + root + "\n"
	for _, folder := range folders {
		file += "replace " + module + "/" + folder + " => " + filepath.Join(root, folder) + "\n"
	}
	for name, text := range map[string]string{"go.mod": file, "main.go": program} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// run runs a command in the module and returns what it printed.
func (m outsider) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = m.dir, append(os.Environ(), "GOFLAGS=", "GOWORK=")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &said)
	}
	return string(out)
}
