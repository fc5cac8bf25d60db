package components_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"lockstep/components/gallery"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func render(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestComponentsLookLikeTheirGoldenFiles(t *testing.T) {
	for _, s := range gallery.Sections() {
		t.Run(s.ID, func(t *testing.T) {
			var b strings.Builder
			for _, e := range s.Examples {
				b.WriteString("<!-- " + e.Name + " -->\n")
				// One tag a line, so that a change can be read in review.
				b.WriteString(strings.ReplaceAll(render(t, e.Show), "><", ">\n<") + "\n")
			}
			got, file := b.String(), filepath.Join("testdata", s.ID+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v (go test ./components -update writes it)", err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

func TestEachComponentIsInTheGallery(t *testing.T) {
	shown := make(map[string]bool)
	for _, s := range gallery.Sections() {
		shown[s.ID] = true
	}
	files, err := filepath.Glob("*.templ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		id := strings.TrimSuffix(file, ".templ")
		if !shown[id] && id != "chart" { // the others are made of that
			t.Errorf("%s has no section in package gallery", file)
		}
	}
}

func TestNothingIsLeftOfGoldenFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.html")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(files), len(gallery.Sections()); got != want {
		t.Errorf("got %d golden files, want %d: one for each section", got, want)
	}
}
