// Package bundle makes what a browser loads out of the sources in package
// static's folder: one script, one style sheet and the icon, under names that
// contain a hash of their content, and compressed. The program for browsers and
// its worker are not among them: see wasmbuild.
//
// It is not linked into a server: the results are committed and embedded.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"lockstep/static/internal/pack"
)

// checksums lists the files of others and what they must be.
const checksums = "vendor/SHA256SUMS"

// An asset is made by joining its parts.
type asset struct {
	name  string // as the application asks for it
	parts []string
}

// assets are what a browser can load. The script is one file, because an
// extension that arrives after htmx has started is silently ignored; htmx
// comes first because the others register with it. replica.js has the program
// render a tab of a server, and wasm.js has it serve one. plain.js is for networks
// without websockets, and others.js for browsers with clicks of another session. The rest is for
// some pages only: list.js for lists, log.js, behind it, for logs, soft.js for boards, forms.js for
// forms that a person fills in, drag.js for what is dragged, around.js for what the demo shows
// beside them, tell.js for pages that the application tells what to do, and xray.js for those who
// look how far their clicks come.
func assets() []asset {
	return []asset{
		{"app.js", []string{"vendor/htmx/htmx.min.js", "vendor/htmx/hx-ws.min.js", "live.js"}},
		{"list.js", []string{"list.js"}},
		{"log.js", []string{"log.js"}},
		{"replica.js", []string{"replica.js"}},
		{"plain.js", []string{"plain.js"}},
		{"others.js", []string{"others.js"}},
		{"soft.js", []string{"soft.js"}},
		{"tell.js", []string{"tell.js"}},
		{"xray.js", []string{"xray.js"}},
		{"xray.css", []string{"xray.css"}},
		{"app.css", []string{"app.css"}},
		{"around.js", []string{"around.js"}},
		{"around.css", []string{"around.css"}},
		{"break.css", []string{"break.css"}},
		{"split.css", []string{"split.css"}},
		{"small.css", []string{"small.css"}},
		{"lists.css", []string{"lists.css"}},
		{"soft.css", []string{"soft.css"}},
		{"forms.js", []string{"forms.js"}},
		{"drag.js", []string{"drag.js"}},
		{"forms.css", []string{"forms.css"}},
		{"favicon.svg", []string{"favicon.svg"}},
		{"icon.png", []string{"icon.png"}},
		{"wasm.js", []string{"wasm/page.js"}},
	}
}

// Build returns the files of the dist folder by name. The same sources give the
// same bytes. A file of others that is not what its checksum says is an error.
func Build(src fs.FS) (map[string][]byte, error) {
	if err := verify(src); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, a := range assets() {
		body, err := a.body(src)
		if err != nil {
			return nil, err
		}
		packed, err := pack.Brotli(body, pack.Best)
		if err != nil {
			return nil, fmt.Errorf("bundle: compress %s: %w", a.name, err)
		}
		files[pack.Name(a.name, body)+pack.Suffix] = packed
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

// body returns an asset as browsers read it. A picture is what its one part is.
func (a asset) body(src fs.FS) ([]byte, error) {
	if path.Ext(a.name) == ".png" {
		return fs.ReadFile(src, a.parts[0])
	}
	return join(src, a)
}

// join puts the parts of an asset behind one another. A script may end without
// a semicolon or inside a line comment, so each ends with a line break.
func join(src fs.FS, a asset) ([]byte, error) {
	var b bytes.Buffer
	for _, p := range a.parts {
		body, err := fs.ReadFile(src, p)
		if err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		b.Write(bytes.TrimSpace(body))
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}
