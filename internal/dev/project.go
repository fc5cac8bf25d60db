package dev

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A program is the main package of a module, with the sources that it is built of. Its tools are
// the go command's.
type program struct {
	folder     string   // of the main package
	roots      []string // folders of the modules that are edited, none below another
	ignored    []string
	generators []generator
	bin        string // a temporary folder
	server     *server
	running    [sha256.Size]byte // of what was built
}

// newProgram finds a program. ended is called when its server ends by itself, from another
// goroutine.
func newProgram(ctx context.Context, o Options, ended func(error)) (*program, error) {
	folder, err := filepath.Abs(o.Folder)
	if err != nil {
		return nil, err
	}
	p := &program{folder: folder}
	if err := p.find(ctx); err != nil {
		return nil, err
	}
	for _, name := range o.Ignore {
		p.ignored = append(p.ignored, absolute(name))
	}
	p.generators = generatorsOf(p.roots, o.Generate)
	if p.bin, err = os.MkdirTemp("", "lockstep-dev-"); err != nil {
		return nil, err
	}
	p.server = &server{args: o.Args, env: environment(os.Getenv, p.bin), ended: ended}
	return p, nil
}

// absolute is a path from the root of the system; that of the current folder is always known.
func absolute(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return abs
}

// find finds the modules of the folder: its own, or all of its workspace.
func (p *program) find(ctx context.Context) error {
	if info, err := os.Stat(p.folder); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no folder %s", p.folder)
	}
	mod, err := p.ask(ctx, p.folder, "env", "GOMOD")
	if err != nil {
		return err
	}
	if filepath.Base(mod) != "go.mod" {
		return fmt.Errorf("%s is in no Go module: there is no go.mod in it, and none above", p.folder)
	}
	if name, err := p.ask(ctx, p.folder, "list", "-e", "-f", "{{.Name}}", "."); err != nil || name != "main" {
		return fmt.Errorf("%s has no main package: say in which folder it is", p.folder)
	}
	all, err := p.ask(ctx, p.folder, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	p.roots = outermost(append(strings.Split(all, "\n"), filepath.Dir(mod)))
	return nil
}

// outermost returns the folders that are below no other of them.
func outermost(folders []string) (all []string) {
	slices.Sort(folders) // what is below a folder comes behind it
	for _, f := range folders {
		if !slices.ContainsFunc(all, func(of string) bool { return isBelow(of, f) }) {
			all = append(all, f)
		}
	}
	return all
}

// isBelow reports whether a file is in a folder, or is it.
func isBelow(folder, name string) bool {
	return name == folder || strings.HasPrefix(name, folder+string(filepath.Separator))
}

// environment is what a server is told beside its flags, where nothing else is said: people stay
// who they are while it is restarted, and what they share is kept as long as dev runs.
func environment(getenv func(string) string, bin string) []string {
	all := []string{"DRAIN=0s"}
	for name, value := range map[string]string{
		"LOCKSTEP_SECRET": rand.Text() + rand.Text(),
		"LOCKSTEP_URL":    "file:" + filepath.Join(bin, "data"),
	} {
		if getenv(name) == "" {
			all = append(all, name+"="+value)
		}
	}
	return all
}

// close ends the server.
func (p *program) close() {
	p.server.stop()
	_ = os.RemoveAll(p.bin) // the system's temporary folder is for what can't be deleted
}

func (p *program) scan() tree {
	all := tree{}
	for _, root := range p.roots {
		maps.Copy(all, scan(os.DirFS(root), root, p.ignored))
	}
	return all
}

func (p *program) generate(ctx context.Context, g generator) error {
	args := []string{"generate", "."}
	if g.templ {
		var err error
		if args, err = p.templ(ctx, g.dir); err != nil {
			return err
		}
	}
	_, err := p.run(ctx, g.dir, args...)
	return err
}

// templCommand makes Go of templates.
const templCommand = "github.com/a-h/templ/cmd/templ"

// templ returns how a module has templates generated: by its own tool, or by the generator of the
// version that it uses.
func (p *program) templ(ctx context.Context, root string) ([]string, error) {
	if tools, err := p.ask(ctx, root, "list", "tool"); err == nil && slices.Contains(strings.Fields(tools), templCommand) {
		return []string{"tool", "templ", "generate"}, nil
	}
	version, err := p.ask(ctx, root, "list", "-m", "-f", "{{.Version}}", "github.com/a-h/templ")
	if err != nil || version == "" {
		return nil, fmt.Errorf("%s has templates, and does not use templ: go get -tool %s", root, templCommand)
	}
	return []string{"run", templCommand + "@" + version, "generate"}, nil
}

func (p *program) file(name string) string { return filepath.Join(p.bin, name) }

func (p *program) build(ctx context.Context) (differs bool, err error) {
	next := p.file("next")
	// Without debug information linking takes half the time.
	if _, err := p.run(ctx, p.folder, "build", "-buildvcs=false", "-ldflags=-w", "-o", next, "."); err != nil {
		return false, err
	}
	text, err := os.ReadFile(next)
	if err != nil {
		return false, err
	}
	return !p.server.up() || sha256.Sum256(text) != p.running, nil
}

// restart stops the old server first: it holds the file of the store.
func (p *program) restart(ctx context.Context) (addr string, err error) {
	p.server.stop()
	server := p.file("server")
	if err := os.Rename(p.file("next"), server); err != nil {
		return "", err
	}
	text, err := os.ReadFile(server)
	if err != nil {
		return "", err
	}
	p.running = sha256.Sum256(text)
	return p.server.start(ctx, server)
}

// ask returns what the go command answers.
func (p *program) ask(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := p.run(ctx, dir, args...)
	return strings.TrimSpace(out), err
}

// run runs the go command in a folder to its end, and returns what it writes. Its error says what
// the command said.
func (p *program) run(ctx context.Context, dir string, args ...string) (string, error) {
	var out, all bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &all
	ownGroup(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("there is no go command in the PATH")
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s%s", strings.Join(args, " "), err, all.String(), out.String())
	}
	return out.String(), nil
}
