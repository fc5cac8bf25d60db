package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/short"
)

func TestWhatIsWrongIsSaid(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(full, "there")
	if err := os.MkdirAll(filepath.Join(named, "something"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":             {nil, 2, "a command is missing"},
		"what there is not":   {[]string{"destroy"}, 2, `no command "destroy"`},
		"help":                {[]string{"help"}, 0, "Usage"},
		"no folder":           {[]string{"new"}, 2, "takes the folder"},
		"two folders":         {[]string{"new", "a", "b"}, 2, "takes the folder"},
		"a name that is none": {[]string{"new", "My App"}, 2, "begins with a letter"},
		"a folder with files": {[]string{"new", named}, 1, "is not empty"},
		"dev's help":          {[]string{"dev", "-h"}, 0, "FLAGS OF THE APP"},
		"an odd flag of dev":  {[]string{"dev", "-what"}, 2, "-what"},
		"dev nowhere":         {[]string{"dev", filepath.Join(full, "nowhere")}, 1, "there is no folder"},
		"dev of no module":    {[]string{"dev", full}, 1, "is in no Go module"},
		"dev of no program":   {[]string{"dev", "../../state"}, 1, "has no main package"},
		"an odd component":    {[]string{"add", "buttom"}, 2, `no component "buttom"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			if code := run(t.Context(), c.args, &out, &errs); code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
				t.Errorf("got %d, %q and %q, want %d and %q", code, out.String(), errs.String(), c.code, c.says)
			}
		})
	}
}

// TestANewAppPassesItsTests, and so it does with components of its own.
func TestANewAppPassesItsTests(t *testing.T) {
	short.Skip(t, "makes, builds and tests a module")
	dir := filepath.Join(t.TempDir(), "my-app")
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"new", dir}, &out, &errs); code != 0 || !strings.Contains(out.String(), "go run .") {
		t.Fatalf("got %d, %s%s", code, out.String(), errs.String())
	}
	in := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	in("go", "vet", "./...")
	in("go", "test", "./...")
	for _, name := range []string{"AGENTS.md", "Dockerfile", "README.md", ".gitignore", "page.templ", "page_templ.go"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.Contains(string(text), "{{") {
			t.Errorf("%s: %v, or a template", name, err)
		}
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	if code := run(t.Context(), []string{"add", "button", "dialog"}, &out, &errs); code != 0 {
		t.Fatalf("got %d, %s", code, errs.String())
	}
	in("go", "vet", "./components")
	if err := os.WriteFile("components/button.templ", []byte("package components\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if code := run(t.Context(), []string{"add", "button"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "kept "+filepath.Join("components", "button.templ")) {
		t.Errorf("got %d, %s%s: what somebody has changed is not kept", code, out.String(), errs.String())
	}
}

func TestAllComponentsAreListed(t *testing.T) {
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"add"}, &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	names := strings.Fields(out.String())
	if len(names) < 30 || !slices.Contains(names, "button") || !slices.IsSorted(names) {
		t.Errorf("got %q", names)
	}
}
