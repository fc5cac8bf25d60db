package testserver

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Password is that of the user "app" of RedisTLS and PostgresTLS. Its signs
// have a meaning in URLs, where they are written in another way.
const Password = "hunter2/%40?#[pässword]"

// Postgres starts a PostgreSQL server with the defaults of durability. With
// TEST_POSTGRES_URL set that server is used instead.
//
// settings are further ones, e.g. "fsync=off".
func Postgres(t testing.TB, settings ...string) *Server {
	t.Helper()
	if s := lent(t, "TEST_POSTGRES_URL"); s != nil {
		return s
	}
	s := newPostgres(t, publicDir(t), settings...)
	s.asPostgres(t)
	return s.run()
}

// PostgresTLS starts a PostgreSQL server that speaks TLS only, with a
// certificate for 127.0.0.1, and lets in the user "app" by password
// (scram-sha-256), who may make tables. Its URL names the authority and wants
// all of the certificate checked. It is always the test's own.
func PostgresTLS(t testing.TB, ca *Authority) *Server {
	t.Helper()
	dir := publicDir(t)
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	own := func(name string, text []byte) string { return giveToPostgres(t, filepath.Join(dir, name), text) }
	rules := own("hba.conf", []byte("hostssl all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"))
	s := newPostgres(t, dir, "ssl=on", "hba_file="+rules, "password_encryption=scram-sha-256",
		"ssl_cert_file="+own("server.crt", read(t, cert)), "ssl_key_file="+own("server.key", read(t, key)))
	admin := "postgres://postgres@" + s.Addr + "/postgres?sslmode=require"
	s.URL = "postgres://" + url.UserPassword("app", Password).String() + "@" + s.Addr + "/postgres?sslmode=verify-full&sslrootcert=" + ca.File
	s.ping = func(ctx context.Context) error { return psql(ctx, postgresBin(t), admin, "SELECT 1") }
	s.run()
	err := psql(t.Context(), postgresBin(t), admin, "CREATE ROLE app LOGIN PASSWORD '"+Password+"'; GRANT CREATE ON SCHEMA public TO app")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newPostgres returns a server with its data in a folder below dir, and with
// settings such as "ssl=on". It has no URL and no ping yet.
func newPostgres(t testing.TB, dir string, settings ...string) *Server {
	t.Helper()
	data := filepath.Join(dir, "data")
	copyTemplate(t, postgresBin(t), data, asPostgres(t))
	return newPostgresAt(t, data, settings...)
}

// newPostgresAt is newPostgres with a folder of data that is there, or will be
// when it starts.
func newPostgresAt(t testing.TB, data string, settings ...string) *Server {
	t.Helper()
	bin, as, port := postgresBin(t), asPostgres(t), FreePort(t)
	args := []string{"-D", data, "-p", strconv.Itoa(port)}
	for _, s := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"}, settings...) {
		args = append(args, "-c", s)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: data, stopBy: syscall.SIGINT} // "fast" shutdown
	s.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "postgres"), args...)
		cmd.Dir, cmd.SysProcAttr = data, as()
		return cmd
	}
	return s
}

// psql has a server run statements. It is the client that comes with the
// server, so that tests of any package need no other.
func psql(ctx context.Context, bin, url, statements string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", statements, url)
	cmd.Env = []string{} // PGSSLMODE and its like would change what is tested
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

// giveToPostgres writes a file that only the server's user can read, as it
// wants its key to be.
func giveToPostgres(t testing.TB, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := asPostgres(t)().Credential; c != nil {
		if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// postgresBin returns the folder of the newest server that is installed.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.SortFunc(found, func(a, b string) int { return cmp.Compare(versionOf(b), versionOf(a)) })
	path := program(t, "postgresql", append(found, "postgres")...)
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
