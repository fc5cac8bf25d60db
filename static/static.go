// Package static holds what a browser loads besides the pages: scripts, the
// style sheet and the icon, embedded and already compressed, and the application
// as WebAssembly, which is embedded too or comes later. Their names contain a
// hash of their content, so a browser may keep them for ever.
//
// The package is free of transports: its caller sets the headers. It does not
// build the files; see build, wasmbuild and compile.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
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
	Name        string // without the hash: "app.js"
	ContentType string
	Encoding    string // for Content-Encoding; "" when not compressed
	Body        []byte // shared: do not change it
	ETag        string // with its quotes; differs between the encodings
	// Substitute says that the path is that of another version of the file, which is not here.
	// The file must then not be kept under that path, and has no ETag.
	Substitute bool
}

// An asset is one file, compressed with brotli. Its other forms are made when
// somebody asks for them, once.
type asset struct {
	contentType, hash string
	br                []byte
	gz, plain         func() ([]byte, error)
	size              func() (int, error) // of plain, in bytes; keeps nothing but the number
}

// A folder is a set of files.
type folder struct {
	names map[string]string // "app.js" → "app.1a2b3c4d5e.js"
	files map[string]asset  // by hashed name
}

// Assets are the files. They may be used concurrently.
type Assets struct {
	folder  folder // set once
	program atomic.Pointer[program]
}

// New reads the embedded files. An error means that the program was built
// from an incomplete tree.
func New() (*Assets, error) {
	a := &Assets{}
	a.SetProgress(Progress{Stage: Missing, Text: notBuiltIn})
	bodies, err := read(dist, "dist")
	if err != nil {
		return nil, err
	}
	if a.folder, err = newFolder(bodies); err != nil {
		return nil, err
	}
	bodies, err = embedded()
	if err != nil || bodies == nil {
		return a, err
	}
	return a, a.SetProgram(bodies)
}

// NewWith is New with more files, by their names, such as "kit.css": an application's own. A name
// has one dot.
func NewWith(files map[string]string) (*Assets, error) {
	a, err := New()
	if err != nil {
		return nil, err
	}
	for name, body := range files {
		if err := a.folder.add(name, body); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// quality is how hard files are compressed that are added when a server starts.
const quality = 9

// add adds a file.
func (f folder) add(name, body string) error {
	base, ext, ok := strings.Cut(name, ".")
	if !ok || strings.Contains(ext, ".") {
		return fmt.Errorf("static: %q has not one dot", name)
	}
	var b bytes.Buffer
	w := brotli.NewWriterLevel(&b, quality)
	if _, err := io.WriteString(w, body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:5])
	f.names[name] = base + "." + hash + "." + ext
	f.files[f.names[name]] = newAsset(ContentType(ext), hash, b.Bytes())
	return nil
}

// read returns the files of an embedded folder.
func read(files embed.FS, dir string) (map[string][]byte, error) {
	entries, err := files.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	bodies := make(map[string][]byte)
	for _, e := range entries {
		if bodies[e.Name()], err = files.ReadFile(dir + "/" + e.Name()); err != nil {
			return nil, fmt.Errorf("static: %w", err)
		}
	}
	return bodies, nil
}

// newFolder takes the files called name.hash.ext.br, and no others.
func newFolder(bodies map[string][]byte) (folder, error) {
	f := folder{names: map[string]string{}, files: map[string]asset{}}
	for path, br := range bodies {
		name, ok := strings.CutSuffix(path, ".br")
		if !ok {
			continue
		}
		base, rest, _ := strings.Cut(name, ".")
		hash, ext, ok := strings.Cut(rest, ".")
		if !ok {
			return f, fmt.Errorf("static: %q has no hash in its name", name)
		}
		f.names[base+"."+ext] = name
		f.files[name] = newAsset(ContentType(ext), hash, br)
	}
	return f, nil
}

func newAsset(contentType, hash string, br []byte) asset {
	plain := func() ([]byte, error) { return io.ReadAll(brotli.NewReader(bytes.NewReader(br))) }
	return asset{
		contentType: contentType, hash: hash, br: br, plain: sync.OnceValues(plain),
		gz: sync.OnceValues(func() ([]byte, error) { return gzipped(br) }),
		size: sync.OnceValues(func() (int, error) {
			n, err := io.Copy(io.Discard, brotli.NewReader(bytes.NewReader(br)))
			return int(n), err
		}),
	}
}

// folders returns those that there are now.
func (a *Assets) folders() []folder {
	return []folder{a.folder, a.program.Load().files}
}

// hashed returns the name that a file has, or false.
func (a *Assets) hashed(name string) (string, bool) {
	for _, f := range a.folders() {
		if hashed, ok := f.names[name]; ok {
			return hashed, true
		}
	}
	return "", false
}

// find returns the file with a hashed name, or false.
func (a *Assets) find(hashed string) (asset, bool) {
	for _, f := range a.folders() {
		if file, ok := f.files[hashed]; ok {
			return file, true
		}
	}
	return asset{}, false
}

// URL returns the path at which an asset is served: "/static/app.1a2b3c4d5e.js"
// for "app.js". A name that is not known comes back without a hash, and leads
// nowhere.
func (a *Assets) URL(name string) string {
	if hashed, ok := a.hashed(name); ok {
		name = hashed
	}
	return Prefix + name
}

// Open returns the file at a path that URL returned, in the best encoding of
// those that the Accept-Encoding header allows.
//
// While servers are replaced, a page may come from one that has another version of
// a file than this one: then the path has the hash of that version. It is answered
// with the file as it is here, as a substitute: a page without its script is dead,
// one with the script of the version before or after it works, because the wire
// and the ids of a page are the same for both.
func (a *Assets) Open(path, acceptEncoding string) (File, bool) {
	hashed, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return File{}, false
	}
	name, ok := logicalName(hashed)
	if !ok {
		return File{}, false
	}
	f, own := a.find(hashed)
	if !own {
		other, _ := a.hashed(name)
		if f, ok = a.find(other); !ok {
			return File{}, false
		}
	}
	file, err := f.encode(acceptEncoding)
	file.Name = name
	if !own {
		file.Substitute, file.ETag = true, ""
	}
	return file, err == nil
}

// logicalName returns "app.js" for "app.1a2b3c4d5e.js", and false for what has no
// hash in its place.
func logicalName(hashed string) (string, bool) {
	base, rest, _ := strings.Cut(hashed, ".")
	hash, ext, _ := strings.Cut(rest, ".")
	_, err := hex.DecodeString(hash)
	return base + "." + ext, err == nil && hash != ""
}

// encode returns the file in the best encoding of those that the Accept-Encoding
// header allows.
func (f asset) encode(acceptEncoding string) (File, error) {
	file := File{ContentType: f.contentType, ETag: `"` + f.hash + `"`}
	var err error
	switch file.Encoding = Encoding(acceptEncoding); file.Encoding {
	case "br":
		file.Body = f.br
	case "gzip":
		file.Body, err = f.gz()
	default:
		file.Body, err = f.plain()
	}
	if file.Encoding != "" {
		file.ETag = `"` + f.hash + "-" + file.Encoding + `"`
	}
	return file, err
}

// Size returns how long a file is as it is before compression, in bytes; 0 for
// a name that is not known.
func (a *Assets) Size(name string) int {
	hashed, _ := a.hashed(name)
	f, ok := a.find(hashed)
	if !ok {
		return 0
	}
	n, _ := f.size() // what is embedded is whole: a test reads it all
	return n
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

// gzipped turns brotli into gzip, without the plain form in memory.
func gzipped(br []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.Copy(w, brotli.NewReader(bytes.NewReader(br)))
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// Encoding returns the best encoding, of those that this program has, that an Accept-Encoding
// header allows: "br", "gzip", or "", which is none.
func Encoding(acceptEncoding string) string {
	for _, encoding := range []string{"br", "gzip"} {
		if accepts(acceptEncoding, encoding) {
			return encoding
		}
	}
	return ""
}

// accepts reports whether an Accept-Encoding header (RFC 9110 §12.5.3) names
// an encoding and does not forbid it. Weights other than 0 don't matter here:
// a client that can read the smaller form is sent it. "*" counts for nothing, since
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

// ContentType is that of files whose names end in ext, without a dot, as browsers want it with
// nosniff. Of others it is that of bytes.
func ContentType(ext string) string {
	switch ext {
	case "html":
		return "text/html; charset=utf-8"
	case "json":
		return "application/json"
	case "js":
		return "text/javascript; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	case "png":
		return "image/png"
	case "wasm":
		return "application/wasm"
	}
	return "application/octet-stream"
}
