package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"
)

// poll is how often the sources are looked at. A change is acted upon when
// they have been the same twice, so that a checkout of many files is one.
const poll = 100 * time.Millisecond

// A generator is a folder for "go generate", and what it is generated from.
type generator struct {
	dir  string
	from func(name string) bool
}

// generators is all that "make generate" runs.
func generators() []generator {
	return []generator{
		{"components", func(name string) bool { return path.Ext(name) == ".templ" }},
		// The scripts have constants of package htmx in them.
		{"static", func(name string) bool { return strings.HasPrefix(name, "static/") || strings.HasPrefix(name, "htmx/") }},
	}
}

// A project is what a runner works on. Its methods are called one at a time.
type project interface {
	scan() tree
	generate(dir string) error
	// build reports whether the program differs from the one that runs.
	build() (differs bool, err error)
	// restart replaces the running server by what was built last, and returns
	// where it listens.
	restart() (addr string, err error)
}

// A runner keeps what tabs show in step with the sources.
type runner struct {
	project project
	tabs    *tabs
	url     string // where the tabs are

	// Owned by run.
	stale map[string]bool // folders that must be generated before the next build
	first tree            // when all was generated
	built tree            // what was generated and built last, in vain or not
}

// run works until ctx ends. It ends between steps, never within one, because a
// generator that is cut off leaves half of its files; and not before everything
// is generated from the last change.
func (r *runner) run(ctx context.Context) {
	r.stale = map[string]bool{}
	last := r.project.scan()
	r.first = last
	r.update(ctx, last)
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			r.finish()
			return
		}
		now := r.project.scan()
		if len(last.changes(now)) == 0 && len(r.built.changes(now)) > 0 {
			r.update(ctx, now)
		}
		last = now
	}
}

// finish generates everything if anything has changed: what is generated can
// depend on any Go file, though for a tab to show a change it needs not.
func (r *runner) finish() {
	r.note(r.project.scan())
	if len(r.first.changes(r.built)) > 0 {
		fmt.Println("dev: ends when everything is generated")
		for _, g := range generators() {
			r.stale[g.dir] = true
		}
	}
	if err := r.generate(); err != nil {
		r.fail(err)
	}
}

// note remembers what must be generated, because its sources have changed.
func (r *runner) note(now tree) {
	for _, name := range r.built.changes(now) {
		for _, g := range generators() {
			if g.from(name) {
				r.stale[g.dir] = true
			}
		}
	}
	r.built = now
}

// update brings the tabs what the sources are now, unless ctx ends before.
func (r *runner) update(ctx context.Context, now tree) {
	r.note(now)
	begun := time.Now()
	if err := r.generate(); err != nil {
		r.fail(err)
		return
	}
	if ctx.Err() != nil {
		return
	}
	differs, err := r.project.build()
	if err != nil {
		r.fail(err)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if !differs {
		r.tabs.fine() // a comment, or what was wrong is as it was before
		return
	}
	r.tabs.wait()
	addr, err := r.project.restart()
	if err != nil {
		r.fail(err)
		return
	}
	r.tabs.reload(addr)
	fmt.Printf("dev: built and restarted in %v: open %s\n", time.Since(begun).Round(10*time.Millisecond), r.url)
}

// generate generates what is stale. What fails is tried again with the next
// change, whatever that is.
func (r *runner) generate() error {
	for _, g := range generators() {
		if !r.stale[g.dir] {
			continue
		}
		if err := r.project.generate(g.dir); err != nil {
			return err
		}
		delete(r.stale, g.dir)
	}
	return nil
}

func (r *runner) fail(err error) {
	fmt.Fprintln(os.Stderr, "dev:", err)
	r.tabs.fail(err)
}
