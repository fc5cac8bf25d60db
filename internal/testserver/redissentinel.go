package testserver

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A RedisSentinel is a master of Redis, its replica, and three sentinels that
// watch them.
type RedisSentinel struct {
	URL             string // redis+sentinel://, with all sentinels
	Master, Replica *Server
	Sentinels       []*Server
}

// SentinelPassword is what the sentinels of a RedisSentinel want from who asks,
// where they want something.
const SentinelPassword = "hunter3/?#%@:"

// NewRedisSentinel starts a master, a replica and three sentinels, two of which
// agree that a master is dead when it has been silent for two seconds, and waits
// until all know each other. With passwords, the servers know one user, "app",
// with Password, and the sentinels want SentinelPassword. args are further flags
// of the servers. It is always the test's own.
func NewRedisSentinel(t testing.TB, passwords bool, args ...string) *RedisSentinel {
	t.Helper()
	w := &RedisSentinel{}
	var cli []string
	config, who, query := "", "", ""
	if passwords {
		args = append(args, "--user", "default", "off", "--user", "app", "on", ">"+Password, "~*", "&*", "+@all", "--masteruser", "app", "--masterauth", Password)
		cli = []string{"--user", "app", "--pass", Password, "--no-auth-warning"}
		config = fmt.Sprintf("sentinel auth-user mymaster app\nsentinel auth-pass mymaster %q\nrequirepass %q\nsentinel sentinel-pass %q\n", Password, SentinelPassword, SentinelPassword)
		who, query = url.UserPassword("app", Password).String()+"@", "?"+url.Values{"sentinel_password": {SentinelPassword}}.Encode()
	}
	w.Master, w.Replica = Redis(t, args...), Redis(t, args...)
	w.Master.Own()
	w.Master.cli, w.Replica.cli = cli, cli
	w.Replica.Replicate(w.Master)
	var addrs []string
	for range 3 {
		s := newSentinel(t, w.Master.Addr, config)
		if passwords {
			s.cli = []string{"--pass", SentinelPassword, "--no-auth-warning"}
		}
		w.Sentinels, addrs = append(w.Sentinels, s), append(addrs, s.Addr)
	}
	w.URL = "redis+sentinel://" + who + strings.Join(addrs, ",") + "/mymaster/0" + query
	awaitRedis(t, "the sentinels do not know each other", func() bool {
		return !slices.ContainsFunc(w.Sentinels, func(s *Server) bool {
			return !strings.Contains(s.redisCLI("SENTINEL", "MASTER", "mymaster"), "num-slaves\n1\nnum-other-sentinels\n2\n")
		})
	})
	return w
}

// newSentinel starts a sentinel that watches a master.
func newSentinel(t testing.TB, master, config string) *Server {
	t.Helper()
	path, dir, port := program(t, "redis-server", "redis-server"), t.TempDir(), strconv.Itoa(FreePort(t))
	_, masterPort, err := net.SplitHostPort(master)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "sentinel.conf")
	text := "port " + port + "\nbind 127.0.0.1\ndir " + dir + "\nsentinel monitor mymaster 127.0.0.1 " + masterPort + " 2\n" +
		"sentinel down-after-milliseconds mymaster 2000\nsentinel failover-timeout mymaster 10000\n" + config
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), Dir: dir, stopBy: syscall.SIGTERM}
	s.command = func() *exec.Cmd { return exec.Command(path, file, "--sentinel") }
	s.ping = func(ctx context.Context) error { return pingRedis(ctx, new(net.Dialer), s.Addr) }
	return s.run()
}

// Switch has the sentinels make the replica the master, and waits until they
// have; it is Replica then, and the other way round. Both live.
func (w *RedisSentinel) Switch() {
	t := w.Master.t
	t.Helper()
	w.Sentinels[0].redisCLI("SENTINEL", "FAILOVER", "mymaster")
	w.AwaitSwitch()
}

// AwaitSwitch waits until all sentinels say that the replica is the master, and
// calls it so.
func (w *RedisSentinel) AwaitSwitch() {
	t := w.Master.t
	t.Helper()
	_, port, err := net.SplitHostPort(w.Replica.Addr)
	if err != nil {
		t.Fatal(err)
	}
	awaitRedis(t, "the sentinels do not switch", func() bool {
		return !slices.ContainsFunc(w.Sentinels, func(s *Server) bool {
			return s.cmd != nil && !strings.Contains(s.redisCLI("SENTINEL", "MASTER", "mymaster"), "\nport\n"+port+"\n")
		})
	})
	w.Master, w.Replica = w.Replica, w.Master
}

// AwaitReplica waits until what the master has acknowledged is at its replica,
// too.
func (w *RedisSentinel) AwaitReplica() { awaitReplica(w.Master, w.Replica) }

// Monitor has the sentinels watch another master by the same name, of which the
// present one hears nothing.
func (w *RedisSentinel) Monitor(master *Server) {
	t := w.Master.t
	t.Helper()
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range w.Sentinels {
		s.redisCLI("SENTINEL", "REMOVE", "mymaster")
		s.redisCLI("SENTINEL", "MONITOR", "mymaster", host, port, "2")
	}
}
