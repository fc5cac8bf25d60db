package testserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/short"
	"lockstep/internal/testserver"
)

// A product is a server with the two things that tell whether it kept its data.
type product struct {
	start func(testing.TB) *testserver.Server
	write func(ctx context.Context, url string) error
	read  func(ctx context.Context, url string) error // fails when what was written is gone
}

func products() map[string]product {
	return map[string]product{
		"redis": {
			start: func(t testing.TB) *testserver.Server { return testserver.Redis(t) },
			write: func(ctx context.Context, url string) error { return redisDo(ctx, url, "SET k v") },
			read:  func(ctx context.Context, url string) error { return redisDo(ctx, url, "GET k") },
		},
		"postgres": {
			start: func(t testing.TB) *testserver.Server { return testserver.Postgres(t) },
			write: func(ctx context.Context, url string) error { return postgresDo(ctx, url, "CREATE TABLE k (v int)") },
			read:  func(ctx context.Context, url string) error { return postgresDo(ctx, url, "SELECT v FROM k") },
		},
	}
}

// TestARabbitMQLeavesNothingBehind: it has a process beside it, which knows its port, and keeps
// its users when it is killed. Its programs can be used.
func TestARabbitMQLeavesNothingBehind(t *testing.T) {
	var server *testserver.Server
	t.Run("while it is there", func(t *testing.T) {
		server = testserver.RabbitMQ(t, "")
		server.Own()
		server.Control("add_user", "app", testserver.Password)
		server.Kill()
		server.Start()
		server.Restart()
		if got := server.Control("list_users"); !strings.Contains(got, "app") {
			t.Errorf("got the users %q, want app among them", got)
		}
	})
	if server == nil {
		t.SkipNow() // it was skipped there, and said why
	}
	if c, err := net.Dial("tcp", server.Addr); err == nil {
		_ = c.Close()
		t.Error("it is still there")
	}
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if env, err := os.ReadFile(file); err == nil && strings.Contains(string(env), "="+server.Dir) {
			cmd, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline")) // it may have ended
			t.Errorf("it left %q", cmd)
		}
	}
}

// redisDo sends a command by hand. An answer that is nil is an error too.
func redisDo(ctx context.Context, url, command string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "redis://"))
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // ends the read
	if _, err := io.WriteString(c, command+"\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && (answer[0] == '-' || answer == "$-1\r\n") {
		err = fmt.Errorf("%s: %q", command, answer)
	}
	return err
}

func postgresDo(ctx context.Context, url, statement string) error {
	out, err := exec.CommandContext(ctx, "psql", "--no-psqlrc", "--quiet", "--command", statement, url).CombinedOutput()
	if err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestServer(t *testing.T) {
	for name, p := range products() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := p.start(t)
			s.Own()
			url := s.URL
			must(t, p.write(t.Context(), url))
			for how, fault := range map[string]func(){
				"Kill":    func() { s.Kill(); wantRefused(t, s.Addr); s.Start() },
				"Stop":    func() { s.Stop(); wantRefused(t, s.Addr); s.Start() },
				"Restart": s.Restart,
				"Freeze":  func() { s.Freeze(); wantSilent(t, p, url); s.Thaw() },
				"a Kill while frozen": func() {
					s.Freeze()
					s.Kill()
					s.Start()
				},
				"Kill twice and Start twice": func() { s.Kill(); s.Kill(); s.Start(); s.Start() },
			} {
				if fault(); s.URL != url {
					t.Fatalf("after %s the URL is %s, was %s", how, s.URL, url)
				}
				if err := p.read(t.Context(), url); err != nil {
					t.Fatalf("after %s: %v", how, err)
				}
			}
		})
	}
}

func wantRefused(t *testing.T, addr string) {
	t.Helper()
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Errorf("%s still takes connections", addr)
	}
}

// wantSilent checks that the server does not answer, for a short while.
func wantSilent(t *testing.T, p product, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.read(ctx, url); err == nil {
		t.Error("a frozen server answers")
	}
}

// orphans tells a copy of the test binary to start servers and wait for its
// end.
const orphans = "TESTSERVER_ORPHANS"

func TestStartServersAndWait(t *testing.T) {
	if os.Getenv(orphans) == "" {
		t.Skip("only for TestKilledTestLeavesNoServerBehind")
	}
	for _, p := range products() {
		fmt.Println("addr", p.start(t).Addr)
	}
	select {}
}

func TestKilledTestLeavesNoServerBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process of its parent's death")
	}
	if os.Getenv("TEST_REDIS_URL") != "" || os.Getenv("TEST_POSTGRES_URL") != "" {
		t.Skip("the servers are not ours")
	}
	for _, p := range products() {
		p.start(t) // skips where one is not installed
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestStartServersAndWait$")
	cmd.Env = append(os.Environ(), orphans+"=1", "TMPDIR="+shared(t))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var addrs []string
	for lines := bufio.NewScanner(out); len(addrs) < len(products()) && lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "addr "); ok {
			addrs = append(addrs, addr)
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	if len(addrs) != len(products()) {
		t.Fatalf("got the addresses %q of %d servers", addrs, len(products()))
	}
	for _, addr := range addrs {
		awaitRefused(ctx, t, addr)
	}
}

// shared is a temporary folder that is deleted here, because a killed test
// can't, and that another user can enter.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-orphans-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a dying server may still write
	return dir
}

// awaitRefused waits until nobody listens on addr.
func awaitRefused(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		_ = c.Close()
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s outlives the test that started it", addr)
		}
	}
}

// A verdict is a testing.TB that records how a test would have ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Skip(args ...any)  { v.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (v *verdict) Fatal(args ...any) { v.failed = fmt.Sprint(args...); runtime.Goexit() }

func TestMissingServerSkipsOrFails(t *testing.T) {
	short.Skip(t, "looks for a server")
	t.Setenv("TEST_REDIS_URL", "")
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct{ require, skipped, failed string }{
		{require: "", skipped: "Debian package redis-server"},
		{require: "1", failed: "Debian package redis-server"},
	} {
		t.Setenv("LOCKSTEP_TEST_REQUIRE", c.require)
		v := &verdict{TB: t}
		var wg sync.WaitGroup
		wg.Go(func() { testserver.Redis(v) })
		wg.Wait()
		if !strings.Contains(v.skipped, c.skipped) || !strings.Contains(v.failed, c.failed) || (v.skipped != "") == (v.failed != "") {
			t.Errorf("LOCKSTEP_TEST_REQUIRE=%q: skipped %q, failed %q", c.require, v.skipped, v.failed)
		}
	}
}

func TestLentServerIsNotHurt(t *testing.T) {
	short.Skip(t, "takes a server")
	t.Setenv("TEST_REDIS_URL", "redis://127.0.0.1:1")
	v := &verdict{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { testserver.Redis(v).Kill() })
	wg.Wait()
	if v.skipped == "" {
		t.Error("Kill of a lent server does not skip the test")
	}
}
