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
