package run

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
			code := run(append([]string{"program"}, c.args...), func(key string) string { return c.env[key] }, &said, "localhost:0", site)
			if code != c.code || !strings.Contains(said.String(), c.says) {
				t.Errorf("got %d and %q, want %d and %q", code, said.String(), c.code, c.says)
			}
			if c.code == 1 && strings.Count(said.String(), "\n") != 1 || strings.Contains(said.String(), "word@") {
				t.Errorf("got %q, want one line without a password", said.String())
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
