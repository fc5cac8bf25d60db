package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/tools/loadgen/internal/planted"
)

// nobody is a target that does not answer: a run that gets as far exits with 3.
const nobody = "http://127.0.0.1:1"

func TestAPathThatCannotBeWrittenIsFoundBeforeTheRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"-json: open " + dir + "/none/r.json: no such file": {"-json", filepath.Join(dir, "none", "r.json")},
		"-html: open " + dir + ": is a directory":           {"-html", dir},
		"-json and -html both name r":                       {"-json", "r", "-html", "r"},
	} {
		code, _, stderr := invoke(t, short(append(args, nobody)...)...)
		if code != exitUsage || !strings.Contains(stderr, name) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %d and %q, want 2 and one line", args, code, stderr)
		}
	}
	js := filepath.Join(dir, "r.json")
	if code, _, _ := invoke(t, short("-json", js, "-html", dir, nobody)...); code != exitUsage {
		t.Errorf("got %d, want 2", code)
	}
	if _, err := os.Stat(js); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a report that will not come has left a file: %v", err)
	}
}

func TestARunThatDoesNotBeginLeavesFilesAsTheyWere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, fresh := filepath.Join(dir, "old.json"), filepath.Join(dir, "fresh.html")
	if err := os.WriteFile(old, []byte("of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := invoke(t, short("-json", old, "-html", fresh, nobody)...); code != exitUnreachable {
		t.Errorf("got %d, want 3", code)
	}
	if b, err := os.ReadFile(old); string(b) != "of yesterday" {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := os.Stat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no file", err)
	}
}

func TestAReportTakesTheWholePlaceOfAnOlderOne(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	js := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(js, bytes.Repeat([]byte("old "), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := invoke(t, short("-json", js, s.URL)...); code != exitFine {
		t.Errorf("got %d, %s, %s", code, stdout, stderr)
	}
	if b, err := os.ReadFile(js); err != nil || bytes.Contains(b, []byte("old ")) || !bytes.HasSuffix(b, []byte("}\n")) {
		t.Errorf("got %.100q, %v", b, err)
	}
}

// TestAReportThatCannotBeWrittenHasItsOwnExitCode: and it keeps no other from being written.
func TestAReportThatCannotBeWrittenHasItsOwnExitCode(t *testing.T) {
	t.Parallel()
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("there is no " + full)
	}
	good, bad := planted.Start(t, planted.Bugs{}), planted.Start(t, planted.Bugs{LoseClick: 10})
	for _, c := range []struct {
		name, url string
		want      int
	}{{"a load that holds", good.URL, exitUnwritten}, {"a load that fails", bad.URL, exitFailed}} {
		page := filepath.Join(t.TempDir(), "r.html")
		code, stdout, stderr := invoke(t, short("-json", full, "-html", page, c.url)...)
		if code != c.want || !strings.Contains(stderr, "a report could not be written: -json: ") || stdout == "" {
			t.Errorf("%s: got %d, %q, want %d", c.name, code, stderr, c.want)
		}
		if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "</html>") {
			t.Errorf("%s: the other report: %v", c.name, err)
		}
	}
	out, err := os.OpenFile(full, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	js := filepath.Join(t.TempDir(), "r.json")
	code := run(short("-json", js, good.URL), func(string) string { return "" }, strings.NewReader(""), out, os.Stderr)
	if text, err := os.ReadFile(js); code != exitUnwritten || err != nil || len(text) == 0 {
		t.Errorf("a summary that could not be written: got %d, %v", code, err)
	}
}

// A program is loadgen in a process of its own.
type program struct {
	*exec.Cmd
	stdout, stderr *bytes.Buffer
}

// begin starts the program, and waits until its load has begun.
func begin(t *testing.T, args ...string) *program {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), mainEnv+"=1")
	dir := t.TempDir()
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	p := &program{Cmd: cmd, stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}
	cmd.Stdout, cmd.Stderr = p.stdout, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		b, err := os.ReadFile(errs.Name())
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("loadgen: ")) {
			return p
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not begin: %s", b)
		}
		runtime.Gosched()
	}
}

// interrupt is Ctrl-C. It returns the exit code.
func (p *program) interrupt(t *testing.T) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil && p.ProcessState == nil {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

func TestCtrlCIsNoPass(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{})
	for name, args := range map[string][]string{
		"a load":          {"-ramp", "0s", "-duration", "1h"},
		"while tabs join": {"-browsers", "1000", "-ramp", "1h"},
		"a gate":          {"-ramp", "0s", "-duration", "1h", "-expect", "errors=0"},
		"a search":        {"-ramp", "0s", "-duration", "1h", "-find-max", "errors=0"},
		"several workers": {"-browsers", "20", "-per-process", "10", "-ramp", "0s", "-duration", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := filepath.Join(t.TempDir(), "r.json")
			p := begin(t, append(append([]string{"-browsers", "10", "-json", js}, args...), s.URL)...)
			code := p.interrupt(t)
			if code != exitInterrupted || strings.Contains(p.stdout.String(), "PASSED") {
				t.Errorf("got %d and %s, want 130", code, p.stdout)
			}
			text, err := os.ReadFile(js)
			if name == "a search" {
				if !errors.Is(err, os.ErrNotExist) {
					t.Errorf("a search that has nothing to report has left a file: %v", err)
				}
				return
			}
			if err != nil || !bytes.Contains(text, []byte(`"interrupted": true`)) {
				t.Errorf("got %.100q, %v", text, err)
			}
		})
	}
}
