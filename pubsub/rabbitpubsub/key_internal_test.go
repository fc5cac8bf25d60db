package rabbitpubsub

import (
	"strings"
	"testing"
)

func TestKeysCanBeRead(t *testing.T) {
	long := strings.Repeat("é", 200)
	for topic, want := range map[string]string{
		"lockstep:counter:lobby": "lockstep:counter:lobby",
		"a.b *#":                 "a.b *#",
		"é😀":                     "é😀",
		"100%":                   "100%",
		"%":                      "%%",
		"%!lockstep.x":           "%%!lockstep.x",
		long[:254]:               long[:254],
		"%" + long[:254]:         "%~…:%" + long[:148],
		long:                     "%~…:" + long[:150],
		"x" + long:               "%~…:x" + long[:148],
	} {
		got := key(topic)
		if strings.HasPrefix(got, "%~") {
			_, shown, _ := strings.Cut(got, ":")
			got = "%~…:" + shown
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", topic, got, want)
		}
	}
}

// FuzzKey wants of every topic a key that AMQP can carry, of no two topics the same one, and none
// that a queue's dropped messages have.
func FuzzKey(f *testing.F) {
	for _, topic := range []string{"a", "%", "%%", "%~", "%!x", "\xff", "é\x00", strings.Repeat("x", 300), "%" + strings.Repeat("x", 254)} {
		f.Add(topic, topic+"x")
	}
	f.Fuzz(func(t *testing.T, topic, other string) {
		k := key(topic)
		if len(k) > maxKey {
			t.Errorf("%q has a key of %d bytes", topic, len(k))
		}
		if other != topic && key(other) == k {
			t.Errorf("%q and %q are both %q", topic, other, k)
		}
		if strings.HasPrefix(k, lostKey("")) {
			t.Errorf("%q is %q", topic, k)
		}
	})
}

func TestAURLSaysWhereAndWho(t *testing.T) {
	for url, want := range map[string]struct{ addr, user, password, vhost string }{
		"amqp://h":                        {"h:5672", "guest", "guest", "/"},
		"amqps://h":                       {"h:5671", "guest", "guest", "/"},
		"amqp://h/":                       {"h:5672", "guest", "guest", "/"},
		"amqp://u:p%40@h:1/%2F":           {"h:1", "u", "p@", "/"},
		"amqp://u:p@h/shop?":              {"h:5672", "u", "p", "shop"},
		"amqp://u@[::1]:2/a%2Fb":          {"[::1]:2", "u", "", "a/b"},
		"amqp://u:p@a:1,b,[::1]/%C3%A9":   {"a:1 b:5672 [::1]:5672", "u", "p", "é"},
		"amqps://u:p@h?sslmode=verify-ca": {"h:5671", "u", "p", "/"},
	} {
		p, err := parse(url)
		if got := strings.Join(p.addrs, " "); err != nil || got != want.addr || p.user != want.user || p.password != want.password || p.vhost != want.vhost {
			t.Errorf("%s: got %+v, %v", url, p, err)
		}
	}
}

// FuzzParse wants no URL to be shown in an error.
func FuzzParse(f *testing.F) {
	for _, url := range []string{"://", "u@h", "h/%zz", "h?a=b", "[::1", "a,b", "h/é"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		p, err := parse("amqp://u:hunter2@" + rest)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is shown: %v", err)
		}
		if err == nil && len(p.addrs) == 0 {
			t.Error("there is no server")
		}
	})
}
