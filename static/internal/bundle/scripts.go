package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

// modules are the scripts that are made of modules, which import others. worker.js is none of
// them: it is joined with a script of Go's own where a program is compiled, and that needs no
// esbuild.
func modules() []string {
	return []string{"around.js", "drag.js", "forms.js", "list.js", "live.js", "log.js", "others.js", "plain.js", "replica.js", "soft.js", "tell.js", "wasm/page.js", "xray.js"}
}

// flags have esbuild put a script and what it imports into one function, for browsers that have
// what htmx needs as well. The settings of tsc are none of its business.
func flags() []string {
	return []string{"--bundle", "--format=iife", "--target=es2022", "--minify", "--charset=utf8",
		"--tsconfig-raw={}", "--log-level=warning"}
}

// sheets are the style sheets, which esbuild only makes smaller.
func sheets() []string {
	return []string{"app.css", "around.css", "break.css", "forms.css", "lists.css", "small.css", "soft.css", "split.css", "xray.css"}
}

// sheetFlags have esbuild leave out what a style sheet does not need, and rewrite nothing for older
// browsers.
func sheetFlags() []string { return []string{"--minify", "--charset=utf8", "--log-level=warning"} }

// scripts is a folder with scripts of which some are made.
type scripts struct {
	fs.FS
	made map[string][]byte
}

// ReadFile implements fs.ReadFileFS.
func (s scripts) ReadFile(name string) ([]byte, error) {
	if body, ok := s.made[name]; ok {
		return body, nil
	}
	return fs.ReadFile(s.FS, name)
}

// Sources returns the folder of package static, with each script that imports modules in one piece,
// and the style sheets without their comments: esbuild makes them. command is the path of esbuild,
// absolute or relative to the folder.
func Sources(ctx context.Context, dir, command string) (fs.FS, error) {
	s := scripts{os.DirFS(dir), map[string][]byte{}}
	if err := s.make(ctx, dir, command, flags(), modules()); err != nil {
		return nil, err
	}
	return s, s.make(ctx, dir, command, sheetFlags(), sheets())
}

// make adds what esbuild makes of files.
func (s scripts) make(ctx context.Context, dir, command string, flags, names []string) error {
	for _, name := range names {
		body, err := made(ctx, dir, command, flags, name)
		if err != nil {
			return fmt.Errorf("bundle: %s: %w", name, err)
		}
		s.made[name] = body
	}
	return nil
}

func made(ctx context.Context, dir, command string, flags []string, name string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, command, append(flags, name)...)
	var wrong bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &wrong
	body, err := cmd.Output()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: \"make generate\" builds it first", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, bytes.TrimSpace(wrong.Bytes()))
	}
	return body, nil
}
