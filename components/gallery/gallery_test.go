package gallery_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/components/gallery"
)

var template = regexp.MustCompile(`(?m)^templ ([a-z]\w*)\(\) {$`)

// An example that is in a file, and not in the data, is shown nowhere.
func TestEachExampleIsShown(t *testing.T) {
	var code strings.Builder
	n := 0
	for _, s := range gallery.Sections() {
		if s.Name == "" || !strings.HasSuffix(s.About, ".") {
			t.Errorf("%s does not say what it is", s.ID)
		}
		for _, e := range s.Examples {
			n++
			if e.Show == nil || !strings.Contains(e.Source, "components.") {
				t.Errorf("%s, %s: got the code %q", s.ID, e.Name, e.Source)
			}
			code.WriteString(e.Source)
		}
	}
	files, err := filepath.Glob("*.templ")
	if err != nil {
		t.Fatal(err)
	}
	templates := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		templates += len(template.FindAllString(string(text), -1))
	}
	if n != templates {
		t.Errorf("%d examples are shown, and there are %d", n, templates)
	}
}

func TestThePageHasAllCode(t *testing.T) {
	var b bytes.Buffer
	if err := gallery.Page(nil).Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, s := range gallery.Sections() {
		if !strings.Contains(b.String(), `<section id="`+s.ID+`"`) {
			t.Errorf("the page has no section %s", s.ID)
		}
	}
	if !strings.Contains(b.String(), "@components.Button(components.ButtonProps{Variant: components.Primary})") {
		t.Error("the page has no code of a button")
	}
}
