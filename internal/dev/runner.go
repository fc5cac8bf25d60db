package dev

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// poll is how often the sources are looked at. A change is acted upon when
// they have been the same twice, so that a checkout of many files is one.
const poll = 100 * time.Millisecond

// A project is what a runner works on. Its methods are called one at a time,
// with a context that does not end.
type project interface {
	scan() tree
	generate(ctx context.Context, g generator) error
	// build reports whether the program differs from the one that runs.
	build(ctx context.Context) (differs bool, err error)
	// restart replaces the running server by what was built last, and returns
	// where it listens.
	restart(ctx context.Context) (addr string, err error)
}

// A runner keeps what tabs show in step with the sources.
type runner struct {
	project    project
	generators []generator
	tabs       *tabs
	url        string // where the tabs are

	// Owned by run.
	stale  map[string]bool // folders that must be generated before the next build
	first  tree            // when all was generated
	built  tree            // what was generated and built last, in vain or not
	hidden []string        // files that have changed since tabs were shown anything
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
			r.finish(context.WithoutCancel(ctx))
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
func (r *runner) finish(ctx context.Context) {
	r.note(r.project.scan())
	if len(r.first.changes(r.built)) > 0 {
		fmt.Println("dev: ends when everything is generated")
		for _, g := range r.generators {
			r.stale[g.dir] = r.stale[g.dir] || slices.ContainsFunc(r.built.names(), g.from)
		}
	}
	if err := r.generate(ctx); err != nil {
		r.fail(err)
	}
}

// note remembers what must be generated, because its sources have changed.
func (r *runner) note(now tree) {
	for _, name := range r.built.changes(now) {
		r.hidden = append(r.hidden, name)
		for _, g := range r.generators {
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
	begun, interrupted := time.Now(), ctx.Err
	ctx = context.WithoutCancel(ctx)
	if err := r.generate(ctx); err != nil {
		r.fail(err)
		return
	}
	if interrupted() != nil {
		return
	}
	differs, err := r.project.build(ctx)
	if err != nil {
		r.fail(err)
		return
	}
	if interrupted() != nil {
		return
	}
	if differs && !r.restart(ctx) {
		return
	}
	r.show(differs)
	fmt.Printf("dev: up to date in %v: open %s\n", time.Since(begun).Round(10*time.Millisecond), r.url)
}

// restart reports whether there is a new server.
func (r *runner) restart(ctx context.Context) bool {
	r.tabs.wait()
	addr, err := r.project.restart(ctx)
	if err != nil {
		r.fail(err)
		return false
	}
	r.tabs.serve(addr)
	return true
}

// show has tabs show what has changed: in the program, if it differs, or in what it reads.
func (r *runner) show(differs bool) {
	changed := r.hidden
	r.hidden = nil
	switch {
	case !slices.ContainsFunc(changed, func(name string) bool { return !isStyle(name) }) && len(changed) > 0:
		r.tabs.restyle()
	case differs, slices.ContainsFunc(changed, func(name string) bool { return !isCode(name) }):
		r.tabs.reload()
	default:
		r.tabs.fine() // a comment, or what was wrong is as it was before
	}
}

// generate generates what is stale. What fails is tried again with the next
// change, whatever that is.
func (r *runner) generate(ctx context.Context) error {
	for _, g := range r.generators {
		if !r.stale[g.dir] {
			continue
		}
		if err := r.project.generate(ctx, g); err != nil {
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
