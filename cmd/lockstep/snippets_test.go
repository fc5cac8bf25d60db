package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/internal/short"
)

// snippetFiles are the documents whose snippets compile.
var snippetFiles = []string{"../../README.md", "../../SKILL.md", "../../components/README.md", "../../docs/*.md"}

// imported are the packages that fragments use without saying so, by their names.
var imported = map[string]string{
	"components": "lockstep/components", "gallery": "lockstep/components/gallery", "lockstep": "lockstep", "livetest": "lockstep/livetest",
	"serve": "lockstep/serve", "run": "lockstep/run", "state": "lockstep/state", "backends": "lockstep/backends", "pubsub": "lockstep/pubsub",
	"mempubsub": "lockstep/pubsub/mempubsub", "memstate": "lockstep/state/memstate", "boltstate": "lockstep/state/boltstate",
	"redispubsub": "lockstep/pubsub/redispubsub", "redisstate": "lockstep/state/redisstate",
	"pgpubsub": "lockstep/pubsub/pgpubsub", "pgstate": "lockstep/state/pgstate",
	"redis": "github.com/redis/go-redis/v9", "pgxpool": "github.com/jackc/pgx/v5/pgxpool", "nats": "github.com/nats-io/nats.go", "natspubsub": "lockstep/pubsub/natspubsub", "natsstate": "lockstep/state/natsstate",
	"snssqspubsub": "lockstep/pubsub/snssqspubsub", "natsembedded": "lockstep/natsembedded", "driver": "lockstep/pubsub/driver", "templ": "github.com/a-h/templ",
	"context": "context", "json": "encoding/json", "errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "maps": "maps", "os": "os", "rand": "crypto/rand",
	"slices": "slices", "strconv": "strconv", "strings": "strings", "synctest": "testing/synctest", "testing": "testing", "time": "time",
}

// around is a function for statements: what they may take as there.
const around = "func _(ctx context.Context, app *lockstep.App, opts *serve.Options, s *serve.Server, mux *http.ServeMux) {{\n%s\n}}\n"

// TestSnippetsCompile makes a package of the Go and templ blocks of each document, in an app as
// "lockstep new" makes it. A block is a whole file, declarations, or statements.
func TestSnippetsCompile(t *testing.T) {
	short.Skip(t, "builds what documents have")
	dir := filepath.Join(t.TempDir(), "snippets")
	r := &reader{t: t, dir: "../..", env: os.Environ()}
	r.run("go run ./cmd/lockstep new " + dir)
	r.run("cd " + dir)
	r.run("rm main.go main_test.go page.templ page_templ.go")
	blocks := 0
	for _, pattern := range snippetFiles {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			blocks += writeSnippets(r, file, filepath.Join(dir, folderOf(file)))
		}
	}
	if blocks < 50 {
		t.Errorf("there are %d snippets: have documents changed their form?", blocks)
	}
	r.run("go tool templ generate")
	r.run("go mod tidy")
	r.run("go vet ./...")
}

// folderOf is a name for the package of a document.
func folderOf(file string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "../../"), ".md")
	return strings.ToLower(strings.NewReplacer("/", "", "-", "").Replace(name))
}

// writeSnippets writes the blocks of a document into a folder, and returns how many there are.
func writeSnippets(r *reader, document, dir string) (n int) {
	r.t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		r.t.Fatal(err)
	}
	name, at := "snippets", 0
	for _, m := range fence.FindAllSubmatch(text, -1) {
		if whole.Match(m[3]) {
			name = "main" // with which fragments of the same document go
		}
	}
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		kind, body := string(text[m[2]:m[3]]), string(text[m[6]:m[7]])
		before := strings.TrimSpace(string(text[at:m[0]]))
		at = m[1]
		if kind != "go" && kind != "templ" {
			continue
		}
		n++
		r.file = fmt.Sprintf("snippet%d.%s", n, kind)
		if names := namedFile.FindStringSubmatch(before); names != nil {
			r.file = names[1]
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			r.t.Fatal(err)
		}
		r.file = filepath.Join(filepath.Base(dir), r.file)
		r.write(asFile(r.t, document, kind, name, body))
	}
	return n
}

var (
	whole   = regexp.MustCompile(`(?m)\A(?://.*\n)*package `)
	comment = regexp.MustCompile(`(?m)//.*$`)
)

// asFile returns a block as a file of a package.
func asFile(t *testing.T, document, kind, name, body string) string {
	t.Helper()
	if whole.MatchString(body) {
		return body
	}
	if kind == "go" {
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+body, 0); err != nil {
			body = fmt.Sprintf(around, used(t, document, body))
		}
	}
	head := "package " + name + "\n\nimport (\n"
	code := comment.ReplaceAllString(body, "")
	for short, path := range imported {
		if kind == "templ" && short == "templ" {
			continue // the generator says so
		}
		if regexp.MustCompile(`(^|[^\w."])` + short + `\.[A-Z]`).MatchString(code) {
			head += fmt.Sprintf("\t%q\n", path)
		}
	}
	return head + ")\n\n" + body
}

// used returns statements with a use of each variable that they declare: a reader goes on with it.
func used(t *testing.T, document, body string) string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", "package p\nfunc _() {\n"+body+"\n}", 0)
	if err != nil {
		t.Errorf("%s: this is no Go: %v\n%s", document, err, body)
		return ""
	}
	f, _ := file.Decls[0].(*ast.FuncDecl) // it has been written above
	for _, s := range f.Body.List {
		if a, ok := s.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, left := range a.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name != "_" {
					body += "\n_ = " + id.Name
				}
			}
		}
	}
	return body
}
