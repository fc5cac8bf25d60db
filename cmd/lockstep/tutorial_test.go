package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/short"
)

// A reader follows a document: it writes the files that it has, and runs what it says.
type reader struct {
	t    *testing.T
	dir  string // where it is
	env  []string
	file string // that the next block is of
}

var (
	fence     = regexp.MustCompile("(?ms)^```(\\w+)( run)?\n(.*?)^```$")
	namedFile = regexp.MustCompile("`([a-z_]+\\.[a-z]+)`:$")
)

// TestTheTutorialIsRight follows it word by word. Where it says that a program is started, the
// program is asked for its page, and told to end.
func TestTheTutorialIsRight(t *testing.T) {
	short.Skip(t, "builds and starts what a document says")
	text, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	beside := t.TempDir() // as a folder beside the checkout
	r := &reader{t: t, dir: checkout, env: append(os.Environ(), "ADDR=localhost:0")}
	whole := strings.ReplaceAll(string(text), "../guestbook", filepath.Join(beside, "guestbook"))
	done, at := 0, 0
	for _, m := range fence.FindAllStringSubmatchIndex(whole, -1) {
		if names := namedFile.FindStringSubmatch(strings.TrimSpace(whole[at:m[0]])); names != nil {
			r.file = names[1]
		}
		kind, body := whole[m[2]:m[3]], whole[m[6]:m[7]]
		switch {
		case kind != "sh":
			r.write(body)
		case m[4] >= 0:
			r.start(strings.TrimSpace(body))
		default:
			for line := range strings.Lines(body) {
				r.run(strings.TrimSpace(line))
			}
		}
		at = m[1]
		done++
	}
	if done < 9 {
		t.Errorf("the tutorial has %d blocks: has it changed its form?", done)
	}
}

func (r *reader) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, r.file), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a line as a shell does that goes on from the one before.
func (r *reader) run(line string) {
	r.t.Helper()
	if dir, ok := strings.CutPrefix(line, "cd "); ok {
		r.dir = dir
		r.env = append(r.env, "GOWORK=off")
		return
	}
	cmd := exec.CommandContext(r.t.Context(), "bash", "-euc", line)
	cmd.Dir, cmd.Env = r.dir, r.env
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// start starts a program that serves, loads its page, and ends it. It builds what "go run ." runs.
func (r *reader) start(line string) {
	r.t.Helper()
	args, serving := strings.Fields(line), serving
	switch flags, isApp := strings.CutPrefix(line, "go run ."); {
	case isApp:
		program := filepath.Join(r.t.TempDir(), "program")
		r.run("go build -o " + program + " .")
		args = append([]string{program}, strings.Fields(flags)...)
	case strings.HasPrefix(line, "go tool lockstep dev"):
		serving = developing
	default:
		r.t.Fatalf("%q starts something else", line)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	log, said := io.Pipe()
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, said, said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	addr := make(chan string, 1)
	go func() { // ends with the pipe
		all := ""
		b := make([]byte, 4096)
		for {
			n, err := log.Read(b)
			all += string(b[:n])
			if m := serving.FindStringSubmatch(all); m != nil {
				select {
				case addr <- m[1]:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case at := <-addr:
		r.load(at)
	case <-ctx.Done():
		r.t.Errorf("%s: it does not say where it is", line)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which Wait says
	if err := cmd.Wait(); err != nil {
		r.t.Errorf("%s: it ends with %v", line, err)
	}
	_ = said.Close()
}

// serving is how a program says where it is, and developing how "lockstep dev" does.
var (
	serving    = regexp.MustCompile(`url="?(http://[^\s"]+)`)
	developing = regexp.MustCompile(`open (http://\S+)`)
)

func (r *reader) load(url string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "hx-ws:connect") {
		r.t.Errorf("%s: got %d and %d bytes, %v", url, resp.StatusCode, len(body), err)
	}
}
