package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/tools/loadgen/internal/planted"
)

// The secrets of a login, and what has to have them.
const (
	token   = "hunter2-of-the-header"
	session = "hunter2-of-the-cookie"
)

// behindLogin serves a live page to those who have logged in. Others are sent to a form. strangers
// is how many requests came without a part of the login.
func behindLogin(t *testing.T) (address string, strangers *atomic.Int64) {
	t.Helper()
	page, err := url.Parse(planted.Start(t, planted.Bugs{CutEvery: 50}).URL)
	if err != nil {
		t.Fatal(err)
	}
	strangers = new(atomic.Int64)
	proxy := httputil.NewSingleHostReverseProxy(page)
	proxy.ModifyResponse = nil
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("login")
		switch {
		case r.URL.Path == "/login":
			_, _ = io.WriteString(w, "<form>Who are you?</form>")
		case err != nil || c.Value != session || r.Header.Get("Authorization") != "Bearer "+token:
			strangers.Add(1)
			http.Redirect(w, r, "/login?from="+r.URL.Path, http.StatusFound)
		default:
			r.Header.Set("Cookie", "session=of-a-tab") // as what the page behind has set
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, strangers
}

// TestAPageBehindALogin: pages, sockets and those of other processes have the login; and no report,
// no line and no list of processes has what is in it.
func TestAPageBehindALogin(t *testing.T) {
	t.Parallel()
	address, strangers := behindLogin(t)
	dir := t.TempDir()
	secrets := filepath.Join(dir, "headers")
	if err := os.WriteFile(secrets, []byte("\nAuthorization: Bearer "+token+"\r\nX-Other: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, login := range map[string][]string{
		"flags":  {"-header", "Authorization: Bearer " + token, "-cookie=login=" + session},
		"a file": {"-header", "@" + secrets, "-header", "Cookie: other=1; login=" + session},
	} {
		for _, workers := range []string{"15000", "10"} {
			js, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
			args := append(append([]string{"-json", js, "-html", page, "-per-process", workers}, login...), address)
			code, stdout, stderr := invoke(t, short(args...)...)
			if code != exitFine || strangers.Load() > 0 {
				t.Fatalf("%s: got %d, %d strangers, %s, %s", name, code, strangers.Load(), stdout, stderr)
			}
			said := stdout + stderr
			for _, file := range []string{js, page} {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				said += string(text)
			}
			if strings.Contains(said, "hunter2") || !strings.Contains(stdout, "-header ") {
				t.Errorf("%s: a report says the login, or not that there was one: %s", name, stdout)
			}
		}
	}
}

func TestWithoutALoginItIsAskedFor(t *testing.T) {
	t.Parallel()
	address, _ := behindLogin(t)
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	defer forbidden.Close()
	for url, want := range map[string]string{
		address:       "/login: the page has no socket to connect to: no element has hx-ws:connect: if it wants a login, give -cookie or -header",
		forbidden.URL: "turned away with 401 Unauthorized: if it wants a login, give -cookie or -header",
	} {
		code, _, stderr := invoke(t, short(url)...)
		if code != exitUnreachable || !strings.Contains(stderr, want) || strings.Contains(stderr, "from=") {
			t.Errorf("got %d and %q, want 3 and %q", code, stderr, want)
		}
	}
}

func TestTheUserOfAURLIsALoginToo(t *testing.T) {
	t.Parallel()
	page, err := url.Parse(planted.Start(t, planted.Bugs{}).URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(page)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hunter2" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	js := filepath.Join(t.TempDir(), "r.json")
	code, stdout, stderr := invoke(t, short("-json", js, strings.Replace(server.URL, "://", "://me:hunter2@", 1))...)
	text, err := os.ReadFile(js)
	if code != exitFine || err != nil || strings.Contains(stdout+stderr+string(text), "hunter2") {
		t.Errorf("got %d, %v, %s, %s", code, err, stdout, stderr)
	}
}

func TestTheCommandOfAReportHasNoSecret(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-header|A: hunter2|-cookie|b=hunter2|http://x", "loadgen '-header' 'A: ***' -cookie 'b=***' http://x"},
		{"--header=A: hunter2|-cookie=b=hunter2|http://u:hunter2@x/y", "loadgen '-header=A: ***' '-cookie=b=***' http://u:xxxxx@x/y"},
		{"-header|@file|-cookie|@other|http://x", "loadgen -header @file -cookie @other http://x"},
		{"-header|hunter2|-cookie|hunter2|http://x", "loadgen -header '***' -cookie '***' http://x"},
	} {
		want := strings.Replace(c.want, "'-header'", "-header", 1)
		if got := command(strings.Split(c.args, "|"), 1, true); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := withoutLogin(strings.Split(c.args, "|")); len(got) != 1 || !strings.HasPrefix(got[0], "http://") {
			t.Errorf("a worker would be told %q", got)
		}
	}
}
