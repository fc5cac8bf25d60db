package dev

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeProject records what is done to it. Each step takes a second.
type fakeProject struct {
	mu    sync.Mutex // guards the rest
	files tree
	did   []string
	fails map[string]bool // steps
	same  bool            // what is built is what runs
}

var errStep = errors.New("line 7: it does not build")

func (f *fakeProject) do(step string) error {
	time.Sleep(time.Second)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, step)
	if f.fails[step] {
		return errStep
	}
	return nil
}

func (f *fakeProject) scan() tree {
	f.mu.Lock()
	defer f.mu.Unlock()
	copied := tree{}
	for name, s := range f.files {
		copied[name] = s
	}
	return copied
}

func (f *fakeProject) generate(_ context.Context, g generator) error {
	return f.do("generate " + g.dir)
}

func (f *fakeProject) build(context.Context) (differs bool, err error) {
	err = f.do("build")
	return !f.same, err
}

func (f *fakeProject) restart(context.Context) (addr string, err error) {
	return "here", f.do("restart")
}

// edit changes a file, and which steps fail from now on.
func (f *fakeProject) edit(name string, fails ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = stamp{f.files[name].size + 1, time.Now()}
	f.fails = map[string]bool{}
	for _, step := range fails {
		f.fails[step] = true
	}
}

// steps returns what was done since the last call.
func (f *fakeProject) steps() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	did := strings.Join(f.did, ", ")
	f.did = nil
	return did
}

// withRunner runs f beside a runner that has built once. interrupt is Ctrl-C;
// it waits until the runner has ended.
func withRunner(t *testing.T, f func(p *fakeProject, tabs *tabs, interrupt func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProject{files: tree{"app/pages/page.templ": {}, "static/app.css": {}, "app/app.go": {}}}
		below := func(folders ...string) func(string) bool {
			return func(name string) bool { return isBelowAny(folders, name) }
		}
		r := &runner{project: p, tabs: newTabs(time.Now()), generators: []generator{
			{dir: "app/pages", from: below("app/pages")}, {dir: "static", from: below("static", "htmx")}, {dir: "nothing", from: below("nothing")},
		}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.run(ctx) })
		time.Sleep(10 * time.Second)
		if got, want := p.steps(), "generate app/pages, generate static, build, restart"; got != want {
			t.Errorf("at the start: got %s, want %s", got, want)
		}
		f(p, r.tabs, func() { cancel(); running.Wait() })
		cancel()
		running.Wait()
	})
}

func TestAChangeIsGeneratedBuiltAndShown(t *testing.T) {
	withRunner(t, func(p *fakeProject, tabs *tabs, _ func()) {
		for name, want := range map[string]string{
			"app/pages/page.templ": "generate app/pages, build, restart",
			"static/live.js":       "generate static, build, restart",
			"htmx/limits.go":       "generate static, build, restart",
			"app/app.go":           "build, restart",
		} {
			before, _ := tabs.get()
			p.edit(name)
			time.Sleep(10 * time.Second)
			if got := p.steps(); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
			if s, _ := tabs.get(); s != (state{Generation: before.Generation + 1, server: "here"}) {
				t.Errorf("%s: got %+v after %+v", name, s, before)
			}
		}
	})
}

// TestTabsAreToldWhatHasChanged: a style sheet is exchanged, and only what a page may show is
// worth a reload.
func TestTabsAreToldWhatHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		same               bool // the program reads its files, and has none in it
		edit               []string
		generation, styles int64 // by how much they grow
	}{
		"a style sheet in the program": {false, []string{"static/app.css"}, 0, 1},
		"a style sheet beside it":      {true, []string{"static/app.css"}, 0, 1},
		"more than a style sheet":      {false, []string{"static/app.css", "app/app.go"}, 1, 0},
		"a script in the program":      {false, []string{"static/live.js"}, 1, 0},
		"a script beside it":           {true, []string{"static/live.js"}, 1, 0},
		"a comment":                    {true, []string{"app/app.go"}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withRunner(t, func(p *fakeProject, tabs *tabs, _ func()) {
				before, _ := tabs.get()
				p.same = c.same
				for _, name := range c.edit {
					p.edit(name)
				}
				time.Sleep(10 * time.Second)
				want := state{Generation: before.Generation + c.generation, Styles: before.Styles + c.styles, server: "here"}
				if s, _ := tabs.get(); s != want {
					t.Errorf("got %+v, want %+v", s, want)
				}
			})
		})
	}
}

// TestAStyleSheetDoesNotHideWhatDidNotBuild before it: the tabs have not seen that yet.
func TestAStyleSheetDoesNotHideWhatDidNotBuild(t *testing.T) {
	withRunner(t, func(p *fakeProject, tabs *tabs, _ func()) {
		before, _ := tabs.get()
		p.edit("app/app.go", "build")
		time.Sleep(10 * time.Second)
		p.edit("static/app.css")
		time.Sleep(10 * time.Second)
		if s, _ := tabs.get(); s.Generation != before.Generation+1 || s.Problem != "" {
			t.Errorf("got %+v after %+v, want a reload", s, before)
		}
	})
}

func TestWhatDoesNotBuildIsShownAndTheOldServerGoesOn(t *testing.T) {
	for _, c := range []struct{ name, step, then string }{
		{"app/pages/page.templ", "generate app/pages", "generate app/pages, build, restart"},
		{"app/app.go", "build", "build, restart"},
	} {
		t.Run(c.step, func(t *testing.T) {
			withRunner(t, func(p *fakeProject, tabs *tabs, _ func()) {
				before, _ := tabs.get()
				p.edit(c.name, c.step)
				time.Sleep(10 * time.Second)
				if got := p.steps(); got != c.step {
					t.Errorf("got %s, want %s and nothing after it", got, c.step)
				}
				want := before
				want.Problem = errStep.Error()
				if s, _ := tabs.get(); s != want {
					t.Errorf("got %+v, want %+v", s, want)
				}
				p.edit("app/other.go") // what failed is tried again
				time.Sleep(10 * time.Second)
				if got := p.steps(); got != c.then {
					t.Errorf("got %s, want %s", got, c.then)
				}
				if s, _ := tabs.get(); s.Problem != "" || s.Generation == before.Generation {
					t.Errorf("got %+v, want a new generation and no problem", s)
				}
			})
		})
	}
}

// TestManyChangesAreOne: a checkout of another version writes for a while.
func TestManyChangesAreOne(t *testing.T) {
	withRunner(t, func(p *fakeProject, _ *tabs, _ func()) {
		for range 20 {
			p.edit("app/app.go")
			time.Sleep(poll * 2 / 3)
		}
		time.Sleep(10 * time.Second)
		if got := p.steps(); got != "build, restart" {
			t.Errorf("got %s, want one build", got)
		}
	})
}

// TestAnInterruptLeavesNothingStale: neither a change that nothing was done
// about yet, nor one whose step is being done.
func TestAnInterruptLeavesNothingStale(t *testing.T) {
	for name, wait := range map[string]time.Duration{
		"before it was seen":      0,
		"while it is generated":   500 * time.Millisecond,
		"while the next is built": 1500 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			withRunner(t, func(p *fakeProject, _ *tabs, interrupt func()) {
				p.edit("app/pages/page.templ")
				time.Sleep(wait)
				p.edit("static/app.css")
				interrupt()
				did := strings.Split(p.steps(), ", ")
				if !slices.Contains(did, "generate app/pages") || did[len(did)-1] != "generate static" || slices.Contains(did, "restart") {
					t.Errorf("got %q, want both generated, and no restart", did)
				}
			})
		})
	}
}

func TestAnInterruptGeneratesWhatAnyChangeMayHaveChanged(t *testing.T) {
	withRunner(t, func(p *fakeProject, _ *tabs, interrupt func()) {
		p.edit("app/app.go")
		time.Sleep(10 * time.Second)
		p.steps()
		interrupt()
		if got, want := p.steps(), "generate app/pages, generate static"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestAnInterruptWithoutAChangeDoesNothing(t *testing.T) {
	withRunner(t, func(p *fakeProject, _ *tabs, interrupt func()) {
		interrupt()
		if got := p.steps(); got != "" {
			t.Errorf("got %s, want nothing", got)
		}
	})
}

func TestAServerThatDoesNotStartIsAProblem(t *testing.T) {
	withRunner(t, func(p *fakeProject, tabs *tabs, _ func()) {
		p.edit("app/app.go", "restart")
		time.Sleep(10 * time.Second)
		if s, _ := tabs.get(); s.Problem != errStep.Error() || s.server != "" {
			t.Errorf("got %+v, want no server and why", s)
		}
	})
}
