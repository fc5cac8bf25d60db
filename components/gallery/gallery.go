// Package gallery has every component of the kit in all its states, with the code beside it, as
// data and as a page. The code is that of the examples themselves: it is read out of their files,
// which are embedded. It knows no server; what is live in a page is for others to add.
package gallery

import (
	"embed"
	"fmt"
	"strings"

	"github.com/a-h/templ"
)

// A Section is a component and its examples.
type Section struct {
	ID       string // of its place in the page, and the name of its files
	Name     string
	About    string
	Examples []Example
}

// An Example is a component in some of its states.
type Example struct {
	Name   string
	Source string          // its templ code
	Show   templ.Component // what it renders
	// Whole is set of what a page has only one of: the page of the gallery shows its code alone.
	Whole bool
}

//go:embed *.templ
var files embed.FS

// Sections returns all of the gallery. It may be called concurrently.
func Sections() []Section {
	all := sections()
	for i := range all {
		text := file(all[i].ID)
		for j := range all[i].Examples {
			e := &all[i].Examples[j]
			e.Source = source(text, e.Source)
		}
	}
	return all
}

func file(id string) string {
	b, err := files.ReadFile(id + ".templ")
	if err != nil {
		panic(fmt.Sprintf("gallery: a section has no file: %v", err)) // TestEachExampleIsShown finds it first
	}
	return string(b)
}

// source returns the body of a template in a file, one level further out.
func source(text, name string) string {
	_, rest, ok := strings.Cut(text, "\ntempl "+name+"() {\n")
	body, _, closed := strings.Cut(rest, "\n}\n")
	if !ok || !closed {
		panic("gallery: there is no example " + name) // likewise
	}
	var b strings.Builder
	for line := range strings.Lines(body) {
		b.WriteString(strings.TrimPrefix(line, "\t"))
	}
	return b.String()
}
