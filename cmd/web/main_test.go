package main

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/serve"
)

// A terminal is where both standard output and standard error go. It may be used concurrently.
type terminal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// taken is a port that another program has, and that is followed by some that are free.
func taken(t *testing.T, host string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return net.JoinHostPort(host, port)
}

func TestWordsWithoutADashDoWhatPeopleExpect(t *testing.T) {
	said := "web " + version() + "\n"
	for args, want := range map[string]string{
		"version": said, "-version": said, "--version": said,
		"help": "\nUsage: web ", "-h": "\nUsage: web ", "--help": "\nUsage: web ", "help addr": "\nUsage: web ",
	} {
		var stdout, stderr bytes.Buffer
		if code := runMain(strings.Fields(args), env(), &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), want) || stderr.Len() > 0 {
			t.Errorf("%s: got %d, %.100q and %q, want 0 and %q on standard output", args, code, &stdout, &stderr, want)
		}
	}
}

func TestAWrongWordIsAnsweredWithTheRightOne(t *testing.T) {
	for _, c := range []struct {
		args string
		env  []string
		want string
	}{
		{"-drain 5", nil, `web: -drain: "5" has no unit: did you mean 5s?; -h lists all flags`},
		{"", []string{"DRAIN", "5"}, `web: DRAIN (for -drain): "5" has no unit: did you mean 5s?; -h lists all flags`},
		{"", []string{"REPLICAS", "many"}, `web: REPLICAS (for -replicas): "many" is not a whole number; -h lists all flags`},
		{"-relicas 3", nil, "web: there is no flag -relicas: did you mean -replicas?; -h lists all flags"},
		{"-addr -replicas 3", nil, "web: -addr: it has no value: the next word is the flag -replicas; -h lists all flags"},
		{"-replicas", nil, "web: -replicas needs a value; -h lists all flags"},
		{"-addr 8000", nil, `web: -addr: "8000" is not an address such as localhost:8000: did you mean localhost:8000?`},
		{"healthcheck", nil, "web: there is an argument that belongs to no flag, the 1. of all; did you mean -healthcheck?"},
		{"-insecure-dev true", nil, "web: there is an argument that belongs to no flag, the 2. of all; a switch has its value behind a =, as in -switch=true"},
		{"-admin localhost:8002 -replicas 3", nil, "web: -admin: port 8002 is that of a replica: -replicas 3 takes those up to 8003"},
	} {
		var stdout, stderr bytes.Buffer
		if code := runMain(strings.Fields(c.args), env(c.env...), &stdout, &stderr); code != 2 || stderr.String() != c.want+"\n" || stdout.Len() > 0 {
			t.Errorf("%s: got %d and %q, want 2 and %q", c.args, code, &stderr, c.want)
		}
	}
}

func TestBlanksAroundAVariableDoNotCount(t *testing.T) {
	c, err := parseConfig(nil, env("DRAIN", " 7s\n", "ADDR", "\t", "PORT", " 3 ", "LOG_LEVEL", "  "), nil)
	if err != nil || c.Drain != 7*time.Second || c.Addr != ":3" || c.LogLevel != "info" {
		t.Errorf("got %v, %s and %q, %v", c.Drain, c.Addr, c.LogLevel, err)
	}
}

// TestAPortInUseIsAnsweredWithOneThatIsFree: for -replicas with as many as they need.
func TestAPortInUseIsAnsweredWithOneThatIsFree(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		addr := taken(t, "127.0.0.1")
		var stdout, stderr bytes.Buffer
		code := runMain([]string{"-addr", addr, "-replicas", strconv.Itoa(replicas), "-store", "mem:"}, env(), &stdout, &stderr)
		head, try, ok := strings.Cut(stderr.String(), " is in use by another program; try -addr ")
		if code != 1 || !ok || head != "web: -addr: "+addr || strings.Count(stderr.String(), "\n") != 1 || stdout.Len() > 0 {
			t.Fatalf("got %d and %q", code, &stderr)
		}
		ls, err := serve.Listen(t.Context(), strings.TrimSpace(try), replicas, false)
		if err != nil || strings.HasSuffix(try, ":0\n") {
			t.Errorf("got %q, which is not free: %v", try, err)
		}
		ls.Close()
	}
	addr := taken(t, "127.0.0.1")
	var stderr bytes.Buffer
	if code := runMain([]string{"-addr", "127.0.0.1:0", "-admin", addr, "-store", "mem:"}, env(), &stderr, &stderr); code != 1 ||
		!strings.Contains(stderr.String(), "-admin: "+addr+" is in use by another program; try -admin 127.0.0.1:0") {
		t.Errorf("got %d and %q", code, &stderr)
	}
}

// TestAStoreThatCannotBeWrittenIsAnsweredWithAnother: a folder without permission, and a file
// system that is read-only.
func TestAStoreThatCannotBeWrittenIsAnsweredWithAnother(t *testing.T) {
	b := backendFlags{PubSub: "mem:", Store: "file:data/lockstep.db"}
	for _, cause := range []error{syscall.EACCES, syscall.EROFS} {
		err := b.storeFailed(&os.PathError{Op: "open", Path: "data/lockstep.db", Err: cause})
		if !strings.HasPrefix(err.Error(), "-store: ") || !strings.Contains(err.Error(), "-store mem:") {
			t.Errorf("got %v", err)
		}
	}
	if err := b.storeFailed(os.ErrNotExist); strings.Contains(err.Error(), "mem:") {
		t.Errorf("got %v", err)
	}
}

// TestTheAnnouncementComesLast: below what the start has to log, and in one piece. Any port will do
// for -addr and -admin at once.
func TestTheAnnouncementComesLast(t *testing.T) {
	for _, args := range []string{"-addr localhost:0", "-addr localhost:0 -admin localhost:0", "-addr localhost:0 -admin off -replicas 3"} {
		var both terminal
		done := make(chan int, 1)
		go func() { done <- runMain(append(strings.Fields(args), "-store", "mem:"), env(), &both, &both) }() // ends with the signal
		const last = "Open it in several tabs and click.\n"
		deadline := time.Now().Add(30 * time.Second)
		for !strings.Contains(both.String(), last) {
			select {
			case code := <-done:
				t.Fatalf("%s: it ended with %d: %s", args, code, &both)
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %s", args, &both)
			}
			runtime.Gosched()
		}
		text := both.String()
		_, banner, _ := strings.Cut(text, "Lockstep is at ")
		if strings.Contains(banner, "level=") || !strings.HasSuffix(text, last) {
			t.Errorf("%s: got\n%s\nwant the announcement alone at the end", args, text)
		}
		if !strings.Contains(text, "the hub is healthy") {
			t.Errorf("%s: the start is not logged above it:\n%s", args, text)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if code := <-done; code != 0 {
			t.Errorf("%s: got %d: %s", args, code, &both)
		}
	}
}
