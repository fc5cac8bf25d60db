package static

import "fmt"

// The program for browsers, lockstep.wasm, and the script of its worker, worker.js, come together:
// of one build, by one toolchain. A server has them embedded (-tags program), or somebody makes
// them while it runs (package compile).

// notBuiltIn is what a person is told when nobody makes the program.
const notBuiltIn = "This server was built without the application for browsers: " +
	"start it with “go run ./cmd/web” in a checkout, or build it with “make dist”."

// A Stage says whether the program is there.
type Stage string

// The stages: a server without a program begins with Missing.
const (
	Missing   Stage = "missing"   // nobody makes it; Text says why
	Compiling Stage = "compiling" // it will be Ready, or Missing
	Ready     Stage = "ready"     // for good
)

// A Progress is how far the program is.
type Progress struct {
	Stage       Stage
	Done, Total int    // packages that are compiled, of those that must be; Total 0: not known yet
	Text        string // a sentence for people; "" when it is Ready
}

// Share is how much is done, from 0 to 1.
func (p Progress) Share() float64 {
	switch {
	case p.Stage == Ready:
		return 1
	case p.Total == 0:
		return 0
	}
	return float64(p.Done) / float64(p.Total+1) // one more, to link it
}

// A program is a state of it. It does not change.
type program struct {
	progress Progress
	files    folder // empty unless it is Ready
}

// Progress returns how far the program is.
func (a *Assets) Progress() Progress { return a.program.Load().progress }

// SetProgress has Progress return p, from before the program is Ready.
func (a *Assets) SetProgress(p Progress) { a.program.Store(&program{progress: p}) }

// SetProgram adds the program and its worker, which is Ready from then on. files are by name, and
// as wasmbuild makes them; an error says that one is missing. The program must not be Ready before.
func (a *Assets) SetProgram(files map[string][]byte) error {
	f, err := newFolder(files)
	if err != nil {
		return err
	}
	for _, name := range []string{"lockstep.wasm", "worker.js"} {
		if f.names[name] == "" {
			return fmt.Errorf("static: the program has no %s", name)
		}
	}
	a.program.Store(&program{progress: Progress{Stage: Ready}, files: f})
	return nil
}
