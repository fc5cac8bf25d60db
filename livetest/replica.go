package livetest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/serve"
)

// stopTime bounds how long a replica takes to stop.
const stopTime = 30 * time.Second

// A Replica is one replica of an application.
type Replica struct {
	// set once
	c    *Cluster
	name string

	mu   sync.Mutex // guards the rest
	run  *run       // nil: it does not run
	ends sync.WaitGroup
}

// A run is what a replica is from its start to its end.
type run struct {
	// set once
	app    *lockstep.App
	server *serve.Server
	http   *http.Server
	line   *line
	life   *life
	served chan struct{} // closed when http has ended
}

// Name is the replica's name, as pages show it: it has letters alone.
func (r *Replica) Name() string { return r.name }

// Start starts the replica again after Stop, or after it was killed. One that runs stays as it is.
func (r *Replica) Start() {
	r.c.t.Helper()
	if r.current() != nil {
		return
	}
	r.ends.Wait()
	one, err := r.begin()
	if err != nil {
		r.c.t.Fatalf("livetest: %s does not start: %v", r.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = one
}

func (r *Replica) begin() (*run, error) {
	o := r.c.opts
	one := &run{life: new(life), line: newLine(), served: make(chan struct{})}
	one.life.end = func() { r.crash(one) }
	o.App.Replica = r.name
	o.Serve.Keys = slices.Clone(o.Serve.Keys)
	one.app = lockstep.New(mortalDriver{o.Driver, one.life}, mortalStore{o.Store, one.life}, &o.App)
	var pages http.Handler
	one.server, pages = r.c.build(one.app, &o.Serve)
	if one.server == nil || pages == nil {
		return nil, errors.New("the function that builds it returns no server, or no handler")
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := one.app.Start(ctx); err != nil {
		one.server.Close()
		return nil, err
	}
	one.http = &http.Server{Handler: one.server.Handler(pages), ErrorLog: slog.NewLogLogger(o.App.Logger.Handler(), slog.LevelInfo)}
	go func() { // ends with line, or http
		_ = one.http.Serve(one.line) // it always returns an error
		close(one.served)
	}()
	return one, nil
}

// current returns what runs; nil: nothing.
func (r *Replica) current() *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.run
}

// leave takes a run away, if it is the one that there is.
func (r *Replica) leave(one *run) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != one || one == nil {
		return false
	}
	r.run = nil
	r.ends.Add(1)
	return true
}

// Open opens a page in a browser of its own, which comes to this replica while it runs.
func (r *Replica) Open(path string) *Tab {
	r.c.t.Helper()
	return r.Browser().Open(path)
}

// Browser returns a new browser, without cookies, whose tabs come to this replica while it runs.
func (r *Replica) Browser() *Browser {
	b := r.c.Browser()
	b.home = slices.Index(r.c.replicas, r)
	return b
}

// App returns the replica's application; nil while it does not run.
func (r *Replica) App() *lockstep.App {
	if one := r.current(); one != nil {
		return one.app
	}
	return nil
}

// Stop ends the replica as a deployment does: its tabs go to other replicas, and what was begun is
// finished. It waits for that. A replica that does not run stays as it is.
func (r *Replica) Stop() {
	one := r.current()
	if r.leave(one) {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		r.report(one.app.Drain(ctx, 0))
		r.report(one.http.Shutdown(ctx))
		r.report(one.end(ctx))
		r.ends.Done()
	}
	r.ends.Wait()
}

func (r *Replica) report(err error) {
	if err != nil {
		r.c.t.Errorf("livetest: %s: stop: %v", r.name, err)
	}
}

// Crash kills the replica: its connections break, and nothing that it had begun reaches the broker
// or the store any more. Its tabs connect to other replicas, and send what has no answer again.
func (r *Replica) Crash() {
	if one := r.current(); one != nil {
		one.life.die()
	}
	r.ends.Wait()
}

// CrashAfterCommit kills the replica right after it has next changed the store: what was done
// counts, and nobody hears of it from this replica.
func (r *Replica) CrashAfterCommit() {
	if one := r.current(); one != nil {
		one.life.dieAfterCommit()
	}
}

// crash ends a run whose life is over.
func (r *Replica) crash(one *run) {
	one.line.cut()
	if !r.leave(one) {
		return
	}
	go func() { // ends when nothing of the run is left; Crash and Stop wait for that
		defer r.ends.Done()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // a process that is killed waits for nothing
		_ = one.http.Close()
		_ = one.end(ctx) // it could not end well
	}()
}

// end ends all goroutines of a run.
func (one *run) end(ctx context.Context) error {
	err := one.app.Stop(ctx, 0)
	one.server.Close()
	_ = one.line.Close()
	<-one.served
	one.line.cut()
	return err
}

// newLogger returns a logger that writes to the log of a test.
func newLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
