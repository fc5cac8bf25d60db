package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnExportNeedsNoServerOfOurs: the folder works below any address of a plain
// server of files, and without it once it has been loaded.
func TestAnExportNeedsNoServerOfOurs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "some where", "deep")
	stdout, stderr, code := runToEnd(t, nil, "-export", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, dir) {
		t.Fatalf("got exit code %d, %q, %q", code, stdout, stderr)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(root)))
	defer srv.Close()
	url := srv.URL + "/some%20where/deep/"
	browser := newBrowser(t)
	one := visit(t, browser, url)
	one.isKept()
	two := visit(t, browser, url+"index.html?name=lobby")
	other := visit(t, browser, url+"?name=kitchen")
	srv.Close()
	one.click("increment")
	two.click("increment")
	other.click("decrement")
	late := visit(t, browser, url)
	for _, p := range []*page{one, two, late} {
		p.showsCount(2)
	}
	other.showsCount(-1)
}
