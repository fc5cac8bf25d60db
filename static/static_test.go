package static_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"

	"lockstep/internal/short"
	"lockstep/static"
	"lockstep/static/internal/bundle"
	"lockstep/static/internal/constants"
	"lockstep/static/internal/pack"
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

// program is one in shape, as wasmbuild makes it: the real one takes long.
func program(t *testing.T) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for name, body := range map[string]string{"lockstep.wasm": "\x00asm" + strings.Repeat("x", 1000), "worker.js": "class Go {}"} {
		packed, err := pack.Brotli([]byte(body), pack.Fast)
		if err != nil {
			t.Fatal(err)
		}
		files[pack.Name(name, []byte(body))+pack.Suffix] = packed
	}
	return files
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

// The build verifies the checksums of the vendored files as well.
func TestTheCommittedFilesAreWhatTheSourcesGive(t *testing.T) {
	want, err := bundle.Build(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok {
			t.Errorf("dist/%s is left over from an older build: run go generate ./static", e.Name())
		}
	}
	for name, body := range want {
		got, err := os.ReadFile("dist/" + name)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("dist/%s is stale (%v): run go generate ./static", name, err)
		}
	}
}

func TestBuildingTwiceGivesTheSameBytes(t *testing.T) {
	a, err := bundle.Build(sources(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Build(sources(t))
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
	if _, err := bundle.Build(src); err == nil || !strings.Contains(err.Error(), "htmx.min.js") {
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
		"/static/app..js", "/static/app.012345678z.js", "/static/app.0123456789", "/static/.0123456789.js",
		"/static/unknown.0123456789.js", "/static/app.0123456789.0123456789.js", "/static/app.0123456789.min.js",
		a.URL("app.js") + ".br", strings.TrimPrefix(a.URL("app.js"), "/static"), a.URL("unknown.js"),
	} {
		if _, ok := a.Open(p, "br"); ok {
			t.Errorf("%q was opened", p)
		}
	}
}

// While servers are replaced, a page of one version may ask a server of the other for its files.
func TestAnotherVersionOfAFileIsAnsweredWithASubstitute(t *testing.T) {
	a := assets(t)
	if err := a.SetProgram(program(t)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app.js", "list.js", "log.js", "app.css", "favicon.svg", "replica.js", "wasm.js", "worker.js", "lockstep.wasm"} {
		own, ok := a.Open(a.URL(name), "br")
		if !ok || own.Substitute || own.Name != name || own.ETag == "" {
			t.Errorf("%s: got %q, a substitute: %v, %v", name, own.Name, own.Substitute, ok)
		}
		base, ext, _ := strings.Cut(name, ".")
		other, ok := a.Open(static.Prefix+base+".0123456789."+ext, "br")
		if !ok || !bytes.Equal(other.Body, own.Body) || other.ContentType != own.ContentType || other.Encoding != "br" {
			t.Errorf("%s: got another file for another version, %v", name, ok)
		}
		if !other.Substitute || other.Name != name || other.ETag != "" {
			t.Errorf("%s: got %q, a substitute: %v, with the tag %s: it could be taken for that version", name, other.Name, other.Substitute, other.ETag)
		}
	}
}

func TestContentTypesAreThoseThatNosniffNeeds(t *testing.T) {
	a := assets(t)
	if err := a.SetProgram(program(t)); err != nil {
		t.Fatal(err)
	}
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
	// The outbox, which outlives its page, takes 3 KiB of it (ADR 28), and what lists, logs and forms
	// need of live.js half of one (ADR 39).
	const limit = 26 << 10 // bytes, compressed
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

// What only some pages load has bounds of its own.
func TestTheScriptsOfSomePagesStaySmall(t *testing.T) {
	a := assets(t)
	for names, limit := range map[string]int{ // bytes, compressed; three times that as they are
		"list.js log.js": 8 << 10, "soft.js": 2 << 10, "tell.js": 2 << 10, "forms.js": 5 << 10, "drag.js": 2 << 10, "around.js": 2 << 10, "xray.js": 2 << 10,
		"lists.css": 3 << 10, "around.css": 2 << 10, "break.css": 1 << 10, "soft.css": 1 << 10, "forms.css": 2 << 10, "xray.css": 1 << 10,
		"split.css": 1 << 10, "small.css": 1 << 10,
	} {
		packed, plain := 0, 0
		for name := range strings.FieldsSeq(names) {
			f, ok := a.Open(a.URL(name), "br")
			if !ok {
				t.Fatalf("%s is missing", name)
			}
			packed += len(f.Body)
			plain += a.Size(name)
		}
		if packed > limit || plain > 3*limit {
			t.Errorf("%s: got %d bytes, %d compressed, want at most %d, %d", names, plain, packed, 3*limit, limit)
		}
	}
}

// The script is served to everybody; comments are for readers of the source. The
// licences of others stay.
func TestOnlyOurCommentsAreLeftOut(t *testing.T) {
	a := assets(t)
	for _, name := range []string{"app.js", "list.js", "log.js", "soft.js", "forms.js", "drag.js", "around.js", "replica.js", "wasm.js", "app.css", "around.css", "lists.css", "soft.css", "forms.css", "break.css", "split.css", "small.css", "xray.js", "xray.css"} {
		if f, _ := a.Open(a.URL(name), ""); regexp.MustCompile(`(?m)^\s*(//|/\*\*|/\* )`).Match(f.Body) {
			t.Errorf("%s has comments", name)
		}
	}
}

// TestTheProgramKeepsItsBudget: as a release has it, made here. It is compressed anew only when it
// has changed.
func TestTheProgramKeepsItsBudget(t *testing.T) {
	short.Skip(t, "compiles the program")
	build := exec.CommandContext(t.Context(), "go", "run", "./wasmbuild")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a, files := assets(t), make(map[string][]byte)
	entries, err := os.ReadDir("program")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile("program/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.SetProgram(files); err != nil {
		t.Fatal(err)
	}
	if f, _ := a.Open(a.URL("worker.js"), ""); !bytes.Contains(f.Body, []byte("Copyright")) || !bytes.Contains(f.Body, []byte("onmessage")) {
		t.Error("worker.js does not say whose wasm_exec.js is, or has no worker")
	}
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
	if got := a.Size("lockstep.wasm"); got != 0 {
		t.Errorf("got a size of %d before there is a program", got)
	}
	if err := a.SetProgram(program(t)); err != nil {
		t.Fatal(err)
	}
	f, ok := a.Open(a.URL("lockstep.wasm"), "")
	if got := a.Size("lockstep.wasm"); !ok || got != len(f.Body) || got != 1004 {
		t.Errorf("got a size of %d, want %d of a program", got, len(f.Body))
	}
	if got := a.Size("unknown.wasm"); got != 0 {
		t.Errorf("got a size of %d for what is not there", got)
	}
}

// TestAProgramMayComeLater: until then nothing leads to it.
func TestAProgramMayComeLater(t *testing.T) {
	a := assets(t)
	if got := a.URL("lockstep.wasm"); got != "/static/lockstep.wasm" || a.Progress().Stage != static.Missing {
		t.Errorf("got %q and %+v of a build without the program", got, a.Progress())
	}
	app := a.URL("app.js")
	half := program(t)
	for name := range half {
		if strings.HasPrefix(name, "worker.") {
			delete(half, name)
		}
	}
	if err := a.SetProgram(half); err == nil || !strings.Contains(err.Error(), "worker.js") || a.Progress().Stage == static.Ready {
		t.Errorf("got %v, want an error that names the worker", err)
	}
	if err := a.SetProgram(map[string][]byte{"lockstep.wasm.br": nil}); err == nil {
		t.Error("a name without a hash was accepted")
	}
	if err := a.SetProgram(program(t)); err != nil || a.Progress().Stage != static.Ready {
		t.Errorf("got %v, %+v", err, a.Progress())
	}
	for _, encoding := range []string{"br", "gzip", ""} {
		f, ok := a.Open(a.URL("lockstep.wasm"), encoding)
		if !ok || f.Encoding != encoding || !bytes.HasPrefix(decode(t, f), []byte("\x00asm")) {
			t.Errorf("%q: got %v, %q", encoding, ok, f.Encoding)
		}
	}
	if a.URL("app.js") != app {
		t.Error("the other files have changed")
	}
}

func TestTheShareGrowsToOne(t *testing.T) {
	for _, c := range []struct {
		p    static.Progress
		want float64
	}{
		{static.Progress{Stage: static.Missing}, 0},
		{static.Progress{Stage: static.Compiling}, 0},
		{static.Progress{Stage: static.Compiling, Done: 1, Total: 3}, 0.25},
		{static.Progress{Stage: static.Compiling, Done: 3, Total: 3}, 0.75},
		{static.Progress{Stage: static.Ready}, 1},
	} {
		if got := c.p.Share(); got != c.want {
			t.Errorf("%+v: got %v, want %v", c.p, got, c.want)
		}
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
