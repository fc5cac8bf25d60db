package boltcounter_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
)

// childFile names the file that a copy of the test binary is to write to.
const childFile = "BOLTCOUNTER_CHILD_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

func newOp() counter.Op { return counter.Op{ID: rand.Text(), Kind: counter.Increment} }

// writeForever applies ops from several goroutines and prints the id of each
// that was acknowledged, until it is killed. All the while it puts copies in the
// place of the file.
func writeForever(path string) {
	s, err := boltcounter.Open(path, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex // a line is one write
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				op := newOp()
				if _, _, err := s.Apply(context.Background(), "a", op); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(op.ID)
				out.Unlock()
			}
		})
	}
	wg.Go(func() {
		for {
			if err := s.Replace(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	})
	wg.Wait()
}

func TestKilledProcessLosesNoAcknowledgedOp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "counters.db")
	acked := make(map[string]bool)
	for round := range 4 {
		// Different counts, so that the kill comes at different moments.
		for _, id := range runAndKill(t, path, 50+37*round) {
			acked[id] = true
		}
		checkAcked(t, path, acked)
	}
}

// runAndKill kills a writing process once it has acknowledged so many ops, and
// returns the ids of all that it has.
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
	var ids []string
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if ids = append(ids, lines.Text()); len(ids) == after {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait() // it was killed: always an error
	if len(ids) < after {
		t.Fatalf("the process ended after %d ops, want at least %d", len(ids), after)
	}
	return ids
}

// checkAcked opens the file, as after a crash, and checks that each
// acknowledged op is in it once.
func checkAcked(t *testing.T, path string, acked map[string]bool) {
	t.Helper()
	s, err := boltcounter.Open(path, nil)
	must(t, err)
	defer s.Close()
	values, err := s.Get(t.Context(), "a")
	must(t, err)
	v := values[0]
	if v.N != int64(v.Version) || v.N < int64(len(acked)) {
		t.Errorf("got %d in version %d after %d acknowledged ops", v.N, v.Version, len(acked))
	}
	for id := range acked {
		if len(id) != 26 {
			continue // a line that the kill has cut off
		}
		_, applied, err := s.Apply(t.Context(), "a", counter.Op{ID: id, Kind: counter.Increment})
		must(t, err)
		if applied[0] {
			t.Fatalf("the acknowledged op %s was lost", id)
		}
	}
}
