package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

const longSecret = "0123456789012345678901234567890123456789"

func TestFlagsEnvironmentAndDefaults(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  []string
		want func(config) bool
	}{
		{"nothing given", nil, nil, func(c config) bool {
			return c.Addr == "localhost:8000" && c.PubSub == "mem:" && c.Store == "file:data/lockstep.db" && c.Prefix == "lockstep:" && c.Replicas == 1 && c.Drain == 5*time.Second
		}},
		{"the environment", nil, []string{"ADDR", "localhost:1", "CHANNEL_PREFIX", "x:", "REPLICA", "me", "DRAIN", "1s"}, func(c config) bool {
			return c.Addr == "localhost:1" && c.Prefix == "x:" && c.Replica == "me" && c.Drain == time.Second
		}},
		{"a flag wins over the environment", []string{"-addr", "localhost:2"}, []string{"ADDR", "localhost:1"}, func(c config) bool { return c.Addr == "localhost:2" }},
		{"PORT listens on all addresses", nil, []string{"PORT", "3"}, func(c config) bool { return c.Addr == ":3" }},
		{"ADDR wins over PORT", nil, []string{"PORT", "3", "ADDR", "localhost:1"}, func(c config) bool { return c.Addr == "localhost:1" }},
		{"REDIS_URL is a broker and a store", nil, []string{"REDIS_URL", "redis://r", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "redis://r" && c.Store == "redis://r" }},
		{"REDIS_URL comes before DATABASE_URL", nil, []string{"DATABASE_URL", "postgres://p", "REDIS_URL", "redis://r", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "redis://r" }},
		{"DATABASE_URL alone", nil, []string{"DATABASE_URL", "postgres://p", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "postgres://p" && c.Store == "postgres://p" }},
		{"PUBSUB_URL comes before both", nil, []string{"PUBSUB_URL", "mem:", "REDIS_URL", "redis://r"}, func(c config) bool { return c.PubSub == "mem:" }},
		{"two backends", []string{"-pubsub", "redis://r", "-store", "postgres://p", "-insecure-dev"}, nil, func(c config) bool { return c.Store == "postgres://p" }},
		{"a cluster", []string{"-pubsub", "redis+cluster://a:1,b:2", "-insecure-dev"}, nil, func(c config) bool { return c.PubSub == "redis+cluster://a:1,b:2" }},
		{"no admin address", []string{"-admin", "off"}, nil, func(c config) bool { return c.Admin == "" }},
		{"a local broker over a shared store", []string{"-pubsub", "mem:", "-store", "redis://r"}, nil, func(c config) bool { return c.Store == "redis://r" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseConfig(c.args, env(c.env...), &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWrongSettingsNameThemselvesAndNoPassword(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"an unknown scheme", []string{"-pubsub", "bogus://u:hunter2@x"}, `unknown scheme "bogus"`},
		{"a scheme of later", []string{"-pubsub", "nats://u:hunter2@x"}, `unknown scheme "nats"`},
		{"a URL that is none", []string{"-store", "u:hunter2@x"}, "-store"},
		{"a broken URL", []string{"-pubsub", "redis://u:hunter2@[::1", "-insecure-dev"}, "-pubsub"},
		{"a store that cannot be shared", []string{"-pubsub", "redis://u:hunter2@x", "-store", "mem:", "-insecure-dev"}, "-store"},
		{"a short secret", []string{"-secret", "hunter2"}, "-secret"},
		{"no secret", []string{"-pubsub", "postgres://u:hunter2@x"}, "-secret"},
		{"ports beyond the last", []string{"-addr", "localhost:65534", "-replicas", "3"}, "-addr"},
		{"admin on the public address", []string{"-addr", "localhost:1", "-admin", "localhost:1"}, "-admin"},
		{"a bad admin address", []string{"-admin", "x"}, "-admin"},
		{"a prefix with braces", []string{"-channel-prefix", "{x}"}, "-channel-prefix"},
		{"a long prefix", []string{"-channel-prefix", strings.Repeat("x", 200)}, "-channel-prefix"},
		{"a negative drain", []string{"-drain", "-1s"}, "-drain"},
		{"a log level", []string{"-log-level", "loud"}, "-log-level"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig(c.args, env(), &bytes.Buffer{})
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want a usage error with %s", err, c.says)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q: a password, or more than a line", err)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseConfig([]string{"-h"}, env(), &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v", err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 260 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
}

func TestTheFileOfAStoreURL(t *testing.T) {
	for in, want := range map[string]string{"file:data/x.db": "data/x.db", "file:///var/x.db": "/var/x.db", "file:/var/x.db": "/var/x.db"} {
		if got := filePath(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestTheKeptSecretStays(t *testing.T) {
	path := t.TempDir() + "/data/x.secret"
	first, err := keptSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keptSecret(path)
	if err != nil || !bytes.Equal(first, second) || len(first) < minSecret {
		t.Errorf("got %q and %q, %v", first, second, err)
	}
}
