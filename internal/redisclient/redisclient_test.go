package redisclient_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

// ask connects with a URL.
func ask(t *testing.T, url string) error {
	t.Helper()
	c, err := redisclient.New(url)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Ping(t.Context()).Err()
}

// withOption returns a URL with one of its options set, or taken out.
func withOption(t *testing.T, raw, name, value string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	if value == "" {
		q.Del(name)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func TestOnlyTheRightServerIsTalkedToAndOnlyTheRightUserIsLetIn(t *testing.T) {
	redisclient.Silence()
	ca := testserver.NewAuthority(t)
	server := testserver.RedisTLS(t, ca)
	good := server.URL
	_, port, _ := strings.Cut(server.Addr, ":")
	for _, c := range []struct {
		name, url, says string // says "": it works
	}{
		{"the authority is known", good, ""},
		{"the authority is not known", withOption(t, good, "sslrootcert", ""), "unknown authority"},
		{"another authority", withOption(t, good, "sslrootcert", testserver.NewAuthority(t).File), "unknown authority"},
		{"another host", strings.Replace(good, server.Addr, "localhost:"+port, 1), "localhost"},
		{"another password", strings.Replace(good, "hunter2", "hunter3", 1), "WRONGPASS"},
		{"no user", "rediss://" + server.Addr + "?sslrootcert=" + ca.File, "NOAUTH"},
		{"no TLS", "redis://" + server.Addr, "EOF"},
		{"any name of a known authority", withOption(t, strings.Replace(good, server.Addr, "localhost:"+port, 1), "sslmode", "verify-ca"), ""},
		{"any name of another authority", withOption(t, withOption(t, good, "sslmode", "verify-ca"), "sslrootcert", testserver.NewAuthority(t).File), "unknown authority"},
		{"anybody", withOption(t, withOption(t, good, "sslmode", "require"), "sslrootcert", ""), ""},
		{"anybody, and an authority", withOption(t, good, "sslmode", "require"), "checks nothing"},
		{"all, said so", withOption(t, strings.Replace(good, server.Addr, "localhost:"+port, 1), "sslmode", "verify-full"), "localhost"},
		{"another mode", withOption(t, good, "sslmode", "prefer"), "one of verify-full"},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, ask(t, c.url), c.says) })
	}
}

func check(t *testing.T, err error, says string) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("got %v, want no error", err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("got %v, want an error with %q", err, says)
	case err != nil && (strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "ssword]")):
		t.Errorf("the password is shown: %v", err)
	}
}

func TestAServerMayWantACertificateOfOurs(t *testing.T) {
	redisclient.Silence()
	ca := testserver.NewAuthority(t)
	server := testserver.RedisTLS(t, ca, "--tls-auth-clients", "yes")
	if err := ask(t, server.URL); err == nil {
		t.Error("we were let in without one")
	}
	cert, key := ca.Issue(time.Now().Add(time.Hour), "replica")
	ours := withOption(t, withOption(t, server.URL, "sslcert", cert), "sslkey", key)
	if err := ask(t, ours); err != nil {
		t.Errorf("got %v with one", err)
	}
	stranger, key := testserver.NewAuthority(t).Issue(time.Now().Add(time.Hour), "replica")
	if err := ask(t, withOption(t, withOption(t, server.URL, "sslcert", stranger), "sslkey", key)); err == nil {
		t.Error("a stranger was let in")
	}
}

// TestDiallingEndsWithItsContext: that of go-redis goes on.
func TestDiallingEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := redisclient.New("rediss://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dial := c.(*redis.Client).Options().Dialer
	if _, err := dial(ctx, "tcp", l.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestAClusterSpeaksTLS(t *testing.T) {
	redisclient.Silence()
	ca := testserver.NewAuthority(t)
	server := testserver.RedisTLS(t, ca, "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1")
	admin, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	c, err := redisclient.New(strings.Replace(server.URL, "rediss://", "rediss+cluster://", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	limit, again := time.NewTimer(time.Minute), time.NewTicker(20*time.Millisecond)
	defer limit.Stop()
	defer again.Stop()
	for err = c.Set(t.Context(), "x", 1, 0).Err(); err != nil; err = c.Set(t.Context(), "x", 1, 0).Err() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal(err) // CLUSTERDOWN for a while
		}
	}
	if err := ask(t, strings.Replace(server.URL, "rediss://", "redis+cluster://", 1)); err == nil {
		t.Error("files of TLS were taken for a cluster without it")
	}
}

func TestAURLThatIsWrongIsNotShown(t *testing.T) {
	for _, c := range []struct{ name, url, says string }{
		{"a bad escape", "redis://u:hunter2%2@x", "not a valid Redis URL"},
		{"a bad port", "redis://u:hunter2@x:hunter2", "not a valid Redis URL"},
		{"a password with a slash", "redis://u:1/hunter2@x", "not a valid Redis URL"},
		{"a password with a slash, of a cluster", "redis+cluster://u:1/hunter2@x:1", "not a valid Redis URL"},
		{"an option that is none", "redis://u:hunter2@x?hunter2=1", "not a valid Redis URL"},
		{"an option that is none, of a cluster", "redis+cluster://u:hunter2@x:1?hunter2=1", "known are client_name"},
		{"an option that is none, of Sentinel", "redis+sentinel://u:hunter2@x:1/m?hunter2=1", "known are client_name"},
		{"a database of a cluster", "redis+cluster://u:hunter2@x:1?db=1", "no numbered databases"},
		{"a path of a cluster", "redis+cluster://u:hunter2@x:1/1", "not a valid Redis URL"},
		{"no name of a master", "redis+sentinel://u:hunter2@x:1", "redis+sentinel://host1:26379,host2:26379/mymaster/0"},
		{"a database that is none", "redis+sentinel://u:hunter2@x:1/m/hunter2", "redis+sentinel://host1:26379,host2:26379/mymaster/0"},
		{"a host that is none", "redis+sentinel://u:hunter2@x,,y/m", "not a valid Redis URL"},
		{"a value that can't be read", "redis+cluster://u:hunter2@x?pool_size=hunter2", "the value of pool_size"},
		{"a time that is none", "redis://u:hunter2@x?read_timeout=0", "more than 0"},
		{"to try again", "redis://u:hunter2@x?max_retries=3", "would be done twice"},
		{"a mode without a cluster", "redis://u:hunter2@x?pubsub=both", "pubsub is for redis+cluster://"},
		{"a mode that is none", "redis+cluster://u:hunter2@x?pubsub=hunter2", "one of sharded, classic, both"},
		{"sentinels' password without sentinels", "redis://u:hunter2@x?sentinel_password=hunter3", "for redis+sentinel://"},
		{"no check of a certificate without TLS", "redis+sentinel://x/m?skip_verify=true", "known are client_name"},
		{"another scheme", "unix:///hunter2", "not a valid Redis URL"},
		{"a scheme with more", "redis+x://hunter2", "not a valid Redis URL"},
		{"options that can't be read", "redis://u:hunter2@x?a=%zz", "not a valid Redis URL"},
		{"files without TLS", "redis://u:hunter2@x?sslrootcert=y", "rediss://"},
		{"half a certificate", "rediss://u:hunter2@x?sslcert=y", "one without the other"},
		{"an authority that is not there", "rediss://u:hunter2@x?sslrootcert=/nowhere", "/nowhere"},
		{"a certificate that is not there", "rediss://u:hunter2@x?sslcert=/nowhere&sslkey=/nowhere", "/nowhere"},
		{"an authority that is none", "rediss://u:hunter2@x?sslrootcert=redisclient_test.go", "no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := redisclient.New(c.url)
			if err == nil {
				t.Fatal("it was accepted")
			}
			check(t, err, c.says)
		})
	}
}
