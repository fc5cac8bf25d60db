package e2e_test

import (
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// TestNoSecretOfNATSIsEverShown, at the most talkative level of the log, while it
// is there and when it has gone.
func TestNoSecretOfNATSIsEverShown(t *testing.T) {
	t.Parallel()
	ca := testserver.NewAuthority(t)
	noSecretIsShown(t, "NATS_URL", testserver.NATSTLS(t, ca, ""))
}

// noSecretIsShown has a replica use a broker, whose URL is in a variable.
func noSecretIsShown(t *testing.T, variable string, broker *testserver.Server) {
	t.Helper()
	redis := testserver.Redis(t)
	p := &process{t: t, dir: t.TempDir(), env: []string{variable + "=" + broker.URL}, args: []string{
		"-addr", address(testserver.FreePort(t)), "-store", redis.URL, "-secret", testSecret, "-log-level", "debug", "-channel-prefix", prefixOf(t),
	}}
	p.run()
	p.keepsQuiet()
	broker.Stop()
	p.says("connection refused")
	p.keepsQuiet()
	if code := p.term(); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	if strings.Contains(p.out.String(), "hunter") {
		t.Error("a secret is shown")
	}
}
