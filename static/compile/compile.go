// Package compile makes the program for browsers, for a server that was built without it: where its
// source is and a go command, as on the machine of a developer. A release has the program embedded.
//
// It knows what runs (wasmbuild, in a process of its own) and nothing of how a program is made.
package compile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"lockstep/static"
	"lockstep/static/internal/pack"
	"lockstep/static/internal/progress"
)

// What a person is told.
const (
	started = "The server compiles the application for browsers."
	noGo    = "This server was built without the application for browsers, and finds no go command to compile it: " +
		"put one into its PATH and start it again."
	broken = "The application for browsers could not be compiled, and the log of the server says why: " +
		"correct it and start the server again, with “go run ./cmd/web”."
)

var errNoSource = errors.New("compile: the source of this program is not here")

// Options of New and Now. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	Root   string       // folder of the module; "": where this program was compiled from
	Go     string       // path of the go command; "": that in PATH
}

// A Compiler compiles in the background. Its methods are not called concurrently.
type Compiler struct {
	assets *static.Assets
	opts   Options
	idle   bool               // there is nothing to do, or nothing that can be done
	cancel context.CancelFunc // nil before Start
	ended  chan struct{}      // closed when it has ended; nil before Start
}

// New returns a compiler, which does nothing before Start. It tells assets at once what can be
// known at once, so that a page that is asked for before Start is not told that there will be no
// program.
func New(assets *static.Assets, opts *Options) *Compiler {
	o, err := prepare(assets, opts)
	if err != nil {
		o.Logger.Info("no application for browsers", "err", err)
	}
	return &Compiler{assets: assets, opts: o, idle: err != nil || assets.Progress().Stage == static.Ready}
}

// Start compiles the program in the background, at low priority, unless assets has it, and tells
// assets how that goes. Stop must be called.
func (c *Compiler) Start() {
	ctx, cancel := context.WithCancel(context.Background()) // until Stop
	c.cancel, c.ended = cancel, make(chan struct{})
	if c.idle {
		close(c.ended)
		return
	}
	go func() { // ends with ctx, or when it is compiled: Stop waits for it
		defer close(c.ended)
		background(ctx, c.assets, c.opts)
	}()
}

// Stop ends the compiler and what it runs, and waits for it. Nil is harmless, and so is Stop twice
// or without Start.
func (c *Compiler) Stop() {
	if c == nil || c.cancel == nil {
		return
	}
	c.cancel()
	<-c.ended
}

// Wait waits, after Start, until there is nothing more to do.
func (c *Compiler) Wait() { <-c.ended }

// Now compiles the program, unless assets has it, for others to load: it is compressed well, which
// takes 20 seconds.
func Now(ctx context.Context, assets *static.Assets, opts *Options) error {
	o, err := prepare(assets, opts)
	switch {
	case err != nil:
		return errors.New(assets.Progress().Text) // which is for people
	case assets.Progress().Stage == static.Ready:
		return nil
	}
	return run(ctx, assets, o, pack.Best)
}

// prepare looks for what is needed, unless assets has the program. An error says why nothing can be
// compiled here, which is no fault.
func prepare(assets *static.Assets, opts *Options) (o Options, err error) {
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if assets.Progress().Stage == static.Ready {
		return o, nil
	}
	if o.Root == "" {
		if o.Root, err = sourceRoot(); err != nil {
			return o, err // assets says so from the beginning
		}
	}
	if o.Go, err = exec.LookPath(cmp.Or(o.Go, "go")); err != nil {
		assets.SetProgress(static.Progress{Stage: static.Missing, Text: noGo})
		return o, err
	}
	assets.SetProgress(static.Progress{Stage: static.Compiling, Text: started})
	return o, nil
}

// background compiles, and logs what comes of it.
func background(ctx context.Context, assets *static.Assets, o Options) {
	begin := time.Now()
	err := run(ctx, assets, o, pack.Fast)
	switch {
	case ctx.Err() != nil: // the server ends
	case err != nil:
		assets.SetProgress(static.Progress{Stage: static.Missing, Text: broken})
		o.Logger.Error("the application for browsers can not be compiled", "err", err)
	default:
		o.Logger.Info("compiled the application for browsers", "took", time.Since(begin).Round(time.Millisecond))
	}
}

// maxComplaint bounds what is kept of what the go command complains about, in bytes.
const maxComplaint = 4 << 10

// run runs wasmbuild. Everything temporary is in one folder, which goes however it ends.
func run(ctx context.Context, assets *static.Assets, o Options, quality int) (err error) {
	sweep()
	dir, err := os.MkdirTemp("", tempName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	complaint := &head{most: maxComplaint}
	cmd := exec.CommandContext(ctx, o.Go, "run", "./wasmbuild", "-stream", "-quality", strconv.Itoa(quality))
	cmd.Dir, cmd.Env, cmd.Stderr = filepath.Join(o.Root, "static"), environment(dir), complaint
	ownGroup(cmd)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	yieldToOthers(cmd.Process.Pid)
	read := receive(stdout, assets)
	if read != nil && !errors.Is(read, io.EOF) {
		cancel() // or it would wait for a reader
	}
	switch err := cmd.Wait(); {
	case read == nil: // it is there, whatever has come of the process then
		return nil
	case err != nil && errors.Is(read, io.EOF):
		return fmt.Errorf("compile: %w: %s", err, complaint)
	}
	return read
}

// environment is that of this process, but for what would make another program of it, and for where
// temporary files go. Half of the processors are for it: the server has visitors, too.
func environment(dir string) []string {
	processors := min(max(runtime.NumCPU()/2, 1), 4)
	return append(os.Environ(), "TMPDIR="+dir, "GOTMPDIR="+dir,
		"GOFLAGS=-mod=readonly -buildvcs=false", "GOMAXPROCS="+strconv.Itoa(processors))
}

// receive reads messages until it has the program.
func receive(r io.Reader, assets *static.Assets) error {
	for from := json.NewDecoder(r); ; {
		var m progress.Message
		if err := from.Decode(&m); err != nil {
			return fmt.Errorf("compile: the program did not come: %w", err)
		}
		if m.Files != nil {
			return assets.SetProgram(m.Files)
		}
		assets.SetProgress(static.Progress{Stage: static.Compiling, Done: m.Done, Total: m.Total, Text: text(m)})
	}
}

func text(m progress.Message) string {
	if m.Done >= m.Total {
		return started + " The last step: it is linked."
	}
	return fmt.Sprintf("%s %d of %d packages are done.", started, m.Done, m.Total)
}

// sourceRoot returns the folder of the module that this program was compiled from, if it is there
// and somebody works in it: not that of a download.
func sourceRoot() (string, error) {
	pc, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) { // a build with -trimpath
		return "", errNoSource
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	module, _, _ := strings.Cut(runtime.FuncForPC(pc).Name(), "/static/compile.")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || strings.Contains(root, "@") || !strings.HasPrefix(string(mod), "module "+module+"\n") {
		return "", errNoSource
	}
	return root, nil
}

// tempName begins the names of temporary folders.
const tempName = "lockstep-compile-"

// sweep removes the folders of servers that were killed while they compiled, an hour ago or longer.
func sweep() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), tempName+"*"))
	if err != nil {
		return // the pattern is right unless the folder has a bracket in its name
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir) // it may be somebody else's
		}
	}
}

// removeAll removes a folder in which processes that are being killed may write for a moment.
func removeAll(dir string) (err error) {
	for range 20 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// A head keeps the beginning of what is written to it.
type head struct {
	most int // bytes
	kept []byte
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.most-len(h.kept))]...)
	return len(p), nil
}

func (h *head) String() string { return strings.TrimSpace(string(h.kept)) }
