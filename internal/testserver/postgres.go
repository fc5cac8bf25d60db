package testserver

import (
	"cmp"
	"context"
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
	port := FreePort(t)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGINT} // "fast" shutdown
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
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(versionOf(a), versionOf(b)) })
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

// versionOf returns the major version in /usr/lib/postgresql/15/bin/postgres.
func versionOf(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
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

// copyTemplate makes an empty database at dir, which must not exist. initdb
// takes seconds, so its result is kept in the user's cache, as Go keeps what
// it has built, and copied.
func copyTemplate(t testing.TB, bin, dir string, as func() *syscall.SysProcAttr) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // no HOME
	}
	version := filepath.Base(filepath.Dir(bin))
	template := filepath.Join(cache, "lockstep-test", "postgres-"+version)
	if _, err := os.Stat(template); err != nil {
		initdb(t, bin, template, as)
	}
	nobody := func() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
	run(t, nobody, "cp", "-a", template, dir) // as root it keeps the owner
}

// initdb makes the template. Tests of several packages may be at it: each makes
// its own, and the first to rename wins.
func initdb(t testing.TB, bin, template string, as func() *syscall.SysProcAttr) {
	t.Helper()
	made := filepath.Join(publicDir(t), "data")
	run(t, as, filepath.Join(bin, "initdb"), "--pgdata", made, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--no-sync", "--no-instructions")
	if err := os.MkdirAll(filepath.Dir(template), 0o700); err != nil {
		t.Fatal(err)
	}
	mine, err := os.MkdirTemp(filepath.Dir(template), "new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(mine)
	run(t, func() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }, "cp", "-a", made, filepath.Join(mine, "data"))
	if err := os.Rename(filepath.Join(mine, "data"), template); err != nil {
		if _, statErr := os.Stat(template); statErr != nil {
			t.Fatal(err)
		}
	}
}

func run(t testing.TB, as func() *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = os.TempDir(), as()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("testserver: %s: %v\n%s", name, err, out)
	}
}
