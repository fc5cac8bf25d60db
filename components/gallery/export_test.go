package gallery_test

import (
	"regexp"
	"strings"
	"testing"

	"lockstep/components"
	"lockstep/components/gallery"
)

var address = regexp.MustCompile(`\s(?:href|src|action|formaction)="([^"]*)"`)

// Below which address the files will be nobody knows: what the page loads is beside it.
func TestTheExportNeedsNothingElse(t *testing.T) {
	files, err := gallery.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := string(files["index.html"])
	loaded := 0
	for _, m := range address.FindAllStringSubmatch(page, -1) {
		switch to := m[1]; {
		case strings.HasPrefix(to, "#"), strings.HasPrefix(to, "data:"):
		case to == "lockstep.css", to == "lockstep.js":
			loaded++
		default:
			t.Errorf("the page leads to %s", to)
		}
	}
	if loaded != 2 || string(files["lockstep.css"]) != components.StyleSheet() || string(files["lockstep.js"]) != components.Script() {
		t.Errorf("the page loads %d files beside it, want 2", loaded)
	}
	for _, s := range gallery.Sections() {
		if !strings.Contains(page, `<section id="`+s.ID+`"`) {
			t.Errorf("the page has no section %s", s.ID)
		}
	}
}
