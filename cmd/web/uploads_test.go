package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesAreBesideTheStoresFile(t *testing.T) {
	for _, c := range []struct{ uploads, store, want string }{
		{"", "file:data/lockstep.db", "data/uploads"},
		{"", "file:///var/lib/lockstep/x.db", "/var/lib/lockstep/uploads"},
		{"", "mem:", ""},
		{"", "redis://localhost", ""},
		{"/srv/files", "redis://localhost", "/srv/files"},
		{"none", "file:data/lockstep.db", ""},
	} {
		b := backendFlags{Uploads: c.uploads, Store: c.store}
		if got := b.uploadFolder(); filepath.ToSlash(got) != c.want {
			t.Errorf("%q with %s: got %q, want %q", c.uploads, c.store, got, c.want)
		}
	}
}

func TestAFolderThatCanNotBeMadeNamesItsFlag(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := backendFlags{Uploads: filepath.Join(file, "x")}
	if _, err := b.openUploads(slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "-uploads: ") {
		t.Errorf("got %v", err)
	}
	if h, err := (&backendFlags{Uploads: "none"}).openUploads(slog.New(slog.DiscardHandler)); h != nil || err != nil {
		t.Errorf("got %v, %v", h, err)
	}
}
