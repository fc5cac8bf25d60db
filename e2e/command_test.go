package e2e_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// TestWrongUsageIsOneClearLine: a bad value is exit code 2, a backend that
// can't be reached is exit code 1, and no password is shown.
func TestWrongUsageIsOneClearLine(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := "127.0.0.1:" + strconv.Itoa(testserver.FreePort(t))
	secret := []string{"-secret", testSecret, "-addr", addr}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		says string
	}{
		{"an unknown scheme", nil, []string{"-pubsub", "bogus://x"}, 2, "bogus"},
		{"an unknown scheme from the environment", []string{"PUBSUB_URL=bogus://x"}, nil, 2, "bogus"},
		{"a broker that is no URL", nil, []string{"-pubsub", "redis"}, 2, "-pubsub"},
		{"an unknown flag", nil, []string{"-bogus"}, 2, "-bogus"},
		{"an export to nowhere", nil, []string{"-export", ""}, 2, "-export"},
		{"an argument", nil, []string{"bogus"}, 2, "bogus"},
		{"a bad address", nil, []string{"-addr", "localhost"}, 2, "-addr"},
		{"a bad port", nil, []string{"-addr", "localhost:99999"}, 2, "99999"},
		{"a bad number of replicas", nil, []string{"-replicas", "0"}, 2, "-replicas"},
		{"no number of replicas", []string{"REPLICAS=many"}, nil, 2, "REPLICAS"},
		{"a short secret", nil, []string{"-secret", "short"}, 2, "32"},
		{"no secret with a shared broker", nil, []string{"-pubsub", "redis://127.0.0.1:1"}, 2, "-secret"},
		{"a shared broker with a store of one process", nil, append(secret, "-pubsub", "redis://127.0.0.1:1", "-store", "file:x"), 2, "-store"},
		{"an address in use", nil, []string{"-addr", taken.Addr().String()}, 1, "in use"},
		{"an unreachable Redis", nil, append(secret, "-pubsub", "redis://u:hunter2@127.0.0.1:1"), 1, "127.0.0.1:1"},
		{"an unreachable Postgres", nil, append(secret, "-pubsub", "postgres://u:hunter2@127.0.0.1:1/db"), 1, "127.0.0.1:1"},
		{"a broken URL with a password", nil, append(secret, "-pubsub", "redis://u:hunter2@[::1"), 2, "-pubsub"},
		{"an unreachable Redis from REDIS_URL", []string{"REDIS_URL=redis://127.0.0.1:1", "SECRET=" + testSecret, "ADDR=" + addr}, nil, 1, "127.0.0.1:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := runToEnd(t, c.env, c.args...)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("got exit code %d and %q, want %d and a line with %q", code, stderr, c.code, c.says)
			}
			if n := strings.Count(stderr, "\n"); n != 1 {
				t.Errorf("got %d lines, want one: %q", n, stderr)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("the password is shown: %q", stderr)
			}
		})
	}
}

func TestHelpListsEveryFlagWithItsVariable(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := runToEnd(t, nil, "-h")
	if code != 0 || stderr != "" {
		t.Errorf("got exit code %d and %q on standard error, want 0 and nothing", code, stderr)
	}
	for _, want := range []string{"-addr", "ADDR", "PORT", "-pubsub", "PUBSUB_URL", "REDIS_URL", "-store", "STORE_URL", "-channel-prefix",
		"CHANNEL_PREFIX", "-replica ", "REPLICA", "-replicas", "-admin", "ADMIN_ADDR", "-secret", "SECRET", "-insecure-dev"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("-h does not say %s", want)
		}
	}
}
