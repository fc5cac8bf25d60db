package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A checkout is the project in a folder: its tools are the go command's.
type checkout struct {
	root    string
	bin     string // a temporary folder
	server  *server
	running [sha256.Size]byte // of the program
}

// newCheckout returns the project in a folder. args are flags of its server;
// ended is called when the server ends by itself, from another goroutine.
func newCheckout(root string, args []string, ended func(error)) (*checkout, error) {
	bin, err := os.MkdirTemp("", "lockstep-dev-")
	if err != nil {
		return nil, err
	}
	return &checkout{root: root, bin: bin, server: &server{dir: root, args: args, ended: ended}}, nil
}

// close ends the server.
func (c *checkout) close() {
	c.server.stop()
	_ = os.RemoveAll(c.bin) // the system's temporary folder is for what can't be deleted
}

func (c *checkout) scan() tree { return scan(os.DirFS(c.root)) }

func (c *checkout) generate(dir string) error { return c.run("generate", "./"+dir) }

func (c *checkout) program(name string) string { return filepath.Join(c.bin, name) }

func (c *checkout) build() (differs bool, err error) {
	next := c.program("next")
	// Without debug information linking takes half the time.
	if err := c.run("build", "-buildvcs=false", "-ldflags=-w", "-o", next, "./cmd/web"); err != nil {
		return false, err
	}
	text, err := os.ReadFile(next)
	if err != nil {
		return false, err
	}
	return !c.server.up() || sha256.Sum256(text) != c.running, nil
}

// restart stops the old server first: it holds the file of the store.
func (c *checkout) restart() (addr string, err error) {
	c.server.stop()
	web := c.program("web")
	if err := os.Rename(c.program("next"), web); err != nil {
		return "", err
	}
	text, err := os.ReadFile(web)
	if err != nil {
		return "", err
	}
	c.running = sha256.Sum256(text)
	return c.server.start(web)
}

// run runs the go command to its end. Its error says what the command said.
func (c *checkout) run(args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.root, &out, &out
	ownGroup(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return nil
}
