package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/short"
)

// How a run of these tests leaves nothing behind, however it is cut off (Ctrl-C, a timeout, a
// panic, kill -9): everything temporary is in one folder, and a second process of this program, the
// reaper, waits at the other end of a pipe until the run has ended. It then kills whatever still
// has to do with the folder, and removes it. That a process dies with its parent
// (testserver.Launch) is not enough: it may have children of its own, which the kernel does not
// tell.

// reaperEnv has this program be the reaper of a folder.
const reaperEnv = "LOCKSTEP_E2E_REAPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(reaperEnv); dir != "" {
		reap(os.Stdin, dir)
		return
	}
	if task := os.Getenv(jailEnv); task != "" {
		jailed(task)
		return
	}
	if text := os.Getenv(producerEnv); text != "" {
		os.Exit(produce(text))
	}
	short.Main("starts servers and browsers")
	r, err := startReaper()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	r.close()
	os.Exit(code)
}

// A reaper is the process that cleans up after this one.
type reaper struct {
	cmd      *exec.Cmd
	alive    io.Closer     // what it waits for the end of
	stop     chan struct{} // closed by close
	watching chan struct{} // closed when watch has ended
}

// startReaper makes the folder that is TMPDIR from now on, and starts the reaper.
func startReaper() (*reaper, error) {
	dir, err := os.MkdirTemp("", "lockstep-run-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // a server may run as another user
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), reaperEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &reaper{cmd: cmd, alive: alive, stop: make(chan struct{}), watching: make(chan struct{})}
	go r.watch(os.Getppid()) // until close, which waits for it
	return r, os.Setenv("TMPDIR", dir)
}

// watch ends this process when its parent has ended: nobody reads what the tests find.
func (r *reaper) watch(parent int) {
	defer close(r.watching)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.stop:
			return
		}
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

// close has the reaper clean up, and waits for it.
func (r *reaper) close() {
	close(r.stop)
	<-r.watching
	_ = r.alive.Close() // it is told by the end
	_ = r.cmd.Wait()    // it has nothing to say
}

// reap waits until the run has ended, ends what it has left, and removes its folder.
func reap(run io.Reader, dir string) {
	_, _ = io.Copy(io.Discard, run) // whatever ends it
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		left := processesOf(dir)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		if len(left) == 0 && os.RemoveAll(dir) == nil {
			return
		}
		<-tick.C
	}
}

// processesOf returns the processes, but this one, whose command line or environment has a folder
// of tests in it: its name is nobody else's. Without /proc there are none.
func processesOf(dir string) (pids []int) {
	entries, _ := os.ReadDir("/proc") // nil where there is none
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, name := range []string{"environ", "cmdline"} {
			text, err := os.ReadFile(filepath.Join("/proc", e.Name(), name))
			if err == nil && bytes.Contains(text, []byte(dir)) && !bytes.Contains(text, []byte(reaperEnv+"=")) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// cutOffEnv has TestLeaveABrowserAndWait do that.
const cutOffEnv = "LOCKSTEP_E2E_CUT_OFF"

// TestLeaveABrowserAndWait is for TestATestThatIsCutOffLeavesNothing.
func TestLeaveABrowserAndWait(t *testing.T) {
	if os.Getenv(cutOffEnv) == "" {
		t.Skip("it is a part of another test")
	}
	newBrowser(t)
	distant := exec.Command("sleep", "600") // as a child of a server might be
	distant.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := distant.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("folder", os.TempDir())
	switch os.Getenv(cutOffEnv) {
	case "panic":
		_, _ = io.Copy(io.Discard, os.Stdin) // until somebody has looked at what there is
		go panic("a goroutine of a test")
	case "timeout": // of the test binary
	}
	select {}
}

func TestATestThatIsCutOffLeavesNothing(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("there is no /proc")
	}
	for name, end := range map[string]func(test *exec.Cmd) error{
		"kill -9": func(test *exec.Cmd) error { return test.Process.Kill() },
		"Ctrl-C":  func(test *exec.Cmd) error { return syscall.Kill(-test.Process.Pid, syscall.SIGINT) },
		"SIGQUIT": func(test *exec.Cmd) error { return test.Process.Signal(syscall.SIGQUIT) },
		"panic":   func(*exec.Cmd) error { return nil },
		"timeout": func(*exec.Cmd) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := cutOff(t, name, end)
			eventually(t, "everything to be gone", func() error {
				if left := processesOf(dir); len(left) > 0 {
					return fmt.Errorf("there are the processes %d", left)
				}
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("%s: %w", dir, err)
				}
				return nil
			})
		})
	}
}

// cutOff runs a test that has a browser, ends it, and returns the folder of its run.
func cutOff(t *testing.T, how string, end func(*exec.Cmd) error) (dir string) {
	t.Helper()
	if how != "timeout" {
		dir, err := cutOffWithin(t, how, 10*time.Minute, end)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	// The time runs from the start: it must be enough for a browser, on a machine that is busy, and
	// all of it is waited for.
	for limit := 5 * time.Second; ; limit *= 2 {
		dir, err := cutOffWithin(t, how, limit, end)
		if err == nil {
			return dir
		}
		if limit > time.Minute {
			t.Fatal(err)
		}
	}
}

// cutOffWithin is cutOff with a limit for the test. It is an error when it ended too early.
func cutOffWithin(t *testing.T, how string, limit time.Duration, end func(*exec.Cmd) error) (dir string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeaveABrowserAndWait$", "-test.timeout="+limit.String())
	cmd.Env = append(os.Environ(), cutOffEnv+"="+how, "TMPDIR="+filepath.Dir(os.TempDir())) // beside this run's: a browser's paths must be short
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	looked, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		dir, _ = strings.CutPrefix(lines.Text(), "folder ")
		if !strings.HasPrefix(dir, "/") {
			dir = ""
		}
	}
	there := 0
	if dir != "" {
		there = len(processesOf(dir))
		if err := end(cmd); err != nil {
			t.Fatal(err)
		}
	}
	_ = looked.Close()              // it may have ended
	_, _ = io.Copy(io.Discard, out) // until it has ended
	_ = cmd.Wait()                  // it was cut off
	switch {
	case dir == "":
		return "", fmt.Errorf("the test did not begin: %v", cmd.ProcessState)
	case there < 2:
		return "", fmt.Errorf("got %d processes, want a browser and one more", there)
	}
	return dir, nil
}
