package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// patience is how long anything may take before a test gives up on it: far
// more than it takes, because the machine may be busy.
const patience = 30 * time.Second

// testSecret is shared by the replicas of a cluster.
const testSecret = "a-secret-of-tests-that-is-long-enough"

// A process is one running instance of the program.
type process struct {
	t    testing.TB
	url  string // http://127.0.0.1:port
	dir  string // working directory: holds data/
	args []string
	path string   // of the program; "": binary
	env  []string // beside the usual
	cmd  *exec.Cmd
	out  *syncBuffer
	said int             // how much of it was there before the process that runs now
	done <-chan struct{} // closed when it has ended
}

// start runs the program in a folder and waits until it is ready. It is
// stopped when the test ends.
func start(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, args: args}
	p.run()
	return p
}

// run starts a process for the first time.
func (p *process) run() {
	p.t.Helper()
	p.start()
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("output of web %s:\n%s", strings.Join(p.args, " "), p.out)
		}
	})
}

// start runs the process; its arguments name the address.
func (p *process) start() {
	p.t.Helper()
	if p.path == "" {
		path, err := binary()
		if err != nil {
			p.t.Fatal(err)
		}
		p.path = path
	}
	addr := ""
	for i, a := range p.args {
		if a == "-addr" {
			addr = p.args[i+1]
		}
	}
	if addr == "" {
		p.t.Fatal("start needs -addr")
	}
	if p.out == nil {
		p.out = &syncBuffer{}
	}
	p.said = len(p.out.String())
	p.url = "http://" + addr
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, p.out, p.out
	p.cmd.Env = append([]string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, p.env...)
	p.launch()
	p.ready()
}

// launch runs the command.
func (p *process) launch() {
	p.t.Helper()
	done, err := testserver.Launch(p.cmd)
	if err != nil {
		p.t.Fatal(err)
	}
	p.done = done
}

// ready waits until the process says that it is.
func (p *process) ready() {
	p.t.Helper()
	eventually(p.t, p.url+" to be ready", func() error {
		select {
		case <-p.done:
			p.t.Fatalf("web %s ended: %v\n%s", strings.Join(p.args, " "), p.cmd.ProcessState, p.out)
		default:
		}
		code, body := get(p.t, p.url+"/readyz")
		if code != http.StatusOK {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// prints waits until the process has printed texts: it may be about to, though it has answered.
func (p *process) prints(texts ...string) {
	p.t.Helper()
	eventually(p.t, "the process to print more", func() error {
		for _, text := range texts {
			if !strings.Contains(p.out.String(), text) {
				return fmt.Errorf("no %q in %s", text, p.out)
			}
		}
		return nil
	})
}

// addr is where the process listens: host:port.
func (p *process) addr() string { return strings.TrimPrefix(p.url, "http://") }

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// term ends the process as an operator would, and returns its exit code.
func (p *process) term() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait waits until the process has ended, and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("web %s does not end\n%s", strings.Join(p.args, " "), p.out)
	}
	return p.cmd.ProcessState.ExitCode()
}

// restart starts an ended process again.
func (p *process) restart() { p.t.Helper(); p.start() }

// get returns the status and body of a GET, or 0 and the error. It gives up soon,
// so that whoever waits for an answer can ask again.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return getWithin(t, 5*time.Second, url)
}

// getWithin is get for what is asked for once.
func getWithin(t testing.TB, d time.Duration, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	code, body, err := fetch(req)
	if err != nil {
		return 0, err.Error()
	}
	return code, body
}

// fetch returns the status and body of a request.
func fetch(req *http.Request) (int, string, error) { return fetchBy(http.DefaultClient, req) }

// fetchBy is fetch by a client that keeps cookies, or follows no redirects.
func fetchBy(client *http.Client, req *http.Request) (int, string, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// newVisitorClient returns a client that keeps cookies and follows no redirect.
func newVisitorClient(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{
		Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// eventually asks again and again until cond returns nil.
func eventually(t testing.TB, what string, cond func() error) {
	t.Helper()
	within(t, patience, what, cond)
}

// within is eventually for what may take longer, or must not take so long.
func within(t testing.TB, d time.Duration, what string, cond func() error) {
	t.Helper()
	limit := time.NewTimer(d)
	defer limit.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("still waiting for %s: %v", what, err)
		}
	}
}

// freePorts returns the first of n consecutive free ports.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := testserver.FreePort(t)
		if free(first, n) {
			return first
		}
	}
	t.Fatalf("no %d consecutive free ports", n)
	return 0
}

func free(first, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", address(first+i))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// startCluster runs n replicas as processes of their own that share a broker.
func startCluster(t *testing.T, n int, broker string) []*process {
	t.Helper()
	var ps []*process
	for i := range n {
		ps = append(ps, start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-pubsub", broker, "-secret", testSecret,
			"-replica", "replica-"+strconv.Itoa(i+1), "-channel-prefix", prefixOf(t)))
	}
	return ps
}

// prefixOf sets a test apart from others that use the same server.
func prefixOf(t *testing.T) string {
	return "e2e-" + strconv.FormatInt(int64(os.Getpid()), 36) + "-" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name()) + ":"
}

// runToEnd runs the program and returns what it printed and its exit code.
func runToEnd(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = t.TempDir(), &out, &errs, env
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A syncBuffer is a bytes.Buffer that a process may write to while a test
// reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
