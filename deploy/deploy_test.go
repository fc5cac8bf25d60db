package deploy_test

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// root is the top of the repository, seen from this folder.
const root = ".."

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write makes a file in a folder of this test, and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMain leaves out the whole module with -short, as package internal/short
// does for others: it needs programs of Debian, starts nginx and compiles.
func TestMain(m *testing.M) {
	flag.Parse() // or -short is not known yet
	if testing.Short() {
		fmt.Println("skipped: it needs programs of Debian: not with -short")
		return
	}
	os.Exit(m.Run())
}

// tool finds a program of Debian, also where only root's PATH leads. Without
// it the test is skipped, or fails where everything is to be there.
func tool(t testing.TB, name, debian string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	if os.Getenv("LOCKSTEP_TEST_REQUIRE") != "" {
		t.Fatalf("%s not found (Debian: %s)", name, debian)
	}
	t.Skipf("%s not found (Debian: %s)", name, debian)
	return ""
}

// A breach is a change that a rule must object to.
type breach struct {
	name     string
	old, new string // in the text that is checked; the first old becomes new
	want     string // in what the rules say
}

// provoke makes each change and wants the rules to name it: a rule that never
// fails checks nothing.
func provoke(t *testing.T, text string, check func(*testing.T, string) []string, breaches []breach) {
	t.Helper()
	for _, b := range breaches {
		t.Run(b.name, func(t *testing.T) {
			if !strings.Contains(text, b.old) {
				t.Fatalf("the text has no %q any more", b.old)
			}
			got := strings.Join(check(t, strings.Replace(text, b.old, b.new, 1)), "\n")
			if !strings.Contains(got, b.want) {
				t.Errorf("got %q, want %q in it", got, b.want)
			}
		})
	}
}

// complaints collects what rules say.
type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// pinned reports whether an image's name says which version it is of.
func pinned(image string) bool {
	_, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return ok && regexp.MustCompile(`^v?[0-9]+\.[0-9]+`).MatchString(tag)
}

// said keeps what the program says of itself: it is compiled and started once for all tests.
var said struct {
	sync.Mutex
	settings, exported map[string]bool
}

// settings are the environment variables that the program knows, by its own
// word.
func settings(t testing.TB) map[string]bool {
	t.Helper()
	said.Lock()
	defer said.Unlock()
	if said.settings != nil {
		return said.settings
	}
	names := map[string]bool{"GOMEMLIMIT": true} // of Go's runtime
	for _, name := range regexp.MustCompile(`\b[A-Z][A-Z_]{3,}\b`).FindAllString(help(t), -1) {
		names[name] = true
	}
	said.settings = names
	return names
}

// help is what "web -h" says.
func help(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("go", "run", "./cmd/web", "-h")
	cmd.Dir, cmd.Stderr = root, t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// exported are the names of the metrics that a replica exports, as one that runs says. A histogram
// has three.
func exported(t testing.TB) map[string]bool {
	t.Helper()
	said.Lock()
	defer said.Unlock()
	if said.exported != nil {
		return said.exported
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (lockstep_[a-z_]+) ([a-z]+)$`).FindAllStringSubmatch(metricsOfOne(t), -1) {
		if m[2] != "histogram" {
			names[m[1]] = true
			continue
		}
		for _, series := range []string{"_bucket", "_sum", "_count"} {
			names[m[1]+series] = true
		}
	}
	if len(names) < 40 {
		t.Fatalf("got %d metrics of a replica: are these all?", len(names))
	}
	said.exported = names
	return names
}

// metricsOfOne starts the program with all that it can do, and returns its metrics.
func metricsOfOne(t testing.TB) string {
	t.Helper()
	web := filepath.Join(t.TempDir(), "web")
	build := exec.Command("go", "build", "-o", web, "./cmd/web")
	build.Dir, build.Stderr = root, t.Output()
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	admin := "localhost:" + freePort(t)
	// With fewer files than connections a precondition is not met, which is a metric only then.
	cmd := exec.Command("sh", "-c", `ulimit -n 256; exec "$0" "$@"`, web, "-addr", "localhost:"+freePort(t), "-admin", admin, "-store", "mem:", "-uploads", t.TempDir(), "-max-conns", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	var text []byte
	eventually(t, "the metrics of a replica", func() error {
		resp, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err = io.ReadAll(resp.Body)
		return err
	})
	return string(text)
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// eventually waits until f returns nil.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}

// answers asks once, and wants 200.
func answers(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
