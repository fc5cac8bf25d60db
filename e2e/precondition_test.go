package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// TestAPreconditionThatIsNotMetIsSaid in the log, once for each server, in the
// metrics and on the admin page; and the replica works.
func TestAPreconditionThatIsNotMetIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, unmet string
		server      func(t *testing.T) *testserver.Server
	}{
		{"Redis", "redis_eviction", func(t *testing.T) *testserver.Server {
			return testserver.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
		}},
		{"Postgres", "postgres_fsync", func(t *testing.T) *testserver.Server { return testserver.Postgres(t, "fsync=off") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := c.server(t)
			server.Own()
			p := start(t, t.TempDir(), "-pubsub", server.URL, "-secret", testSecret, "-channel-prefix", prefixOf(t), "-addr", address(testserver.FreePort(t)))
			p.says("Open it in several tabs")
			metric := fmt.Sprintf("lockstep_precondition_unmet{name=%q,part=\"store\"} 1\n", c.unmet)
			if _, metrics := get(t, p.admin()+"/metrics"); strings.Count(metrics, "lockstep_precondition_unmet{") != 1 || !strings.Contains(metrics, metric) {
				t.Errorf("no %q in the metrics, or more: %s", metric, metrics)
			}
			if _, page := get(t, p.admin()+"/debug/"); !strings.Contains(page, "store: "+c.unmet) {
				t.Errorf("the admin page does not say %s: %s", c.unmet, page)
			}
			server.Restart()
			eventually(t, "the new server to be looked at", func() error {
				if code, body := get(t, p.url+"/readyz"); code != 200 {
					return fmt.Errorf("%d %s", code, body)
				}
				if n := strings.Count(p.out.String(), "name="+c.unmet); n != 2 {
					return fmt.Errorf("%d lines of %s, want one for each server", n, c.unmet)
				}
				return nil
			})
		})
	}
}

// TestAServerThatIsAsItMustBe is not warned of.
func TestAServerThatIsAsItMustBe(t *testing.T) {
	t.Parallel()
	for _, server := range []*testserver.Server{testserver.Redis(t), testserver.Postgres(t)} {
		server.Own()
		p := start(t, t.TempDir(), "-pubsub", server.URL, "-secret", testSecret, "-channel-prefix", prefixOf(t), "-addr", address(testserver.FreePort(t)))
		p.says("Open it in several tabs")
		if _, metrics := get(t, p.admin()+"/metrics"); strings.Contains(metrics, "lockstep_precondition_unmet{") || strings.Contains(p.out.String(), "precondition") {
			t.Errorf("%s: it is warned of:\n%s", server.URL, p.out)
		}
	}
}

// TestAURLAsPlatformsAndDocumentsWriteIt starts a replica.
func TestAURLAsPlatformsAndDocumentsWriteIt(t *testing.T) {
	t.Parallel()
	pg := testserver.Postgres(t)
	pg.Own()
	ca := testserver.NewAuthority(t)
	secure := testserver.RedisTLS(t, ca, "--appendonly", "yes", "--appendfsync", "always")
	unchecked := strings.Replace(secure.URL, "sslrootcert="+ca.File, "sslmode=require", 1)
	for name, args := range map[string][]string{
		"pool_max_conns for both":        {"-pubsub", pg.URL + "&pool_max_conns=4"},
		"pool_max_conns for the store":   {"-pubsub", secure.URL, "-store", pg.URL + "&pool_max_conns=4"},
		"postgresql":                     {"-pubsub", strings.Replace(pg.URL, "postgres://", "postgresql://", 1)},
		"a certificate nobody can check": {"-pubsub", unchecked},
		"an authority of the operator's": {"-pubsub", secure.URL},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, t.TempDir(), append(args, "-secret", testSecret, "-channel-prefix", prefixOf(t), "-addr", address(testserver.FreePort(t)))...)
			if code, body := get(t, p.url+"/readyz"); code != 200 {
				t.Errorf("got %d %s", code, body)
			}
		})
	}
}

// TestReplicasWithoutOneSecretSayWhoIsAlone in the log, the metrics and at /debug/, without any
// secret.
func TestReplicasWithoutOneSecretSayWhoIsAlone(t *testing.T) {
	const other = "another-secret-of-tests-that-is-long-enough"
	server := testserver.Redis(t)
	var replicas []*process
	for _, secret := range []string{testSecret, testSecret, other} {
		replicas = append(replicas, start(t, t.TempDir(), "-pubsub", server.URL, "-secret", secret, "-channel-prefix", prefixOf(t), "-addr", address(testserver.FreePort(t))))
	}
	for i, want := range []string{"beside replicas that are believed", "beside replicas that are believed", "it believes no other"} {
		p := replicas[i]
		eventually(t, "a replica to say it", func() error {
			if _, page := get(t, p.admin()+"/debug/"); !strings.Contains(page, want) {
				return fmt.Errorf("replica %d does not say %q: %s", i, want, page)
			}
			return nil
		})
		if _, metrics := get(t, p.admin()+"/metrics"); !strings.Contains(metrics, `lockstep_precondition_unmet{name="secret_shared",part="replicas"} 1`) {
			t.Errorf("replica %d: it is not in the metrics", i)
		}
		if code, body := get(t, p.url+"/readyz"); code != 200 {
			t.Errorf("replica %d: got %d %s", i, code, body)
		}
		if log := p.out.String(); strings.Contains(log, testSecret) || strings.Contains(log, other) {
			t.Errorf("replica %d: a secret is in the log", i)
		}
	}
}

// TestAProxyThatIsNotAsItMustBeIsSaid after a few visits, and one that is is not.
func TestAProxyThatIsNotAsItMustBeIsSaid(t *testing.T) {
	const forwardedFor = "    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
	for name, c := range map[string]struct {
		trusted string
		change  *strings.Replacer
		want    string
	}{
		"as it must be":             {"127.0.0.1", nil, ""},
		"it is not trusted":         {"192.0.2.1", nil, "proxy_trusted"},
		"it does not say for whom":  {"127.0.0.1", strings.NewReplacer(forwardedFor, ""), "proxy_forwarded_for"},
		"it says nothing of anyone": {"127.0.0.1", strings.NewReplacer(forwardedFor, "", "    proxy_set_header X-Forwarded-Proto $scheme;\n", ""), "proxy_forwarded_for"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-trusted-proxies", c.trusted)
			front := testserver.NewFront(t, "nginx", c.change, p.addr())
			visitor := visitorFrom(t, "127.0.0.2")
			for range 25 {
				visitor.ask(front.URL+"/", nil, "Accept-Language", "en")
			}
			_, metrics := get(t, p.admin()+"/metrics")
			if got := strings.Count(metrics, "lockstep_precondition_unmet{"); c.want == "" && got != 0 || c.want != "" && (got != 1 || !strings.Contains(metrics, `{name="`+c.want+`",part="proxy"} 1`)) {
				t.Errorf("got %d, want %q", got, c.want)
			}
		})
	}
}
