package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// An interceptor stands before a server and changes what it answers, as proxies,
// caches and new versions do. Its methods may be called concurrently.
type interceptor struct {
	url    string
	t      *testing.T
	target *url.URL
	pass   *httputil.ReverseProxy // of websockets

	mu      sync.Mutex // guards the rest
	down    bool
	release string
	edit    func(path string, a *reply)
}

// A reply is the answer to a GET.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func newInterceptor(t *testing.T, server *process) *interceptor {
	t.Helper()
	target, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	f := &interceptor{t: t, target: target, pass: httputil.NewSingleHostReverseProxy(target)}
	srv := httptest.NewServer(f)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	f.url = srv.URL
	return f
}

// setDown cuts everybody off.
func (f *interceptor) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// setEdit has f change every answer from now on; nil: none.
func (f *interceptor) setEdit(edit func(path string, a *reply)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit = edit
}

// setRelease replaces the application by another version of it, of which
// nothing is different but the name that its pages have as window.release. The
// old version's file is gone.
func (f *interceptor) setRelease(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release = name
}

func (f *interceptor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	down, release, edit := f.down, f.release, f.edit
	f.mu.Unlock()
	if down {
		panic(http.ErrAbortHandler)
	}
	if r.Header.Get("Upgrade") != "" {
		f.pass.ServeHTTP(w, r)
		return
	}
	a, err := f.get(r.URL.Path, release)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if edit != nil {
		edit(r.URL.Path, a)
	}
	for name, values := range a.header {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the browser may have gone
}

// starter is the file in which a release has its name.
var starter = regexp.MustCompile(`static/wasm\.[0-9a-f]+\.js`)

// get answers for a release.
func (f *interceptor) get(path, release string) (*reply, error) {
	if release == "" {
		return f.fetch(path)
	}
	page, err := f.fetch("/wasm/")
	if err != nil {
		return nil, err
	}
	name := starter.FindString(string(page.body))
	script, err := f.fetch("/" + name)
	if err != nil {
		return nil, err
	}
	script.body = append(script.body, "window.release = '"+release+"';\n"...)
	sum := sha256.Sum256(script.body)
	renamed := "static/wasm." + hex.EncodeToString(sum[:])[:10] + ".js"
	switch path {
	case "/wasm/" + renamed:
		return script, nil
	case "/wasm/" + name:
		return &reply{status: http.StatusNotFound, header: http.Header{}}, nil
	}
	a, err := f.fetch(path)
	if err == nil && !strings.Contains(path, "/static/") {
		a.body = []byte(strings.NewReplacer(name, renamed, "VERSION = '", "VERSION = '"+release).Replace(string(a.body)))
		a.header.Del("ETag")
	}
	return a, err
}

// fetch asks the server.
func (f *interceptor) fetch(path string) (*reply, error) {
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.target.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, body}, err
}
