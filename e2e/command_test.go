package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
	"lockstep/state/boltstate"
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
		{"an argument", nil, []string{"-replica", "x", "hunter2"}, 2, "the 3. of all"},
		{"a bad address", nil, []string{"-addr", "localhost"}, 2, "-addr"},
		{"a bad port", nil, []string{"-addr", "localhost:99999"}, 2, "99999"},
		{"a bad number of replicas", nil, []string{"-replicas", "0"}, 2, "-replicas"},
		{"no number of replicas", []string{"REPLICAS=many"}, nil, 2, "REPLICAS"},
		{"a short secret", nil, []string{"-secret", "short"}, 2, "32"},
		{"no secret with a shared broker", nil, []string{"-pubsub", "redis://127.0.0.1:1"}, 2, "-secret"},
		{"a shared broker with a store of one process", nil, append(secret, "-pubsub", "redis://127.0.0.1:1", "-store", "file:x"), 2, "-store"},
		{"a broker that keeps nothing, and no store", nil, append(secret, "-pubsub", "amqp://u:hunter2@127.0.0.1:1"), 2, "-store: RabbitMQ is a broker that keeps nothing"},
		{"another one", nil, append(secret, "-pubsub", "snssqs://k:hunter2@eu-central-1"), 2, "-store: SNS with SQS is a broker that keeps nothing"},
		{"an unreachable endpoint of AWS", nil, append(secret, "-pubsub", "snssqs://k:hunter2@eu-central-1?endpoint=http://127.0.0.1:1", "-store", "mem:"), 2, "a store that they can share"},
		{"the same from AMQP_URL", []string{"AMQP_URL=amqp://u:hunter2@127.0.0.1:1", "SECRET=" + testSecret}, nil, 2, "-store: RabbitMQ is a broker that keeps nothing"},
		{"an address in use", nil, []string{"-addr", taken.Addr().String()}, 1, "in use"},
		{"an unreachable Redis", nil, append(secret, "-pubsub", "redis://u:hunter2@127.0.0.1:1"), 1, "127.0.0.1:1"},
		{"an unreachable Postgres", nil, append(secret, "-pubsub", "postgres://u:hunter2@127.0.0.1:1/db"), 1, "127.0.0.1:1"},
		{"a broken URL with a password", nil, append(secret, "-pubsub", "redis://u:hunter2@[::1"), 2, "-pubsub"},
		{"a password with a bad escape", nil, append(secret, "-pubsub", "postgres://u:hunter2%zz@x/y"), 2, "-pubsub"},
		{"a password with a slash", nil, append(secret, "-pubsub", "redis://u:12/hunter2@x"), 2, "%2F"},
		{"a secret twice", []string{"SECRET=hunter2", "SECRET_FILE=/dev/null"}, nil, 2, "both set"},
		{"an empty secret", []string{"SECRET_FILE=/dev/null"}, nil, 2, "SECRET_FILE: /dev/null is empty"},
		{"a secret that is not there", []string{"PUBSUB_URL_FILE=/nowhere"}, nil, 2, "/nowhere"},
		{"half of TLS", []string{"TLS_CERT=/nowhere"}, nil, 2, "-tls-key"},
		{"a certificate that is not there", []string{"TLS_CERT=/nowhere", "TLS_KEY=/nowhere"}, nil, 2, "/nowhere"},
		{"a limit that is none", []string{"TAB_RATE=many"}, nil, 2, "TAB_RATE"},
		{"no server to ask", nil, []string{"-healthcheck", "-addr", addr}, 1, "-healthcheck"},
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
		"CHANNEL_PREFIX", "-replica ", "REPLICA", "-replicas", "-admin", "ADMIN_ADDR", "-secret", "SECRET", "SECRET_FILE", "-insecure-dev",
		"-tls-cert", "TLS_CERT", "-tls-key", "-trusted-proxies", "TRUSTED_PROXIES", "-hosts", "-max-conns ", "-max-conns-per-addr", "-exempt",
		"-tab-rate", "-tab-burst", "-addr-rate", "-clicks-per-addr", "-lanes-per-addr", "-names-per-addr", "-uploads", "-uploads-per-addr", "-op-lifetime", "-request-rate", "-header-timeout", "-body-timeout", "-write-timeout", "-idle-timeout",
		"-ping-interval", "-pong-timeout", "-rebalance", "-drain", "-healthcheck", "-version"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("-h does not say %s", want)
		}
	}
}

func TestAStoreFileThatCanNotBeUsedIsOneSentence(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "counters.db")
	s, err := boltstate.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	used := func(want string) {
		t.Helper()
		stdout, stderr, code := runToEnd(t, nil, "-addr", address(testserver.FreePort(t)), "-store", "file:"+path, "-secret", testSecret)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "web: -store: ") || !strings.Contains(stderr, want) {
			t.Errorf("got exit code %d, %q and %q, want 1, nothing, and a line with %q", code, stdout, stderr, want)
		}
	}
	used("in use")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	used("cut off")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	used("of another program or damaged")
}

func TestTheHealthCheckKnowsWhetherTheServerIsWell(t *testing.T) {
	t.Parallel()
	port := testserver.FreePort(t)
	p := start(t, t.TempDir(), "-addr", address(port), "-hosts", "counter.example,127.0.0.1")
	for name, env := range map[string][]string{
		"ADDR": {"ADDR=" + address(port), "HOSTS=counter.example"}, "PORT": {"PORT=" + strconv.Itoa(port), "HOSTS=counter.example,x"},
	} {
		if stdout, stderr, code := runToEnd(t, env, "-healthcheck"); code != 0 || strings.Count(stdout, "\n") != 1 || stderr != "" {
			t.Errorf("by %s: got %d, %q and %q", name, code, stdout, stderr)
		}
	}
	p.term()
	if stdout, stderr, code := runToEnd(t, []string{"ADDR=" + address(port)}, "-healthcheck"); code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("of a server that has ended: got %d, %q and %q", code, stdout, stderr)
	}
}

// limitedFiles runs the program with few files, and returns it.
func limitedFiles(t *testing.T, files int, args ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: t.TempDir(), path: "/bin/sh"}
	p.args = append([]string{"-c", "ulimit -n " + strconv.Itoa(files) + `; exec "$0" "$@"`, path, "-addr", address(testserver.FreePort(t))}, args...)
	p.run()
	return p
}

// knock opens a connection and says nothing.
func knock(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestMoreConnectionsThanFilesAreRefusedByName, and counted, and those that
// there are work on.
func TestMoreConnectionsThanFilesAreRefusedByName(t *testing.T) {
	t.Parallel()
	p := limitedFiles(t, 200)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	healthy := func() error {
		resp, err := client.Get(p.url + "/healthz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body) // the connection is kept
		return err
	}
	eventually(t, "a connection", healthy)
	var last net.Conn
	for range 200 {
		last = knock(t, p.addr())
	}
	if err := last.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(last)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 503 Service Unavailable\r\n") {
		t.Errorf("got %q, %v; want a 503", text, err)
	}
	if err := healthy(); err != nil {
		t.Errorf("a connection that was there before: %v", err)
	}
	_, metrics := get(t, p.admin()+"/metrics")
	if !strings.Contains(metrics, `lockstep_connections_turned_away_total{limit="all"} 6`) { // 64 of 200, or a few more
		t.Errorf("the refusals are not in the metrics: %s", metrics)
	}
}

// TestNoFileLeftIsNotTheEnd: a server that is allowed more connections than it
// can have waits until there is room.
func TestNoFileLeftIsNotTheEnd(t *testing.T) {
	t.Parallel()
	p := limitedFiles(t, 40, "-max-conns", "1000")
	var all []net.Conn
	for range 80 {
		all = append(all, knock(t, p.addr()))
	}
	eventually(t, "the server to notice", func() error {
		for _, want := range []string{"leaves little of the limit", "no connection can be accepted"} {
			if !strings.Contains(p.out.String(), want) {
				return errors.New("it did not say: " + want)
			}
		}
		return nil
	})
	for _, c := range all {
		c.Close()
	}
	p.ready()
}

func TestOneAddressCantTakeAllConnections(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-exempt", "none", "-max-conns-per-addr", "5")
	var codes []int
	for range 10 {
		c := knock(t, p.addr())
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, resp.StatusCode)
	}
	if !slices.Contains(codes[:5], http.StatusOK) || codes[9] != http.StatusTooManyRequests {
		t.Errorf("got %v, want 200 and then 429", codes)
	}
}

// ask sends a GET with some headers, and returns the status. Host is one.
func ask(t *testing.T, url string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	code, _, err := fetch(req)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestLimitsAreThoseOfTheCommandLine: each flag reaches what it is for.
func TestLimitsAreThoseOfTheCommandLine(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, args ...string) *process {
		t.Parallel()
		return start(t, t.TempDir(), append([]string{"-addr", address(testserver.FreePort(t))}, args...)...)
	}
	t.Run("hosts", func(t *testing.T) {
		p := run(t, "-hosts", "counter.example,127.0.0.1")
		for host, want := range map[string]int{"counter.example:1": 200, "COUNTER.example": 200, "evil.example": 421} {
			if got := ask(t, p.url, "Host", host); got != want {
				t.Errorf("got %d for %s, want %d", got, host, want)
			}
		}
	})
	for name, c := range map[string]struct {
		args []string
		want int // of the last request of many, each said to be from another address
	}{
		"an address is limited":             {[]string{"-exempt", "none"}, 429},
		"nobody is believed":                {[]string{"-exempt", "private"}, 429},
		"the loopback is exempt":            {nil, 200},
		"a proxy speaks for many":           {[]string{"-exempt", "none", "-trusted-proxies", "loopback"}, 200},
		"the balancer speaks for everybody": {[]string{"-exempt", "none", "-replicas", "2", "-trusted-proxies", "loopback"}, 200},
		"the balancer believes nobody":      {[]string{"-exempt", "none", "-replicas", "2"}, 429},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), append([]string{"-addr", address(freePorts(t, 3)), "-request-rate", "0.001", "-request-burst", "10"}, c.args...)...)
			got := 0
			for i := range 30 {
				got = ask(t, p.url+"/c/x", "X-Forwarded-For", "203.0.113."+strconv.Itoa(i))
			}
			if got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
	t.Run("messages of a tab", func(t *testing.T) {
		p := run(t, "-exempt", "none", "-tab-rate", "0.001", "-tab-burst", "3")
		_, refused := clickOften(t, p, 10)
		if refused < 6 {
			t.Errorf("got %d refusals of 10 clicks, want 7", refused)
		}
	})
	t.Run("messages of an address", func(t *testing.T) {
		p := run(t, "-exempt", "none", "-addr-rate", "0.001", "-addr-burst", "3")
		if _, refused := clickOften(t, p, 10); refused < 6 {
			t.Errorf("got %d refusals of 10 clicks, want 7", refused)
		}
	})
	t.Run("tabs of an address", func(t *testing.T) {
		p := run(t, "-exempt", "none", "-max-conns-per-addr", "3") // more than the test has for requests
		socket := socketAt(t, p.url, "/")
		http.DefaultClient.CloseIdleConnections() // they count, too
		dial := func() int {
			ws, resp, err := websocket.Dial(t.Context(), socket, nil)
			if err == nil {
				t.Cleanup(func() { _ = ws.CloseNow() })
			}
			if resp == nil {
				t.Fatal(err)
			}
			return resp.StatusCode
		}
		var codes []int
		for range 4 {
			codes = append(codes, dial())
		}
		if !slices.Equal(codes, []int{101, 101, 101, 429}) {
			t.Errorf("got %v, want 429 after three", codes)
		}
	})
	t.Run("pings", func(t *testing.T) {
		p := run(t, "-ping-interval", "50ms")
		pinged := make(chan struct{}, 100)
		ws, _, err := websocket.Dial(t.Context(), socketAt(t, p.url, "/"), &websocket.DialOptions{
			OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ended := make(chan struct{})
		go func() { // ends with ctx
			defer close(ended)
			for ctx.Err() == nil {
				_, _, _ = ws.Read(ctx)
			}
		}()
		select {
		case <-pinged:
		case <-ctx.Done():
			t.Error("there was no ping")
		}
		cancel()
		<-ended
	})
}

// clickOften sends clicks of one tab and waits for all answers.
func clickOften(t *testing.T, p *process, n int) (acked, refused int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, socketAt(t, p.url, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for range n {
		if err := ws.Write(ctx, websocket.MessageText, []byte(clickText(newOp()))); err != nil {
			t.Fatal(err)
		}
	}
	for acked+refused < n {
		_, text, err := ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var m heard
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		acked += len(m.Ack)
		if m.Op != nil {
			refused++
		}
	}
	return acked, refused
}

// TestAKeyIsReplacedWithoutAVisitorNoticing: what the old one has signed is
// believed as long as it is in the list.
func TestAKeyIsReplacedWithoutAVisitorNoticing(t *testing.T) {
	t.Parallel()
	p := &process{t: t, dir: t.TempDir(), args: []string{"-addr", address(testserver.FreePort(t))}, env: []string{"SECRET=" + oldKey}}
	p.run()
	client := newVisitorClient(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, page, err := fetchBy(client, req)
	if err != nil {
		t.Fatal(err)
	}
	given, err := readPage(page)
	if err != nil || given.forms["increment"] == "" {
		t.Fatalf("no form, %v, in %s", err, page)
	}
	for _, step := range []struct {
		keys string
		want int
	}{{oldKey + "\n" + newKey, 303}, {newKey + "\n" + oldKey, 303}, {newKey, 403}} {
		p.term()
		p.env = []string{"SECRET_FILE=" + secretFile(t, step.keys)}
		p.restart()
		resp, err := client.PostForm(p.url+given.forms["increment"], url.Values{"x": {"y"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != step.want {
			t.Errorf("got %d with %d keys, want %d", resp.StatusCode, strings.Count(step.keys, "\n")+1, step.want)
		}
	}
}
