package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

// A securePlace is a running process that speaks TLS, the files of its
// certificate, and a client that believes its authority.
type securePlace struct {
	*process
	ca        *testserver.Authority
	cert, key string
	client    *http.Client
}

// startTLS runs the program at an address of 127.0.0.1 and waits until it is
// ready.
func startTLS(t *testing.T, port int, args ...string) *securePlace {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &securePlace{ca: testserver.NewAuthority(t)}
	s.cert, s.key = s.ca.Issue(time.Now().Add(time.Hour), "127.0.0.1", "localhost")
	s.client = s.clientOf(t)
	p := &process{t: t, dir: t.TempDir(), url: "https://" + address(port), out: &syncBuffer{}}
	p.args = append([]string{"-addr", address(port), "-tls-cert", s.cert, "-tls-key", s.key}, args...)
	p.cmd = exec.Command(path, p.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = p.dir, p.out, p.out, []string{}
	p.launch()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("output of web:\n%s", p.out)
		}
	})
	s.process = p
	eventually(t, p.url+" to be ready", func() error {
		_, err := s.get("/readyz")
		return err
	})
	return s
}

// clientOf returns a browser without a window: it believes the authority and
// keeps cookies.
func (s *securePlace) clientOf(t *testing.T) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.ca.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

func (s *securePlace) get(path string) (*http.Response, error) {
	resp, err := s.client.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	return resp, err
}

// TestATabOverTLS: page by HTTP/2, socket by HTTP/1.1, cookies that never leave
// TLS; from one replica, and from several behind the balancer, which tells them
// that it was TLS.
func TestATabOverTLS(t *testing.T) {
	for name, args := range map[string][]string{"one replica": nil, "three replicas": {"-replicas", "3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startTLS(t, freePorts(t, 4), args...)
			s.prints("Lockstep is at " + strings.Replace(s.url, "127.0.0.1", "localhost", 1))
			page, err := s.get("/")
			if err != nil {
				t.Fatal(err)
			}
			if page.ProtoMajor != 2 {
				t.Errorf("got the page by %s, want HTTP/2", page.Proto)
			}
			for _, c := range page.Cookies() {
				if !c.Secure || !c.HttpOnly {
					t.Errorf("got the cookie %s, want it Secure and HttpOnly", c)
				}
			}
			if len(page.Cookies()) == 0 {
				t.Error("got no cookie")
			}
			clickOverSocket(t, s, page)
			t.Run("in Chromium", func(t *testing.T) { clickInChromium(t, s) })
		})
	}
}

// clickOverSocket clicks as a page does.
func clickOverSocket(t *testing.T, s *securePlace, page *http.Response) {
	t.Helper()
	html, err := io.ReadAll(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	given, err := readPage(string(html))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.url+given.socket, &websocket.DialOptions{HTTPClient: s.client, HTTPHeader: http.Header{"Origin": {s.url}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	op := newOp()
	if err := ws.Write(ctx, websocket.MessageText, []byte(clickText(op))); err != nil {
		t.Fatal(err)
	}
	for {
		_, text, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"ack"`) && strings.Contains(string(text), op.Client) {
			return
		}
	}
}

func clickInChromium(t *testing.T, s *securePlace) {
	p := newPage(t, newBrowser(t))
	p.try(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	})
	p.navigate(s.url)
	p.isLive()
	p.click("increment")
	p.showsCount(2)
	if got := p.evaluate("new URL(document.querySelector('[hx-ws\\\\:connect]')._htmx.ws.connection.socket.url).protocol"); got != "wss:" {
		t.Errorf("got a socket by %s", got)
	}
}

// TestACertificateIsReplacedWithoutARestart, while tabs stay.
func TestACertificateIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testserver.FreePort(t))
	page, err := s.get("/")
	if err != nil {
		t.Fatal(err)
	}
	cert, key := s.ca.Issue(time.Now().Add(2*time.Hour), "127.0.0.1", "renewed.example")
	for from, to := range map[string]string{cert: s.cert, key: s.key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new certificate", func() error {
		resp, err := s.clientOf(t).Get(s.url + "/healthz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].VerifyHostname("renewed.example")
	})
	clickOverSocket(t, s, page)
	s.prints("certificate replaced")
	if n := strings.Count(s.out.String(), "certificate replaced"); n != 1 {
		t.Errorf("got %d lines about it, want one", n)
	}
}

func TestOnATLSPortNothingIsSaidInTheClear(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 3)
	s := startTLS(t, port, "-replicas", "2", "-addr", ":"+strconv.Itoa(port)) // on all addresses
	if code, body := get(t, "http://"+address(port)); code != http.StatusBadRequest || !strings.Contains(body, "HTTPS") {
		t.Errorf("got %d %q, want a clear 400", code, body)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if !ok || ip.IP.IsLoopback() || ip.IP.To4() == nil {
			continue
		}
		c, err := net.Dial("tcp", net.JoinHostPort(ip.IP.String(), strconv.Itoa(port+1)))
		if err == nil {
			c.Close()
			t.Errorf("a replica without TLS can be reached at %s", ip.IP)
		}
	}
	stdout, stderr, code := runToEnd(t, nil, "-healthcheck", "-addr", address(port), "-tls-cert", s.cert, "-tls-key", s.key)
	if code != 0 || strings.Count(stdout, "\n") != 1 || stderr != "" {
		t.Errorf("-healthcheck: got %d, %q and %q", code, stdout, stderr)
	}
}

// TestBackendsAreReachedByTLSWithAPassword, by the authority in the URL and by
// that of the system; and no other server is taken for them.
func TestBackendsAreReachedByTLSWithAPassword(t *testing.T) {
	t.Parallel()
	ca, wrong := testserver.NewAuthority(t), testserver.NewAuthority(t)
	redis, postgres := testserver.RedisTLS(t, ca).URL, testserver.PostgresTLS(t, ca).URL
	nats, rabbit := testserver.NATSTLS(t, ca, "").URL, testserver.RabbitMQTLS(t, ca, "").URL
	bare, _, _ := strings.Cut(redis, "?")
	system := "SSL_CERT_FILE=" + ca.File
	for name, c := range map[string]struct {
		env            []string
		broker, store  string
		refused, names string // "": it is let in
	}{
		"redis":                         {nil, redis, redis, "", ""},
		"postgres":                      {nil, postgres, postgres, "", ""},
		"redis over postgres":           {nil, redis, postgres, "", ""},
		"nats over postgres":            {nil, nats, postgres, "", ""},
		"nats of another authority":     {nil, strings.Replace(nats, ca.File, wrong.File, 1), postgres, "unknown authority", "tls://127.0.0.1"},
		"rabbitmq over postgres":        {nil, rabbit, postgres, "", ""},
		"rabbitmq of another authority": {nil, strings.Replace(rabbit, ca.File, wrong.File, 1), postgres, "unknown authority", "amqps://127.0.0.1"},
		"nats of another name":          {nil, strings.Replace(nats, "127.0.0.1", "localhost", 1), postgres, "localhost", "tls://localhost"},
		"the system's authority":        {[]string{system}, bare, bare, "", ""},
		"redis of another authority":    {nil, strings.Replace(redis, ca.File, wrong.File, 1), "", "unknown authority", "rediss://127.0.0.1"},
		"postgres of another authority": {nil, strings.Replace(postgres, ca.File, wrong.File, 1), "", "unknown authority", "postgres://127.0.0.1"},
		"redis of another name":         {[]string{system}, strings.Replace(bare, "127.0.0.1", "localhost", 1), "", "localhost", "rediss://localhost"},
		"postgres of another name":      {nil, strings.Replace(postgres, "127.0.0.1", "localhost", 1), "", "localhost", "postgres://localhost"},
		"a broker that is not the one":  {nil, strings.Replace(redis, ca.File, wrong.File, 1), postgres, "unknown authority", "rediss://127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-addr", address(testserver.FreePort(t)), "-pubsub", c.broker, "-store", c.store, "-secret", testSecret, "-channel-prefix", prefixOf(t)}
			if c.refused != "" {
				refusedWithOneLine(t, c.env, args, c.names, c.refused)
				return
			}
			p := &process{t: t, dir: t.TempDir(), args: args, env: c.env}
			p.run()
			if code, body := get(t, p.url+"/"); code != http.StatusOK || !strings.Contains(body, `data-state="connecting"`) {
				t.Errorf("got %d and a page that is not well", code)
			}
			if code := p.term(); code != 0 {
				t.Errorf("got exit code %d", code)
			}
		})
	}
}

func refusedWithOneLine(t *testing.T, env, args []string, says ...string) {
	t.Helper()
	_, stderr, code := runToEnd(t, env, args...)
	if code != 1 || strings.Count(stderr, "\n") != 1 || len(stderr) > 300 {
		t.Errorf("got exit code %d and %q, want 1 and one line", code, stderr)
	}
	for _, s := range says {
		if !strings.Contains(stderr, s) {
			t.Errorf("got %q, want %q in it", stderr, s)
		}
	}
}

func TestAnExpiredCertificateIsServedAndWarnedOf(t *testing.T) {
	t.Parallel()
	ca := testserver.NewAuthority(t)
	cert, key := ca.Issue(time.Now().Add(-time.Minute), "127.0.0.1")
	port := testserver.FreePort(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out := &syncBuffer{}
	cmd := exec.CommandContext(t.Context(), path, "-addr", address(port), "-tls-cert", cert, "-tls-key", key, "-store", "file:"+filepath.Join(t.TempDir(), "x.db"))
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, []string{}
	ended, err := testserver.Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	eventually(t, "a warning", func() error {
		if !strings.Contains(out.String(), "certificate has expired") || !strings.Contains(out.String(), "https://") {
			return fmt.Errorf("got %s", out)
		}
		return nil
	})
}
