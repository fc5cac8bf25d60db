package testserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

// rabbitPrograms is where Debian has the programs themselves: what it has in PATH wants to be root
// or a user of its own.
const rabbitPrograms = "/usr/lib/rabbitmq/bin/"

// RabbitMQ starts a RabbitMQ that takes guest, with guest as the password. config is added to its
// rabbitmq.conf; "" is none. With TEST_RABBITMQ_URL set, and without config, that server is used
// instead.
func RabbitMQ(t testing.TB, config string) *Server {
	t.Helper()
	if config == "" {
		if s := lent(t, "TEST_RABBITMQ_URL"); s != nil {
			return s
		}
	}
	s := newRabbitMQ(t, func(port string) string { return "listeners.tcp.1 = 127.0.0.1:" + port + "\n" + config + "\n" })
	s.URL = "amqp://" + s.Addr
	s.ping = func(ctx context.Context) error { return pingRabbitMQ(ctx, s.Addr) }
	return s.run()
}

// RabbitMQTLS starts a RabbitMQ that speaks TLS only, with a certificate for 127.0.0.1, and knows
// one user, "app", with a password of signs that have a meaning in URLs. Its URL names the
// authority. config is added to its rabbitmq.conf, e.g. "ssl_options.verify = verify_peer". It is
// always the test's own.
func RabbitMQTLS(t testing.TB, ca *Authority, config string) *Server {
	t.Helper()
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	s := newRabbitMQ(t, func(port string) string {
		return strings.Join([]string{
			"listeners.tcp = none", "listeners.ssl.1 = 127.0.0.1:" + port,
			"ssl_options.cacertfile = " + ca.File, "ssl_options.certfile = " + cert, "ssl_options.keyfile = " + key,
			"load_definitions = " + definitions(t), config, "",
		}, "\n")
	})
	s.URL = "amqps://" + url.UserPassword("app", Password).String() + "@" + s.Addr + "?sslrootcert=" + ca.File
	// It listens when all else is done.
	s.ping = func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
	return s.run()
}

// definitions writes a file with the user "app", who may do everything, and nobody else: what is in
// rabbitmq.conf can't have every sign in a password.
func definitions(t testing.TB) string {
	t.Helper()
	const salt = "salt"
	hash := sha256.Sum256([]byte(salt + Password))
	text := fmt.Sprintf(`{"vhosts": [{"name": "/"}],
"users": [{"name": "app", "password_hash": %q, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}],
"permissions": [{"user": "app", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]}`,
		base64.StdEncoding.EncodeToString(append([]byte(salt), hash[:]...)))
	file := filepath.Join(t.TempDir(), "definitions.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newRabbitMQ returns a server that is not started yet. It shares nothing with another RabbitMQ of
// the machine: neither the folder nor the cookie, and not even the process that knows the nodes'
// ports.
func newRabbitMQ(t testing.TB, config func(port string) string) *Server {
	t.Helper()
	path, dir := rabbitProgram(t, "rabbitmq-server"), t.TempDir()
	port, node, names := strconv.Itoa(FreePort(t)), strconv.Itoa(FreePort(t)), strconv.Itoa(FreePort(t))
	for file, text := range map[string]string{"rabbitmq.conf": config(port), "plugins": "[].\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(),
		"HOME="+dir, // for the cookie
		"ERL_EPMD_PORT="+names, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=lockstep"+port+"@localhost", "RABBITMQ_DIST_PORT="+node,
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE="+dir, "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(dir, "advanced.config"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"),
		// For itself only, and without its threads' spinning while they have nothing to do.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
		"RUNNING_UNDER_SYSTEMD=true", // else a shell stays before it, which would be sent the signals
		"LC_ALL=C.UTF-8",
	)
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), Dir: dir, stopBy: syscall.SIGTERM}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(path)
		cmd.Env, cmd.Dir = env, dir
		return cmd
	}
	s.control = func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(path), "rabbitmqctl"), args...)
		cmd.Env, cmd.Dir = env, dir
		return cmd
	}
	launchNames(t, names, env)
	return s
}

// launchNames starts epmd, which knows the ports of Erlang's nodes, until the test ends. A node
// that finds none starts one, which nobody would ever end.
func launchNames(t testing.TB, port string, env []string) {
	t.Helper()
	cmd := exec.Command(program(t, "rabbitmq-server", "epmd"), "-port", port, "-address", "127.0.0.1")
	cmd.Env = env
	ended, err := Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
	})
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), done: ended, log: os.Stderr}
	s.ping = func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
	s.await()
}

// rabbitProgram returns the path of a program of RabbitMQ.
func rabbitProgram(t testing.TB, name string) string {
	t.Helper()
	return program(t, "rabbitmq-server", rabbitPrograms+name, name)
}

// Control runs rabbitmqctl, and returns what it says. It takes a second or two.
func (s *Server) Control(args ...string) string {
	s.t.Helper()
	s.Own()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := s.control(ctx, append([]string{"--quiet"}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("testserver: rabbitmqctl %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// pingRabbitMQ wants the first word of the protocol.
func pingRabbitMQ(ctx context.Context, addr string) error {
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
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	var first [11]byte // a frame's head, and what it says
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return err
	}
	if string(first[7:]) != "\x00\x0a\x00\x0a" { // connection.start
		return errors.New("RabbitMQ says " + fmt.Sprintf("%q", first))
	}
	return nil
}
