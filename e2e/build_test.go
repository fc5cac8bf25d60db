package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// buildDir is the folder of what is built for the tests of this run. The reaper removes it.
var buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "lockstep-e2e-") })

// binary returns the path of the program under test, built once.
var binary = sync.OnceValues(func() (string, error) { return buildWeb("web", nil) })

// forBrowsers makes the program for browsers, once, and returns what has a build embed it: files
// that stand for others. It is compressed for one machine, which is 18 s faster than for a release.
var forBrowsers = sync.OnceValues(func() (map[string]string, error) {
	dir, err := buildDir()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "program")
	cmd := exec.Command("go", "run", "./wasmbuild", "-quality", "5", "-out", out)
	cmd.Dir = "../static"
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("wasmbuild: %w\n%s", err, text)
	}
	list, err := os.ReadFile(filepath.Join(out, "overlay.json"))
	if err != nil {
		return nil, err
	}
	var overlay struct{ Replace map[string]string }
	err = json.Unmarshal(list, &overlay)
	return overlay.Replace, err
})

// buildWeb builds cmd/web as a release has it, with the program for browsers, and returns its path.
// replace are files that stand for others, as of "go build -overlay".
func buildWeb(name string, replace map[string]string) (path string, err error) {
	all, err := forBrowsers()
	if err != nil {
		return "", err
	}
	all = maps.Clone(all)
	maps.Copy(all, replace)
	return buildProgram(name, "./cmd/web", all, "-tags", "program")
}

// buildProgram builds a program of the workspace, and returns its path. replace are files that
// stand for others, as of "go build -overlay".
func buildProgram(name, pkg string, replace map[string]string, flags ...string) (path string, err error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, name+".overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-overlay", overlay, "-o", path, pkg)...)
	cmd.Dir = ".." // in the workspace, with the versions that it has
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
