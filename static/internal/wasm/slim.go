package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Templ's runtime has handlers for net/http, bridges to html/template and a mode
// for development beside what rendering needs. Nobody calls them in a browser,
// but what they import stays in the program: 0.4 MB brotli of HTTP, TLS,
// templates and regular expressions. So the program is built with a copy of the
// module without them. Nothing in it is written by us: whole declarations that
// name one of these packages are left out, and so is what needs those. If that
// were something that components need, the build would fail.

// unwanted are the packages whose users are left out.
func unwanted(importPath string) bool {
	return slices.Contains([]string{"net/http", "html/template", "regexp", "crypto/sha256", "github.com/a-h/templ/safehtml"}, importPath)
}

// slimmed are the folders of templ's module that rendering needs.
func slimmed() []string { return []string{".", "runtime", "internal/htmlattr"} }

// Slim copies templ's module from src to dst, without what is unwanted.
func Slim(src, dst string) error {
	for _, dir := range slimmed() {
		if err := slimDir(filepath.Join(src, dir), filepath.Join(dst, dir)); err != nil {
			return fmt.Errorf("wasm: slim templ: %w", err)
		}
	}
	for _, name := range []string{"LICENSE", ".version"} {
		if err := copyFile(filepath.Join(src, name), filepath.Join(dst, name)); err != nil {
			return fmt.Errorf("wasm: slim templ: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(dst, "go.mod"), []byte("module github.com/a-h/templ\n\ngo 1.25\n"), 0o644)
}

// slimDir copies the Go files of one package. Declarations that use what was left out go as well,
// until nothing more goes.
func slimDir(src, dst string) error {
	set := token.NewFileSet()
	files, err := parseDir(set, src)
	if err != nil {
		return err
	}
	gone := make(map[string]bool) // names that were declared at the top level, and "Type.method"
	for more := true; more; {
		more = false
		for _, f := range files {
			more = leaveOut(f, gone) || more
		}
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	for name, f := range files {
		tidyImports(f)
		var b bytes.Buffer
		if err := format.Node(&b, set, f); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dst, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// parseDir reads the Go files of a folder that are no tests, without comments: these would lose
// their places.
func parseDir(set *token.FileSet, dir string) (map[string]*ast.File, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	files := make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		mode := parser.SkipObjectResolution
		if bytes.Contains(body, []byte("//go:")) {
			mode |= parser.ParseComments // a directive is one
		}
		if files[filepath.Base(name)], err = parser.ParseFile(set, name, body, mode); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, errors.New(dir + " has no Go files")
	}
	return files, nil
}

// leaveOut removes the declarations of f that use an unwanted package or a name that is gone, and
// notes the names that go with them. It reports whether there were any.
func leaveOut(f *ast.File, gone map[string]bool) (some bool) {
	packages := make(map[string]bool)
	for _, i := range f.Imports {
		if p := importPath(i); unwanted(p) {
			packages[path.Base(p)] = true
		}
	}
	var kept []ast.Decl
	for _, d := range f.Decls {
		flushersAreAnybody(d, packages)
		neverDevelop(d)
		forbidCases(d, packages, gone)
		if !uses(d, packages, gone) {
			kept = append(kept, d)
			continue
		}
		some = true
		for _, name := range declared(d) {
			gone[name] = true
		}
	}
	f.Decls = kept
	return some
}

// flushersAreAnybody replaces http.Flusher by what it is.
func flushersAreAnybody(d ast.Decl, packages map[string]bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		a, ok := n.(*ast.TypeAssertExpr)
		if !ok || !selects(a.Type, packages, "Flusher") {
			return true
		}
		a.Type = &ast.InterfaceType{Methods: &ast.FieldList{List: []*ast.Field{{
			Names: []*ast.Ident{ast.NewIdent("Flush")}, Type: &ast.FuncType{Params: &ast.FieldList{}},
		}}}}
		return true
	})
}

// neverDevelop removes what is done in development only.
func neverDevelop(d ast.Decl) {
	ast.Inspect(d, func(n ast.Node) bool {
		block, ok := n.(*ast.BlockStmt)
		if !ok {
			return true
		}
		block.List = slices.DeleteFunc(block.List, func(s ast.Stmt) bool {
			i, ok := s.(*ast.IfStmt)
			if !ok || i.Else != nil {
				return false
			}
			cond, ok := i.Cond.(*ast.Ident)
			return ok && cond.Name == "developmentMode"
		})
		return true
	})
}

// forbidCases has the cases of switches panic that need what is left out: one function renders
// attributes of all kinds, and styles, whose values regular expressions check, are one of them. A
// template with a style of its own does not compile for browsers; a panic is what remains for
// attributes whose names are known only when the program runs.
func forbidCases(d ast.Decl, packages, gone map[string]bool) {
	self, typ := receiver(d)
	ast.Inspect(d, func(n ast.Node) bool {
		c, ok := n.(*ast.CaseClause)
		if !ok || !slices.ContainsFunc(c.Body, func(s ast.Stmt) bool { return usesIn(s, self, typ, packages, gone) }) {
			return true
		}
		why := &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote("not in the program for browsers: see package wasm")}
		c.Body = []ast.Stmt{&ast.ExprStmt{X: &ast.CallExpr{Fun: ast.NewIdent("panic"), Args: []ast.Expr{why}}}}
		return false
	})
}

// selects reports whether e is the name of one of the packages' declarations; "": any.
func selects(e ast.Node, packages map[string]bool, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || name != "" && s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && packages[x.Name]
}

// uses reports whether a declaration, other than an import, needs what is left out.
func uses(d ast.Decl, packages, gone map[string]bool) (yes bool) {
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
		return false
	}
	self, typ := receiver(d)
	return usesIn(d, self, typ, packages, gone)
}

// usesIn is uses for a part of a declaration whose receiver is self, of a type.
func usesIn(part ast.Node, self, typ string, packages, gone map[string]bool) (yes bool) {
	ast.Inspect(part, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			x, named := s.X.(*ast.Ident)
			yes = yes || selects(s, packages, "") || named && x.Name == self && gone[typ+"."+s.Sel.Name]
			ast.Inspect(s.X, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				yes = yes || ok && gone[id.Name]
				return !yes
			})
			return !yes // what is selected is a member, whatever else has its name
		}
		if id, ok := n.(*ast.Ident); ok {
			yes = yes || gone[id.Name]
		}
		return !yes
	})
	return yes
}

// receiver returns how a method calls its receiver, and the receiver's type.
func receiver(d ast.Decl) (name, typ string) {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Recv == nil {
		return "", ""
	}
	field := f.Recv.List[0]
	if len(field.Names) > 0 {
		name = field.Names[0].Name
	}
	ast.Inspect(field.Type, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if ok && typ == "" { // the first: what follows are parameters of the type
			typ = id.Name
		}
		return true
	})
	return name, typ
}

// declared are the names that a top-level declaration declares: a method declares "Type.method".
func declared(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if _, typ := receiver(d); typ != "" {
			name = typ + "." + name
		}
		names = append(names, name)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// tidyImports removes the imports that nothing uses any more.
func tidyImports(f *ast.File) {
	used := make(map[string]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	unused := func(s ast.Spec) bool {
		i, ok := s.(*ast.ImportSpec)
		return ok && i.Name == nil && !used[path.Base(importPath(i))]
	}
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT {
			return false
		}
		g.Specs = slices.DeleteFunc(g.Specs, unused)
		return len(g.Specs) == 0
	})
}

func importPath(i *ast.ImportSpec) string {
	p, _ := strconv.Unquote(i.Path.Value) // the parser has read it
	return p
}

func copyFile(src, dst string) error {
	b, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, b, 0o644)
}
