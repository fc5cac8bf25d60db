package run

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/serve"
)

func TestWhatIsWrongIsSaidInOneLine(t *testing.T) {
	site := func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
		lockstep.NewTimers(app)
		lockstep.NewTimers(app) // of which there may be one
		return serve.New(app, nil, opts), nil
	}
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("what://user:word@host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"help":                  {[]string{"-h"}, nil, 0, "-trusted-proxies"},
		"a flag that is none":   {[]string{"-what"}, nil, 2, "-what"},
		"a stray word":          {[]string{"what"}, nil, 2, "belongs to no flag"},
		"a number that is none": {[]string{"-replicas", "x"}, nil, 2, "-replicas"},
		"a proxy that is none":  {[]string{"-trusted-proxies", "proxy"}, nil, 2, "-trusted-proxies"},
		"a limit that is none":  {nil, map[string]string{"TAB_RATE": "-1"}, 2, "-tab-rate"},
		"no replica":            {[]string{"-replicas", "0"}, nil, 2, "-replicas: 0 is not between 1 and 64"},
		"too many replicas":     {[]string{"-replicas", "65"}, nil, 2, "-replicas"},
		"a drain back in time":  {[]string{"-drain", "-1s"}, nil, 2, "-drain: -1s is negative"},
		"a drain that is none":  {nil, map[string]string{"DRAIN": "5"}, 2, "DRAIN"},
		"a page that is none":   {[]string{"-ops", "ops"}, nil, 2, "-ops"},
		"a page of the server":  {[]string{"-ops", "/live/ops"}, nil, 2, "-ops"},
		"a short token":         {[]string{"-ops", "/ops"}, map[string]string{"OPS_TOKEN": "word@"}, 2, "-ops-token: shorter than 16 bytes"},
		"a token for nothing":   {nil, map[string]string{"OPS_TOKEN": "0123456789abcdef"}, 2, "-ops says where"},
		"a URL that is none":    {nil, map[string]string{"LOCKSTEP_URL": "what://user:word@host"}, 1, "unknown scheme"},
		"a broker without secret": {
			[]string{"-url", "redis://user:word@localhost"}, nil, 1, "LOCKSTEP_SECRET",
		},
		"two URLs":                     {nil, map[string]string{"LOCKSTEP_URL": "mem:", "LOCKSTEP_URL_FILE": "x"}, 2, "one must go"},
		"a URL in a file":              {nil, map[string]string{"LOCKSTEP_URL_FILE": file}, 1, "unknown scheme"},
		"an application that can't be": {[]string{"-addr", "localhost:0"}, nil, 1, `two kinds of the name "timers"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LOCKSTEP_SECRET", "")
			var said strings.Builder
			code := run(append([]string{"program"}, c.args...), func(key string) string { return c.env[key] }, &said, "localhost:0", site, new(Options))
			if code != c.code || !strings.Contains(said.String(), c.says) {
				t.Errorf("got %d and %q, want %d and %q", code, said.String(), c.code, c.says)
			}
			if c.code == 1 && strings.Count(said.String(), "\n") != 1 || strings.Contains(said.String(), "word@") {
				t.Errorf("got %q, want one line without a password", said.String())
			}
		})
	}
}

// opened returns the replicas that flags and options make, with a counter.
func opened(t *testing.T, args []string, opts *Options) (urls []string) {
	t.Helper()
	c, err := parse(append([]string{"program"}, args...), func(string) string { return "" }, io.Discard, "localhost:8000")
	if err != nil {
		t.Fatal(err)
	}
	apps, err := c.open(opts, new(follower))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		s, h := c.withOps(a, new(serve.Options), func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
			hits := lockstep.Share(app, "hits", func(int) templ.Component { return templ.Raw("a counter") })
			s := serve.New(app, nil, opts)
			return s, s.Page(func(*http.Request) templ.Component { return hits.At("lobby") })
		})
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(s.Handler(h))
		t.Cleanup(func() {
			srv.Close()
			_ = a.Stop(context.WithoutCancel(t.Context()), 0) // nothing is left to lose
			s.Close()
		})
		urls = append(urls, srv.URL)
	}
	return urls
}

// answerTo returns what a GET is answered with.
func answerTo(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestAnApplicationHasOptionsOfItsOwn(t *testing.T) {
	opts := &Options{App: lockstep.Options{
		Logger: slog.New(slog.DiscardHandler),
		See:    func(context.Context, lockstep.User, string) error { return lockstep.Refused("members only") },
	}}
	if _, body := answerTo(t, opened(t, nil, opts)[0]); !strings.Contains(body, "members only") || strings.Contains(body, "a counter") {
		t.Errorf("got %s", body)
	}
}

func TestThePageOfTheReplicasIsWhereOneWants(t *testing.T) {
	opts := &Options{App: lockstep.Options{Logger: slog.New(slog.DiscardHandler)}}
	for _, c := range []struct {
		name string
		args []string
		path string
		code int
		says string
	}{
		{"nowhere", nil, "/ops", 200, "a counter"}, // which every path shows
		{"at its path", []string{"-ops", "/fleet"}, "/fleet", 200, "replica-2"},
		{"and the application beside it", []string{"-ops", "/fleet"}, "/", 200, "a counter"},
		{"not without the token", []string{"-ops", "/fleet", "-ops-token", "0123456789abcdef"}, "/fleet", 401, "token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := opened(t, append(c.args, "-replicas", "2"), opts)[0]
			code, body := answerTo(t, url+c.path)
			if code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("got %d and %s, want %d and %q", code, body, c.code, c.says)
			}
		})
	}
}

func TestReplicasOfTwoProcessesHaveTwoNames(t *testing.T) {
	one, other := (&config{addr: "localhost:1", replicas: 1}).name(0), (&config{addr: "localhost:2", replicas: 1}).name(0)
	if one == other {
		t.Errorf("both are called %s", one)
	}
	for want, c := range map[string]config{"replica-3": {replicas: 3}, "me-3": {replica: "me", replicas: 3}} {
		if got := c.name(2); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := (&config{replica: "me", replicas: 1}).name(0); got != "me" {
		t.Errorf("got %s", got)
	}
}
