package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

// Keys of a test. All secrets of this file have hunter2 in them, and so has
// testserver.Password.
const (
	newKey = "hunter2-the-key-that-signs-and-is-long-enough"
	oldKey = "hunter2-the-key-that-is-still-believed-for-now"
)

// admin is the address of the admin pages, from what the process prints when all
// of it has started: a little after its page is there.
func (p *process) admin() (url string) {
	p.t.Helper()
	line := regexp.MustCompile(`admin +(?:url=)?(http://[^/]+)/debug/`)
	eventually(p.t, "the admin address", func() error {
		m := line.FindStringSubmatch(p.out.String()[p.said:])
		if m == nil {
			return fmt.Errorf("it is not in %s", p.out)
		}
		url = m[1]
		return nil
	})
	return url
}

// secretFile keeps a secret as an orchestrator does.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}

// keepsQuiet reads all that a process says to anybody.
func (p *process) keepsQuiet() {
	p.t.Helper()
	said := map[string]string{"standard output and error": p.out.String()}
	for _, path := range []string{"/", "/readyz", "/healthz", "/c/x", "/nowhere"} {
		_, said[path] = get(p.t, p.url+path)
	}
	for _, path := range []string{
		"/", "/metrics", "/healthz", "/debug/", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2",
		"/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1", "/debug/pprof/heap", "/debug/pprof/allocs?debug=1",
		"/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1", "/debug/pprof/threadcreate?debug=1", "/debug/pprof/symbol",
		"/debug/pprof/trace?seconds=0.1", "/debug/vars",
	} {
		code, body := get(p.t, p.admin()+path)
		if code == 0 {
			p.t.Errorf("%s: %s", path, body)
		}
		said["admin "+path] = body
	}
	for where, text := range said {
		if i := strings.Index(text, "hunter"); i >= 0 {
			p.t.Errorf("a secret in %s: …%.100q", where, text[i:])
		}
	}
}

// TestNoSecretIsEverShown: whatever way it came in, whatever goes wrong, at
// the most talkative level of the log.
func TestNoSecretIsEverShown(t *testing.T) {
	t.Parallel()
	keys := newKey + "\n" + oldKey
	for name, give := range map[string]func(t *testing.T, broker, store string) (env, args []string){
		"by flags": func(_ *testing.T, broker, store string) (env, args []string) {
			return nil, []string{"-secret", keys, "-pubsub", broker, "-store", store}
		},
		"by the environment": func(_ *testing.T, broker, store string) (env, args []string) {
			return []string{"SECRET=" + keys, "PUBSUB_URL=" + broker, "STORE_URL=" + store}, nil
		},
		"by files": func(t *testing.T, broker, store string) (env, args []string) {
			return []string{
				"SECRET_FILE=" + secretFile(t, keys), "REDIS_URL_FILE=" + secretFile(t, broker), "STORE_URL_FILE=" + secretFile(t, store),
			}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := testserver.NewAuthority(t)
			redis, postgres := testserver.RedisTLS(t, ca), testserver.PostgresTLS(t, ca)
			env, args := give(t, redis.URL, postgres.URL)
			args = append(args, "-addr", address(testserver.FreePort(t)), "-log-level", "debug", "-channel-prefix", prefixOf(t))
			p := &process{t: t, dir: t.TempDir(), args: args, env: env}
			p.run()
			p.keepsQuiet()
			changePasswords(t, redis, postgres)
			p.says("WRONGPASS")
			p.keepsQuiet()
			redis.Stop()
			postgres.Stop()
			p.says("connection refused")
			p.keepsQuiet()
			if code := p.term(); code != 0 {
				t.Errorf("got exit code %d", code)
			}
			if i := strings.Index(p.out.String(), "hunter"); i >= 0 {
				t.Errorf("a secret is shown: …%.100q", p.out.String()[i:])
			}
		})
	}
}

// says waits until a process has written something to its log.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, "the log to say "+text, func() error {
		_, _ = get(p.t, p.url+"/readyz") // so that the store is asked
		if !strings.Contains(p.out.String(), text) {
			return errors.New("it does not")
		}
		return nil
	})
}

// changePasswords locks out everybody with the old password.
func changePasswords(t *testing.T, redis, postgres *testserver.Server) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), "postgres://postgres@"+postgres.Addr+"/postgres?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	for _, statement := range []string{
		"ALTER ROLE app PASSWORD 'another'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	c, err := redisclient.New(redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, command := range [][]any{
		{"ACL", "SETUSER", "app", "resetpass", ">another"}, {"CLIENT", "KILL", "TYPE", "pubsub"}, {"CLIENT", "KILL", "TYPE", "normal"},
	} {
		if err := c.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAStartThatFailsShowsNoSecret, in any of the ways in which it can.
func TestAStartThatFailsShowsNoSecret(t *testing.T) {
	t.Parallel()
	ca := testserver.NewAuthority(t)
	redis, postgres := testserver.RedisTLS(t, ca), testserver.PostgresTLS(t, ca)
	other := func(url string) string { return strings.Replace(url, "hunter2", "hunter3", 1) }
	for name, url := range map[string]string{
		"wrong password of redis":           other(redis.URL),
		"wrong password of postgres":        other(postgres.URL),
		"wrong password of a cluster":       strings.Replace(other(redis.URL), "rediss:", "rediss+cluster:", 1),
		"unknown host of redis":             "redis://u:hunter2@nowhere.invalid:6379",
		"unknown host of postgres":          "postgres://u:hunter2@nowhere.invalid/d",
		"unknown hosts of a cluster":        "redis+cluster://u:hunter2@nowhere.invalid:1,127.0.0.1:1",
		"several hosts of postgres":         "postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/d",
		"nobody there, redis":               "redis://:hunter2@127.0.0.1:1/0",
		"nobody there, postgres":            "postgres://u@127.0.0.1:1/d?password=hunter2&sslpassword=hunter2",
		"a bad port of redis":               "redis://u:hunter2@127.0.0.1:99999",
		"a bad port of postgres":            "postgres://u:hunter2@127.0.0.1:99999/d",
		"no port of redis":                  "redis://u:hunter2@127.0.0.1:hunter2",
		"no port of postgres":               "postgres://u:hunter2@127.0.0.1:hunter2/d",
		"a bad escape, redis":               "redis://u:hunter2%2@127.0.0.1",
		"a bad escape, postgres":            "postgres://u:hunter2%zz@127.0.0.1/d",
		"a bad escape, cluster":             "redis+cluster://u:hunter2%@127.0.0.1:1",
		"signs that are not escaped":        "postgres://u:12/hunter2?#@127.0.0.1/d",
		"a password in the place of a user": "redis://hunter2@127.0.0.1:1",
		"no URL":                            "hunter2",
		"another protocol, redis":           strings.Replace(postgres.URL, "postgres:", "rediss:", 1),
		"another protocol, postgres":        "postgres://u:hunter2@" + redis.Addr + "/d",
		"no TLS, redis":                     "redis://u:hunter2@" + redis.Addr,
		"no TLS, postgres":                  "postgres://app:hunter2@" + postgres.Addr + "/postgres?sslmode=disable",
		"options that are none":             "redis://u:hunter2@127.0.0.1?hunter2=hunter2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest := []string{"SECRET=" + newKey, "LOG_LEVEL=debug", "ADDR=" + address(testserver.FreePort(t))}
			for way, env := range map[string][]string{
				"PUBSUB_URL": {"PUBSUB_URL=" + url}, "STORE_URL_FILE": {"STORE_URL_FILE=" + secretFile(t, url)},
			} {
				stdout, stderr, code := runToEnd(t, append(env, rest...))
				if code == 0 || strings.Contains(stdout+stderr, "hunter") || strings.Count(stderr, "web: ") != 1 {
					t.Errorf("by %s: got exit code %d and %q", way, code, stdout+stderr)
				}
			}
		})
	}
}
