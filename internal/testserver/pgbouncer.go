package testserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// PgBouncer starts a pooler in front of a PostgreSQL server. mode is its
// pool_mode: "session" or "transaction".
func PgBouncer(t testing.TB, server *Server, mode string) *Server {
	t.Helper()
	path := program(t, "pgbouncer", "pgbouncer", "/usr/sbin/pgbouncer")
	as, dir, port := asPostgres(t), publicDir(t), FreePort(t)
	host, behind, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\npostgres = host=%s port=%s user=postgres\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%d\nunix_socket_dir=\nauth_type=any\npool_mode=%s\n",
		host, behind, port, mode)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGINT}
	s.URL = "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable"
	s.ping = func(ctx context.Context) error { return psql(ctx, postgresBin(t), s.URL, "SELECT 1") }
	s.command = func() *exec.Cmd {
		cmd := exec.Command(path, "--quiet", config)
		cmd.Dir, cmd.SysProcAttr = dir, as()
		return cmd
	}
	return s.run()
}
