package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A recipe is a block of commands of a document.
type recipe struct {
	file  string
	line  int
	text  string
	files map[string]string // that the blocks after it say, by their names
}

// elsewhere are the recipes that are not run here, by how they begin, and why. All others are.
var elsewhere = []struct{ file, begins, why string }{
	{"cmd/lockstep/skeleton/README.md.txt", "go run .", "of an app; cmd/lockstep follows the tutorial, which has these"},
	{"docs/tutorial.md", "", "TestTheTutorialIsRight of cmd/lockstep follows it, word by word"},
	{"docs/moving-brokers.md", "", "TestReplicasMoveFromRedisToNATS runs these commands"},
	{"docs/benchmarks.md", "go run .", "half an hour: make bench-peers"},
	{"docs/benchmarks-lists.md", "go run .", "half an hour: make bench-lists"},
	{"docs/backends.md", "go test -run '^$' -bench", "a benchmark of minutes, on a server that is set up for it"},
	{"docs/backends.md", "TEST_SNSSQS_URL", "it needs an account of AWS"},
	{"docs/loadgen.md", "go run ./tools/loadgen -browsers 2000", "-find-max takes minutes; tools/loadgen tests it"},
	{"docs/loadgen.md", "go run ./tools/loadgen -cookie", "it needs somebody's site"},
	{"docs/loadgen.md", "go run ./tools/loadgen -protocol htmx", "it needs somebody's site"},
	{"docs/wasm.md", "go run ./cmd/web -export", "it compresses for half a minute; TestAnExportNeedsNoServerOfOurs tests it"},
	{"docs/operations.md", "install -m 755", "it changes the machine; deploy tests the unit"},
}

// notHere are commands for which there is nothing on a machine of tests. Their lines are left out.
var notHere = regexp.MustCompile(`(?m)^ *(docker|kubectl|helm|systemctl|apt-get|make (test|image\S*))\b(.*\\\n)*.*\n`)

// smaller makes of a load what a machine does beside other tests, in seconds.
var smaller = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`loadgen -`), "loadgen -duration 2s -"},
	{regexp.MustCompile(`-browsers \d+`), "-browsers 20"},
	{regexp.MustCompile(`-ramp \w+`), "-ramp 1s"},
	{regexp.MustCompile(`-rate \d+`), "-rate 20"},
	{regexp.MustCompile(`-duration \w+`), "-duration 2s"},
	{regexp.MustCompile(`p99<\w+,|,rate>=\d+`), ""},
	{regexp.MustCompile(`converge<1s`), "converge<10s"},
	{regexp.MustCompile(`ulimit -n \d+`), "ulimit -n 1024"},
}

var (
	shellFence = regexp.MustCompile("(?ms)^( *)```(\\w*)[^\n]*\n(.*?)^ *```$")
	fileName   = regexp.MustCompile(`\A# (\S+)\n`)
	serves     = regexp.MustCompile(`(?m)^ *((\S+=\S+ )*go run \./cmd/web|go tool lockstep dev|wait)\b[^&\n]*\n(\)\n)?\z`)
	background = regexp.MustCompile(`(?m)[^&>]&(\s|$)`)
	pagePort   = regexp.MustCompile(`\b80\d\d\b`)
)

// recipes returns the recipes of all documents.
func recipes(t *testing.T) (all []recipe) {
	t.Helper()
	for _, file := range strings.Fields(commandIn(t, "..", "git", "ls-files", "-co", "--exclude-standard", "*.md", "*.md.txt")) {
		text, err := os.ReadFile(filepath.Join("..", file))
		if os.IsNotExist(err) || strings.HasPrefix(file, "docs/outside/") { // copies
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var last *recipe
		for _, m := range shellFence.FindAllSubmatchIndex(text, -1) {
			indent, kind, body := string(text[m[2]:m[3]]), string(text[m[4]:m[5]]), string(text[m[6]:m[7]])
			line := strings.Count(string(text[:m[0]]), "\n") + 1
			if indent != "" {
				body = regexp.MustCompile("(?m)^"+indent).ReplaceAllString(body, "")
			}
			if kind == "" {
				t.Errorf("%s:%d: a block says what it is: sh for commands, which are run here, text for what nobody runs", file, line)
			}
			if name := fileName.FindStringSubmatch(body); name != nil && last != nil && kind != "sh" {
				last.files[name[1]] = body
			}
			if kind == "sh" {
				all = append(all, recipe{file, line, body, map[string]string{}})
				last = &all[len(all)-1]
			}
		}
	}
	return all
}

// TestRecipesLeaveNothingBehind runs the commands of all documents as they are written, and ends
// them as people, and jobs of a CI, do. Then no process may be left, no port be listened on, and no
// file be there that git does not ignore.
func TestRecipesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	unused := slices.Clone(elsewhere)
	run, left := 0, 0
	for _, r := range recipes(t) {
		if i := slices.IndexFunc(elsewhere, func(e struct{ file, begins, why string }) bool {
			return e.file == r.file && strings.HasPrefix(r.text, e.begins)
		}); i >= 0 {
			unused = slices.DeleteFunc(unused, func(e struct{ file, begins, why string }) bool { return e == elsewhere[i] })
			left++
			continue
		}
		if r.text = notHere.ReplaceAllString(r.text, ""); strings.TrimSpace(r.text) == "" {
			left++
			continue
		}
		run++
		t.Run(fmt.Sprintf("%s:%d", r.file, r.line), func(t *testing.T) {
			t.Parallel()
			r.tryAll(t)
		})
	}
	for _, e := range unused {
		t.Errorf("%s has no recipe that begins with %q any more", e.file, e.begins)
	}
	if t.Logf("%d recipes were run, %d were not", run, left); run < 8 {
		t.Errorf("only %d recipes were run: have documents changed their form?", run)
	}
}

// tryAll runs a recipe, and ends it in each way that there is.
func (r recipe) tryAll(t *testing.T) {
	for _, s := range smaller {
		r.text = s.what.ReplaceAllString(r.text, s.by)
	}
	task := jailTask{Checkout: checkout(t), Script: r.text, Files: r.files, Ports: pagePort.FindAllString(r.text, -1)}
	task.Dir = task.Checkout
	if len(task.Ports) == 0 {
		task.Ports = []string{"8000"}
	}
	inBackground, serving := background.MatchString(r.text), serves.MatchString(r.text)
	ends := []string{""}
	switch {
	case inBackground && serving:
		ends = []string{"interrupt", "terminate"}
	case serving:
		ends = []string{"interrupt"} // at a terminal
	case inBackground:
		ends = []string{"", "terminate"}
	case strings.Contains(r.text, "http://localhost:"):
		task.Before = "go run ./cmd/web -replicas 3 -break off -store mem:"
	}
	for _, task.End = range ends {
		t.Run(cmp.Or(task.End, "end"), func(t *testing.T) { r.try(t, task) })
	}
}

func (r recipe) try(t *testing.T, task jailTask) {
	got := runInJail(t, task)
	// A load generator has an end of its own, and says then that its servers have gone.
	got.Processes = slices.DeleteFunc(got.Processes, func(p string) bool { return task.End == "terminate" && strings.HasPrefix(p, "bin/loadgen ") })
	if task.End == "" && got.Code != 0 {
		t.Errorf("it ends with %d", got.Code)
	}
	wantNothingLeft(t, got, func(name string) bool {
		beside, err := filepath.Rel(filepath.Dir(task.Checkout), name)
		first, _, _ := strings.Cut(beside, "/")
		return err == nil && strings.Contains(r.text, "../"+first) // it says so
	})
}

// temporary are files that may be there afterwards: what the go command counts for itself, and the
// folder of a compiler that a second signal has ended at once, which the next one sweeps.
var temporary = regexp.MustCompile(`/go/telemetry/|^/tmp/lockstep-compile-`)

// wantNothingLeft wants what was run in a jail to have ended altogether. Some files may be there.
func wantNothingLeft(t *testing.T, got jailReport, may func(name string) bool) {
	t.Helper()
	t.Logf("it took %.1f s", got.Seconds)
	for _, p := range got.Processes {
		t.Errorf("left behind: %s", p)
	}
	for _, p := range got.Listening {
		t.Errorf("something still listens on port %s", p)
	}
	for _, name := range got.Written {
		if !may(name) && !temporary.MatchString(name) {
			t.Errorf("left behind: %s", name)
		}
	}
	if strings.HasPrefix(got.Output, "it has neither") {
		t.Error("it has neither ended nor begun to listen")
	}
	if t.Failed() {
		t.Logf("it said\n%s", got.Output)
	}
}

// checkout is the folder of the repository.
func checkout(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMakeTakesWhatItStartsWithIt: who ends make, as the manager of a service or a CI does, has
// nothing left that serves.
func TestMakeTakesWhatItStartsWithIt(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"run", "replicas", "dev"} {
		for _, end := range []string{"terminate", "interrupt"} {
			if target == "replicas" && end == "interrupt" {
				continue // as run
			}
			t.Run(target+" "+end, func(t *testing.T) {
				t.Parallel()
				task := jailTask{Checkout: checkout(t), Dir: checkout(t), Script: "exec make --no-print-directory " + target, End: end, Ports: []string{"8000"}}
				wantNothingLeft(t, runInJail(t, task), func(name string) bool {
					return target == "dev" && strings.HasPrefix(name, task.Checkout+"/") // what is generated
				})
			})
		}
	}
}

// settingOfGo is what the go command says of its environment.
func settingOfGo(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
