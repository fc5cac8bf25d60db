package dev

import (
	"slices"
	"testing"
	"testing/fstest"
	"time"
)

func TestOnlySourcesAreLookedAt(t *testing.T) {
	files := fstest.MapFS{}
	for _, name := range []string{
		"go.mod", "app/app.go", "app/pages/page.templ", "static/app.css", "static/wasm/sw.js", // sources
		"app/app_test.go", "app/pages/page_templ.go", "static/dist/app.0.js", "static/constants.js", "static/tab/outbox.test.js", "README.md", ".git/x.go", "bin/x.go", "live/testdata/x.go",
		"tools/node_modules/x.js", "vendor/x/x.go", "guestbook.db", "data/x.css",
	} {
		files[name] = &fstest.MapFile{}
	}
	ignored := []string{"root/static/dist", "root/static/constants.js"}
	want := []string{"root/app/app.go", "root/app/pages/page.templ", "root/go.mod", "root/static/app.css", "root/static/wasm/sw.js"}
	if got := (tree{}).changes(scan(files, "root", ignored)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChangesAreWhatDiffers(t *testing.T) {
	now := time.Now()
	old := tree{"same": {1, now}, "grown": {1, now}, "touched": {1, now}, "deleted": {1, now}}
	next := tree{"same": {1, now}, "grown": {2, now}, "touched": {1, now.Add(1)}, "new": {}}
	want := []string{"deleted", "grown", "new", "touched"}
	if got := old.changes(next); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
