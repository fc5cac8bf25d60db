package compile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/static"
	"lockstep/static/compile"
	"lockstep/static/internal/pack"
	"lockstep/static/internal/progress"
)

// fakeGo has this program be the go command, and says how it does.
const fakeGo = "LOCKSTEP_FAKE_GO"

func TestMain(m *testing.M) {
	if how := os.Getenv(fakeGo); how != "" {
		os.Exit(goes(how))
	}
	os.Exit(m.Run())
}

// goes is a go command that does as it is told, and returns its exit code.
func goes(how string) int {
	if got := strings.Join(os.Args[1:4], " "); got != "run ./wasmbuild -stream" {
		fmt.Fprintln(os.Stderr, "called with", got)
		return 2
	}
	out := json.NewEncoder(os.Stdout)
	say := func(m progress.Message) { _ = out.Encode(m) } // a reader that has gone is tested too
	switch how {
	case "well":
		say(progress.Message{Done: 0, Total: 2})
		say(progress.Message{Done: 2, Total: 2})
		say(progress.Message{Files: program()})
	case "wrongly":
		fmt.Fprintln(os.Stderr, "# lockstep/live\nlive/room.go:1:1: expected 'package'")
		fmt.Fprintln(os.Stderr, strings.Repeat("and so on\n", 10_000))
		return 1
	case "nothing":
	case "garbage":
		fmt.Println("<!doctype html>")
		forever()
	case "half":
		say(progress.Message{Files: map[string][]byte{"worker.0000000000.js.br": nil}})
	case "slowly":
		say(progress.Message{Done: 7, Total: 200})
		leaveBehind()
		forever()
	case "endless": // what slowly starts
		forever()
	}
	return 0
}

// leaveBehind makes what a go command makes: a temporary file, and a process of its own.
func leaveBehind() {
	child := exec.Command(os.Args[0], "run", "./wasmbuild", "-stream")
	child.Env = append(os.Environ(), fakeGo+"=endless")
	if err := child.Start(); err != nil {
		os.Exit(3)
	}
	note := filepath.Join(os.Getenv("TMPDIR"), "go-build")
	_ = os.WriteFile(note, []byte("x"), 0o600)
	// Its name is where the test looks for it, so it is written last.
	path := os.Getenv("LOCKSTEP_FAKE_NOTE")
	_ = os.WriteFile(path+".tmp", []byte(strconv.Itoa(child.Process.Pid)+" "+note), 0o600)
	_ = os.Rename(path+".tmp", path)
}

// forever is longer than any test.
func forever() { <-time.After(time.Hour) }

// program is one in shape, as wasmbuild makes it.
func program() map[string][]byte {
	files := make(map[string][]byte)
	for name, body := range map[string]string{"lockstep.wasm": "\x00asm", "worker.js": "class Go {}"} {
		packed, err := pack.Brotli([]byte(body), pack.Fast)
		if err != nil {
			panic(err)
		}
		files[pack.Name(name, []byte(body))+pack.Suffix] = packed
	}
	return files
}

// A case of a server without a program, on a machine with the fake go command.
type server struct {
	t      *testing.T
	assets *static.Assets
	opts   compile.Options
	log    bytes.Buffer // read it when the compiler has ended
	temp   string       // for all that is temporary
}

func newServer(t *testing.T, how string) *server {
	t.Helper()
	t.Setenv(fakeGo, how)
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, assets: assets, temp: t.TempDir()}
	t.Setenv("TMPDIR", s.temp)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.opts = compile.Options{Root: root, Go: self, Logger: slog.New(slog.NewTextHandler(&s.log, nil))}
	return s
}

// start has a compiler begin.
func (s *server) start() *compile.Compiler {
	c := compile.New(s.assets, &s.opts)
	c.Start()
	return c
}

// wantNothingLeft wants the folder of temporary files to be as it was.
func (s *server) wantNothingLeft() {
	s.t.Helper()
	if left, err := os.ReadDir(s.temp); err != nil || len(left) > 0 {
		s.t.Errorf("%v are left behind (%v)", left, err)
	}
}

func TestAProgramThatIsCompiledIsServed(t *testing.T) {
	s := newServer(t, "well")
	if got := s.assets.Progress(); got.Stage != static.Missing || !strings.Contains(got.Text, "make dist") {
		t.Errorf("before: got %+v", got)
	}
	c := s.start()
	c.Wait()
	c.Stop()
	c.Stop()
	if got := s.assets.Progress(); got.Stage != static.Ready || got.Text != "" || got.Share() != 1 {
		t.Errorf("got %+v, want that it is ready", got)
	}
	if f, ok := s.assets.Open(s.assets.URL("lockstep.wasm"), ""); !ok || string(f.Body) != "\x00asm" {
		t.Errorf("got %q, %v", f.Body, ok)
	}
	if !strings.Contains(s.log.String(), "compiled the application for browsers") {
		t.Errorf("got the log %s", &s.log)
	}
	s.wantNothingLeft()
}

// TestAPageBeforeTheCompilerIsNotToldThatThereIsNone: listeners are up before it starts.
func TestAPageBeforeTheCompilerIsNotToldThatThereIsNone(t *testing.T) {
	s := newServer(t, "well")
	c := compile.New(s.assets, &s.opts)
	if got := s.assets.Progress(); got.Stage != static.Compiling {
		t.Errorf("got %+v, want that it will be compiled", got)
	}
	c.Stop() // without a start
}

// TestACompilerThatFailsSaysWhy: in one bounded line of the log, and to people how to go on.
func TestACompilerThatFailsSaysWhy(t *testing.T) {
	for how, want := range map[string]string{
		"wrongly": "expected 'package'", "nothing": "did not come", "garbage": "did not come", "half": "no lockstep.wasm",
	} {
		t.Run(how, func(t *testing.T) {
			s := newServer(t, how)
			s.start().Wait()
			got := s.assets.Progress()
			if got.Stage != static.Missing || !strings.Contains(got.Text, "go run ./cmd/web") {
				t.Errorf("got %+v, want a sentence with a command", got)
			}
			log := s.log.String()
			if !strings.Contains(log, "level=ERROR") || !strings.Contains(log, want) || strings.Count(log, "\n") != 1 || len(log) > 10_000 {
				t.Errorf("got the log %q, want one line with %q", log, want)
			}
			s.wantNothingLeft()
		})
	}
}

// TestWhatKilledServersHaveLeftIsRemoved, but not what another one is using.
func TestWhatKilledServersHaveLeftIsRemoved(t *testing.T) {
	s := newServer(t, "well")
	old, young := filepath.Join(s.temp, "lockstep-compile-1"), filepath.Join(s.temp, "lockstep-compile-2")
	for dir, age := range map[string]time.Duration{old: 2 * time.Hour, young: time.Minute} {
		then := time.Now().Add(-age)
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "go-build"), 0o755), os.Chtimes(dir, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	s.start().Wait()
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for the old folder, want that it is gone", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}

// TestStopEndsAllThatItHasStarted, and leaves no file behind.
func TestStopEndsAllThatItHasStarted(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	t.Setenv("LOCKSTEP_FAKE_NOTE", note)
	s := newServer(t, "slowly")
	c := s.start()
	var pid int
	var file string
	eventually(t, "the go command to work", func() error {
		text, err := os.ReadFile(note)
		if err != nil {
			return err
		}
		_, err = fmt.Sscanf(string(text), "%d %s", &pid, &file)
		return err
	})
	eventually(t, "the program to hear how far it is", func() error {
		if got := s.assets.Progress(); got.Stage != static.Compiling || !strings.Contains(got.Text, "7 of 200 packages") {
			return fmt.Errorf("it is %+v", got)
		}
		return nil
	})
	if !strings.HasPrefix(file, s.temp) {
		t.Errorf("the go command writes to %s", file)
	}
	if runtime.GOOS == "linux" {
		eventually(t, "the process of the go command to give way", func() error {
			if nice := statOf(pid)[16]; nice != "19" {
				return errors.New("it has the priority " + nice)
			}
			return nil
		})
	}
	c.Stop()
	eventually(t, "the process of the go command to end", func() error {
		if state := statOf(pid)[0]; state != "" && state != "Z" {
			return errors.New("it is " + state)
		}
		return nil
	})
	if s.log.Len() > 0 {
		t.Errorf("got the log %s for a server that ends", &s.log)
	}
	s.wantNothingLeft()
}

// statOf are the fields of a process in /proc from its state on (proc(5)); the state is "" when it
// has gone.
func statOf(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if syscall.Kill(pid, 0) == nil {
			return []string{"there"} // a system without /proc
		}
		return []string{""}
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.Fields(rest)
}

// eventually asks again and again until cond returns nil.
func eventually(t *testing.T, what string, cond func() error) {
	t.Helper()
	limit, again := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("still waiting for %s: %v", what, err)
		}
	}
}

func TestWithoutAGoCommandThePersonIsTold(t *testing.T) {
	s := newServer(t, "well")
	s.opts.Go = filepath.Join(t.TempDir(), "go")
	s.start().Wait()
	if got := s.assets.Progress(); got.Stage != static.Missing || !strings.Contains(got.Text, "no go command") {
		t.Errorf("got %+v", got)
	}
	if err := compile.Now(t.Context(), s.assets, &s.opts); err == nil || !strings.Contains(err.Error(), "no go command") {
		t.Errorf("in the foreground: got %v", err)
	}
}

func TestAProgramThatIsThereIsNotCompiled(t *testing.T) {
	s := newServer(t, "wrongly")
	if err := s.assets.SetProgram(program()); err != nil {
		t.Fatal(err)
	}
	s.start().Wait()
	if err := compile.Now(t.Context(), s.assets, &s.opts); err != nil || s.log.Len() > 0 {
		t.Errorf("got %v, and the log %s", err, &s.log)
	}
}

func TestInTheForegroundItIsAnError(t *testing.T) {
	s := newServer(t, "wrongly")
	if err := compile.Now(t.Context(), s.assets, &s.opts); err == nil || !strings.Contains(err.Error(), "expected 'package'") {
		t.Errorf("got %v", err)
	}
	s = newServer(t, "slowly")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := compile.Now(ctx, s.assets, &s.opts); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	s = newServer(t, "well")
	if err := compile.Now(t.Context(), s.assets, &s.opts); err != nil || s.assets.Progress().Stage != static.Ready {
		t.Errorf("got %v, %+v", err, s.assets.Progress())
	}
}
