package testserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis starts a redis-server that keeps every acknowledged write (appendfsync
// always). args are further flags, e.g. "--appendonly", "no". With
// TEST_REDIS_URL set that server is used instead.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	if s := lent(t, "TEST_REDIS_URL"); s != nil {
		return s
	}
	path := program(t, "redis-server", "redis-server")
	port, dir := FreePort(t), t.TempDir()
	args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
		"--lazyfree-lazy-expire", "yes",
	}, args...)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "redis://" + s.Addr
	s.command = func() *exec.Cmd { return exec.Command(path, args...) }
	s.ping = func(ctx context.Context) error { return pingRedis(ctx, new(net.Dialer), s.Addr) }
	return s.run()
}

// RedisTLS starts a redis-server that speaks TLS only, with a certificate for
// 127.0.0.1, and knows one user, "app", with a password of signs that have a
// meaning in URLs. Its URL names the authority. args are further flags, e.g.
// "--tls-auth-clients", "yes". It is always the test's own.
func RedisTLS(t testing.TB, ca *Authority, args ...string) *Server {
	t.Helper()
	path := program(t, "redis-server", "redis-server")
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	port, dir := strconv.Itoa(FreePort(t)), t.TempDir()
	args = append([]string{
		"--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca.File, "--tls-auth-clients", "optional",
		"--user", "default", "off", "--user", "app", "on", ">" + Password, "~*", "&*", "+@all",
	}, args...)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "rediss://" + url.UserPassword("app", Password).String() + "@" + s.Addr + "?sslrootcert=" + ca.File
	s.command = func() *exec.Cmd { return exec.Command(path, args...) }
	s.ping = func(ctx context.Context) error {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		return pingRedis(ctx, &tls.Dialer{Config: &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, // is the server there? its name is for clients to check
		}}, s.Addr)
	}
	return s.run()
}

// A dialer is a net.Dialer or a tls.Dialer.
type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// pingRedis speaks RESP by hand: "+PONG" also means that the data is loaded,
// and so does that a user is asked for.
func pingRedis(ctx context.Context, d dialer, addr string) error {
	c, err := d.DialContext(ctx, "tcp", addr)
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
	if !strings.HasPrefix(line, "+PONG") && !strings.HasPrefix(line, "-NOAUTH") {
		return fmt.Errorf("redis says %q", line)
	}
	return nil
}

// Replicate makes a running Redis a replica of another, and waits until it has
// all that the other has; nil makes it a master. It keeps its connections.
func (s *Server) Replicate(master *Server) {
	s.t.Helper()
	s.Own()
	if master == nil {
		s.redisCLI("REPLICAOF", "NO", "ONE")
		return
	}
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.redisCLI("REPLICAOF", host, port)
	deadline := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !strings.Contains(s.redisCLI("INFO", "replication"), "master_link_status:up") || master.redisCLI("WAIT", "1", "1000") == "0" {
		select {
		case <-again.C:
		case <-deadline:
			s.t.Fatalf("testserver: %s does not follow %s", s.Addr, master.Addr)
		}
	}
}

// Failover has a Redis make one of its replicas the master, and itself a
// replica of that, without the loss of a write; and waits until it has. Both
// keep their connections.
func (s *Server) Failover(to *Server) {
	s.t.Helper()
	s.Own()
	host, port, err := net.SplitHostPort(to.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.redisCLI("FAILOVER", "TO", host, port)
	deadline := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !strings.Contains(s.redisCLI("INFO", "replication"), "role:slave") || !strings.Contains(to.redisCLI("INFO", "replication"), "role:master") {
		select {
		case <-again.C:
		case <-deadline:
			s.t.Fatalf("testserver: %s does not become a replica of %s", s.Addr, to.Addr)
		}
	}
}

// redisCLI sends a command with the client that comes with the server, and
// returns what it prints.
func (s *Server) redisCLI(args ...string) string {
	s.t.Helper()
	text, err := s.tryCLI(args...)
	if err != nil || strings.HasPrefix(text, "ERR ") {
		s.t.Fatalf("testserver: redis-cli %s: %v: %s", args, err, text)
	}
	return text
}

// tryCLI is redisCLI where the server may cut the connection.
func (s *Server) tryCLI(args ...string) (string, error) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	all := append(append([]string{"-h", host, "-p", port}, s.cli...), args...)
	out, err := exec.Command(program(s.t, "redis-tools", "redis-cli"), all...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// awaitRedis waits until a condition holds that redis-cli can tell.
func awaitRedis(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("testserver: %s", what)
		}
	}
}
