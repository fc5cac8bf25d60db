package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A faultCase is one fault of the matrix. What must hold in each, beside what
// it expects: each click that is acknowledged is counted once, no tab goes
// back or shows what never was, and in the end all show the store's value
// with nothing left unanswered.
type faultCase struct {
	fault    string
	injected string
	expected string
	on       []string // backends
	quick    []string // those that run with every "make test"; the others in "make chaos"
	kit      []string // the same for the example of the kit
	needs    string   // what only some targets have, in a word; "": all have it
	lossy    bool     // the store is made to lose what it has acknowledged
	nginx    bool     // the tabs come through nginx
	overHTTP bool     // the tabs have no websockets
	idle     bool     // nobody clicks but in run
	// kinds are those that the fault is let loose on: all of them in "make chaos", and one after
	// the other, by the number of the case, in "make test". Nil: the first of them.
	kinds func(a *target) []kind
	// smallDisk gives the embedded store a file system of 1 MB.
	smallDisk bool
	ownClocks bool // each replica has a clock, which can be set
	pair      bool // a second server follows the first
	// lossyBroker puts the replicas into the test's process, over a driver
	// that breaks the promises of a broker.
	lossyBroker bool
	run         func(w *cluster)
}

// TestChaos lets every fault of the matrix loose on running replicas of the demo
// and of an example of the kit. "make chaos" runs all cases and prints them as a
// table; "make test" a selection with shorter faults.
func TestChaos(t *testing.T) {
	table := &table{}
	t.Cleanup(func() { table.write(t) })
	for _, a := range targets() {
		number := 0
		for _, c := range slices.Concat(replicaFaults(), brokerFaults(), storeFaults(), switchoverFaults(), tabFaults()) {
			if a.lacks(c.needs) {
				table.none(a, c)
				continue
			}
			for _, backend := range c.on {
				if !chaosFull() && !slices.Contains(a.usual(c), backend) || slices.Contains(handedIn, backend) && a.lacks(backend) {
					continue
				}
				number++
				for _, k := range c.tried(a, number) {
					t.Run(a.name+"/"+c.fault+"/"+backend+"/"+k.name, func(t *testing.T) {
						t.Parallel()
						table.run(t, a, c, backend, k)
					})
				}
			}
		}
	}
}

// tried are the kinds that a case is let loose on.
func (c faultCase) tried(a *target, number int) []kind {
	if c.kinds == nil {
		return a.allKinds()[:1]
	}
	all := c.kinds(a)
	if chaosFull() {
		return all
	}
	i := number % len(all)
	return all[i : i+1]
}

// withstand lets the fault loose on a cluster of its own.
func (c faultCase) withstand(t *testing.T, a *target, backend string, k kind) *cluster {
	t.Helper()
	w := newCluster(t, a, backend, k, c.lossy)
	w.ownClocks = c.ownClocks
	if c.pair {
		w.addStandby()
	}
	switch {
	case c.lossyBroker:
		w.startLossyReplicas(3)
	case backend == embedded:
		w.startReplicas(1, "-store", "file:"+filepath.Join(w.disk(c.smallDisk), "lockstep.db"))
	default:
		w.startReplicas(3)
	}
	w.group.overHTTP = c.overHTTP
	w.fill(c.nginx)
	if !c.idle {
		w.load()
		w.hold(time.Second)
	}
	c.run(w)
	if !w.measured {
		w.recovered()
	}
	if !c.idle {
		w.hold(time.Second) // it goes on working
	}
	w.settle()
	return w
}

// A table is what the matrix measured.
type table struct {
	mu    sync.Mutex
	lines []string
	wrong int
}

// run lets a fault loose and notes what came of it.
func (m *table) run(t *testing.T, a *target, c faultCase, backend string, k kind) {
	var w *cluster
	t.Cleanup(func() { m.add(t, a, c, backend, k, w) })
	w = c.withstand(t, a, backend, k)
}

// none notes that there is nothing of a target that a fault could hit.
func (m *table) none(a *target, c faultCase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, fmt.Sprintf("| %s | %s | %s | | | %s | | | | not tried: needs %s |", a.name, c.fault, c.injected, c.expected, c.needs))
}

func (m *table) add(t *testing.T, a *target, c faultCase, backend string, k kind, w *cluster) {
	m.mu.Lock()
	defer m.mu.Unlock()
	verdict, acked, took, notes := "held", "", "", ""
	switch {
	case t.Skipped():
		verdict = "skipped"
	case t.Failed():
		verdict = "**BROKEN**"
		m.wrong++
	}
	if w != nil {
		acked = fmt.Sprint(w.group.h.Acknowledged())
		took = w.took.Round(10 * time.Millisecond).String()
		notes = strings.Join(w.notes, "; ")
	}
	if w != nil && w.group.refusals > 0 {
		notes = strings.TrimPrefix(notes+fmt.Sprintf("; %d refused for good, by the rule of the kind", w.group.refusals), "; ")
	}
	cells := []string{a.name, c.fault, c.injected, backend, k.name, c.expected, acked, took, notes, verdict}
	m.lines = append(m.lines, "| "+strings.Join(cells, " | ")+" |")
}

const tableHead = `# What make chaos measured

Written by the last run; docs/faults.md explains it. Replicas, server, tabs and the proxies between
them share one machine.

| target | fault | injected by | on | kind | expected | clicks acknowledged = counted | all in step after | seen | verdict |
|---|---|---|---|---|---|---|---|---|---|`

// write prints the table, and into the file that LOCKSTEP_CHAOS_TABLE names.
func (m *table) write(t *testing.T) {
	text := tableHead + "\n" + strings.Join(m.lines, "\n") + "\n"
	fmt.Print(text)
	path := os.Getenv("LOCKSTEP_CHAOS_TABLE")
	if path == "" {
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}
