package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"

	"lockstep/internal/testserver"
)

// nextVersion returns the path of the program as its next version might be: with other files for
// browsers, and so with other names for them.
var nextVersion = sync.OnceValues(func() (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, more := range map[string]string{"app.*.js": ";window.version='next'", "app.*.css": "p{}", "wasm.*.js": ";", "replica.*.js": ";"} {
		if err := rename(dir, name, more, replace); err != nil {
			return "", err
		}
	}
	return buildWeb("web-next", replace)
})

// rename has a build embed a file of static/dist with something added, under the name that its new
// content gives it.
func rename(dir, pattern, more string, replace map[string]string) error {
	dist, err := filepath.Abs("../static/dist")
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dist, pattern+".br"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%s: got %q, %w, want one file", pattern, found, err)
	}
	packed, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	body, err := io.ReadAll(brotli.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return err
	}
	body = append(body, more...)
	sum := sha256.Sum256(body)
	name := strings.Replace(pattern, "*", hex.EncodeToString(sum[:])[:10], 1) + ".br"
	var b bytes.Buffer
	w := brotli.NewWriterLevel(&b, 5)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return err
	}
	replace[found[0]], replace[filepath.Join(dist, name)] = "", file // nothing, and this
	return nil
}

// versions starts a replica of this version and one of the next, over one broker.
func versions(t *testing.T) (both [2]*process) {
	t.Helper()
	next, err := nextVersion()
	if err != nil {
		t.Fatal(err)
	}
	broker := testserver.Redis(t).URL
	for i, path := range []string{"", next} {
		both[i] = replicaOf(t, broker, path, i)
	}
	return both
}

func replicaOf(t *testing.T, broker, path string, i int) *process {
	t.Helper()
	p := &process{t: t, dir: t.TempDir(), path: path, args: []string{
		"-addr", address(testserver.FreePort(t)), "-replica", "replica-" + strconv.Itoa(i+1), "-secret", testSecret,
		"-channel-prefix", prefixOf(t), "-pubsub", broker, "-trusted-proxies", "loopback", "-drain", "1s",
	}}
	p.run()
	return p
}

// TestAPageWorksWithTheFilesOfAnotherVersion: a balancer that sends no file to the replica that has
// rendered the page. All files come, the page is in step, and so is the application in the browser.
func TestAPageWorksWithTheFilesOfAnotherVersion(t *testing.T) {
	t.Parallel()
	both := versions(t)
	chromium := newBrowser(t)
	for name, c := range map[string]struct {
		pages, files *process
		script       string
	}{
		"an older page with newer files": {both[0], both[1], "next"},
		"a newer page with older files":  {both[1], both[0], "undefined"},
		"a page with files of its own":   {both[1], both[1], "next"},
	} {
		t.Run(name, func(t *testing.T) {
			front := newCrossing(t, c.pages.url, c.files.url)
			for _, path := range []string{"/", "/wasm/"} {
				if n := fetchAll(t, front, path); n < 3 {
					t.Errorf("%s names %d files: too few to say anything", path, n)
				}
			}
			tab := visit(t, chromium, front)
			if got := tab.evaluate(`String(window.version)`); got != c.script {
				t.Errorf("got the script of version %s, want %s", got, c.script)
			}
			before, err := tab.state()
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.Atoi(before.Count)
			if err != nil {
				t.Fatal(err)
			}
			tab.click("increment")
			tab.showsCount(n + 1)
			tab.navigate(front + "/wasm/?name=crossed")
			tab.isLive()
		})
	}
}

// TestFirstVisitsDuringARollingDeployAreInStep behind the nginx.conf that is deployed.
func TestFirstVisitsDuringARollingDeployAreInStep(t *testing.T) {
	t.Parallel()
	next, err := nextVersion()
	if err != nil {
		t.Fatal(err)
	}
	broker := testserver.Redis(t).URL
	var ps []*process
	var addrs []string
	for i := range 2 {
		p := replicaOf(t, broker, "", i)
		ps, addrs = append(ps, p), append(addrs, p.addr())
	}
	base := testserver.Nginx(t, addrs...).URL
	chromium := newBrowser(t)
	seen := map[string]int{}
	for i := range 20 {
		if i == 4 || i == 16 {
			p := ps[i/10]
			p.term()
			p.path = next
			p.restart()
		}
		tab := visit(t, chromium, base)
		seen[tab.evaluate(`String(window.version)`)]++
		fetchAll(t, base, "/")
		tab.close()
	}
	if len(seen) < 2 {
		t.Errorf("all visits were to one version: %v", seen)
	}
}

var assetPattern = regexp.MustCompile(`"([^"\s]*static/[^"]+)"`) // in an attribute, or in JSON in one

// fetchAll gets every file that a page names, and returns how many there are.
func fetchAll(t *testing.T, base, path string) int {
	t.Helper()
	_, page := getWithin(t, patience, base+path)
	at, err := url.Parse(base + path)
	if err != nil {
		t.Fatal(err)
	}
	found := assetPattern.FindAllStringSubmatch(html.UnescapeString(page), -1)
	for _, m := range found {
		file, err := at.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if code, body := getWithin(t, patience, file.String()); code != http.StatusOK || body == "" {
			t.Errorf("got %d and %d bytes for %s", code, len(body), file)
		}
	}
	return len(found)
}

// newCrossing starts a server that gets the files from another server than all else.
func newCrossing(t *testing.T, pages, files string) string {
	t.Helper()
	to := func(raw string) http.Handler {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return httputil.NewSingleHostReverseProxy(u)
	}
	mux := http.NewServeMux()
	mux.Handle("/", to(pages))
	mux.Handle("/static/", to(files))
	mux.Handle("/wasm/static/", to(files))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}
