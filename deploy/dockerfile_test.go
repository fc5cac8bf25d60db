package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// A dockerfile is the parsed text.
type dockerfile struct {
	args   map[string]string // what stands before the first stage
	stages []instructions.Stage
	lint   complaints // of BuildKit's own linter
}

func parseDockerfile(t testing.TB, text string) dockerfile {
	t.Helper()
	ast, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d := dockerfile{args: map[string]string{}}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		d.lint.add("%s: %s", rule, message)
	}})
	stages, args, err := instructions.Parse(ast.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	d.stages = stages
	for _, a := range args {
		for _, kv := range a.Args {
			d.args[kv.Key] = kv.ValueString()
		}
	}
	return d
}

// stage returns a stage by its name.
func (d dockerfile) stage(t testing.TB, name string) instructions.Stage {
	t.Helper()
	i, ok := instructions.HasStage(d.stages, name)
	if !ok {
		t.Fatalf("there is no stage %q", name)
	}
	return d.stages[i]
}

// final reports whether a stage is an image of its own: no other begins with
// it or copies from it.
func (d dockerfile) final(s instructions.Stage) bool {
	for _, other := range d.stages {
		if other.BaseName == s.Name {
			return false
		}
		for c := range commands[*instructions.CopyCommand](other) {
			if c.From == s.Name {
				return false
			}
		}
	}
	return true
}

// commands are those of one kind in a stage.
func commands[C instructions.Command](s instructions.Stage) func(yield func(C) bool) {
	return func(yield func(C) bool) {
		for _, c := range s.Commands {
			if c, ok := c.(C); ok && !yield(c) {
				return
			}
		}
	}
}

func checkDockerfile(t *testing.T, text string) []string {
	d := parseDockerfile(t, text)
	bad := d.lint
	for _, s := range d.stages {
		bad = append(bad, d.checkBase(s)...)
		bad = append(bad, checkStage(s)...)
		if d.final(s) {
			bad = append(bad, checkFinal(s)...)
		}
	}
	for name := range d.args {
		if secretName(name) {
			bad.add("ARG %s: a secret does not belong into an image's history", name)
		}
	}
	bad = append(bad, d.checkModules(t)...)
	if last := d.stages[len(d.stages)-1].Name; last != "web" {
		bad.add("%s is the last stage, so it is what is built by default", last)
	}
	return bad
}

// checkModules wants the modules in a layer of their own, which the sources do not change, and
// nothing to be downloaded after it.
func (d dockerfile) checkModules(t testing.TB) (bad complaints) {
	modules, source := d.stage(t, "modules"), d.stage(t, "source")
	downloads := false
	for _, c := range modules.Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			if c.From != "manifests" {
				bad.add("modules: COPY %v: each change of it downloads all modules anew", c.SourcePaths)
			}
		case *instructions.RunCommand:
			downloads = downloads || strings.Contains(strings.Join(c.CmdLine, " "), "go mod download")
			_ = c.Expand(func(word string) (string, error) { return word, nil }) // checkRun says what is wrong
			if len(instructions.GetMounts(c)) > 0 {
				bad.add("modules: what is in a cache of the builder is in no layer")
			}
		}
	}
	if !downloads || source.BaseName != "modules" {
		bad.add("modules: they are not downloaded before the sources are there")
	}
	off := false
	for c := range commands[*instructions.EnvCommand](source) {
		off = off || slices.Contains(c.Env, instructions.KeyValuePair{Key: "GOPROXY", Value: "off"})
	}
	if !off {
		bad.add("source: a module that is missing in the layer of modules is downloaded after all")
	}
	return bad
}

// checkBase checks what a stage begins with.
func (d dockerfile) checkBase(s instructions.Stage) (bad complaints) {
	if _, ok := instructions.HasStage(d.stages, s.BaseName); ok {
		return nil
	}
	arg := regexp.MustCompile(`^\$\{(\w+)\}$`).FindStringSubmatch(s.BaseName)
	if arg == nil {
		bad.add("FROM %s: the base is no argument", s.BaseName)
		return bad
	}
	if base := d.args[arg[1]]; base != "scratch" && !pinned(base) {
		bad.add("ARG %s=%s: the base has no version", arg[1], base)
	}
	if !d.final(s) && s.Platform != "$BUILDPLATFORM" {
		bad.add("FROM %s: it compiles in emulation for another platform", s.BaseName)
	}
	return bad
}

// checkStage checks what holds for every stage.
func checkStage(s instructions.Stage) (bad complaints) {
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.AddCommand:
			bad.add("ADD: COPY neither downloads nor unpacks by surprise")
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				if secretName(kv.Key) {
					bad.add("ENV %s: a secret does not belong into an image", kv.Key)
				}
			}
		case *instructions.ArgCommand:
			for _, kv := range c.Args {
				if secretName(kv.Key) {
					bad.add("ARG %s: a secret does not belong into an image's history", kv.Key)
				}
			}
		case *instructions.RunCommand:
			bad = append(bad, checkRun(c)...)
		}
	}
	return bad
}

// checkRun wants builds to be cached, static and reproducible.
func checkRun(c *instructions.RunCommand) (bad complaints) {
	line := strings.Join(c.CmdLine, " ")
	if !strings.Contains(line, "go build") && !strings.Contains(line, "go run") {
		return nil
	}
	// Mounts are known only after their variables, of which there are none.
	if err := c.Expand(func(word string) (string, error) { return word, nil }); err != nil {
		bad.add("RUN go build: %s", err)
	}
	var caches []string
	for _, m := range instructions.GetMounts(c) {
		if m.Type == instructions.MountTypeCache {
			caches = append(caches, m.Target)
		}
	}
	if want := "/root/.cache/go-build"; !slices.Contains(caches, want) {
		bad.add("RUN go build: %s is not cached", want)
	}
	if slices.Contains(caches, "/go/pkg/mod") {
		bad.add("RUN go build: a cache hides the layer of modules")
	}
	if strings.Contains(line, "./cmd/web") && !strings.Contains(line, "-tags program") {
		bad.add("RUN go build: without -tags program the server has no application for browsers")
	}
	if !strings.Contains(line, "go build") {
		return bad
	}
	for _, want := range []string{"-trimpath", "-buildvcs=false", "-buildid=", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH", "touch -d @$SOURCE_DATE_EPOCH"} {
		if !strings.Contains(line, want) {
			bad.add("RUN go build: without %s", want)
		}
	}
	return bad
}

// wantedLabels are those of OCI's image-spec that say what an image is, and of what it is made.
var wantedLabels = []string{"title", "description", "licenses", "version", "revision", "created", "source"}

// checkFinal checks a stage that is an image.
func checkFinal(s instructions.Stage) (bad complaints) {
	labels := map[string]bool{}
	for c := range commands[*instructions.LabelCommand](s) {
		for _, l := range c.Labels {
			labels[l.Key] = true
		}
	}
	for _, name := range wantedLabels {
		if !labels["org.opencontainers.image."+name] {
			bad.add("%s: no label %s", s.Name, name)
		}
	}
	var user string
	var health, entry bool
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			health = true
			if t := c.Health.Test; len(t) > 0 && t[0] == "CMD-SHELL" {
				bad.add("%s: HEALTHCHECK needs a shell that is not there", s.Name)
			}
		case *instructions.EntrypointCommand:
			if entry = true; c.PrependShell {
				bad.add("%s: ENTRYPOINT needs a shell, which would not pass on SIGTERM", s.Name)
			}
		case *instructions.VolumeCommand:
			bad.add("%s: VOLUME leaves a volume without a name behind each container", s.Name)
		case *instructions.CmdCommand:
			if c.PrependShell {
				bad.add("%s: CMD needs a shell", s.Name)
			}
		case *instructions.RunCommand:
			bad.add("%s: RUN needs a shell that is not there", s.Name)
		case *instructions.CopyCommand:
			if c.From == "" {
				bad.add("%s: COPY from the context, and not from a stage", s.Name)
			}
		}
	}
	if uid, err := strconv.Atoi(strings.Split(user, ":")[0]); err != nil || uid == 0 {
		bad.add("%s: USER %q is not a number above 0, so Kubernetes can't know that it is not root", s.Name, user)
	}
	if !health {
		bad.add("%s: no HEALTHCHECK, not even NONE", s.Name)
	}
	if !entry {
		bad.add("%s: no ENTRYPOINT", s.Name)
	}
	return bad
}

func secretName(name string) bool {
	return regexp.MustCompile(`(?i)secret|passw|token|credential|(^|_)key`).MatchString(name)
}

func TestTheDockerfileKeepsTheRules(t *testing.T) {
	for _, c := range checkDockerfile(t, read(t, "Dockerfile")) {
		t.Error(c)
	}
}

func TestEachRuleOfTheDockerfileObjects(t *testing.T) {
	provoke(t, read(t, "Dockerfile"), checkDockerfile, []breach{
		{"a base that is no argument", "FROM ${BASE_IMAGE} AS web", "FROM alpine:3.22 AS web", "the base is no argument"},
		{"a base without version", "golang:1.26.8-alpine", "golang:latest", "the base has no version"},
		{"emulation", "FROM --platform=$BUILDPLATFORM ${GO_IMAGE}", "FROM ${GO_IMAGE}", "in emulation"},
		{"a download", "COPY . .", "ADD https://example.com/x.tar.gz /", "ADD: COPY neither downloads"},
		{"a secret in the environment", "ENV PORT=8000", "ENV SECRET=abc PORT=8000", "ENV SECRET"},
		{"a secret as a global argument", "ARG BASE_IMAGE", "ARG API_TOKEN\nARG BASE_IMAGE", "ARG API_TOKEN"},
		{"a secret as an argument", "ARG TARGETOS", "ARG DB_PASSWORD\nARG TARGETOS", "ARG DB_PASSWORD"},
		{"no cache of objects", "--mount=type=cache,target=/root/.cache/go-build", "", "go-build is not cached"},
		{"modules in a cache", "RUN --mount=type=cache", "RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache", "a cache hides the layer of modules"},
		{"a cache for modules", "RUN go mod download", "RUN --mount=type=cache,target=/go/pkg/mod go mod download", "in no layer"},
		{"modules after each change", "COPY --from=manifests /src /src", "COPY . .", "downloads all modules anew"},
		{"modules with the sources", "RUN go mod download", "", "they are not downloaded before"},
		{"modules downloaded late", "ENV GOPROXY=off\n", "", "is downloaded after all"},
		{"dates of the build", "touch -d @$SOURCE_DATE_EPOCH /out/web", "true", "without touch"},
		{"a volume without a name", "ENV PORT=8000", "VOLUME /data\nENV PORT=8000", "web: VOLUME leaves"},
		{"no label", "org.opencontainers.image.revision=", "revision=", "loadgen: no label revision"},
		{"paths in the program", "-trimpath", "", "without -trimpath"},
		{"a revision in the program", "-buildvcs=false", "", "without -buildvcs=false"},
		{"no application for browsers", "-tags program", "", "without -tags program"},
		{"one platform only", "GOARCH=$TARGETARCH", "", "without GOARCH"},
		{"root", "USER 65532:65532\nHEALTHCHECK --", "USER 0\nHEALTHCHECK --", "web: USER \"0\""},
		{"a named user", "USER 65532:65532\nHEALTHCHECK --", "USER nobody\nHEALTHCHECK --", "web: USER \"nobody\""},
		{"no user", "USER 65532:65532\n# It", "# It", "loadgen: USER \"\""},
		{"no word on health", "HEALTHCHECK NONE\n", "", "loadgen: no HEALTHCHECK"},
		{"a shell for health", `CMD ["/web", "-healthcheck"]`, "CMD /web -healthcheck", "HEALTHCHECK needs a shell"},
		{"a shell for the program", `ENTRYPOINT ["/web"]`, "ENTRYPOINT /web", "ENTRYPOINT needs a shell"},
		{"no program", `ENTRYPOINT ["/web"]`, "", "web: no ENTRYPOINT"},
		{"a command in scratch", "WORKDIR /\n", "RUN mkdir /x\nWORKDIR /\n", "web: RUN needs a shell"},
		{"a file of the context", "COPY --from=build-web /out/web /web", "COPY bin/web /web", "web: COPY from the context"},
		{"another default", `ENTRYPOINT ["/web"]`, "ENTRYPOINT [\"/web\"]\nFROM web AS other", "other is the last stage"},
		{"what BuildKit's linter sees", "AS source", "as source", "FromAsCasing"},
	})
}

// TestTheContextHasNothingElse: what an image is built from contains the
// sources and neither data nor secrets nor history.
func TestTheContextHasNothingElse(t *testing.T) {
	ignored := dockerignore(t)
	for path, want := range map[string]bool{
		"go.mod": false, "go.sum": false, "cmd/web/main.go": false, "static/dist/x.js.br": false,
		"static/wasmbuild/main.go": false, "static/program/lockstep.0.wasm.br": true,
		"tools/loadgen/load/load.go": false, "live/wslive/conn.go": false,
		".git/config": true, ".env": true, "data/lockstep.db": true, "data/lockstep.db.secret": true,
		"secret.txt": true, "bin/web": true, "deploy/go.mod": true, "docker-compose.yml": true,
		"cmd/web/main_test.go": true, "app/pages/testdata/counter.html": true,
	} {
		got, err := ignored.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: got ignored %v, want %v", path, got, want)
		}
	}
}

// TestTheContextHasAllOfThePrograms: a package that is new, and not in .dockerignore, is missing in
// the image alone.
func TestTheContextHasAllOfThePrograms(t *testing.T) {
	ignored := dockerignore(t)
	for _, target := range []struct {
		env      []string
		programs []string
	}{
		{nil, []string{"./cmd/web", "./tools/loadgen", "./static/wasmbuild", "./static/build"}},
		{[]string{"GOOS=js", "GOARCH=wasm"}, []string{"./cmd/wasm"}},
	} {
		cmd := exec.Command("go", append([]string{"list", "-deps", "-f", "{{if not .Standard}}{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}\n{{end}}{{end}}"}, target.programs...)...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), append(target.env, "GOWORK=")...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		top, err := filepath.Abs(root)
		if err != nil {
			t.Fatal(err)
		}
		for file := range strings.FieldsSeq(string(out)) {
			path, ok := strings.CutPrefix(file, top+"/")
			if !ok || strings.HasPrefix(path, "static/program/") { // another module; made in the image
				continue
			}
			if got, err := ignored.MatchesOrParentMatches(path); err != nil || got {
				t.Errorf("%s is not in the context of the image, and a program needs it (%v)", path, err)
			}
		}
	}
}

// TestTheContextHasAllOfTheWorkspace: Go builds nothing where a module of go.work is missing.
func TestTheContextHasAllOfTheWorkspace(t *testing.T) {
	ignored := dockerignore(t)
	work, err := os.ReadFile(root + "/go.work")
	if err != nil {
		t.Fatal(err)
	}
	modules := regexp.MustCompile(`(?m)^\t\./(\S+)$`).FindAllStringSubmatch(string(work), -1)
	if len(modules) < 5 {
		t.Fatalf("got %q of go.work", modules)
	}
	for _, m := range modules {
		if got, err := ignored.MatchesOrParentMatches(m[1] + "/go.mod"); err != nil || got {
			t.Errorf("%s is not in the context of the image (%v)", m[1], err)
		}
	}
}

func dockerignore(t testing.TB) *patternmatcher.PatternMatcher {
	t.Helper()
	f, err := os.Open(root + "/.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAReleaseIsBuiltAsTheImageIs: with the same flags, so that both have the
// same program.
func TestAReleaseIsBuiltAsTheImageIs(t *testing.T) {
	release := read(t, "deploy/release/main.go")
	for c := range commands[*instructions.RunCommand](parseDockerfile(t, read(t, "Dockerfile")).stage(t, "build-web")) {
		flags := regexp.MustCompile(`-ldflags "(.*)\$VERSION"`).FindStringSubmatch(strings.Join(c.CmdLine, " "))
		if flags == nil || !strings.Contains(release, `"`+flags[1]+`"+r.version`) {
			t.Errorf("got %q in the Dockerfile, and others in release/main.go", flags)
		}
	}
	for _, flag := range []string{`"-trimpath"`, `"-buildvcs=false"`, `"-tags", "program"`, `"CGO_ENABLED=0"`} {
		if !strings.Contains(release, flag) {
			t.Errorf("release/main.go has no %s", flag)
		}
	}
}
