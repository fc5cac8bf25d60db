package main

import (
	"bytes"
	"errors"
	"flag"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/backends"
	"lockstep/internal/flags"
	"lockstep/internal/limit"
	"lockstep/serve/settings"
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
		{"NATS over Postgres", []string{"-pubsub", "nats://u:p@a,b:2?creds=x", "-store", "postgres://p", "-insecure-dev"}, nil, func(c config) bool { return c.Store == "postgres://p" }},
		{"AMQP_URL alone is a broker", []string{"-store", "redis://r"}, []string{"AMQP_URL", "amqp://n/v", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "amqp://n/v" }},
		{"NATS alone", []string{"-pubsub", "tls://u:p@a,b:2?replicas=3", "-insecure-dev"}, nil, func(c config) bool { return c.Store == c.PubSub }},
		{"NATS_URL is a broker and a store", nil, []string{"NATS_URL", "nats://n", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "nats://n" && c.Store == "nats://n" }},
		{"NATS_URL beside another store", []string{"-store", "redis://r"}, []string{"NATS_URL", "nats://n", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "nats://n" }},
		{"NATS_URL comes last", nil, []string{"DATABASE_URL", "postgres://p", "NATS_URL", "nats://n", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "postgres://p" }},
		{"the other name of Postgres", []string{"-pubsub", "postgresql://u@a,b:2/d?target_session_attrs=any", "-insecure-dev"}, nil, func(c config) bool { return c.Store == c.PubSub }},
		{"two brokers at once", []string{"-store", "redis://a"}, []string{"PUBSUB_URL", "redis://a nats://b", "SECRET", longSecret}, func(c config) bool { return c.PubSub == "redis://a nats://b" && c.Store == "redis://a" }},
		{"a cluster", []string{"-pubsub", "redis+cluster://a:1,b:2", "-insecure-dev"}, nil, func(c config) bool { return c.PubSub == "redis+cluster://a:1,b:2" }},
		{"no admin address", []string{"-admin", "off"}, nil, func(c config) bool { return c.Admin == "" }},
		{"the defaults of limits", nil, nil, func(c config) bool {
			l := c.ForServer(1000, 1)
			return l.Sockets == 900 && l.SocketsPerAddr == 1000 && l.TabRate == 500 && l.TabBurst == 5000 && len(l.Exempt) == 2 &&
				l.PingInterval == 30*time.Second && c.HeaderTimeout == 5*time.Second && c.Rebalance == 20 && len(c.TrustedProxies.Prefixes) == 0
		}},
		{"no limits", []string{
			"-max-conns-per-addr", "0", "-tab-rate", "0", "-tab-burst", "0", "-addr-rate", "0", "-request-rate", "0", "-ping-interval", "0", "-exempt", "none",
		}, nil, func(c config) bool {
			l := c.ForServer(0, 1)
			return l.Sockets < 0 && l.SocketsPerAddr < 0 && l.TabRate < 0 && l.AddrRate < 0 && l.RequestRate < 0 && l.PingInterval < 0 && l.Exempt != nil && len(l.Exempt) == 0
		}},
		{"limits from the environment", nil, []string{"MAX_CONNS", "10", "TAB_RATE", "1.5", "EXEMPT", "192.0.2.1", "WRITE_TIMEOUT", "9s"}, func(c config) bool {
			return c.MaxConns == 10 && c.TabRate == 1.5 && c.Exempt.String() == "192.0.2.1" && c.WriteTimeout == 9*time.Second
		}},
		{"replicas share the tabs", nil, nil, func(c config) bool { return c.ForServer(1000, 3).Sockets == 300 && c.ForServer(2, 3).Sockets == 1 }},
		{"proxies", []string{"-trusted-proxies", "loopback, private,192.0.2.7,2001:db8::/32,::ffff:198.51.100.0/120"}, nil, func(c config) bool {
			for _, a := range []string{"127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.7.7", "fd00::1", "192.0.2.7", "2001:db8::5", "198.51.100.9"} {
				if !limit.Contains(c.TrustedProxies.Prefixes, netip.MustParseAddr(a)) {
					return false
				}
			}
			return !limit.Contains(c.TrustedProxies.Prefixes, netip.MustParseAddr("192.0.2.8"))
		}},
		{"names lose their ports", []string{"-hosts", "Counter.example:443, localhost:8000,[::1]:80,::1"}, nil, func(c config) bool {
			return slices.Equal(c.Hosts.Names, []string{"Counter.example", "localhost", "::1", "::1"})
		}},
		{"origins", []string{"-origins", "https://counter.example/, HTTPS://*.Counter.example:8443"}, nil, func(c config) bool {
			return slices.Equal(c.Origins.Patterns, []string{"https://counter.example", "https://*.counter.example:8443"})
		}},
		{"a base path", nil, []string{"BASE_PATH", "/shop/counter/"}, func(c config) bool { return c.BasePath == "/shop/counter" }},
		{"the root as base path", []string{"-base-path", "/"}, nil, func(c config) bool { return c.BasePath == "" }},
		{"two keys", []string{"-pubsub", "redis://r"}, []string{"SECRET", longSecret + "\r\n\n  another " + longSecret + "\n"}, func(c config) bool {
			return len(c.keys) == 2 && string(c.keys[0]) == longSecret && string(c.keys[1]) == "another "+longSecret
		}},
		{"a password with signs", []string{"-pubsub", "postgres://u:%2F%3F%23%40@h/d?application_name=x", "-insecure-dev"}, nil, func(c config) bool { return backends.Shared(c.PubSub) }},
		{"a cluster with TLS and a password", []string{"-pubsub", "rediss+cluster://u:p@a:1,b:2?sslrootcert=x", "-insecure-dev"}, nil, func(c config) bool { return c.Store == c.PubSub }},
		{"-healthcheck wants to know nothing of backends", []string{"-healthcheck"}, []string{"PORT", "3", "SECRET_FILE", "/nowhere", "PUBSUB_URL", "bogus"}, func(c config) bool { return c.Addr == ":3" }},
		{"NATS in the process", []string{"-pubsub", "nats-embedded:", "-insecure-dev"}, nil, func(c config) bool { return c.Store == "nats-embedded:" }},
		{"its peers from the environment", []string{"-pubsub", "nats-embedded:data", "-insecure-dev"}, []string{"CLUSTER_LISTEN", "a:1", "CLUSTER_PEERS", "b:1, c:1"}, func(c config) bool {
			return c.Listen == "a:1" && len(words(c.Peers)) == 2 && words(c.Peers)[1] == "c:1"
		}},
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
		{"a scheme of later", []string{"-pubsub", "kafka://u:hunter2@x"}, `unknown scheme "kafka"`},
		{"a broker that is no store", []string{"-pubsub", "amqp://u:hunter2@x", "-insecure-dev"}, "-store: RabbitMQ is a broker that keeps nothing"},
		{"another one", []string{"-pubsub", "snssqs://k:hunter2@eu-central-1", "-insecure-dev"}, "-store: SNS with SQS is a broker that keeps nothing"},
		{"peers without a server of NATS in the process", []string{"-cluster-listen", "10.0.0.1:6222"}, "only with -pubsub or -store nats-embedded:"},
		{"a cluster of one", []string{"-pubsub", "nats-embedded:", "-cluster-listen", "10.0.0.1:6222", "-insecure-dev"}, "-cluster-listen, -cluster-peers, -cluster-replaces: a cluster needs the addresses of its peers"},
		{"peers of nobody", []string{"-pubsub", "nats-embedded:", "-cluster-peers", "10.0.0.1:6222", "-insecure-dev"}, "peers need an address"},
		{"a cluster without a secret", []string{"-store", "nats-embedded:", "-cluster-listen", "a:6222", "-cluster-peers", "b:6222"}, "a cluster needs a secret"},
		{"NATS in the process without a secret", []string{"-pubsub", "nats-embedded:"}, "-secret: needed"},
		{"two servers of NATS in the process", []string{"-pubsub", "nats-embedded:a", "-store", "nats-embedded:b", "-insecure-dev"}, "its folder is \"a\""},
		{"NATS in the process, and a store of one replica", []string{"-pubsub", "nats-embedded:", "-store", "mem:", "-insecure-dev"}, "-store: mem: is this process's own, but nats-embedded: is shared"},
		{"a store of one replica behind it", []string{"-pubsub", "nats://u:hunter2@x", "-store", "file:x.db", "-insecure-dev"}, "-store: file: is this process's own, but nats: is shared"},
		{"two brokers and no store", []string{"-pubsub", "redis://u:hunter2@x nats://u:hunter2@y", "-insecure-dev"}, "-store: two brokers are not a store"},
		{"two brokers of which one is this process", []string{"-pubsub", "redis://u:hunter2@x mem:", "-insecure-dev"}, "-pubsub: mem: is this process's own"},
		{"one broker twice", []string{"-pubsub", "redis://u:hunter2@x redis://u:hunter2@x", "-insecure-dev"}, "-pubsub: two brokers at once are two"},
		{"a password with a blank", []string{"-pubsub", "redis://u hunter2://@x", "-insecure-dev"}, "%20"},
		{"three brokers", []string{"-pubsub", "redis://u:hunter2@x redis://y redis://z", "-insecure-dev"}, "-pubsub: not a valid redis:// URL"},
		{"two brokers and a store of one replica", []string{"-pubsub", "redis://u:hunter2@x nats://y", "-store", "mem:", "-insecure-dev"}, "-store: mem: is this process's own"},
		{"a URL that is none", []string{"-store", "u:hunter2@x"}, "-store"},
		{"a broken URL", []string{"-pubsub", "redis://u:hunter2@[::1", "-insecure-dev"}, "-pubsub"},
		{"a store that cannot be shared", []string{"-pubsub", "redis://u:hunter2@x", "-store", "mem:", "-insecure-dev"}, "-store"},
		{"an origin without a scheme", []string{"-origins", "counter.example"}, "-origins"},
		{"all origins", []string{"-origins", "*"}, "-origins"},
		{"an empty origin", []string{"-origins", "https://counter.example,"}, "-origins"},
		{"a base path without a slash", []string{"-base-path", "counter"}, "-base-path"},
		{"a base path of the server's own", []string{"-base-path", "/static/x"}, "-base-path"},
		{"a base path upwards", []string{"-base-path", "/x/.."}, "-base-path"},
		{"a short secret", []string{"-secret", "hunter2"}, "-secret"},
		{"no secret", []string{"-pubsub", "postgres://u:hunter2@x"}, "-secret"},
		{"ports beyond the last", []string{"-addr", "localhost:65534", "-replicas", "3"}, "-addr"},
		{"admin on the public address", []string{"-addr", "localhost:1", "-admin", "localhost:1"}, "-admin"},
		{"a bad admin address", []string{"-admin", "x"}, "-admin"},
		{"a prefix with braces", []string{"-channel-prefix", "{x}"}, "-channel-prefix"},
		{"a long prefix", []string{"-channel-prefix", strings.Repeat("x", 200)}, "-channel-prefix"},
		{"a negative drain", []string{"-drain", "-1s"}, "-drain"},
		{"a log level", []string{"-log-level", "loud"}, "-log-level"},
		{"a password that looks like a scheme", []string{"-pubsub", "hunter2@x:6379"}, "-pubsub"},
		{"a password alone", []string{"-pubsub", "hunter2:"}, "-pubsub"},
		{"a scheme without slashes", []string{"-pubsub", "redis:hunter2@x"}, "redis://"},
		{"a password with a slash", []string{"-pubsub", "redis://u:hunt/hunter2@x"}, "%2F"},
		{"a password with a slash behind digits", []string{"-pubsub", "postgres://u:12/hunter2@x/y"}, "%2F"},
		{"a password with a question mark behind digits", []string{"-pubsub", "postgres://u:12?hunter2@x/y"}, "%2F"},
		{"a password with a hash behind digits", []string{"-pubsub", "redis+cluster://u:12#hunter2@x:1,y:2"}, "%2F"},
		{"a password with a bad escape", []string{"-pubsub", "postgres://u:hunter2%zz@x/y"}, "-pubsub"},
		{"a password with a bad escape, of a cluster", []string{"-pubsub", "redis+cluster://u:hunter2%zz@x:1,y:2"}, "-pubsub"},
		{"a port that is none", []string{"-pubsub", "postgres://u:hunter2@x:hunter2/y"}, "-pubsub"},
		{"a secret that was not quoted", []string{"-secret", longSecret, "hunter2"}, "the 3. of all"},
		{"a second key that is short", []string{"-secret", longSecret + "\nhunter2"}, "key 2"},
		{"a certificate without a key", []string{"-tls-cert", "x"}, "-tls-key"},
		{"a key without a certificate", []string{"-tls-key", "x"}, "-tls-cert"},
		{"a certificate that is not there", []string{"-tls-cert", "/nowhere", "-tls-key", "/nowhere"}, "/nowhere"},
		{"a proxy that is none", []string{"-trusted-proxies", "localhost"}, "-trusted-proxies"},
		{"an exempt network that is none", []string{"-exempt", "10.0.0.0/33"}, "-exempt"},
		{"a host that is a URL", []string{"-hosts", "http://x"}, "-hosts"},
		{"a host that is a pattern", []string{"-hosts", "*.x"}, "-hosts"},
		{"no host", []string{"-hosts", "x,"}, "-hosts"},
		{"a negative number of connections", []string{"-max-conns", "-1"}, "-max-conns"},
		{"a negative number of one address", []string{"-max-conns-per-addr", "-1"}, "-max-conns-per-addr"},
		{"a negative rate", []string{"-tab-rate", "-1"}, "-tab-rate"},
		{"a rate that is none", []string{"-addr-rate", "NaN"}, "-addr-rate"},
		{"no burst", []string{"-request-burst", "0"}, "-request-burst"},
		{"no time for the head", []string{"-header-timeout", "0"}, "-header-timeout"},
		{"no time for an answer", []string{"-write-timeout", "0s"}, "-write-timeout"},
		{"a negative pause", []string{"-ping-interval", "-1s"}, "-ping-interval"},
		{"a lifetime of no use", []string{"-op-lifetime", "59m"}, "-op-lifetime"},
		{"a lifetime that costs too much", []string{"-op-lifetime", "1441h"}, "-op-lifetime"},
		{"a lifetime in days", []string{"-op-lifetime", "7d"}, "168h"},
		{"a negative number of lanes", []string{"-lanes-per-addr", "-1"}, "-lanes-per-addr"},
		{"a negative age", []string{"-fresh", "-1s"}, "-fresh"},
		{"a negative rebalance", []string{"-rebalance", "-1"}, "-rebalance"},
		{"a health check of any port", []string{"-healthcheck", "-addr", "localhost:0"}, "-addr"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parseConfig(c.args, env(), &bytes.Buffer{})
			if !errors.Is(err, settings.ErrUsage) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want a usage error with %s", err, c.says)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q: a password, or more than a line", err)
			}
		})
	}
}

func TestHelpListsEachFlagOnceAndFitsATerminal(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseConfig([]string{"-h"}, env(), &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("got %v", err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > flags.Width+1 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	fs := settings.NewSet("web")
	new(config).define(fs)
	fs.VisitAll(func(f *flag.Flag) {
		if n := strings.Count(out.String(), "\n  -"+f.Name+" ") + strings.Count(out.String(), "\n  -"+f.Name+"\n"); n != 1 {
			t.Errorf("-%s is listed %d times", f.Name, n)
		}
	})
}
