package static_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"

	"lockstep/static"
	"lockstep/static/internal/bundle"
	"lockstep/static/internal/constants"
	"lockstep/static/internal/wasm"
)

func assets(t *testing.T) *static.Assets {
	t.Helper()
	a, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// made stands for what is compiled: that takes half a minute, and what is
// committed of it is compared by internal/fresh.sh.
func made() map[string][]byte {
	return map[string][]byte{bundle.Program: []byte("\x00asm"), bundle.Exec: []byte("class Go {}")}
}

// esbuild is where make puts it.
const esbuild = "../bin/esbuild"

// needEsbuild skips a test where "make generate" has not built esbuild yet.
func needEsbuild(t *testing.T) {
	t.Helper()
	_, err := os.Stat(esbuild)
	switch {
	case err == nil:
	case os.Getenv("LOCKSTEP_TEST_REQUIRE") != "":
		t.Fatal(err)
	default:
		t.Skip("bin/esbuild is not there: make builds it")
	}
}

// sources returns the folder with its scripts in one piece each.
func sources(t *testing.T) fs.FS {
	t.Helper()
	needEsbuild(t)
	src, err := bundle.Sources(t.Context(), ".", esbuild)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func compiled(name string) bool {
	return strings.HasPrefix(name, "lockstep.") || strings.HasPrefix(name, "worker.")
}

// The build verifies the checksums of the vendored files as well.
func TestTheCommittedFilesAreWhatTheSourcesGive(t *testing.T) {
	want, err := bundle.Build(sources(t), made())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok && !compiled(e.Name()) {
			t.Errorf("dist/%s is left over from an older build: run go generate ./static", e.Name())
		}
	}
	for name, body := range want {
		if compiled(name) {
			continue
		}
		got, err := os.ReadFile("dist/" + name)
		if strings.HasSuffix(name, ".gz") {
			// Another release of Go may compress in another way.
			got, body = decode(t, static.File{Encoding: "gzip", Body: got}), decode(t, static.File{Encoding: "gzip", Body: body})
		}
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("dist/%s is stale (%v): run go generate ./static", name, err)
		}
	}
}

func TestBuildingTwiceGivesTheSameBytes(t *testing.T) {
	a, err := bundle.Build(sources(t), made())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Build(sources(t), made())
	if err != nil {
		t.Fatal(err)
	}
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

func TestTheConstantsAreThoseOfTheWire(t *testing.T) {
	want, err := constants.Script(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("constants.js"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("constants.js is stale (%v): run make generate", err)
	}
}

func TestAChangedVendoredFileIsRefused(t *testing.T) {
	src := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(p)
		src[p] = &fstest.MapFile{Data: body}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	src["vendor/htmx/htmx.min.js"].Data = append([]byte("evil();"), src["vendor/htmx/htmx.min.js"].Data...)
	if _, err := bundle.Build(src, made()); err == nil || !strings.Contains(err.Error(), "htmx.min.js") {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestEveryVendoredFileHasAChecksum(t *testing.T) {
	list, err := os.ReadFile("vendor/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(os.DirFS("vendor"), "*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v, want files", files, err)
	}
	for _, f := range files {
		if !strings.Contains(string(list), "  "+f+"\n") {
			t.Errorf("%s has no checksum", f)
		}
	}
}

func TestURLsContainAHash(t *testing.T) {
	a := assets(t)
	for name, want := range map[string]string{
		"app.js":      `^/static/app\.[0-9a-f]{10}\.js$`,
		"app.css":     `^/static/app\.[0-9a-f]{10}\.css$`,
		"favicon.svg": `^/static/favicon\.[0-9a-f]{10}\.svg$`,
		"unknown.js":  `^/static/unknown\.js$`,
	} {
		if got := a.URL(name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

func TestOpenChoosesTheEncoding(t *testing.T) {
	a := assets(t)
	plain, ok := a.Open(a.URL("app.js"), "")
	if !ok {
		t.Fatal("app.js is missing")
	}
	for _, c := range []struct{ name, accept, want string }{
		{"a browser gets brotli", "gzip, deflate, br, zstd", "br"},
		{"the case does not matter", "BR", "br"},
		{"gzip without brotli", "gzip", "gzip"},
		{"a weight of zero forbids", "br;q=0, gzip;q=0.5", "gzip"},
		{"all forbidden", "br; q=0.0, gzip;q=0", ""},
		{"a weight above zero allows", "br;q=0.01", "br"},
		{"anything is answered with the plain form", "*", ""},
		{"no header", "", ""},
		{"a longer name is another encoding", "brx, xgzip", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := a.Open(a.URL("app.js"), c.accept)
			if !ok || f.Encoding != c.want {
				t.Fatalf("got %q, %v, want %q", f.Encoding, ok, c.want)
			}
			if got := decode(t, f); !bytes.Equal(got, plain.Body) {
				t.Error("the content differs from the plain form")
			}
			if (f.ETag == plain.ETag) != (c.want == "") {
				t.Errorf("the tag %s does not tell encodings apart", f.ETag)
			}
		})
	}
}

func decode(t *testing.T, f static.File) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(f.Body)
	switch f.Encoding {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestOnlyHashedNamesAreOpened(t *testing.T) {
	a := assets(t)
	for _, p := range []string{
		"", "/", "/static/", "/static/app.js", "/static/../static.go", "/static/dist/app.js",
		a.URL("app.js") + ".br", strings.TrimPrefix(a.URL("app.js"), "/static"), a.URL("unknown.js"),
	} {
		if _, ok := a.Open(p, "br"); ok {
			t.Errorf("%q was opened", p)
		}
	}
}

func TestContentTypesAreThoseThatNosniffNeeds(t *testing.T) {
	a := assets(t)
	for name, want := range map[string]string{
		"app.js": "text/javascript; charset=utf-8", "app.css": "text/css; charset=utf-8", "favicon.svg": "image/svg+xml",
		"wasm.js": "text/javascript; charset=utf-8", "worker.js": "text/javascript; charset=utf-8", "lockstep.wasm": "application/wasm",
	} {
		if f, ok := a.Open(a.URL(name), ""); !ok || f.ContentType != want {
			t.Errorf("%s: got %q, %v, want %q", name, f.ContentType, ok, want)
		}
	}
}

// The whole browser side stays small enough to load at once on a slow phone.
func TestTheBundleStaysSmall(t *testing.T) {
	const limit = 20 << 10 // bytes, compressed
	a := assets(t)
	total := 0
	for _, name := range []string{"app.js", "app.css"} {
		f, _ := a.Open(a.URL(name), "br")
		total += len(f.Body)
	}
	if total > limit {
		t.Errorf("got %d bytes, want at most %d", total, limit)
	}
}

// The script is served to everybody; comments are for who reads the source. The
// licences of others stay.
func TestOnlyOurCommentsAreLeftOut(t *testing.T) {
	a := assets(t)
	for _, name := range []string{"app.js", "replica.js", "wasm.js"} {
		if f, _ := a.Open(a.URL(name), ""); regexp.MustCompile(`(?m)^\s*(//|/\*\*)`).Match(f.Body) {
			t.Errorf("%s has comments", name)
		}
	}
	if f, _ := a.Open(a.URL("worker.js"), ""); !bytes.Contains(f.Body, []byte("Copyright")) {
		t.Error("worker.js does not say whose wasm_exec.js is")
	}
}

func TestTheProgramKeepsItsBudget(t *testing.T) {
	a := assets(t)
	f, _ := a.Open(a.URL("lockstep.wasm"), "br")
	if f.Encoding == "br" && len(f.Body) <= wasm.Budget {
		return
	}
	t.Errorf("lockstep.wasm has %d bytes, want at most %d", len(f.Body), wasm.Budget)
	weights, err := wasm.Packages(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range weights[:20] {
		t.Logf("%8d bytes of code: %s", w.Bytes, w.Package)
	}
}

func TestTheSizeIsThatOfTheProgramItself(t *testing.T) {
	a := assets(t)
	f, ok := a.Open(a.URL("lockstep.wasm"), "")
	if got := a.Size("lockstep.wasm"); !ok || got != len(f.Body) || !bytes.HasPrefix(f.Body, []byte("\x00asm")) {
		t.Errorf("got a size of %d, want %d of a program", got, len(f.Body))
	}
	if got := a.Size("unknown.wasm"); got != 0 {
		t.Errorf("got a size of %d for what is not there", got)
	}
}

// htmx ignores an extension that registers after it has started, so the order
// within the one script matters.
func TestTheScriptHasItsPartsInOrder(t *testing.T) {
	a := assets(t)
	f, _ := a.Open(a.URL("app.js"), "")
	at := []int{
		bytes.Index(f.Body, []byte("var htmx=")),
		bytes.Index(f.Body, []byte(`registerExtension("ws"`)),
		bytes.Index(f.Body, []byte(`registerExtension("live"`)),
	}
	if slices.Min(at) < 0 || !slices.IsSorted(at) {
		t.Errorf("got the parts at %v, want htmx, hx-ws, live", at)
	}
}
