package lanetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/short"
)

// A mutant is the code with a line of the rule taken away.
type mutant struct {
	name  string
	edits []edit
	// variant is the test in which it is found soonest. Empty: plainly.
	variant string
	// rare mutants need more than a hundred seeds or so: they are tried in the full
	// form only.
	rare bool
}

// An edit changes what is found exactly once in a file of package state or below.
// In its place comes new, where WITHOUT is true when the mutant is asked for, and
// pick(WITHOUT, a, b) is a then, and else b.
type edit struct{ file, old, new string }

// mutants are of docs/exactly-once.md's lines; how many seeds each needs is in
// the log of the full form. One is not here: a refusal that keeps the version. It
// breaks nothing, since moves look at the lanes themselves.
var mutants = []mutant{
	{name: "seq > last is enough", edits: []edit{{
		"judge.go", "l.Last > 0 && op.Seq == l.Last+1:", "l.Last > 0 && op.Seq == l.Last+1, WITHOUT:",
	}}},
	{name: "a lane that is not known accepts anything", edits: []edit{{
		"judge.go", "	if op.Seq == op.From {\n		l.min = 0", "	if WITHOUT || op.Seq == op.From {\n		l.min = 0",
	}}},
	{name: "no from", edits: []edit{{
		"judge.go", "case op.Seq == op.From, ", "case !WITHOUT && op.Seq == op.From, WITHOUT && op.Seq == 1, ",
	}}},
	{name: "what was dealt with is always applied", edits: []edit{{
		"judge.go", "if reason, ok := l.refused.reason(op.Seq); ok {", "if reason, ok := l.refused.reason(op.Seq); ok && !WITHOUT {",
	}}},
	{name: "below from is answered as then", edits: []edit{{
		"judge.go", "if op.Seq < l.From {", "if op.Seq < l.From && !WITHOUT {",
	}}, variant: noLocks},
	{name: "from falls", edits: []edit{
		{"judge.go", "from := max(l.From, op.From)", "from := pick(WITHOUT, op.From, max(l.From, op.From))"},
		{"store.go", "From: max(l.From, m.To.From)", "From: pick(WITHOUT, m.To.From, max(l.From, m.To.From))"},
	}, variant: noLocks},
	{name: "stamps are not looked at", edits: []edit{{
		"judge.go", "case !op.Seen.IsZero() && ", "case !WITHOUT && !op.Seen.IsZero() && ",
	}}, variant: noLocks, rare: true},
	{name: "no op is too old", edits: []edit{{
		"judge.go", "case op.Age+j.now.Sub(arrived) > j.lifetime:", "case !WITHOUT && op.Age+j.now.Sub(arrived) > j.lifetime:",
	}}},
	{name: "age before lane", edits: []edit{{
		"judge.go", "if l.Last > 0 && op.Seq <= l.Last {", "if l.Last > 0 && op.Seq <= l.Last && !(WITHOUT && op.Age > j.lifetime) {",
	}}},
	{name: "the list of refusals is short", edits: []edit{{
		"judge.go", "		raw = list.encode()", "		if WITHOUT && len(list) > 2 {\n			list = list[len(list)-2:]\n		}\n		raw = list.encode()",
	}}},
	{name: "the list of refusals only grows", edits: []edit{{
		"judge.go", "list, raw := l.refused.from(from), l.Refused", "list, raw := l.refused.from(pick(WITHOUT, 0, from)), l.Refused",
	}}},
	{name: "a refusal does not consume its seq", edits: []edit{{
		"run.go", "	before := l.moved\n",
		"	if WITHOUT && reason != nil {\n		r.answers[i] = Answer{Verdict: Refused, Reason: *reason}\n		return\n	}\n	before := l.moved\n",
	}}},
	{name: "too old by a guess", edits: []edit{{
		"run.go", "r.asking = r.asking || l.guessed && !l.moved", "r.asking = r.asking || !WITHOUT && l.guessed && !l.moved",
	}}},
	{name: "answers from what was read before", edits: []edit{{
		"run.go", "will say when the step is done.\n		r.unsure = r.unsure || l.asked.Before(s.at)",
		"will say when the step is done.\n		r.unsure = r.unsure || !WITHOUT && l.asked.Before(s.at)",
	}}, variant: noLocks, rare: true},
	{name: "a failed action's state is used on", edits: []edit{{
		"run.go", "r.spoilt, r.fouled = true, true", "r.spoilt, r.fouled = !WITHOUT, true",
	}}},
	{name: "a failed action's state is used again", edits: []edit{{
		"try.go", "if t.run.fouled {", "if !WITHOUT && t.run.fouled {",
	}}},
	{name: "entries of a failed run are appended, too", edits: []edit{{
		"run.go", "	r.log = r.savedLog\n", "	if !WITHOUT {\n		r.log = r.savedLog\n	}\n",
	}}},
	{name: "entries of a run that is made again are not appended", edits: []edit{{
		"run.go", "		r.state = next\n		r.log.add(log)\n	}\n	return r.save()", "		r.state = next\n		if !WITHOUT {\n			r.log.add(log)\n		}\n	}\n	return r.save()",
	}}},
	{name: "entries are left out of the step", edits: []edit{{
		"run.go", "		r.step.Log, r.step.Keep =", "		if WITHOUT {\n			r.log = appended{}\n		}\n		r.step.Log, r.step.Keep =",
	}}},
	{name: "entries stay in the state", edits: []edit{{
		"log.go", "	l.fresh = nil\n", "	if !WITHOUT {\n		l.fresh = nil\n	}\n",
	}}},
	{name: "a store appends the entries of a step that does not hold", edits: []edit{{
		"memstate/memstate.go", "	if !holds {\n", "	if !holds {\n		if WITHOUT {\n			for _, entry := range step.Log {\n				t.log = append(t.log, append([]byte{}, entry...))\n			}\n		}\n",
	}}},
	{name: "a panic ends the replica", edits: []edit{{
		"run.go", `	defer r.b.guard.Caught("an action", &err)`, "	if !WITHOUT {\n		defer r.b.guard.Caught(\"an action\", &err)\n	}",
	}}},
	{name: "acknowledged before it is shown", edits: []edit{{
		"try.go", "	b.tell(t)\n", "	if !WITHOUT {\n		b.tell(t)\n	}\n",
	}}},
	{name: "after a conflict the lanes are not taken in", edits: []edit{{
		"try.go", "		lanes[m.Client] = &saidLane{o.Lanes[i], began}", "		if !WITHOUT {\n			lanes[m.Client] = &saidLane{o.Lanes[i], began}\n		}",
	}}},
	{name: "after a conflict the data are not taken in", edits: []edit{{
		"try.go", "t.known && r.Same(t.record); same {", "t.known && r.Same(t.record); same || WITHOUT && t.known {",
	}}},
	{name: "a move does not look at the refusals", edits: []edit{{
		"store.go", "&& bytes.Equal(m.Was, l.Refused)", "&& (WITHOUT || bytes.Equal(m.Was, l.Refused))",
	}}},
	{name: "a move may jump", edits: []edit{{
		"store.go", "return m.Min <= l.Last && ", "return (WITHOUT || m.Min <= l.Last) && ",
	}}},
	{name: "a move may go back", edits: []edit{{
		"store.go", "&& l.Last <= m.Max && ", "&& (WITHOUT || l.Last <= m.Max) && ",
	}}},
	{name: "a restored store keeps its epoch", edits: []edit{{
		"memstate/memstate.go", "epoch: uint64(time.Now().UnixMilli()), ", "epoch: pick(WITHOUT, 1, uint64(time.Now().UnixMilli())), ",
	}}},
	{name: "compare-and-set without epoch", edits: []edit{{
		"memstate/memstate.go", "holds := step.Base.Same(newest)", "holds := step.Base.Same(newest) || WITHOUT && step.Base.Version == newest.Version",
	}}},
	{name: "compare-and-set without version", edits: []edit{{
		"memstate/memstate.go", "	for i := range step.Moves {\n		move :=",
		"	holds = holds || WITHOUT && step.Base.Epoch == newest.Epoch\n	for i := range step.Moves {\n		move :=",
	}}},
	{name: "lanes are not written with the data", edits: []edit{{
		"memstate/memstate.go", "		s.moved.put(k, lane)\n", "		if !WITHOUT {\n			s.moved.put(k, lane)\n		}\n",
	}}},
	{name: "a move leaves a lane done", edits: []edit{{
		"memstate/memstate.go", "		s.done.drop(k)\n",
		"		if _, done := s.done.get(k); WITHOUT && done {\n			s.done.put(k, lane)\n			continue\n		}\n		s.done.drop(k)\n",
	}}},
	{name: "a mark does not look how far the lane is", edits: []edit{{
		"memstate/memstate.go", "ok && lane.Last <= mark.UpTo", "ok && (WITHOUT || lane.Last <= mark.UpTo)",
	}}},
	{name: "lanes are forgotten too early", edits: []edit{{
		"memstate/memstate.go", "moved: newLanes(o.Lifetime, ", "moved: newLanes(pick(WITHOUT, o.Lifetime/8, o.Lifetime), ",
	}}},
	{name: "a jump of the clock forgets lanes", edits: []edit{{
		"age.go", "return Age{a.N + 1, now}", "return Age{a.N + pick(WITHOUT, uint64(past/(lifetime/ages)), 1), now}",
	}}, rare: true},
}

// rareSeeds are tried at least for rare mutants.
const rareSeeds = 6000

// mutantVariable names the mutant to the test that has all.
const mutantVariable = "LOCKSTEP_MUTANT"

const switchSource = `package %s

import "os"

var mutantAsked = os.Getenv("` + mutantVariable + `")

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}

var _ = pick[bool]
`

// TestEachLineIsInTheSource finds lines that have changed within a second.
func TestEachLineIsInTheSource(t *testing.T) {
	overlay(t, t.TempDir())
}

// TestEachLineOfTheRuleIsNeeded takes the lines of the rule out of the real code,
// one at a time, and has the simulation find that something breaks. Its full form
// is that with LOCKSTEP_SEEDS.
func TestEachLineOfTheRuleIsNeeded(t *testing.T) {
	short.Skip(t, "compiles a test")
	program := build(t)
	full := os.Getenv("LOCKSTEP_SEEDS") != ""
	if out, err := try(program, "", plainly, 50); err != nil {
		t.Fatalf("with all lines: %v\n%s", err, out)
	}
	for i, m := range mutants {
		if m.rare && !full {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			_, last := short.Seeds(t, 1000)
			if m.rare {
				last = max(last, rareSeeds)
			}
			if m.variant == "" {
				m.variant = plainly
			}
			out, err := try(program, idOf(i), m.variant, last)
			if err == nil {
				t.Fatalf("nothing broke in %d seeds: the simulation can't see", last)
			}
			found := regexp.MustCompile(`LOCKSTEP_SEED=\d+ breaks: .*|panic: .*`).FindString(out)
			if t.Log(found); found == "" {
				t.Errorf("it failed for another reason: %s", out)
			}
		})
	}
}

func idOf(i int) string { return fmt.Sprintf("mutant%d", i) }

// try runs the rule's test with a mutant.
func try(program, id, variant string, seeds uint64) (out string, err error) {
	cmd := exec.Command(program, "-test.run", "^TestTheRuleHolds$/^"+variant+"$", "-test.timeout", "20m")
	cmd.Env = append(os.Environ(), mutantVariable+"="+id, fmt.Sprint("LOCKSTEP_SEEDS=", seeds))
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// build compiles this test with a switch at each line, and returns its path.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	list, err := json.Marshal(map[string]any{"Replace": overlay(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "lanetest.test")
	if out, err := exec.Command("go", "test", "-c", "-overlay", name, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return program
}

// overlay writes the files with the switches into a folder, and returns which
// files they stand for.
func overlay(t *testing.T, dir string) map[string]string {
	t.Helper()
	sources := map[string]string{} // by path in package state
	for i, m := range mutants {
		for _, e := range m.edits {
			if sources[e.file] == "" {
				sources[e.file] = read(t, e.file)
			}
			if n := strings.Count(sources[e.file], e.old); n != 1 {
				t.Fatalf("a line of the rule has changed, and its mutant must follow: in %s this is found %d times, want once: %s", e.file, n, e.old)
			}
			changed := strings.ReplaceAll(e.new, "WITHOUT", fmt.Sprintf("(mutantAsked == %q)", idOf(i)))
			sources[e.file] = strings.Replace(sources[e.file], e.old, changed, 1)
		}
	}
	replace := map[string]string{}
	for file, source := range sources {
		path := pathOf(t, file)
		replace[path] = save(t, dir, source)
		name := regexp.MustCompile(`(?m)^package (\w+)$`).FindStringSubmatch(source)[1]
		replace[filepath.Join(filepath.Dir(path), "mutant_switch.go")] = save(t, dir, fmt.Sprintf(switchSource, name))
	}
	return replace
}

func pathOf(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(pathOf(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// save writes a file of any name into a folder, and returns its path.
func save(t *testing.T, dir, text string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "*.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
