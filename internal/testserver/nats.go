package testserver

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// NATS starts a nats-server. config is added to its configuration; "" is none.
// With TEST_NATS_URL set, and without config, that server is used instead.
func NATS(t testing.TB, config string) *Server {
	t.Helper()
	if config == "" {
		if s := lent(t, "TEST_NATS_URL"); s != nil {
			return s
		}
	}
	return newNATS(t, "nats://", config)
}

// NATSTLS starts a nats-server that speaks TLS only, with a certificate for
// 127.0.0.1, and knows one user, "app", with a password of signs that have a
// meaning in URLs. Its URL names the authority. tls is added to what its
// configuration says of TLS, e.g. "verify: true". It is always the test's own.
func NATSTLS(t testing.TB, ca *Authority, tls string) *Server {
	t.Helper()
	return newNATSTLS(t, t.TempDir(), ca, tls, "")
}

func newNATSTLS(t testing.TB, dir string, ca *Authority, tls, config string) *Server {
	t.Helper()
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	s := newNATSIn(t, dir, "tls://", config+fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, timeout: 10\n%s\n}\nauthorization { user: app, password: %q }\n",
		cert, key, ca.File, tls, Password))
	s.URL = "tls://" + url.UserPassword("app", Password).String() + "@" + s.Addr + "?sslrootcert=" + ca.File
	return s
}

// JetStream starts a nats-server with JetStream, which has each message on disk
// before it is acknowledged. The data is in the folder jetstream of its Dir. config
// is added to its configuration. With TEST_NATS_JETSTREAM_URL set, and without
// config, that server is used instead.
func JetStream(t testing.TB, config string) *Server {
	t.Helper()
	if config == "" {
		if s := lent(t, "TEST_NATS_JETSTREAM_URL"); s != nil {
			return s
		}
	}
	dir := t.TempDir()
	return newNATSIn(t, dir, "nats://", jetStream(dir)+config)
}

// JetStreamTLS is JetStream for a server as NATSTLS starts it.
func JetStreamTLS(t testing.TB, ca *Authority) *Server {
	t.Helper()
	dir := t.TempDir()
	return newNATSTLS(t, dir, ca, "", jetStream(dir))
}

// JetStreamCluster starts so many servers with JetStream that are a cluster. Their
// names are those of NATSName. They have yet to find each other when it returns.
func JetStreamCluster(t testing.TB, n int) []*Server {
	t.Helper()
	routes := make([]string, n)
	for i := range routes {
		routes[i] = "nats://127.0.0.1:" + strconv.Itoa(FreePort(t))
	}
	servers := make([]*Server, n)
	for i := range servers {
		dir := t.TempDir()
		servers[i] = newNATSIn(t, dir, "nats://", fmt.Sprintf("server_name: %s\ncluster { name: lockstep, listen: %q, routes: [%s] }\n",
			NATSName(i), strings.TrimPrefix(routes[i], "nats://"), strings.Join(routes, ", "))+jetStream(dir))
	}
	return servers
}

// NATSName is the name of one server of a cluster.
func NATSName(i int) string { return "n" + strconv.Itoa(i) }

// jetStream is the configuration of a server with JetStream.
func jetStream(dir string) string {
	return fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always, max_file_store: 4G, max_memory_store: 64M }\n", dir)
}

func newNATS(t testing.TB, scheme, config string) *Server {
	t.Helper()
	return newNATSIn(t, t.TempDir(), scheme, config)
}

func newNATSIn(t testing.TB, dir, scheme, config string) *Server {
	t.Helper()
	path := built(t, "nats-server")
	port := strconv.Itoa(FreePort(t))
	file := filepath.Join(dir, "nats.conf")
	config = "listen: 127.0.0.1:" + port + "\n" + config + "\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = scheme + s.Addr
	s.command = func() *exec.Cmd { return exec.Command(path, "-c", file) }
	s.ping = func(ctx context.Context) error { return pingNATS(ctx, s.Addr) }
	return s.run()
}

// LameDuck tells a NATS server to be about to shut down: it says so to its
// clients, and takes no new ones.
func (s *Server) LameDuck() { s.signal(syscall.SIGUSR2) }

// Reload replaces what a NATS server has been given as config, and has it read
// that anew, which takes it a moment.
func (s *Server) Reload(config string) {
	s.t.Helper()
	s.Own()
	_, port, err := net.SplitHostPort(s.Addr)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, "nats.conf"), []byte("listen: 127.0.0.1:"+port+"\n"+config+"\n"), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
}

// pingNATS wants the server's first words, which come before TLS.
func pingNATS(ctx context.Context, addr string) error {
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
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "INFO ") {
		return fmt.Errorf("nats says %q", line)
	}
	return nil
}
