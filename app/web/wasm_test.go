package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
	"lockstep/static"
)

// setProgram gives assets what has the shape of a program, in brotli.
func setProgram(t testing.TB, assets *static.Assets) {
	t.Helper()
	err := assets.SetProgram(map[string][]byte{
		"lockstep.cd5d4935a4.wasm.br": []byte("\x8f\x01\x80\x00asm\x03"),
		"worker.51eb5af1eb.js.br":     []byte("\x0f\x05\x80class Go {}\x03"),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func assetsWithProgram(t testing.TB) *static.Assets {
	t.Helper()
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	setProgram(t, assets)
	return assets
}

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
	url, _ := serving(t)
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
	url, _ := serving(t)
	assets := assetsWithProgram(t)
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
	assets := assetsWithProgram(t)
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
	for _, want := range []string{`http-equiv="Content-Security-Policy"`, "default-src &#39;none&#39;", `data-server=""`} {
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
	assets := assetsWithProgram(t)
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
	url, _ := serving(t)
	assets := assetsWithProgram(t)
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

// TestAServerWithoutTheProgramSaysSoUntilItIsThere: on the page, with and without
// JavaScript, and to the scripts that wait for it. No service worker takes such a
// page for a version of the application.
func TestAServerWithoutTheProgramSaysSoUntilItIsThere(t *testing.T) {
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	url := serveAssets(t, assets)
	get := func(path string) (*http.Response, string) {
		t.Helper()
		return do(t, browser(t), "GET", url+path, nil, nil)
	}
	want := func(when, path string, status int, texts ...string) {
		t.Helper()
		resp, body := get(path)
		if resp.StatusCode != status || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "no-") {
			t.Errorf("%s: %s: got %d, Cache-Control %q", when, path, resp.StatusCode, resp.Header.Get("Cache-Control"))
		}
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%s: %s has no %q:\n%s", when, path, text, body)
			}
		}
	}
	const waits = `data-worker="" data-program="" data-progress="/wasm/progress"`
	want("no program", "/wasm/", http.StatusServiceUnavailable, "built without the application", "make dist")
	want("no program", "/wasm/sw.js", http.StatusServiceUnavailable)
	want("no program", "/wasm/progress", http.StatusOK, `"stage":"missing"`, "make dist")
	want("no program", "/", http.StatusOK, waits)

	assets.SetProgress(static.Progress{Stage: static.Compiling, Done: 1, Total: 3, Text: "1 of 3."})
	want("compiling", "/wasm/", http.StatusOK, `data-progress="progress"`, "1 of 3.")
	want("compiling", "/wasm/sw.js", http.StatusServiceUnavailable, "1 of 3.")
	want("compiling", "/wasm/progress", http.StatusOK, `{"stage":"compiling","share":0.25,"text":"1 of 3."}`)
	want("compiling", "/", http.StatusOK, waits)

	setProgram(t, assets)
	program := `"program":"` + assets.URL("lockstep.wasm") + `"`
	want("ready", "/wasm/progress", http.StatusOK, `"stage":"ready"`, `"worker":"`+assets.URL("worker.js")+`"`, program)
	want("ready", "/wasm/", http.StatusOK, `data-progress=""`)
	want("ready", "/", http.StatusOK, `data-program="`+assets.URL("lockstep.wasm")+`" data-progress=""`)
	wantFiles(t, url+"/wasm/")
}

// serveAssets starts a server with these assets.
func serveAssets(t *testing.T, assets *static.Assets) (url string) {
	t.Helper()
	a := app.New(mempubsub.NewBus(), memstate.New(nil), nil)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := web.New(a, assets, nil)
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.Close()
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return srv.URL
}
