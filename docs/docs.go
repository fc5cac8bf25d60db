// Package docs is the book as files: the documents of this folder, their pictures, and documents of
// other folders that belong to it. Package site makes pages of them.
package docs

//go:generate ../bin/templ generate -include-version=false
//go:generate go run ./copy

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

// Index is the document that has the order of the book.
const Index = "docs/README.md"

//go:embed *.md adr/*.md images outside
var files embed.FS

// outside is the folder of copies, and what their names end in: a program can't embed what is above
// its folder.
const (
	outside = "outside"
	copied  = ".txt"
)

// Outside returns the paths of the documents of other folders, of which the book has copies.
func Outside() []string {
	return []string{
		"AGENTS.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "SKILL.md",
		"components/README.md",
	}
}

// Copy returns the path of the copy of a document of another folder.
func Copy(document string) string { return path.Join("docs", outside, document) + copied }

// Paths returns the paths of all documents and pictures, as they are called in the repository.
func Paths() []string {
	all := Outside()
	_ = fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error { // it can be read: it is embedded
		if err == nil && !e.IsDir() && !strings.HasPrefix(name, outside+"/") {
			all = append(all, path.Join("docs", name))
		}
		return err
	})
	return all
}

// Read returns a document or a picture by its path in the repository. The error is fs.ErrNotExist.
func Read(name string) ([]byte, error) {
	if inside, ok := strings.CutPrefix(name, "docs/"); ok {
		return files.ReadFile(inside)
	}
	return files.ReadFile(path.Join(outside, name) + copied)
}
