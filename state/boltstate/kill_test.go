package boltstate_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/boltstate"
)

// childFile names the file that a copy of the test binary is to write to.
const childFile = "BOLTSTATE_CHILD_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

// writeForever makes ops from several goroutines and prints the client of each
// that was acknowledged, until it is killed. All the while it puts copies in the
// place of the file.
func writeForever(path string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, err := boltstate.Open(path, nil)
	if err != nil {
		fail(err)
	}
	var out sync.Mutex // a line is one write
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				c := newClient()
				if _, err := add(context.Background(), s, "a", c, 1); err != nil {
					fail(err)
				}
				out.Lock()
				fmt.Println(c)
				out.Unlock()
			}
		})
	}
	wg.Go(func() {
		for {
			if err := s.Replace(); err != nil {
				fail(err)
			}
		}
	})
	wg.Wait()
}

func TestKilledProcessLosesNoAcknowledgedOp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	acked := make(map[state.Client]bool)
	for round := range 4 {
		// Different counts, so that the kill comes at different moments.
		for _, line := range runAndKill(t, path, 50+37*round) {
			if c, err := state.ParseClient(line); err == nil { // the kill may cut a line off
				acked[c] = true
			}
		}
		checkAcked(t, path, acked)
	}
}

// runAndKill kills a writing process once it has acknowledged so many ops, and
// returns the lines that it has written.
func runAndKill(t *testing.T, path string, after int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childFile+"="+path)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var written []string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if written = append(written, lines.Text()); len(written) == after {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // it was killed: always an error
	if len(written) < after {
		t.Fatalf("the process ended after %d ops, want at least %d", len(written), after)
	}
	return written
}

// checkAcked opens the file, as after a crash, and checks that each
// acknowledged op is in it once.
func checkAcked(t *testing.T, path string, acked map[state.Client]bool) {
	t.Helper()
	s, err := boltstate.Open(path, nil)
	must(t, err)
	defer s.Close()
	r := read(t, s, "a")
	if n, _ := strconv.Atoi(string(r.Data)); uint64(n) != r.Version || n < len(acked) {
		t.Errorf("got %q in version %d after %d acknowledged ops", r.Data, r.Version, len(acked))
	}
	for c := range acked {
		if added, err := add(t.Context(), s, "a", c, 1); err != nil || added {
			t.Fatalf("an acknowledged op was lost, or %v", err)
		}
	}
}
