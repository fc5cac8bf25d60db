package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"lockstep/internal/testserver"
)

// A jail is where a recipe of a document is run: it has this machine's programs and files, and
// whatever it does to them is its own. Its ports are its own, too, and so are its processes, so
// that what a recipe leaves behind is all that is there. It is this program once more, in
// namespaces.

// jailEnv has this program be the first process of a jail; the task is its value.
const jailEnv = "LOCKSTEP_E2E_JAIL"

// A jailTask is what is done in a jail.
type jailTask struct {
	Checkout string            // the folder of the repository
	Dir      string            // where the script runs
	Before   string            // a command that serves beside it; "": none
	Script   string            // for bash
	Files    map[string]string // that there are in Dir, by their names
	// End ends a script that would not end: "" waits until it has, "interrupt" is Ctrl-C at a
	// terminal, "terminate" is SIGTERM for its first process alone.
	End string
	// Ports are those that something listens on before it is ended.
	Ports []string
}

// A jailReport is what there was.
type jailReport struct {
	Failed    string   // why there is no more
	Code      int      // of the script
	Output    string   // the last of it
	Seconds   float64  // that it ran
	Processes []string // left behind: their command lines
	Listening []string // ports that are still listened on
	Written   []string // files that are neither ignored by git nor temporary
}

const (
	jailPatience = 90 * time.Second // for a recipe to end, or to begin to listen
	jailGrace    = 15 * time.Second // for what it has started to end after it
)

// runInJail runs a task. Where nobody may have namespaces the test is skipped.
func runInJail(t *testing.T, task jailTask) jailReport {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jailEnv+"="+string(text), "GOCACHE="+settingOfGo(t, "GOCACHE"), "GOMODCACHE="+settingOfGo(t, "GOMODCACHE"), "GOPROXY=off")
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC}
	ended, err := testserver.Launch(cmd)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("this user may have no namespaces: it needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	var r jailReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Failed != "" {
		t.Fatalf("the jail failed: %s, %v\n%s", r.Failed, err, errs.Bytes())
	}
	return r
}

// jailed is the main function of the first process of a jail.
func jailed(text string) {
	var r jailReport
	if err := serveSentence(text, &r); err != nil {
		r.Failed = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(r) // the test sees what is missing
}

func serveSentence(text string, r *jailReport) error {
	var task jailTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	_ = os.Unsetenv(jailEnv) // it is no recipe's business
	layers, err := buildWalls(task.Checkout)
	if err != nil {
		return err
	}
	defer layers.Close()
	for name, text := range task.Files {
		if err := os.WriteFile(filepath.Join(task.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	stop, err := serveBeside(task)
	if err != nil {
		return err
	}
	if err := runScript(task, r); err != nil {
		return err
	}
	stop()
	waitFor(jailGrace, func() bool { return len(listening()) == 0 })
	waitFor(jailGrace/5, func() bool { return len(processes()) == 0 })
	r.Processes, r.Listening = processes(), listening()
	r.Written, err = writtenTo(layers, task)
	return err
}

// serveBeside starts the server that a recipe takes for granted. The function that it returns ends
// it.
func serveBeside(task jailTask) (stop func(), err error) {
	if task.Before == "" {
		return func() {}, nil
	}
	cmd := exec.Command("bash", "-c", task.Before)
	cmd.Dir, cmd.Stderr = task.Checkout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if !waitFor(jailPatience, func() bool { return listensOn([]string{"8000"}) }) {
		return nil, errors.New("the server beside it does not serve")
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // go run removes what it has built
		_ = cmd.Wait()
	}, nil
}

// runScript runs the script in a process group of its own, as a shell does, and ends it as the task
// says.
func runScript(task jailTask, r *jailReport) error {
	out, err := os.Create("/dev/shm/output")
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command("bash", "-eu", "-o", "pipefail", "-c", task.Script+"\n:") // the last command is no more the shell itself than others
	cmd.Dir, cmd.Stdout, cmd.Stderr = task.Dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // for which the function waits
	stopped := false
	finished := func() bool { stopped = len(ended) > 0; return stopped }
	if task.End == "" {
		waitFor(jailPatience, finished)
	} else {
		waitFor(jailPatience, func() bool { return finished() || listensOn(task.Ports) })
	}
	if !stopped {
		signal, to := syscall.SIGINT, -cmd.Process.Pid
		if task.End == "terminate" {
			signal, to = syscall.SIGTERM, cmd.Process.Pid
		}
		if task.End == "" || !listensOn(task.Ports) {
			r.Output = "it has neither ended nor begun to listen\n"
			signal = syscall.SIGKILL
		}
		_ = syscall.Kill(to, signal) // it may have ended
	}
	if !waitFor(jailGrace, finished) {
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGKILL) // what it has started shows that it would not end
	}
	<-ended
	r.Code, r.Seconds = cmd.ProcessState.ExitCode(), time.Since(began).Seconds()
	text, err := os.ReadFile("/dev/shm/output")
	r.Output += string(text[max(0, len(text)-4000):])
	return err
}

func waitFor(most time.Duration, f func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(most); time.Now().Before(deadline); <-tick.C {
		if f() {
			return true
		}
	}
	return f()
}

// buildWalls gives this process its own files, processes and loopback. What is written to the
// folder around the checkout, to the home and to /var goes to layers, which it returns.
func buildWalls(checkout string) (*os.Root, error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("mounts of one's own: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/dev/shm", "tmpfs", 0, ""); err != nil {
		return nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	kept, err := keep(os.Getenv("GOCACHE"), os.Getenv("GOMODCACHE"))
	if err != nil {
		return nil, err
	}
	var over []string
	for _, dir := range []string{filepath.Dir(checkout), home, "/var"} {
		if dir != "/" && !slices.ContainsFunc(over, func(d string) bool { return isBelow(d, dir) }) {
			over = append(slices.DeleteFunc(over, func(d string) bool { return isBelow(dir, d) }), dir)
		}
	}
	for i, dir := range over {
		layer := filepath.Join("/dev/shm", strconv.Itoa(i))
		for _, name := range []string{"upper" + dir, "work"} {
			if err := os.MkdirAll(filepath.Join(layer, name), 0o755); err != nil {
				return nil, err
			}
		}
		if err := syscall.Mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper%s,workdir=%s/work", dir, layer, dir, layer)); err != nil {
			return nil, fmt.Errorf("a layer over %s: %w", dir, err)
		}
	}
	for dir, fd := range kept {
		if err := syscall.Mount(fmt.Sprintf("/proc/self/fd/%d", fd.Fd()), dir, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return nil, fmt.Errorf("keep %s: %w", dir, err)
		}
		_ = fd.Close() // it was only a name
	}
	for _, dir := range []string{"/tmp", "/run"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			return nil, err
		}
	}
	_ = os.Setenv("TMPDIR", "/tmp") // a name without faults
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return nil, err
	}
	if err := loopback(); err != nil {
		return nil, err
	}
	return os.OpenRoot("/dev/shm")
}

func isBelow(dir, name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// keep opens folders that are to be seen, as they are, through what is mounted over them.
func keep(dirs ...string) (map[string]*os.File, error) {
	kept := map[string]*os.File{}
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		kept[dir] = f
	}
	return kept, nil
}

// loopback takes the loopback of a new network into service.
func loopback() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(s) }() // it has done its work
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 { //nolint:gosec // as the kernel wants it
		return fmt.Errorf("loopback: %w", errno)
	}
	return nil
}

// processes returns the command lines of all but this one. Those that have ended and have nobody
// else to say so to are let go.
func processes() (all []string) {
	entries, _ := os.ReadDir("/proc") // it is there
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(text) == 0 {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // a child of somebody else is none of ours
			continue
		}
		all = append(all, strings.TrimSpace(string(bytes.ReplaceAll(text, []byte{0}, []byte{' '}))))
	}
	return all
}

// listening returns the ports on which something listens.
func listening() (ports []string) {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table) // of IPv6 there may be none
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil {
				ports = append(ports, strconv.FormatUint(n, 10))
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// listensOn reports whether all ports answer; the one of pages with a page.
func listensOn(ports []string) bool {
	open := listening()
	for _, p := range ports {
		if !slices.Contains(open, p) {
			return false
		}
		if !strings.HasPrefix(p, "80") {
			continue
		}
		client := http.Client{Timeout: 10 * time.Second}
		resp, err := client.Get("http://" + net.JoinHostPort("localhost", p) + "/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // the page is not read
		if resp.StatusCode >= http.StatusInternalServerError {
			return false
		}
	}
	return true
}

// writtenTo returns the files that there are after the script and that are neither ignored by git
// nor given to it.
func writtenTo(layers *os.Root, task jailTask) (all []string, err error) {
	var names []string
	err = fs.WalkDir(layers.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		_, name, ok := strings.Cut(path, "/upper")
		if err == nil && ok && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"/tmp", "/run"} {
		err = errors.Join(err, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && path != dir {
				names = append(names, path)
			}
			return err
		}))
	}
	for _, name := range names {
		if rel, err := filepath.Rel(task.Dir, name); err == nil && task.Files[rel] != "" {
			continue
		}
		if isBelow(task.Checkout, name) {
			ignored := exec.Command("git", "-C", task.Checkout, "-c", "safe.directory=*", "check-ignore", "-q", name)
			if ignored.Run() == nil || strings.Contains(name, "/.git/") {
				continue
			}
		}
		all = append(all, name)
	}
	return all, err
}
