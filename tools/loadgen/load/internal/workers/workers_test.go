package workers_test

import (
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/internal/workers"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// targetEnv tells the test binary that it is a worker, and where the target is.
const targetEnv = "WORKERS_TEST_TARGET"

func TestMain(m *testing.M) {
	if target := os.Getenv(targetEnv); target != "" {
		u, err := url.Parse(target)
		if err == nil {
			err = workers.Serve(browser.Config{Targets: []*url.URL{u}, Protocol: protocol.Lockstep{}, Loops: 1}, os.Stdin, os.Stdout)
		}
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process makes the command of a worker.
func process(t *testing.T, target string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), targetEnv+"="+target)
		return cmd
	}
}

// await collects what all workers see until done says so.
func await(t *testing.T, all []workers.Worker, done func(seen []workers.Observed) bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		var seen []workers.Observed
		for _, w := range all {
			o, err := w.Observe()
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, o)
		}
		if done(seen) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it took too long: %+v", seen)
		}
	}
}

func TestTabsAreSpreadOverProcesses(t *testing.T) {
	for _, processes := range []int{1, 3} {
		s := planted.Start(t, planted.Bugs{})
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		c := browser.Config{Targets: []*url.URL{u}, Protocol: protocol.Lockstep{}, Loops: 1, Plan: &workload.Plan{Seed: 7, Stages: []workload.Stage{
			{Browsers: 12, Duration: time.Second, Rate: workload.Rate{{From: 30, To: 30}}},
		}}}
		all, err := workers.Start(c, processes, process(t, s.URL))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range all {
			if err := w.Join(); err != nil {
				t.Fatal(err)
			}
		}
		await(t, all, func(seen []workers.Observed) bool { return sum(seen, connected) == 12 })
		for _, w := range all {
			if err := w.Load(time.Now(), make([]protocol.State, 1)); err != nil {
				t.Fatal(err)
			}
		}
		acked := 0
		await(t, all, func(seen []workers.Observed) bool {
			acked += sum(seen, func(o browser.Observation) int { return int(o.Counts.Acked) })
			return acked == 30
		})
		for i, w := range all {
			if err := w.Unload(); err != nil {
				t.Error(err)
			}
			if tabs, err := w.Behind([]protocol.State{{Epoch: 9, Version: 9}}); err != nil || len(tabs) != 12/processes {
				t.Errorf("worker %d of %d: got %d tabs that are behind, %v, want all of its own", i, processes, len(tabs), err)
			}
		}
		if err := workers.Close(all); err != nil {
			t.Error(err)
		}
	}
}

func connected(o browser.Observation) int { return o.Connected }

func sum(seen []workers.Observed, of func(browser.Observation) int) (n int) {
	for _, o := range seen {
		for _, loop := range o.Loops {
			n += of(loop)
		}
	}
	return n
}

func TestAWorkerThatCannotStartSaysWhichAndWhy(t *testing.T) {
	c := browser.Config{Plan: &workload.Plan{}}
	for want, command := range map[string]func() *exec.Cmd{
		"worker 0: browser: a load needs at least one stage": process(t, "http://127.0.0.1:1"),
		"worker 0: exec: no command":                         func() *exec.Cmd { return new(exec.Cmd) },
	} {
		if all, err := workers.Start(c, 2, command); err == nil || !strings.Contains(err.Error(), want) || all != nil {
			t.Errorf("got %v, %v, want %q", all, err, want)
		}
	}
}
