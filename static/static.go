// Package static holds what a browser loads besides the pages: scripts, the
// style sheet, the icon and the application as WebAssembly, embedded and already
// compressed. Their names contain a hash of their content, so a browser may keep
// them for ever.
//
// The package is free of transports: who serves the files sets the headers.
// It does not build them; see build and live.js.
package static

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
)

//go:generate go run ./build

//go:embed dist
var dist embed.FS

//go:embed wasm/sw.js
var serviceWorker string

// Prefix is where the assets are served.
const Prefix = "/static/"

// A File is one asset as it is sent.
type File struct {
	ContentType string
	Encoding    string // for Content-Encoding; "" when not compressed
	Body        []byte // shared: do not change it
	ETag        string // with its quotes; differs between the encodings
}

// An asset is one file in its compressed forms.
type asset struct {
	contentType, hash string
	br, gz            []byte
	plain             func() ([]byte, error) // for the few who can read neither
}

// Assets are the embedded files. They may be used concurrently.
type Assets struct {
	names map[string]string // "app.js" → "app.1a2b3c4d5e.js"
	files map[string]asset  // by hashed name
}

// New reads the embedded files. An error means that the program was built
// from an incomplete tree.
func New() (*Assets, error) {
	a := &Assets{names: map[string]string{}, files: map[string]asset{}}
	entries, err := fs.ReadDir(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".gz")
		if !ok {
			continue
		}
		if err := a.add(name); err != nil {
			return nil, fmt.Errorf("static: %w", err)
		}
	}
	return a, nil
}

// add reads the file called name.hash.ext and its compressed forms.
func (a *Assets) add(name string) error {
	base, rest, _ := strings.Cut(name, ".")
	hash, ext, ok := strings.Cut(rest, ".")
	if !ok {
		return fmt.Errorf("%q has no hash in its name", name)
	}
	f := asset{contentType: contentType(ext), hash: hash}
	for suffix, body := range map[string]*[]byte{".br": &f.br, ".gz": &f.gz} {
		b, err := dist.ReadFile("dist/" + name + suffix)
		if err != nil {
			return err
		}
		*body = b
	}
	f.plain = sync.OnceValues(func() ([]byte, error) { return gunzip(f.gz) })
	a.names[base+"."+ext] = name
	a.files[name] = f
	return nil
}

// URL returns the path at which an asset is served: "/static/app.1a2b3c4d5e.js"
// for "app.js". A name that is not known comes back without a hash, and leads
// nowhere.
func (a *Assets) URL(name string) string {
	if hashed, ok := a.names[name]; ok {
		name = hashed
	}
	return Prefix + name
}

// Open returns the file at a path that URL returned, in the best encoding of
// those that the Accept-Encoding header allows.
func (a *Assets) Open(path, acceptEncoding string) (File, bool) {
	name, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return File{}, false
	}
	f, ok := a.files[name]
	if !ok {
		return File{}, false
	}
	file := File{ContentType: f.contentType}
	switch {
	case accepts(acceptEncoding, "br"):
		file.Encoding, file.Body = "br", f.br
	case accepts(acceptEncoding, "gzip"):
		file.Encoding, file.Body = "gzip", f.gz
	default:
		plain, err := f.plain()
		if err != nil {
			return File{}, false
		}
		file.Body, file.ETag = plain, `"`+f.hash+`"`
		return file, true
	}
	file.ETag = `"` + f.hash + "-" + file.Encoding + `"`
	return file, true
}

// Size returns how long a file is as it is before compression, in bytes; 0 for
// a name that is not known.
func (a *Assets) Size(name string) int {
	f, ok := a.files[a.names[name]]
	if !ok {
		return 0
	}
	return int(binary.LittleEndian.Uint32(f.gz[len(f.gz)-4:])) // RFC 1952 §2.3.1: ISIZE
}

// ServiceWorker returns the script that keeps files for when there is no
// network: first the page, then all that it loads. URLs are relative to the
// script's own. version is any text of letters and digits that differs when
// something does that the names of the files don't tell.
func ServiceWorker(files []string, version string) ([]byte, error) {
	list, err := json.Marshal(files)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	return fmt.Appendf(nil, "const FILES = %s, VERSION = '%s';\n%s", list, version, serviceWorker), nil
}

func gunzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	return io.ReadAll(r)
}

// accepts reports whether an Accept-Encoding header (RFC 9110 §12.5.3) names
// an encoding and does not forbid it. Weights other than 0 don't matter here:
// whoever can read the smaller form is sent it. "*" counts for nothing, since
// the plain form is always right.
func accepts(header, encoding string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), encoding) {
			return !zero(weight)
		}
	}
	return false
}

// zero reports whether a weight is "q=0", "q=0.0" and so on.
func zero(weight string) bool {
	q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(weight)), "q=")
	return ok && strings.Trim(q, "0.") == ""
}

func contentType(ext string) string {
	switch ext {
	case "js":
		return "text/javascript; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	case "wasm":
		return "application/wasm"
	}
	return "application/octet-stream"
}
