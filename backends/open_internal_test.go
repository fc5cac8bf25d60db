package backends

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lockstep"
	"lockstep/internal/testserver"
	"lockstep/pubsub"
	"lockstep/state"
)

// What dials a Redis that is away looks once in a second whether its pool is closed, and ends:
// later than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

func env(secret string) func(string) string {
	return func(name string) string {
		if name == "LOCKSTEP_SECRET" {
			return secret
		}
		return ""
	}
}

func quiet() *lockstep.Options { return &lockstep.Options{Logger: slog.New(slog.DiscardHandler)} }

// commit makes the data of a topic a text.
func commit(t *testing.T, s state.Store, topic, text string) {
	t.Helper()
	r, err := s.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	step := state.Step{Topic: topic, Base: r[0], Data: []byte(text), Moves: []state.Move{{Client: state.Client{1}, To: state.Lane{Last: 1, From: 1}}}}
	if o := s.Commit(t.Context(), step)[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
}

func stop(t *testing.T, a *lockstep.App) {
	t.Helper()
	if err := a.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

func TestAFileKeepsStatesAndMemoryForgets(t *testing.T) {
	for url, want := range map[string]string{"": "", "mem:": "", "file:" + filepath.Join(t.TempDir(), "a", "x.db"): "kept"} {
		a := mustOpen(url, quiet(), env(""), t.Output(), func(int) { t.Fatalf("%s: it can't be opened", url) })
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit(t, a.Store(), "x", "kept")
		stop(t, a) // or the file would be locked
		a = mustOpen(url, quiet(), env(""), t.Output(), func(int) { t.Fatalf("%s: it can't be opened again", url) })
		r, err := a.Store().Read(t.Context(), "x")
		if err != nil || string(r[0].Data) != want {
			t.Errorf("%q: got %q, %v; want %q", url, r[0].Data, err, want)
		}
		stop(t, a)
	}
}

func TestOneURLIsBrokerAndStore(t *testing.T) {
	for name, server := range map[string]func(*testing.T) string{
		"Redis":      func(t *testing.T) string { return testserver.Redis(t).URL },
		"PostgreSQL": func(t *testing.T) string { return testserver.Postgres(t).URL },
		"a cluster":  func(t *testing.T) string { return testserver.NewRedisCluster(t, 3, 0).URL + "?pubsub=both&pool_size=4" },
		"Sentinel":   func(t *testing.T) string { return testserver.NewRedisSentinel(t, true).URL },
		"PostgreSQL by its other name": func(t *testing.T) string {
			return strings.Replace(testserver.Postgres(t).URL, "postgres://", "postgresql://", 1)
		},
		"PostgreSQL behind PgBouncer": func(t *testing.T) string {
			server := testserver.Postgres(t)
			server.Own()
			return testserver.PgBouncer(t, server, "transaction").URL + "&listen=" + server.Addr
		},
		"NATS": func(t *testing.T) string { return testserver.JetStream(t, "").URL },
	} {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			opts := quiet()
			opts.Prefix = "test of backends:"
			var all [2]*lockstep.App
			for i := range all {
				all[i] = mustOpen(url, opts, env(longSecret), t.Output(), func(int) { t.Fatal("it can't be opened") })
				if err := all[i].Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer stop(t, all[i])
			}
			heard := make(chan pubsub.Message, 16)
			err := all[1].Hub().SubscribeTopic(t.Context(), "a session", "news", func(_ context.Context, m pubsub.Message) error { heard <- m; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := all[0].Hub().Broadcast(t.Context(), "news", []byte("of the other")); err != nil {
				t.Fatal(err)
			}
			if m := <-heard; string(m.Payload) != "of the other" || !m.Trusted {
				t.Errorf("got %q, trusted %t, from the broker", m.Payload, m.Trusted)
			}
			commit(t, all[0].Store(), "x", "stored")
			if r, err := all[1].Store().Read(t.Context(), "x"); err != nil || string(r[0].Data) != "stored" {
				t.Errorf("got %q, %v from the store", r[0].Data, err)
			}
		})
	}
}

// TestABrokerBesideAStore: these have no store of their own. Their users have the rights that
// docs/backends.md names, and no others.
func TestABrokerBesideAStore(t *testing.T) {
	for name, broker := range map[string]func(*testing.T) string{
		"NATS": func(t *testing.T) string {
			return testserver.NATS(t, `authorization { users [ { user: u, password: p, permissions: { publish: "shop.>", subscribe: "shop.>" } } ] }`).URL
		},
		"RabbitMQ": func(t *testing.T) string {
			server := testserver.RabbitMQ(t, "")
			server.Control("add_user", "u", "p")
			const rights = `^shop(\.|$)`
			server.Control("set_permissions", "u", rights, rights, rights)
			return server.URL
		},
	} {
		t.Run(name, func(t *testing.T) { testBesideAStore(t, strings.Replace(broker(t), "://", "://u:p@", 1)) })
	}
}

func testBesideAStore(t *testing.T, broker string) {
	t.Helper()
	store := testserver.Redis(t).URL
	opts := quiet()
	opts.Prefix = "shop:"
	var all [2]*lockstep.App
	for i := range all {
		a, err := openBoth(t.Context(), broker, store, opts, nil, env(longSecret))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer stop(t, a)
		all[i] = a
	}
	heard := make(chan pubsub.Message, 16)
	err := all[1].Hub().SubscribeTopic(t.Context(), "a session", "news", func(_ context.Context, m pubsub.Message) error { heard <- m; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := all[0].Hub().Broadcast(t.Context(), "news", []byte("of the other")); err != nil {
		t.Fatal(err)
	}
	if m := <-heard; string(m.Payload) != "of the other" || !m.Trusted {
		t.Errorf("got %q, trusted %t, from the broker", m.Payload, m.Trusted)
	}
}

func TestABrokerThatCanNotBeUsedIsSaidWithoutPasswords(t *testing.T) {
	rabbit := testserver.RabbitMQ(t, "")
	rabbit.Control("add_user", "other", "hunter2")
	rabbit.Control("set_permissions", "other", "^other", "^other", "^other")
	wants := testserver.NATS(t, `authorization { users [ { user: u, password: p }, { user: other, password: hunter2, permissions: { publish: "other.>", subscribe: "other.>" } } ] }`)
	for name, c := range map[string]struct{ url, says string }{
		"a NATS that is not there":           {"nats://u:hunter2@127.0.0.1:1,127.0.0.1:2", "nats://127.0.0.1:1,127.0.0.1:2 can't be used: dial tcp"},
		"a NATS that wants another":          {strings.Replace(wants.URL, "://", "://u:hunter2@", 1), "uthorization"},
		"a NATS where it has no rights":      {strings.Replace(wants.URL, "://", "://other:hunter2@", 1), `Permissions Violation for`},
		"a NATS that has no TLS":             {strings.Replace(wants.URL, "nats://", "tls://u:hunter2@", 1), "secure connection"},
		"a RabbitMQ that is not there":       {"amqp://u:hunter2@127.0.0.1:1,127.0.0.1:2/v", "amqp://127.0.0.1:1,127.0.0.1:2 can't be used: "},
		"a RabbitMQ that wants another":      {strings.Replace(rabbit.URL, "://", "://other:hunter3@", 1), "the password is wrong"},
		"a RabbitMQ where it has no rights":  {strings.Replace(rabbit.URL, "://", "://other:hunter2@", 1), "access to exchange 'lockstep'"},
		"a RabbitMQ whose URL has an option": {"amqp://u:hunter2@h?hunter2=1", "not a valid RabbitMQ URL"},
		"a NATS whose URL has an option":     {"nats://u:hunter2@h?hunter2=1", "not a valid NATS URL"},
		"a NATS whose creds are not there":   {"nats://h?creds=/nowhere", "/nowhere"},
	} {
		err := start(t, c.url)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: got %v, want %q, and no password", name, err, c.says)
		}
	}
}

// start has a hub use a broker, and returns what a program would say of it.
func start(t *testing.T, url string) error {
	t.Helper()
	d, err := Driver(url, nil)
	if err != nil {
		return err
	}
	hub := pubsub.NewHub(d, nil)
	if err := hub.Start(t.Context()); err != nil {
		return Explain(url, err)
	}
	return hub.Stop(t.Context())
}

func TestWhatCanNotBeOpenedIsSaidInOneLineWithoutPasswords(t *testing.T) {
	for name, c := range map[string]struct{ url, secret, says string }{
		"an unknown scheme":              {"bogus://u:hunter2@x", "", `unknown scheme "bogus"; this build has mem:, file:, redis://`},
		"no URL":                         {"data/app.db", "", "not a URL"},
		"a password alone":               {"hunter2:", "", "not a URL"},
		"a password with a slash":        {"redis://u:hunt/hunter2@x", longSecret, "%2F"},
		"no secret":                      {"redis://u:hunter2@127.0.0.1:1", "", "LOCKSTEP_SECRET"},
		"a short secret":                 {"redis://u:hunter2@127.0.0.1:1", "hunter2", "LOCKSTEP_SECRET: key 1 has 7 bytes"},
		"a Redis that is not there":      {"redis://u:hunter2@127.0.0.1:1", longSecret, "redis://127.0.0.1:1 can't be used: dial tcp"},
		"sentinels that are not there":   {"redis+sentinel://u:hunter2@127.0.0.1:1,127.0.0.1:2/m/0?sentinel_password=hunter3", longSecret, "redis+sentinel://127.0.0.1:1,127.0.0.1:2 can't be used: "},
		"a master without a name":        {"redis+sentinel://u:hunter2@127.0.0.1:1", longSecret, "has its name, as redis+sentinel://"},
		"an option that is none":         {"redis+cluster://u:hunter2@127.0.0.1:1?hunter2=1", longSecret, "an option that is not known"},
		"a cluster that is not there":    {"redis+cluster://u:hunter2@127.0.0.1:1,127.0.0.1:2", longSecret, "redis+cluster://127.0.0.1:1,127.0.0.1:2 can't be used: "},
		"a Postgres that is not there":   {"postgres://u:hunter2@127.0.0.1:1/d", longSecret, "postgres://127.0.0.1:1 can't be used: dial tcp"},
		"an authority that is not there": {"rediss://u:hunter2@127.0.0.1:1?sslrootcert=/nowhere", longSecret, "/nowhere"},
		"a folder":                       {"file:" + t.TempDir(), "", "not a file"},
		"a file without a name":          {"file:", "", "no file name"},
		"a NATS that is not there":       {"nats://u:hunter2@127.0.0.1:1", longSecret, "nats://127.0.0.1:1 can't be used: dial tcp"},
		"replicas that can't be":         {"tls://u:hunter2@127.0.0.1:1?replicas=9", longSecret, "1 to 5 servers can keep a stream"},
		"RabbitMQ, which keeps nothing":  {"amqp://u:hunter2@127.0.0.1:1", longSecret, "RabbitMQ is a broker that keeps nothing; give a store"},
		"SNS, which does not either":     {"snssqs://u:hunter2@eu-central-1", longSecret, "SNS with SQS is a broker that keeps nothing; give a store"},
		"listening at no address":        {"postgres://u:hunter2@h/d?listen=h:hunter2", longSecret, "listen: host:port of the server itself"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			code := 0
			mustOpen(c.url, quiet(), env(c.secret), &stderr, func(n int) { code = n })
			line := stderr.String()
			if code != 1 || !strings.HasPrefix(line, "backends: ") || strings.Count(line, "\n") != 1 || !strings.Contains(line, c.says) {
				t.Errorf("got %d and %q, want 1 and one line with %q", code, line, c.says)
			}
			if strings.Contains(line, "hunter2") {
				t.Errorf("the password is shown: %s", line)
			}
		})
	}
}

func TestBrokerAndStoreMayBeApart(t *testing.T) {
	for name, c := range map[string]struct{ broker, store, says string }{
		"a store of this process behind a shared broker": {"redis://r", "mem:", "a store that they can share"},
		"NATS with a file":     {"nats://n", "file:x.db", "a store that they can share"},
		"RabbitMQ with a file": {"amqps://n", "file:x.db", "a store that they can share"},
		"SNS without a driver": {"snssqs://eu-central-1", "redis://r", "backends.Options.Brokers"},
		"a file as a broker":   {"file:x.db", "mem:", "the broker: not a URL"},
		"two that fit":         {"mem:", "mem:", ""},
	} {
		a, err := openBoth(t.Context(), c.broker, c.store, quiet(), &Options{Secret: [][]byte{[]byte(longSecret)}}, env(""))
		if err == nil {
			stop(t, a)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}

func TestAnErrorHasItsCause(t *testing.T) {
	_, err := Store(t.Context(), "file:/proc/x/y.db", nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.OfURL() || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want one of the file", err)
	}
	if got := Explain("mem:", nil); got != nil {
		t.Errorf("got %v for no error", got)
	}
	if got := Explain("redis://u:hunter2@h", err); !errors.Is(got, err) || got.Error() != err.Error() {
		t.Errorf("got %v, want what is explained already as it is", got)
	}
}
