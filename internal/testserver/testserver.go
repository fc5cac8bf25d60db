// Package testserver starts real servers for tests: Redis, PostgreSQL, NATS, RabbitMQ, nginx and
// other reverse proxies, on free ports of the loopback, with folders of their own, and stops
// them when the test ends. With -short it skips the test. It is for tests only.
package testserver

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/short"
)

// patience is how long a server may take to start or stop: RabbitMQ needs five seconds of a whole
// core, and may get a thirtieth.
const patience = 3 * time.Minute

// A Server is one running server. Its methods fail the test when they can't
// do what they say, and are called from one goroutine at a time.
type Server struct {
	URL  string
	Addr string // host:port
	Dir  string // where it keeps its data

	t       testing.TB
	command func() *exec.Cmd // makes the process, the same each time
	ping    func(context.Context) error
	stopBy  syscall.Signal                                      // a graceful end
	control func(ctx context.Context, args ...string) *exec.Cmd // RabbitMQ's: see Control
	cli     []string                                            // of Redis: who redis-cli is

	cmd  *exec.Cmd // nil: not running, or not ours
	done chan struct{}
	log  *os.File
}

// lent returns the server that a variable names, or nil. Every server that is
// not lent is started with a program.
func lent(t testing.TB, variable string) *Server {
	t.Helper()
	short.Skip(t, "needs a server")
	if url := os.Getenv(variable); url != "" {
		return &Server{t: t, URL: url}
	}
	return nil
}

// program returns the path of a program of a Debian package, which may have
// several names.
func program(t testing.TB, debian string, names ...string) string {
	t.Helper()
	short.Skip(t, "starts a server")
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, names[0], debian)
	return ""
}

// built returns the path of a program that "make deps" builds into bin: Debian has none, or an old
// one.
func built(t testing.TB, name string) string {
	t.Helper()
	short.Skip(t, "starts a server")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if path, err := exec.LookPath(filepath.Join(dir, "bin", name)); err == nil {
			return path
		}
	}
	lacks(t, fmt.Sprintf("bin/%s is not there: \"make deps\" builds it", name))
	return ""
}

// missing skips the test, or fails it where everything must be tested.
func missing(t testing.TB, what, debian string) {
	t.Helper()
	lacks(t, fmt.Sprintf("%s is not installed (Debian package %s)", what, debian))
}

// lacks is missing, in other words.
func lacks(t testing.TB, text string) {
	t.Helper()
	if os.Getenv("LOCKSTEP_TEST_REQUIRE") == "1" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// run starts the server for the first time.
func (s *Server) run() *Server {
	s.t.Helper()
	log, err := os.CreateTemp(s.t.TempDir(), "log")
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = log
	s.t.Cleanup(func() { // also of one that has started and does not answer
		s.Kill()
		if text, err := os.ReadFile(log.Name()); err == nil && s.t.Failed() {
			s.t.Logf("log of the server at %s:\n%s", s.Addr, text)
		}
		_ = log.Close()
	})
	s.Start()
	return s
}

// Start starts the server again where it was, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.Own()
	if s.cmd != nil {
		return
	}
	s.cmd = s.command()
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	done, err := Launch(s.cmd)
	if err != nil {
		s.cmd = nil // there is nothing to end
		s.t.Fatalf("testserver: %v", err)
	}
	s.done = done
	s.await()
}

// Launch starts a command in a process group of its own. On Linux it is killed
// when this program ends, however that is, so that a test that is cut off
// leaves nothing behind. The channel is closed when the command has ended;
// cmd.ProcessState then says how.
func Launch(cmd *exec.Cmd) (ended chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
	started := make(chan error, 1)
	ended = make(chan struct{})
	go func() { // ends with the command
		// Pdeathsig is sent when the parent thread ends, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // what it says is in ProcessState
		}
	}()
	return ended, <-started
}

// await waits until the server answers.
func (s *Server) await() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		try, stop := context.WithTimeout(ctx, 2*time.Second)
		err := s.ping(try)
		stop()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-s.done:
			text, _ := os.ReadFile(s.log.Name())
			s.t.Fatalf("testserver: the server at %s ended: %s", s.Addr, text)
		case <-ctx.Done():
			s.t.Fatalf("testserver: %s does not answer: %v", s.Addr, err)
		}
	}
}

// Kill is kill -9 of the server and all its processes. A server that is not
// running is left alone.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server gracefully.
func (s *Server) Stop() { s.end(s.stopBy) }

// Restart is Stop and Start.
func (s *Server) Restart() { s.Stop(); s.Start() }

// Freeze stops the server's processes without ending them: connections stay
// open and nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) end(sig syscall.Signal) {
	s.t.Helper()
	s.Own()
	if s.cmd == nil {
		return
	}
	if sig == syscall.SIGKILL {
		// A postmaster that sees a child killed starts another, which nobody
		// would wait for: it must not see it.
		s.Freeze()
	}
	family := descendants(s.cmd.Process.Pid)
	if sig == syscall.SIGKILL {
		s.signal(sig)
	} else if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("testserver: %v", err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("testserver: %s does not end on %v", s.Addr, sig)
	}
	s.cmd = nil
	s.awaitEnd(family)
}

// awaitEnd waits until the processes of a server are gone: PostgreSQL does not
// start while one of its old ones lives.
func (s *Server) awaitEnd(pids []int) {
	s.t.Helper()
	for _, pid := range pids {
		// One that has ended but that its parent has not yet asked about is
		// gone: the process that inherits a killed server's children asks late, or in a
		// container never.
		s.awaitProcess(pid, func(state string) bool { return state == "Z" || state == "X" })
	}
}

// stateOf returns the letter of /proc/PID/stat, or "" when there is no such
// process.
func stateOf(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	rest := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(rest) == 0 {
		return ""
	}
	return rest[0]
}

// signal sends a signal to all processes of the server.
func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.Own()
	if s.cmd == nil {
		return
	}
	root := s.cmd.Process.Pid
	if sig == syscall.SIGSTOP {
		_ = syscall.Kill(root, sig) // first: it must not have more children while they are listed
		s.awaitState(root, "T")
	}
	for _, pid := range append(descendants(root), root) {
		_ = syscall.Kill(pid, sig) // it may have ended by itself
	}
}

// awaitState waits until a process is in a state of /proc/PID/stat, or gone:
// a stop takes effect when the process is next scheduled.
func (s *Server) awaitState(pid int, want string) {
	s.t.Helper()
	s.awaitProcess(pid, func(state string) bool { return state == want })
}

// awaitProcess waits until cond holds of a process's state, or it is gone.
func (s *Server) awaitProcess(pid int, cond func(state string) bool) {
	s.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		state := stateOf(pid)
		if state == "" || cond(state) {
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			s.t.Fatalf("testserver: process %d of %s stays in state %s", pid, s.Addr, state)
		}
	}
}

// Own skips a test that wants to hurt a server that it was only lent. The
// methods above call it; a test does that deletes data or changes settings.
func (s *Server) Own() {
	s.t.Helper()
	if s.Lent() {
		s.t.Skip("the server is not this test's own: it can't be stopped")
	}
}

// Lent reports whether the server is that of TEST_REDIS_URL, TEST_POSTGRES_URL, TEST_NATS_URL or
// TEST_RABBITMQ_URL, which must not be hurt.
func (s *Server) Lent() bool { return s.command == nil }

// descendants returns the processes below pid. PostgreSQL's are in sessions of
// their own, so the process group does not reach them.
func descendants(pid int) (all []int) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for _, field := range strings.Fields(string(raw)) {
		child, err := strconv.Atoi(field)
		if err == nil {
			all = append(append(all, descendants(child)...), child)
		}
	}
	return all
}

// FreePort returns a port of the loopback that is free. It is not one of those
// that the kernel gives to outgoing connections, so that a server that is
// killed finds its port free again; nor is the one 10,000 above, where a node
// of a Redis cluster listens to the others.
func FreePort(t testing.TB) int {
	t.Helper()
	const first, last = 10_000, 20_000
	for range 1000 {
		port := first + rand.IntN(last-first)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue // taken
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("testserver: no free port")
	return 0
}
