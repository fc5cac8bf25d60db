package testserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Redis starts a redis-server that keeps every acknowledged write (appendfsync
// always). args are further flags, e.g. "--appendonly", "no". With
// TEST_REDIS_URL set that server is used instead.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	if url := os.Getenv("TEST_REDIS_URL"); url != "" {
		return &Server{t: t, URL: url}
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server", "redis-server")
	}
	port, dir := FreePort(t), t.TempDir()
	args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, args...)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "redis://" + s.Addr
	s.command = func() *exec.Cmd { return exec.Command(path, args...) }
	s.ping = func(ctx context.Context) error { return pingRedis(ctx, s.Addr) }
	return s.run()
}

// pingRedis speaks RESP by hand: "+PONG" also means that the data is loaded.
func pingRedis(ctx context.Context, addr string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+PONG") {
		return fmt.Errorf("redis says %q", line)
	}
	return nil
}
