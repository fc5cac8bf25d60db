// Package constants writes the constants of a Go file as a module of JavaScript, so that both
// languages go by the same numbers and by the same words about them.
//
// It is not linked into a server: the result is committed.
package constants

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"strings"
	"time"
	"unicode"
)

const width = 100 // columns

// Source is the file with the constants, in the folder of the module.
const Source = "htmx/limits.go"

// Script returns the module for the exported constants in Source, in their order and with their
// comments. root is the folder of the module lockstep. A time becomes a number of milliseconds. A
// constant that is neither a time nor a whole number, or has no comment, is an error.
func Script(root fs.FS) ([]byte, error) {
	src, err := fs.ReadFile(root, Source)
	if err != nil {
		return nil, fmt.Errorf("constants: %w", err)
	}
	return script(Source, src)
}

func script(name string, src []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("constants: %w", err)
	}
	checker := types.Config{Importer: onlyTime{}}
	pkg, err := checker.Check(file.Name.Name, fset, []*ast.File{file}, nil)
	if err != nil {
		return nil, fmt.Errorf("constants: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Made from %s by \"make generate\": change it there.\n", name)
	for _, s := range specs(file) {
		if err := write(&b, s, pkg.Scope()); err != nil {
			return nil, fmt.Errorf("constants: %s: %w", name, err)
		}
	}
	return b.Bytes(), nil
}

// onlyTime stands for the packages that the file may import: type-checking the real package time
// takes a second.
type onlyTime struct{}

// Import implements types.Importer.
func (onlyTime) Import(path string) (*types.Package, error) {
	if path != "time" {
		return nil, fmt.Errorf("package %s is not known here, only time is", path)
	}
	pkg := types.NewPackage("time", "time")
	name := types.NewTypeName(token.NoPos, pkg, "Duration", nil)
	duration := types.NewNamed(name, types.Typ[types.Int64], nil)
	pkg.Scope().Insert(name)
	for unit, d := range map[string]time.Duration{
		"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour,
	} {
		pkg.Scope().Insert(types.NewConst(token.NoPos, pkg, unit, duration, constant.MakeInt64(int64(d))))
	}
	pkg.MarkComplete()
	return pkg, nil
}

// specs returns what the file declares with const.
func specs(file *ast.File) (all []*ast.ValueSpec) {
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			s, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue // a declaration with const has no others
			}
			if !group.Lparen.IsValid() {
				s.Doc = group.Doc
			}
			all = append(all, s)
		}
	}
	return all
}

func write(b *bytes.Buffer, s *ast.ValueSpec, scope *types.Scope) error {
	for _, name := range s.Names {
		if !name.IsExported() {
			continue
		}
		if s.Doc == nil {
			return fmt.Errorf("%s has no comment", name.Name)
		}
		n, unit, err := number(scope, name.Name)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n%sexport const %s = %d;\n", comment(s.Doc.Text()+unit), upper(name.Name), n)
	}
	return nil
}

// number returns the value of a constant and what is to be said of its unit.
func number(scope *types.Scope, name string) (n int64, unit string, err error) {
	c, ok := scope.Lookup(name).(*types.Const)
	if !ok {
		return 0, "", fmt.Errorf("%s is no constant", name)
	}
	n, exact := constant.Int64Val(constant.ToInt(c.Val()))
	if !exact {
		return 0, "", fmt.Errorf("%s is not a whole number", name)
	}
	if types.TypeString(c.Type(), nil) == "time.Duration" {
		return n / int64(time.Millisecond), "In milliseconds.", nil
	}
	return n, "", nil
}

// comment sets words as a comment.
func comment(words string) string {
	var b strings.Builder
	line := "//"
	for _, word := range strings.Fields(words) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "//"
		}
		line += " " + upperIn(word)
	}
	b.WriteString(line + "\n")
	return b.String()
}

// upperIn turns the name of a constant in a sentence into that of JavaScript: a word with a
// capital inside it is one.
func upperIn(word string) string {
	if len(word) < 2 || strings.IndexFunc(word[1:], unicode.IsUpper) < 0 {
		return word
	}
	return upper(word)
}

// upper turns MaxOutbox into MAX_OUTBOX.
func upper(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
