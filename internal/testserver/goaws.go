package testserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Cloud is an emulator of SNS and SQS, goaws, behind a front that makes up for what goaws gets
// wrong, and does to requests what AWS may do. Its URL is for snssqspubsub, and leads to the front.
//
// The front lets one request through at a time: goaws reads its map of queues without a lock, and
// ends when another one is made meanwhile. It makes long polls of short ones: goaws looks for
// messages ten times a second. It splits batches of ten, which goaws counts as eleven, and refuses
// larger ones, which goaws takes. And it gives policies the form that goaws wants, and errors the
// form and the codes that AWS has. goaws has no tags, no policies and no retention, listens on all
// addresses, and forgets everything when it ends.
type Cloud struct {
	*Server
	Front string // host:port of the front; Addr is that of goaws

	scheme, query string // of the URL
	front         *front
	server        *http.Server
	serving       sync.WaitGroup
}

// Goaws starts a goaws and its front. With TEST_SNSSQS_URL set that is used
// instead, which may be AWS; it has no front.
func Goaws(t testing.TB) *Cloud {
	t.Helper()
	if s := lent(t, "TEST_SNSSQS_URL"); s != nil {
		return &Cloud{Server: s}
	}
	return newCloud(t, "http", nil, "")
}

// GoawsTLS starts a goaws whose front speaks TLS, with a certificate for 127.0.0.1.
// Its URL names the authority. It is always the test's own.
func GoawsTLS(t testing.TB, ca *Authority) *Cloud {
	t.Helper()
	cert, key := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return newCloud(t, "https", &tls.Config{Certificates: []tls.Certificate{pair}}, "&sslrootcert="+url.QueryEscape(ca.File))
}

func newCloud(t testing.TB, scheme string, config *tls.Config, query string) *Cloud {
	t.Helper()
	path, dir := built(t, "goaws"), t.TempDir()
	port := strconv.Itoa(FreePort(t))
	file := filepath.Join(dir, "goaws.yaml")
	text := fmt.Sprintf("Local:\n  Host: 127.0.0.1\n  Port: %q\n  AccountId: \"123456789012\"\n", port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", port), Dir: dir, stopBy: syscall.SIGTERM}
	s.command = func() *exec.Cmd { return exec.Command(path, "-config", file, "-loglevel", "warn") }
	s.ping = func(ctx context.Context) error { return pingGoaws(ctx, s.Addr) }
	c := &Cloud{Server: s.run(), scheme: scheme, query: query, front: newFront("http://" + s.Addr)}
	c.listen(config)
	c.URL = c.At(c.Front)
	return c
}

// listen starts the front, until the test ends.
func (c *Cloud) listen(config *tls.Config) {
	c.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.Front = l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	c.server = &http.Server{Handler: c.front, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: patience}
	c.serving.Go(func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.t.Errorf("testserver: the front of goaws: %v", err)
		}
	})
	c.t.Cleanup(func() {
		_ = c.server.Close() // its clients are gone, or it does not matter
		c.serving.Wait()
	})
}

// At returns the URL with the address of somebody before the front in it.
func (c *Cloud) At(addr string) string {
	return "snssqs://key:" + url.QueryEscape(Password) + "@eu-central-1/lockstep?endpoint=" + c.scheme + "://" + addr + c.query
}

// Hostile makes what is received late, out of order and more than once, and refuses a
// few requests as AWS does when there are too many.
func (c *Cloud) Hostile(hostile bool) { c.front.set(func(f *front) { f.hostile = hostile }) }

// Fail has the next n requests of an action refused, with a status and a code of AWS; a
// negative n: all, until n is 0.
func (c *Cloud) Fail(action string, n, status int, code string) {
	c.front.set(func(f *front) { f.failures[action] = &refusal{n, status, code} })
}

// Asked returns how many requests of an action have come.
func (c *Cloud) Asked(action string) (n int) {
	c.front.set(func(f *front) { n = f.asked[action] })
	return n
}

// Body returns the last request of an action, as it came.
func (c *Cloud) Body(action string) (body string) {
	c.front.set(func(f *front) { body = f.bodies[action] })
	return body
}

// Queues returns the names of the queues that there are.
func (c *Cloud) Queues() []string { return c.names("ListQueues", "QueueUrl", "/") }

// Subscriptions returns the ARNs of the subscriptions that there are.
func (c *Cloud) Subscriptions() []string { return c.names("ListSubscriptions", "SubscriptionArn", "") }

// Do sends a request of the older form, with these parameters in pairs, and returns the
// answer.
func (c *Cloud) Do(action string, parameters ...string) string {
	c.t.Helper()
	form := url.Values{"Action": {action}}
	for i := 0; i+1 < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, _, body, err := c.front.forward(ctx, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("testserver: %s: %d %s %v", action, status, body, err)
	}
	return string(body)
}

// DeleteQueue deletes a queue, as somebody might.
func (c *Cloud) DeleteQueue(name string) {
	c.Do("DeleteQueue", "QueueUrl", "http://"+c.Addr+"/123456789012/"+name)
}

func pingGoaws(ctx context.Context, addr string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", http.NoBody)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
