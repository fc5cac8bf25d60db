package testserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a PostgreSQL server with the defaults of durability. With
// TEST_POSTGRES_URL set that server is used instead.
func Postgres(t testing.TB) *Server {
	t.Helper()
	if url := os.Getenv("TEST_POSTGRES_URL"); url != "" {
		return &Server{t: t, URL: url}
	}
	bin := postgresBin(t)
	dir := filepath.Join(publicDir(t), "data")
	as := asPostgres(t)
	copyTemplate(t, bin, dir, as)
	port := freePort(t)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stopBy: syscall.SIGINT} // "fast" shutdown
	s.URL = "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable"
	s.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", dir, "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200")
		cmd.Dir, cmd.SysProcAttr = dir, as()
		return cmd
	}
	s.ping = func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		return c.Ping(ctx)
	}
	return s.run()
}

// postgresBin returns the folder of the newest server that is installed.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		missing(t, "postgres", "postgresql")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Dir(path)
}

// asPostgres returns how to start PostgreSQL's programs: they refuse to run as
// root.
func asPostgres(t testing.TB) func() *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return func() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		missing(t, "the user postgres", "postgresql")
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}

// publicDir is a temporary folder that another user can enter.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lockstep-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyTemplate makes an empty database at dir. initdb takes seconds, so it
// runs once and its result is copied.
func copyTemplate(t testing.TB, bin, dir string, as func() *syscall.SysProcAttr) {
	t.Helper()
	once.Lock()
	defer once.Unlock()
	if once.template == "" {
		once.template = initdb(t, bin, as)
	}
	run(t, as, "cp", "-a", once.template, dir)
}

// initdb leaves its folder for the life of the process: other tests copy it.
func initdb(t testing.TB, bin string, as func() *syscall.SysProcAttr) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-initdb-%d-%s", os.Getuid(), filepath.Base(filepath.Dir(bin))))
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		return filepath.Join(dir, "data")
	}
	// Test processes of several packages may be at it: each makes its own,
	// and the first to rename wins.
	mine, err := os.MkdirTemp("", "lockstep-initdb-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	run(t, as, filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(mine, "data"), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync", "--no-instructions")
	if err := os.WriteFile(filepath.Join(mine, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(mine, dir); err != nil {
		_ = os.RemoveAll(mine)
	}
	return filepath.Join(dir, "data")
}

func run(t testing.TB, as func() *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = os.TempDir(), as()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("testserver: %s: %v\n%s", name, err, out)
	}
}
