package wasm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/static/internal/wasm"
)

// templ is a module of the shape of templ's.
var templ = map[string]string{
	"LICENSE":  "free",
	".version": "1",
	"handler.go": `package templ

import "net/http"

// Handler is for servers.
type Handler struct{ status int }

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

func NewHandler() Handler { return Handler{} }
`,
	"middleware.go": `package templ

import "net/http"

type Middleware struct{ next http.Handler }

func NewMiddleware() Middleware { return Middleware{} }

func use() { _ = NewMiddleware() }
`,
	"render.go": `package templ

import (
	"html/template"
	"io"
	"net/http"
)

func Render(w io.Writer) error {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if developmentMode {
		watch()
	}
	_, err := io.WriteString(w, "hello")
	return err
}

const developmentMode = false

func watch() { _ = template.HTML("") }
`,
	"style.go": `package templ

import "regexp"

type Checker struct{}

func (c Checker) check(s string) bool { return regexp.MustCompile(s).MatchString(s) }

func (c Checker) Style(s string) bool { return c.check(s) }

type Other struct{}

func (o Other) check() bool { return true }

func (o Other) Fine() bool { return o.check() }

func Attribute(kind int, s string) string {
	switch kind {
	case 1:
		return regexp.QuoteMeta(s)
	default:
		return "plain " + s
	}
}
`,
	"render_test.go":         "package templ\n\nimport \"net/http\"\n\nvar _ http.Handler\n",
	"runtime/write.go":       "package runtime\n\nimport _ \"unsafe\"\n\nfunc Write() {}\n",
	"internal/htmlattr/a.go": "package htmlattr\n",
}

func slim(t *testing.T, files map[string]string) (dir string, err error) {
	t.Helper()
	src, dst := t.TempDir(), t.TempDir()
	for name, body := range files {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dst, wasm.Slim(src, dst)
}

func TestWhatNamesServersIsLeftOutAndWhatNeedsIt(t *testing.T) {
	dir, err := slim(t, templ)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for name, wants := range map[string][]string{
		"handler.go":       {"type Handler struct", "func NewHandler"},
		"render.go":        {"func Render", `"io"`, "Flush()", "hello"},
		"style.go":         {"func (o Other) Fine", "func Attribute", "panic(", `"plain "`},
		"runtime/write.go": {"func Write", `_ "unsafe"`},
		"LICENSE":          {"free"},
		"go.mod":           {"module github.com/a-h/templ\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(read(name), want) {
				t.Errorf("%s has no %s:\n%s", name, want, read(name))
			}
		}
	}
	for name, unwanted := range map[string][]string{
		"handler.go":    {"ServeHTTP", "net/http"},
		"middleware.go": {"Middleware", "use", "net/http"},
		"render.go":     {"net/http", "html/template", "watch"},
		"style.go":      {"regexp", "func (c Checker)"},
	} {
		for _, s := range unwanted {
			if strings.Contains(read(name), s) {
				t.Errorf("%s still has %s:\n%s", name, s, read(name))
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "render_test.go")); err == nil {
		t.Error("the tests were copied")
	}
}

func TestAModuleThatCannotBeReadIsAnError(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"an empty folder":     {"LICENSE": "", ".version": ""},
		"what does not parse": {"LICENSE": "", ".version": "", "a.go": "package", "runtime/a.go": "package runtime"},
		"no licence":          {"a.go": "package templ", "runtime/a.go": "package runtime"},
	} {
		if _, err := slim(t, files); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
