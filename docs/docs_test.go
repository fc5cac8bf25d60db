package docs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"lockstep/docs"
)

func TestCopiesAreFresh(t *testing.T) {
	for _, document := range docs.Outside() {
		want, err := os.ReadFile(filepath.Join("..", document))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := docs.Read(document); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the book has an old copy of %s (%v): run go generate in docs", document, err)
		}
	}
}

func TestEachPathCanBeRead(t *testing.T) {
	paths := docs.Paths()
	if len(paths) < 60 {
		t.Errorf("got %d paths", len(paths))
	}
	for _, name := range paths {
		if b, err := docs.Read(name); err != nil || len(b) == 0 {
			t.Errorf("%s: got %d bytes, %v", name, len(b), err)
		}
	}
}
