package serve

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/internal/keys"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/memstate"
)

// Hits is a state of a small application.
type Hits struct{ N int }

// hitsApp returns an application that counts, and its page.
func hitsApp(d driver.Driver, s state.Store, name string) (*lockstep.App, *lockstep.Shared[Hits]) {
	a := lockstep.New(d, s, &lockstep.Options{Logger: slog.New(slog.DiscardHandler), Replica: name})
	hits := lockstep.Share(a, "hits", func(h Hits) templ.Component { return templ.Raw(fmt.Sprintf("<output>%d</output>", h.N)) })
	lockstep.On(hits, "hit", func(h Hits, _ struct{}, _ lockstep.Call) (Hits, error) {
		h.N++
		return h, nil
	})
	return a, hits
}

// hitsServer is hitsApp on HTTP.
func hitsServer(d driver.Driver, s state.Store, name string, o *Options) (*Server, http.Handler) {
	a, hits := hitsApp(d, s, name)
	o.Logger = slog.New(slog.DiscardHandler)
	server := New(a, nil, o)
	mux := http.NewServeMux()
	mux.Handle("/{$}", server.Page(func(*http.Request) templ.Component {
		return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
			room := hits.At("lobby")
			return errors.Join(room.Render(ctx, w), room.Form("hit").Render(templ.WithChildren(ctx, templ.Raw("<button>+1</button>")), w))
		})
	}))
	return server, mux
}

func aServer() (*Server, http.Handler) {
	return hitsServer(mempubsub.NewBus(), memstate.New(nil), "one", &Options{})
}

// urls is a log handler that delivers where a process serves, its replicas first.
type urls struct {
	slog.Handler
	to chan string
}

func newURLs() urls { return urls{slog.DiscardHandler, make(chan string, 2*MaxReplicas)} }

func (urls) Enabled(context.Context, slog.Level) bool { return true }

func (u urls) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "url" && (r.Message == "serving" || r.Message == "replica" || r.Message == "admin") {
			u.to <- a.Value.String()
		}
		return true
	})
	return nil
}

// get returns the status and the body of a page.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// browser keeps cookies.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestServeServesUntilItsContextEndsAndStopsTheApplication(t *testing.T) {
	s, h := aServer()
	stopped := false
	s.app.OnStop(func(context.Context) error { stopped = true; return nil })
	l, where := loopback(t), newURLs()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l, h, ListenOptions{Logger: slog.New(where), Admin: "127.0.0.1:0"}) }()
	admin, public, c := <-where.to, <-where.to, browser(t)
	for path, want := range map[string]string{"/": "<output>0</output>", "/healthz": "ok", "/readyz": "ready", "/readyz/draining": "ready", "/live/healthz": "ok"} {
		if status, body := get(t, c, public+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d and %q, want %q", path, status, body, want)
		}
	}
	if status, body := get(t, c, strings.TrimSuffix(admin, "/debug/")+"/metrics"); status != 200 || !strings.Contains(body, `lockstep_sessions{replica="one"} 0`) {
		t.Errorf("got %d and %.300q of the admin address", status, body)
	}
	if status, _ := get(t, c, public+"/metrics"); status != 404 {
		t.Errorf("got %d for metrics on the public address", status)
	}
	cancel()
	if err := <-ended; err != nil || !stopped {
		t.Errorf("got %v, stopped %t", err, stopped)
	}
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("it is still listened on")
	}
}

func TestAnApplicationThatRunsIsNotStartedAgain(t *testing.T) {
	s, h := aServer()
	if err := s.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Serve(ctx, loopback(t), h, ListenOptions{Drain: -1}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestListenAndServeEndsWithASignal(t *testing.T) {
	s, h := aServer()
	where := newURLs()
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe("127.0.0.1:0", h, ListenOptions{Logger: slog.New(where)}) }()
	<-where.to
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("got %v", err)
	}
}

// hanging has this program be a server with a request that does not end.
const hanging = "LOCKSTEP_TEST_HANGING"

func TestAnotherSignalEndsTheProcessAtOnce(t *testing.T) {
	if os.Getenv(hanging) != "" {
		s, _ := aServer()
		s.log = slog.New(slog.NewTextHandler(os.Stdout, nil))
		err := s.ListenAndServe("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		t.Fatal("it has ended by itself", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAnotherSignalEndsTheProcessAtOnce$")
	cmd.Env = append(os.Environ(), hanging+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	public := strings.TrimPrefix(waitFor(t, lines, regexp.MustCompile(`msg=serving url=(\S+)`)), "url=")
	resp, err := browser(t).Get(public + "/hang")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	began := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	waitFor(t, lines, regexp.MustCompile(`(shutting down)`))
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("got %v, want an end by the signal", err)
	}
	if took := time.Since(began); took > requestsTimeout {
		t.Errorf("it took %s", took)
	}
}

// waitFor returns what a pattern finds in a line to come.
func waitFor(t *testing.T, lines *bufio.Scanner, pattern *regexp.Regexp) string {
	t.Helper()
	for lines.Scan() {
		if found := pattern.FindStringSubmatch(lines.Text()); found != nil {
			return found[1]
		}
	}
	t.Fatalf("there was no %s: %v", pattern, lines.Err())
	return ""
}

func TestAWrongSetupIsOneSentence(t *testing.T) {
	taken := loopback(t).Addr().String()
	app := func() *lockstep.App {
		a, _ := hitsApp(mempubsub.NewBus(), memstate.New(nil), "")
		return a
	}
	for name, c := range map[string]struct {
		app    *lockstep.App
		o      Options
		addr   string
		listen ListenOptions
		secret string
		says   string
	}{
		"no application":                {nil, Options{}, "127.0.0.1:0", ListenOptions{}, "", "serve: New was given no application"},
		"no broker":                     {lockstep.New(nil, memstate.New(nil), nil), Options{}, "127.0.0.1:0", ListenOptions{}, "", "no driver of a broker"},
		"a mount that is no path":       {app(), Options{Mount: "live"}, "127.0.0.1:0", ListenOptions{}, "", `serve: "live" is no path to mount`},
		"a mount with a slash behind":   {app(), Options{Mount: "/live/"}, "127.0.0.1:0", ListenOptions{}, "", `serve: "/live/" is no path`},
		"a base path upwards":           {app(), Options{BasePath: "/x/.."}, "127.0.0.1:0", ListenOptions{}, "", "is not a base path"},
		"a short secret":                {app(), Options{}, "127.0.0.1:0", ListenOptions{}, "hunter2", "serve: LOCKSTEP_SECRET: key 1 has 7 bytes"},
		"a port in use":                 {app(), Options{}, taken, ListenOptions{}, "", "serve: " + taken + " is in use by another program; try 127.0.0.1:"},
		"no address":                    {app(), Options{}, "8000", ListenOptions{}, "", "missing port"},
		"a certificate without its key": {app(), Options{}, "127.0.0.1:0", ListenOptions{Cert: "x.pem"}, "", "one without the other"},
		"a certificate that is away":    {app(), Options{}, "127.0.0.1:0", ListenOptions{Cert: "/nowhere", Key: "/nowhere"}, "", "serve: certificate: "},
		"an admin address in use":       {app(), Options{}, "127.0.0.1:0", ListenOptions{Admin: taken}, "", taken + " is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(keys.Variable, c.secret)
			closed := c.app == nil
			if c.app != nil {
				c.app.OnStop(func(context.Context) error { closed = true; return nil })
			}
			c.o.Logger = slog.New(slog.DiscardHandler)
			err := New(c.app, nil, &c.o).ListenAndServe(c.addr, nil, c.listen)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want one line with %q", err, c.says)
			}
			if !closed {
				t.Error("what was opened for the application is still open")
			}
		})
	}
}

// Who mounts the handlers elsewhere never calls ListenAndServe.
func TestAWrongSetupIsLoggedWhereRequestsCome(t *testing.T) {
	var log bytes.Buffer
	s := New(nil, nil, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	for name, h := range map[string]http.Handler{
		"the server": s, "a page": s.Page(func(*http.Request) templ.Component { return nil }), "what is around": s.Around(http.NotFoundHandler()),
	} {
		log.Reset()
		w := &deadlineNotes{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if w.Code != 500 || !strings.Contains(log.String(), "New was given no application") {
			t.Errorf("%s: got %d and %q", name, w.Code, &log)
		}
	}
	if s.Err() == nil || s.Ready(t.Context()) == nil {
		t.Error("it says that all is well")
	}
}

func TestKeysComeFromTheEnvironmentOrAreKeptBesideTheFile(t *testing.T) {
	const secret = "0123456789012345678901234567890123456789"
	path := filepath.Join(t.TempDir(), "x.db")
	file, err := boltstate.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	keysBy := func(s state.Store, env string) string {
		a, _ := hitsApp(mempubsub.NewBus(), s, "")
		all, err := new(Options).keysOf(a, func(name string) string { return map[string]string{keys.Variable: env}[name] })
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.Join(all, nil))
	}
	if got := keysBy(file, secret); got != secret {
		t.Errorf("got %q, want that of the environment", got)
	}
	if one, other := keysBy(file, ""), keysBy(file, ""); one != other || len(one) < keys.Min {
		t.Errorf("got %q and %q of the same file", one, other)
	}
	if one, other := keysBy(memstate.New(nil), ""), keysBy(memstate.New(nil), ""); one == other {
		t.Errorf("got %q twice in memory", one)
	}
	// Replicas of one process are given the same, which is for those that keep none.
	fresh := keys.Fresh()
	for name, s := range map[string]state.Store{"file": file, "memory": memstate.New(nil)} {
		a, _ := hitsApp(mempubsub.NewBus(), s, "")
		all, err := (&Options{fresh: fresh}).keysOf(a, func(string) string { return "" })
		if err != nil || bytes.Equal(all[0], fresh) != (name == "memory") {
			t.Errorf("%s: got the key of the process: %v, %v", name, bytes.Equal(all[0], fresh), err)
		}
	}
}

func TestAServerHasTLSAndNoMoreConnectionsThanItMay(t *testing.T) {
	ca := testserver.NewAuthority(t)
	cert, key := ca.Issue(time.Now().Add(time.Hour), "localhost")
	s, h := aServer()
	where := newURLs()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, loopback(t), h, ListenOptions{Logger: slog.New(where), Cert: cert, Key: key, MaxConns: 2})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	public := <-where.to
	if !strings.HasPrefix(public, "https://localhost:") {
		t.Fatalf("got %s", public)
	}
	c := browser(t)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool(t, ca)}
	if status, _ := get(t, c, public); status != 200 {
		t.Errorf("got %d", status)
	}
	addr := "127.0.0.1" + public[strings.LastIndexByte(public, ':'):]
	call(t, "127.0.0.1", addr)
	if b, err := call(t, "127.0.0.1", addr).r.ReadByte(); err == nil {
		t.Errorf("got %q of the third connection, want that it is closed", b)
	}
}

func TestReplicasOfOneProcessAreOneServer(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bus, store, where := mempubsub.NewBus(), memstate.New(nil), newURLs()
			var replicas []string
			ended := make(chan error, 1)
			go func() {
				ended <- Replicas("127.0.0.1:0", n, func(name string, o *Options) (*Server, http.Handler) {
					return hitsServer(bus, store, name, o)
				}, ListenOptions{Logger: slog.New(where)})
			}()
			public := <-where.to
			for n > 1 && len(replicas) < n { // they come first
				replicas, public = append(replicas, public), <-where.to
			}
			c := browser(t)
			for i := range 2 * n { // by way of each replica
				submit(t, c, public, i)
			}
			var seen []string
			for range 2 * n {
				_, body := get(t, c, public)
				seen = append(seen, regexp.MustCompile(`replica-\d`).FindString(body))
				if !strings.Contains(body, fmt.Sprintf("<output>%d</output>", 2*n)) {
					t.Errorf("got %q, want %d hits", body, 2*n)
				}
			}
			slices.Sort(seen)
			if got := len(slices.Compact(seen)); got != n {
				t.Errorf("%d replicas have answered, want %d", got, n)
			}
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// submit sends the form of a page, without JavaScript.
func submit(t *testing.T, c *http.Client, public string, i int) {
	t.Helper()
	_, body := get(t, c, public)
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(body)
	if action == nil {
		t.Fatalf("there is no form in %s", body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+html.UnescapeString(action[1]), strings.NewReader(url.Values{}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", public)
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 { // after it was led back
		t.Fatalf("form %d: got %d: %s", i, resp.StatusCode, text)
	}
}

func TestReplicasThatCanNotBeSaySo(t *testing.T) {
	made := func(string, *Options) (*Server, http.Handler) { return nil, nil }
	for n, want := range map[int]string{0: "no number of replicas", 65: "no number of replicas", 2: "returns no server"} {
		if err := Replicas("127.0.0.1:0", n, made); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %q", n, err, want)
		}
	}
}
