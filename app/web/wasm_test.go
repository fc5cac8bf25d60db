package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/app/web"
	"lockstep/static"
)

// linked are the addresses that a page and its service worker name.
func linked(page, worker string) (all []string) {
	for _, m := range regexp.MustCompile(`(?:href|src|data-(?:worker|program|script|offline))="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	list, _, _ := strings.Cut(worker, "\n")
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		all = append(all, m[1])
	}
	return all
}

// wantFiles checks that every address that the page at base names is there.
func wantFiles(t *testing.T, base string) {
	t.Helper()
	at, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	resp, page := do(t, browser(t), "GET", base, nil, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %d", base, resp.StatusCode)
	}
	_, worker := do(t, browser(t), "GET", at.ResolveReference(&url.URL{Path: "sw.js"}).String(), nil, nil)
	files := linked(page, worker)
	if len(files) < 14 {
		t.Errorf("got only the addresses %q", files)
	}
	for _, file := range files {
		if strings.HasPrefix(file, "/") || strings.Contains(file, ":") {
			t.Errorf("%s is not relative", file)
		}
		to := at.ResolveReference(&url.URL{Path: file})
		if resp, _ := do(t, browser(t), "GET", to.String(), nil, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", to, resp.StatusCode)
		}
	}
}

func TestTheApplicationForBrowsersIsServedWhole(t *testing.T) {
	url, _ := serve(t)
	wantFiles(t, url+"/wasm/")
	if resp, _ := do(t, browser(t), "GET", url+"/wasm", nil, nil); resp.Header.Get("Location") != "/wasm/" {
		t.Errorf("got %d to %q, want a redirect to the folder", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, path := range []string{"/wasm/", "/wasm/sw.js"} {
		if resp, _ := do(t, browser(t), "GET", url+path, nil, nil); resp.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got Cache-Control %q, want no-cache: a new version would not be found", path, resp.Header.Get("Cache-Control"))
		}
	}
}

// WebAssembly is allowed where it is the point, and to no page of the server.
func TestFewMayRunWebAssembly(t *testing.T) {
	url, _ := serve(t)
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/": false, "/c/other": false, "/wasm/": true, "/wasm/sw.js": false, assets.URL("app.js"): false, assets.URL("wasm.js"): false, assets.URL("worker.js"): true,
	} {
		resp, _ := do(t, browser(t), "GET", url+path, nil, nil)
		policy := resp.Header.Get("Content-Security-Policy")
		if got := strings.Contains(policy, "'wasm-unsafe-eval'"); got != want || !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("%s: got the policy %q", path, policy)
		}
	}
}

func TestTheExportIsWholeInAnyFolder(t *testing.T) {
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "some", "where")
	if err := web.Export(assets, dir); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(root)))
	defer srv.Close()
	wantFiles(t, srv.URL+"/some/where/")
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`http-equiv="Content-Security-Policy"`, "default-src &#39;none&#39;", `data-twin=""`} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(string(page), "frame-ancestors") {
		t.Error("the page has a directive that browsers refuse there")
	}
	for _, name := range []string{"lockstep.wasm", "app.js"} {
		for _, suffix := range []string{"", ".br", ".gz"} {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(assets.URL(name))+suffix)); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAnExportOverwritesNothing(t *testing.T) {
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mine := filepath.Join(dir, "index.html")
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{dir, mine, filepath.Join(mine, "below")} {
		if err := web.Export(assets, to); err == nil || !strings.Contains(err.Error(), to) {
			t.Errorf("%s: got %v, want an error that names it", to, err)
		}
	}
	if body, err := os.ReadFile(mine); err != nil || string(body) != "mine" {
		t.Errorf("got %q, %v: the file was touched", body, err)
	}
}

// Browsers look for a new version when the script differs, and the names of
// files don't tell of the page and its headers.
func TestTheServiceWorkerDiffersWhenItsPageDoes(t *testing.T) {
	url, _ := serve(t)
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := web.Export(assets, dir); err != nil {
		t.Fatal(err)
	}
	exported, err := os.ReadFile(filepath.Join(dir, "sw.js"))
	if err != nil {
		t.Fatal(err)
	}
	_, served := do(t, browser(t), "GET", url+"/wasm/sw.js", nil, nil)
	version := regexp.MustCompile(`VERSION = '[0-9a-f]{16}'`)
	one, other := version.FindString(served), version.Find(exported)
	if one == "" || one == string(other) {
		t.Errorf("got %q and %q for two pages with the same files", one, other)
	}
	if _, again := do(t, browser(t), "GET", url+"/wasm/sw.js", nil, nil); again != served {
		t.Error("the same page has two service workers")
	}
}
