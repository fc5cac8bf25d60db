// Package bundle makes what a browser loads out of the sources in package
// static's folder: one script, one style sheet and the icon, under names that
// contain a hash of their content, each also compressed.
//
// It is not linked into a server: the results are committed and embedded.
package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/andybalholm/brotli"
)

// hashLen is the number of hexadecimal digits in a name: 40 bits, so that two
// versions of a file meet by chance once in a million million.
const hashLen = 10

// checksums lists the files of others and what they must be.
const checksums = "vendor/SHA256SUMS"

// Parts that are not in the folder but made.
const (
	Program = "lockstep.wasm"
	Exec    = "wasm_exec.js"
)

// An asset is made by joining its parts.
type asset struct {
	name  string // as the application asks for it
	parts []string
}

// binary reports whether the asset is no text.
func (a asset) binary() bool { return path.Ext(a.name) == ".wasm" }

// assets are what a browser can load. The script is one file, because an
// extension that arrives after htmx has started is silently ignored; htmx
// comes first because the others register with it. worker.js runs the program
// in a browser; replica.js has it render a tab of a server, and wasm.js has it
// serve one.
func assets() []asset {
	return []asset{
		{"app.js", []string{"vendor/htmx/htmx.min.js", "vendor/htmx/hx-ws.min.js", "live.js"}},
		{"replica.js", []string{"replica.js"}},
		{"app.css", []string{"app.css"}},
		{"favicon.svg", []string{"favicon.svg"}},
		{"wasm.js", []string{"wasm/page.js"}},
		{"worker.js", []string{Exec, "wasm/worker.js"}},
		{"lockstep.wasm", []string{Program}},
	}
}

// Build returns the files of the dist folder by name. made are the parts that
// are not in src. The same sources give the same bytes. A file of others that is
// not what its checksum says is an error.
func Build(src fs.FS, made map[string][]byte) (map[string][]byte, error) {
	if err := verify(src); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, a := range assets() {
		body, err := join(src, made, a)
		if err != nil {
			return nil, err
		}
		name := hashed(a.name, body)
		for suffix, compress := range compressors() {
			packed, err := compress(body)
			if err != nil {
				return nil, fmt.Errorf("bundle: compress %s: %w", name, err)
			}
			files[name+suffix] = packed
		}
	}
	return files, nil
}

// verify compares every file below vendor with the list of checksums.
func verify(src fs.FS) error {
	list, err := fs.ReadFile(src, checksums)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	dir := path.Dir(checksums)
	for line := range strings.Lines(string(list)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			return fmt.Errorf("bundle: %s: not a line of sha256sum: %q", checksums, line)
		}
		body, err := fs.ReadFile(src, path.Join(dir, name))
		if err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != want {
			return fmt.Errorf("bundle: %s is not what %s says", name, checksums)
		}
	}
	return nil
}

// join puts the parts of an asset behind one another. A script may end without
// a semicolon or inside a line comment, so each ends with a line break.
func join(src fs.FS, made map[string][]byte, a asset) ([]byte, error) {
	var b bytes.Buffer
	for _, p := range a.parts {
		body, err := part(src, made, p)
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if a.binary() {
			b.Write(body)
			continue
		}
		b.Write(bytes.TrimSpace(body))
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// part returns one part. Scripts of ours leave their comments behind: they are
// for people who read the source.
func part(src fs.FS, made map[string][]byte, name string) ([]byte, error) {
	if body, ok := made[name]; ok {
		return body, nil
	}
	body, err := fs.ReadFile(src, name)
	if err != nil || path.Ext(name) != ".js" || strings.HasPrefix(name, path.Dir(checksums)+"/") {
		return body, err
	}
	return regexp.MustCompile(`(?m)^[ \t]*(//.*|/\*\*(?s:.*?)\*/)\n`).ReplaceAll(body, nil), nil
}

// hashed turns "app.js" into "app.1a2b3c4d5e.js".
func hashed(name string, body []byte) string {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:])[:hashLen] + ext
}

// compressors are by the suffix of the files they make.
func compressors() map[string]func([]byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){".br": brotlied, ".gz": gzipped}
}

func brotlied(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: 24})
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

func gzipped(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
