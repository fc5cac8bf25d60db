package deploy_test

import (
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A workflow is what a test must know of one of GitHub's.
type workflow struct {
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		If          string            `json:"if"`
		Needs       []string          `json:"needs"`
		Permissions map[string]string `json:"permissions"`
		Container   string            `json:"container"`
		Minutes     int               `json:"timeout-minutes"`
		Steps       []struct {
			Uses string            `json:"uses"`
			Run  string            `json:"run"`
			Env  map[string]string `json:"env"`
		} `json:"steps"`
	} `json:"jobs"`
}

// runs returns all commands of a job.
func (w workflow) runs(job string) string {
	var all []string
	for _, s := range w.Jobs[job].Steps {
		all = append(all, s.Run)
	}
	return strings.Join(all, "\n")
}

func TestGitHubRunsWhatEverybodyRuns(t *testing.T) {
	var w workflow
	parse(t, ".github/workflows/ci.yml", &w)
	for job, want := range map[string][]string{
		"check": {".ci/run"},
		"bare":  {"internal/bare.sh here"},
		"image": {"make image-check"},
		"push":  {"make release-check VERSION=", "make image-push REGISTRY="},
		"dist":  {"make release-check VERSION=", "make dist VERSION=", "make dist-check"},
	} {
		for _, command := range want {
			if !strings.Contains(w.runs(job), command) {
				t.Errorf("job %s does not run %s", job, command)
			}
		}
	}
	if got := w.Jobs["bare"].Container; got != "debian:stable" {
		t.Errorf("the bare job runs in %q, and not in an empty Debian", got)
	}
	if got := w.Jobs["dist"].If; got != "startsWith(github.ref, 'refs/tags/v')" {
		t.Errorf("the dist job runs if %q", got)
	}
}

func TestGitHubMayOnlyRead(t *testing.T) {
	for _, path := range inGitHub(t, "workflows/*.yml") {
		var w workflow
		parse(t, path, &w)
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s: permissions are %v", path, w.Permissions)
		}
		for name, job := range w.Jobs {
			want := map[string]string(nil)
			if name == "push" {
				want = map[string]string{"contents": "read", "packages": "write"}
			}
			if !maps.Equal(job.Permissions, want) {
				t.Errorf("%s: permissions of job %s are %v", path, name, job.Permissions)
			}
		}
	}
}

// TestImagesArePushedWhereAVariableSays, of a version, and only when all else is well.
func TestImagesArePushedWhereAVariableSays(t *testing.T) {
	var w workflow
	parse(t, ".github/workflows/ci.yml", &w)
	push := w.Jobs["push"]
	if want := "startsWith(github.ref, 'refs/tags/v') && vars.REGISTRY != ''"; push.If != want {
		t.Errorf("images are pushed if %q, want %q", push.If, want)
	}
	if want := []string{"check", "bare", "image"}; !slices.Equal(push.Needs, want) {
		t.Errorf("images are pushed after %v, want %v", push.Needs, want)
	}
	for _, s := range push.Steps {
		for _, v := range s.Env {
			if strings.Contains(v, "secrets.") && !strings.Contains(s.Run, "docker login") {
				t.Errorf("%q is given a secret", s.Run)
			}
		}
	}
	// The builder is the one that tests have.
	version := regexp.MustCompile(`github.com/moby/buildkit (v[\d.]+)\n`).FindStringSubmatch(read(t, "deploy/go.mod"))
	if version == nil || !strings.Contains(w.runs("push"), "image=moby/buildkit:"+version[1]) {
		t.Errorf("BuildKit is of another version than %q of deploy/go.mod", version)
	}
}

// TestMakePushesWhatCanBeChecked: for two platforms, with what is in the images and how they were
// made, and the date of the commit.
func TestMakePushesWhatCanBeChecked(t *testing.T) {
	cmd := exec.Command("make", "--no-print-directory", "-n", "image-push", "REGISTRY=registry.example/team", "VERSION=v1.2.3", "SOURCE=https://example.org/lockstep")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	builds := 0
	for command := range strings.SplitSeq(strings.ReplaceAll(string(out), "\\\n", " "), "\n") {
		if !strings.HasPrefix(command, "docker buildx build") {
			continue
		}
		builds++
		for _, want := range []string{"--platform linux/amd64,linux/arm64", "--sbom=true", "--provenance=mode=max", "rewrite-timestamp=true", "push=true",
			"name=registry.example/team/lockstep", ":v1.2.3", "SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)", "REVISION=$(git rev-parse HEAD)", "CREATED=$(", "SOURCE=https://example.org/lockstep", "VERSION=v1.2.3"} {
			if !strings.Contains(command, want) {
				t.Errorf("got %s\nwithout %s", command, want)
			}
		}
	}
	if builds != 2 {
		t.Errorf("got %d builds, want the server and the load generator", builds)
	}
	cmd = exec.Command("make", "-n", "image-push")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "to where?") {
		t.Errorf("got %s, %v without a registry", out, err)
	}
}

func TestActionsArePinnedAndJobsEnd(t *testing.T) {
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@v\d+\.\d+\.\d+$`)
	for _, path := range inGitHub(t, "workflows/*.yml") {
		var w workflow
		parse(t, path, &w)
		for name, job := range w.Jobs {
			if job.Minutes == 0 {
				t.Errorf("%s: job %s has no timeout-minutes", path, name)
			}
			for _, s := range job.Steps {
				if s.Uses != "" && !pinned.MatchString(s.Uses) {
					t.Errorf("%s: %s is not pinned to a version", path, s.Uses)
				}
			}
		}
	}
}

func TestDependabotKnowsEveryKindOfDependency(t *testing.T) {
	var d struct {
		Version int `json:"version"`
		Updates []struct {
			Ecosystem   string   `json:"package-ecosystem"`
			Directory   string   `json:"directory"`
			Directories []string `json:"directories"`
			Schedule    struct {
				Interval string `json:"interval"`
			} `json:"schedule"`
			Groups map[string]struct {
				Patterns []string `json:"patterns"`
			} `json:"groups"`
		} `json:"updates"`
	}
	parse(t, ".github/dependabot.yml", &d)
	kinds := map[string]bool{}
	for _, u := range d.Updates {
		kinds[u.Ecosystem] = true
		if u.Schedule.Interval != "weekly" || len(u.Groups) != 1 || (u.Directory == "") == (len(u.Directories) == 0) {
			t.Errorf("%s: not once a week in one pull request: %+v", u.Ecosystem, u)
		}
	}
	for _, kind := range []string{"gomod", "npm", "github-actions", "docker"} {
		if !kinds[kind] {
			t.Errorf("no updates for %s", kind)
		}
	}
}

func TestIssueFormsAreForms(t *testing.T) {
	for _, path := range inGitHub(t, "ISSUE_TEMPLATE/*.yml") {
		if filepath.Base(path) == "config.yml" {
			continue
		}
		var form struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			Body        []struct {
				Type       string         `json:"type"`
				ID         string         `json:"id"`
				Attributes map[string]any `json:"attributes"`
			} `json:"body"`
		}
		parse(t, path, &form)
		if form.Name == "" || form.Description == "" || len(form.Body) == 0 {
			t.Errorf("%s: a form needs a name, a description and a body", path)
		}
		for _, field := range form.Body {
			if field.Type != "markdown" && (field.ID == "" || field.Attributes["label"] == nil) {
				t.Errorf("%s: a field without id or label: %+v", path, field)
			}
		}
	}
}

// inGitHub returns the paths of files in .github, of which there must be some.
func inGitHub(t *testing.T, pattern string) (paths []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, ".github", filepath.FromSlash(pattern)))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: nothing is there, %v", pattern, err)
	}
	for _, path := range found {
		paths = append(paths, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
	}
	return paths
}

// parse reads a YAML file of the repository.
func parse(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
