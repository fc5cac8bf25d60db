package deploy_test

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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

// settings are the environment variables that the program knows, by its own
// word.
func settings(t testing.TB) map[string]bool {
	t.Helper()
	names := map[string]bool{"GOMEMLIMIT": true} // of Go's runtime
	for _, name := range regexp.MustCompile(`\b[A-Z][A-Z_]{3,}\b`).FindAllString(help(t), -1) {
		names[name] = true
	}
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

// exported are the metrics of a replica, by the source that exports them.
func exported(t testing.TB) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:gauge|count)\("([a-z_]+)"|"(lockstep_[a-z_]+)"`).FindAllStringSubmatch(read(t, "app/web/admin.go")+read(t, "app/web/preconditions.go"), -1) {
		if m[1] != "" {
			m[2] = "lockstep_" + m[1]
		}
		names[m[2]] = true
	}
	if len(names) < 15 {
		t.Fatalf("got %d metrics from app/web/admin.go: has it changed its form?", len(names))
	}
	return names
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
