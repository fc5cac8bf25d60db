package pgclient_test

import (
	"strings"
	"testing"

	"lockstep/internal/pgclient"
)

func TestTheAddressForListeningIsTakenOutOfAURL(t *testing.T) {
	for raw, want := range map[string]struct{ rest, listen string }{
		"postgres://u:p@h:1/d":                              {"postgres://u:p@h:1/d", ""},
		"postgres://u:p@h:1/d?sslmode=disable":              {"postgres://u:p@h:1/d?sslmode=disable", ""},
		"postgres://u:p@h:1/d?listen=s:2":                   {"postgres://u:p@h:1/d", "postgres://u:p@s:2/d"},
		"postgresql://u:p%40@h/d?listen=s&sslmode=disable":  {"postgresql://u:p%40@h/d?sslmode=disable", "postgresql://u:p%40@s/d?sslmode=disable"},
		"postgres://h?listen=a:1,[::1]:2":                   {"postgres://h", "postgres://a:1,[::1]:2/"},
		"postgres:///d?host=h&port=1&user=u&listen=s%3A2":   {"postgres:///d?host=h&port=1&user=u", "postgres://s:2/d?user=u"},
		"postgres://a:1,b:2/d?pool_max_conns=3&listen=s:52": {"postgres://a:1,b:2/d?pool_max_conns=3", "postgres://s:52/d?pool_max_conns=3"},
		"postgres://u:hunter2%@h?a=%zz&listen=s":            {"postgres://u:hunter2%@h?a=%zz&listen=s", ""}, // Parse says it
	} {
		rest, listen, err := pgclient.SplitListen(raw)
		if err != nil || rest != want.rest || listen != want.listen {
			t.Errorf("%s: got %q, %q, %v", raw, rest, listen, err)
		}
	}
}

func TestAnAddressForListeningThatIsNone(t *testing.T) {
	for _, hosts := range []string{"", "hunter2@h", "postgres://u:hunter2@h", "h:hunter2", "h/hunter2", "a,,b", "a%23hunter2", "a%3Fhunter2"} {
		_, _, err := pgclient.SplitListen("postgres://u:hunter2@h/d?listen=" + hosts)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("%q: got %v, want what it should be, and no secret", hosts, err)
		}
	}
	if _, _, err := pgclient.SplitListen("host=h password=hunter2?listen=s"); err == nil {
		t.Error("it takes what is no URL")
	}
}
