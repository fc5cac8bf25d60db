package deploy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startNginx runs nginx.conf in front of replicas, with nothing changed but
// what differs between sites, and returns its address.
func startNginx(t *testing.T, change *strings.Replacer, replicas ...string) string {
	t.Helper()
	path := tool(t, "nginx", "nginx-light")
	dir, port := t.TempDir(), freePort(t)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the workers of root are somebody else
		t.Fatal(err)
	}
	conf := strings.NewReplacer("/run/", dir+"/", "listen 8000", "listen 127.0.0.1:"+port).Replace(read(t, "deploy/nginx.conf"))
	for name, text := range map[string]string{"nginx.conf": change.Replace(conf), "nginx-replicas.conf": change.Replace(replicasConf(t, replicas))} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(path, "-t", "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")).CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	cmd := exec.Command(path, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"), "-g", "daemon off;")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
	})
	addr := "127.0.0.1:" + port
	eventually(t, "nginx", func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return addr
}

// replicasConf is nginx-replicas.conf with the replicas of a test, of which each stands there as
// often as one of the file does.
func replicasConf(t *testing.T, replicas []string) string {
	t.Helper()
	text := read(t, "deploy/nginx-replicas.conf")
	var b strings.Builder
	for line := range strings.Lines(text) {
		if role, ok := strings.CutPrefix(line, "server app1:8000 "); ok {
			for _, r := range replicas {
				fmt.Fprintf(&b, "server %s %s", r, role)
			}
		}
	}
	if b.Len() == 0 {
		t.Fatalf("no app1 in %s", text)
	}
	return b.String()
}

// asItIs changes nothing of nginx.conf.
func asItIs() *strings.Replacer { return strings.NewReplacer() }

// A fake is a replica that counts requests and answers as a test wants.
type fake struct {
	addr string
	seen atomic.Int64
}

func newFake(t *testing.T, h http.HandlerFunc) *fake {
	f := &fake{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.seen.Add(1)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	f.addr = srv.Listener.Addr().String()
	return f
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func drains(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "draining", http.StatusServiceUnavailable)
}

// breaks reads a request and ends the connection without an answer.
func breaks(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = c.Close()
	}
}

// upgrades answers 101 and sends a line.
func upgrades(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "upgrade" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello\n")
}

// send makes one request, and returns status and body.
func send(t *testing.T, method, url string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// upgrade asks for a websocket, and returns the status and the first line that
// comes over it.
func upgrade(t *testing.T, addr string) (status int, line string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /ws/c/lobby?t=x HTTP/1.1\r\nHost: counter.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		line, _ = r.ReadString('\n')
	}
	return resp.StatusCode, line
}

func TestNginxTakesAnUpgradeToWhoDoesNotDrain(t *testing.T) {
	going, staying := newFake(t, drains), newFake(t, upgrades)
	addr := startNginx(t, asItIs(), going.addr, staying.addr)
	for range 6 {
		if status, line := upgrade(t, addr); status != 101 || line != "hello\n" {
			t.Errorf("got %d %q, want 101 and a hello", status, line)
		}
	}
	if got := going.seen.Load(); got == 0 || got == 6 {
		t.Errorf("the replica that drains was asked %d times of 6, want sometimes: it is passed over for a while", got)
	}
}

// TestNginxAsksEveryoneWhenNobodyIsLeft: all replicas were passed over, and one answers. Without
// the second list it would be 502 for everybody, for 2 to 3 s.
func TestNginxAsksEveryoneWhenNobodyIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		change *strings.Replacer
		want   int
	}{
		"as it is":                {asItIs(), http.StatusOK},
		"without the second list": {strings.NewReplacer("backup;", "down;"), http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			var away atomic.Bool
			away.Store(true)
			answer := func(w http.ResponseWriter, r *http.Request) {
				if away.Load() {
					breaks(w, r)
					return
				}
				says("well")(w, r)
			}
			addr := startNginx(t, c.change, newFake(t, answer).addr, newFake(t, answer).addr)
			if status, _, _ := send(t, http.MethodGet, "http://"+addr+"/"); status != http.StatusBadGateway {
				t.Fatalf("got %d while nobody answers, want 502", status)
			}
			away.Store(false)
			if status, _, _ := send(t, http.MethodGet, "http://"+addr+"/"); status != c.want {
				t.Errorf("got %d when all answer again, want %d", status, c.want)
			}
		})
	}
}

// TestNginxStopsAsking: a page that brings replicas down does not meet all of them.
func TestNginxStopsAsking(t *testing.T) {
	var all []string
	var seen []*fake
	for range 8 {
		f := newFake(t, breaks)
		seen, all = append(seen, f), append(all, f.addr)
	}
	addr := startNginx(t, asItIs(), all...)
	send(t, http.MethodGet, "http://"+addr+"/")
	asked := int64(0)
	for _, f := range seen {
		asked += f.seen.Load()
	}
	if asked != 4 {
		t.Errorf("got %d replicas asked for one page, want 4", asked)
	}
}

// TestNginxRemembersWhoIsFrozen: a replica takes connections and says nothing. One visitor waits,
// and the others find the rest. nginx takes a visitor who goes before the answer comes for a proof
// that all is well, and would send everybody there again. (e2e has the same with real replicas.)
func TestNginxRemembersWhoIsFrozen(t *testing.T) {
	const sooner, goes = "proxy_read_timeout 1s;", "proxy_ignore_client_abort off;"
	for name, c := range map[string]struct {
		change *strings.Replacer
		fooled bool
	}{
		"as it is":          {strings.NewReplacer("proxy_read_timeout 5s;", sooner), false},
		"it heeds who goes": {strings.NewReplacer("proxy_read_timeout 5s;", sooner, "proxy_ignore_client_abort on;", goes), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			thaw := make(chan struct{})
			frozen, well := newFake(t, func(http.ResponseWriter, *http.Request) { <-thaw }), newFake(t, says("well"))
			t.Cleanup(func() { close(thaw) }) // before the replica ends, which waits for its handlers
			addr := startNginx(t, c.change, frozen.addr, well.addr)
			for frozen.seen.Load() == 0 { // it is found out
				if status, _, _ := send(t, http.MethodGet, "http://"+addr+"/"); status != http.StatusOK {
					t.Fatalf("got %d, want the other replica's page", status)
				}
			}
			before := frozen.seen.Load()
			eventually(t, "it to be asked again", func() error {
				leave(t, addr)
				if frozen.seen.Load() == before {
					return fmt.Errorf("it was not")
				}
				return nil
			})
			before = frozen.seen.Load()
			for range 20 {
				leave(t, addr)
			}
			if got := frozen.seen.Load() - before; c.fooled != (got > 5) {
				t.Errorf("got %d of 20 visitors at the frozen replica; want more than 5: %t", got, c.fooled)
			}
		})
	}
}

// leave asks for a page, and does not wait for long.
func leave(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
		_ = resp.Body.Close() // it is not read
	}
}

// TestNginxNeedsItsWordAboutDraining: the same without it.
func TestNginxNeedsItsWordAboutDraining(t *testing.T) {
	going, staying := newFake(t, drains), newFake(t, upgrades)
	addr := startNginx(t, strings.NewReplacer("error timeout http_503", "error timeout"), going.addr, staying.addr)
	refused := 0
	for range 6 {
		if status, _ := upgrade(t, addr); status == http.StatusServiceUnavailable {
			refused++
		}
	}
	if refused == 0 {
		t.Error("got no refusal: then http_503 is not needed")
	}
}

// A replica from before substitutes does not have the next version's script.
func TestNginxFindsAFileThatOneReplicaDoesNotHave(t *testing.T) {
	old, next := newFake(t, http.NotFound), newFake(t, says("a script"))
	addr := startNginx(t, asItIs(), old.addr, next.addr)
	for range 6 {
		if status, _, body := send(t, http.MethodGet, "http://"+addr+"/static/app.0123456789.js"); status != http.StatusOK || body != "a script" {
			t.Errorf("got %d %q, want the script", status, body)
		}
	}
	if old.seen.Load() == 0 {
		t.Error("nobody asked the old replica")
	}
	before := old.seen.Load() + next.seen.Load()
	for range 4 {
		send(t, http.MethodGet, "http://"+addr+"/c/none")
	}
	if got := old.seen.Load() + next.seen.Load() - before; got != 4 {
		t.Errorf("got %d requests for 4 pages, want that a page's 404 is an answer", got)
	}
}

func TestNginxNeverRepeatsAFormThatWasSent(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{"drains": drains, "breaks": breaks} {
		t.Run(name, func(t *testing.T) {
			bad, good := newFake(t, fault), newFake(t, says("counted"))
			addr := startNginx(t, asItIs(), bad.addr, good.addr)
			const forms = 8
			for range forms {
				send(t, http.MethodPost, "http://"+addr+"/c/lobby/increment")
			}
			if sum := bad.seen.Load() + good.seen.Load(); sum != forms || bad.seen.Load() == 0 {
				t.Errorf("got %d forms at the replicas, %d of them at the bad one; want each of %d once", sum, bad.seen.Load(), forms)
			}
			for range forms {
				if status, _, _ := send(t, http.MethodGet, "http://"+addr+"/"); status != http.StatusOK {
					t.Errorf("got %d for a page, want the other replica's", status)
				}
			}
		})
	}
}

func TestNginxTakesAFormElsewhereIfItWasNotSent(t *testing.T) {
	good := newFake(t, says("counted"))
	addr := startNginx(t, asItIs(), "127.0.0.1:"+freePort(t), good.addr)
	for range 8 {
		if status, _, body := send(t, http.MethodPost, "http://"+addr+"/c/lobby/increment"); status != http.StatusOK || body != "counted" {
			t.Errorf("got %d %q, want it counted", status, body)
		}
	}
}

// TestFormsGoOverFreshConnections: one that was idle may be closing.
func TestFormsGoOverFreshConnections(t *testing.T) {
	peers := make(chan string, 20)
	r := newFake(t, func(_ http.ResponseWriter, r *http.Request) { peers <- r.Method + " " + r.RemoteAddr })
	addr := startNginx(t, strings.NewReplacer("worker_processes auto", "worker_processes 1"), r.addr)
	connections := map[string]map[string]bool{"GET": {}, "POST": {}}
	for _, kind := range []string{"c", "poll", "bank", "list", "log", "signup"} {
		for _, method := range []string{"GET", "POST"} {
			send(t, method, "http://"+addr+"/"+kind+"/lobby/act")
			_, peer, _ := strings.Cut(<-peers, " ")
			connections[method][peer] = true
		}
	}
	if pages, forms := len(connections["GET"]), len(connections["POST"]); pages != 1 || forms != 6 {
		t.Errorf("got %d connections for 6 pages and %d for 6 forms, want 1 and 6", pages, forms)
	}
}

func TestNginxSaysWhoAsksAndBelievesNobody(t *testing.T) {
	r := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		_, _ = fmt.Fprintf(w, "%s|%s|%s|%s%s%s", r.Host, h.Values("X-Forwarded-For"), h.Get("X-Forwarded-Proto"),
			h.Get("Forwarded"), h.Get("X-Real-Ip"), h.Get("X-Forwarded-Host")+h.Get("X-Forwarded-Port")+h.Get("X-Forwarded-Prefix"))
	})
	addr := startNginx(t, asItIs(), r.addr)
	for _, path := range []string{"/", "/c/lobby/reset", "/ws/c/lobby"} {
		_, header, got := send(t, http.MethodPost, "http://"+addr+path, "X-Forwarded-For", "10.9.9.9", "X-Forwarded-Proto", "https",
			"Forwarded", "for=10.9.9.9", "X-Real-IP", "10.9.9.9", "X-Forwarded-Host", "evil.example",
			"X-Forwarded-Port", "81", "X-Forwarded-Prefix", "/x")
		if want := addr + "|[127.0.0.1]|http|"; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if s := header.Get("Server"); s != "nginx" {
			t.Errorf("%s: got Server %q, want no version", path, s)
		}
	}
}

// TestNginxCompressesWhatIsNot: pages are compressed here, files have been
// already, the better way.
func TestNginxCompressesWhatIsNot(t *testing.T) {
	long := strings.Repeat("in step ", 500)
	r := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasPrefix(r.URL.Path, "/static/") && strings.Contains(r.Header.Get("Accept-Encoding"), "br") {
			w.Header().Set("Content-Encoding", "br")
			w.Header().Set("ETag", `"abc"`)
		}
		_, _ = io.WriteString(w, long)
	})
	addr := startNginx(t, asItIs(), r.addr)
	for path, want := range map[string]string{"/": "gzip", "/static/app.js": "br"} {
		_, header, body := send(t, http.MethodGet, "http://"+addr+path, "Accept-Encoding", "gzip, br")
		if got := header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if want == "br" && (body != long || header.Get("ETag") != `"abc"`) {
			t.Errorf("%s: got %d bytes, ETag %s; want them as they were", path, len(body), header.Get("ETag"))
		}
	}
}

// TestNginxSendsTabsWhereThereAreFewest: also after one replica has lost all
// of its own.
func TestNginxSendsTabsWhereThereAreFewest(t *testing.T) {
	var open [3]atomic.Int64
	var ends [3]chan struct{}
	var addrs []string
	for i := range open {
		ends[i] = make(chan struct{})
		f := newFake(t, func(http.ResponseWriter, *http.Request) {
			open[i].Add(1)
			<-ends[i]
			open[i].Add(-1)
		})
		addrs = append(addrs, f.addr)
	}
	t.Cleanup(func() { // before the replicas end, which wait for their handlers
		for _, e := range ends {
			close(e)
		}
	})
	addr := startNginx(t, asItIs(), addrs...)
	connect := func(n int) {
		for range n {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() }) // the replicas wait for us
			_, _ = io.WriteString(c, "GET /ws/c/lobby HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
	settle := func(want [3]int64) {
		t.Helper()
		eventually(t, "all to be with a replica", func() error {
			if got := [3]int64{open[0].Load(), open[1].Load(), open[2].Load()}; got != want {
				return fmt.Errorf("got %v, want %v", got, want)
			}
			return nil
		})
	}
	connect(30)
	settle([3]int64{10, 10, 10})
	for range 10 {
		ends[0] <- struct{}{}
	}
	settle([3]int64{0, 10, 10})
	connect(4)
	settle([3]int64{4, 10, 10})
}

func TestNginxRefusesALargeBody(t *testing.T) {
	r := newFake(t, says("counted"))
	addr := startNginx(t, asItIs(), r.addr)
	resp, err := http.Post("http://"+addr+"/c/lobby/reset", "text/plain", strings.NewReader(strings.Repeat("x", 17<<10)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || r.seen.Load() != 0 {
		t.Errorf("got %s and %d requests at the replica, want 413 and none", resp.Status, r.seen.Load())
	}
}

// checkReplicas says which replicas do not stand there as they must: one is passed over that does
// not answer, and asked all the same when nobody is left.
func checkReplicas(_ *testing.T, conf string) []string {
	var bad complaints
	for _, app := range []string{"app1", "app2", "app3"} {
		for _, role := range []string{"max_fails=1 fail_timeout=2s;", "max_fails=0 backup;"} {
			if line := fmt.Sprintf("server %s:8000 %s\n", app, role); strings.Count(conf, line) != 1 {
				bad.add("%d times %s", strings.Count(conf, line), line)
			}
		}
	}
	if got := strings.Count(conf, "\nserver "); got != 6 {
		bad.add("%d servers, want three, each twice", got)
	}
	return bad
}

// TestNginxHasWhatTestsCanNotShow: lines whose effect takes minutes.
func TestNginxHasWhatTestsCanNotShow(t *testing.T) {
	check := func(_ *testing.T, conf string) []string {
		var bad complaints
		for want, why := range map[string]string{
			"proxy_read_timeout 5s;":          "a page waits as long for a replica that is frozen",
			"proxy_next_upstream_timeout 6s;": "a page waits for each of several that are frozen",
			"location /ws/ {\n      proxy_pass http://app;\n      proxy_read_timeout 75s;": "a replica is silent for 20 s, and its ping comes after 30 s",
			"keepalive_timeout 30s;":            "an idle connection must end here before it ends at the replica, after 60 s",
			"zone app 64k;":                     "each worker would count for itself",
			"worker_shutdown_timeout":           "a reload would keep old workers for as long as tabs stay",
			"client_header_timeout 5s;":         "slow headers hold a connection",
			"worker_rlimit_nofile 65536;":       "two descriptors for each tab",
			"proxy_set_header Host $http_host;": "the origin check compares it, with the port",
		} {
			if !strings.Contains(conf, want) {
				bad.add("no %s (%s)", want, why)
			}
		}
		for _, forbidden := range []string{"ip_hash", "sticky", "non_idempotent", "$proxy_add_x_forwarded_for"} {
			if strings.Contains(strings.ReplaceAll(conf, "No sticky sessions", ""), forbidden) {
				bad.add("there is %s", forbidden)
			}
		}
		return bad
	}
	conf := read(t, "deploy/nginx.conf")
	for _, c := range check(t, conf) {
		t.Error(c)
	}
	for _, c := range checkReplicas(t, read(t, "deploy/nginx-replicas.conf")) {
		t.Error(c)
	}
	provoke(t, read(t, "deploy/nginx-replicas.conf"), checkReplicas, []breach{
		{"a replica that is never passed over", "app2:8000 max_fails=1 fail_timeout=2s", "app2:8000 max_fails=0", "app2:8000"},
		{"nobody to ask when all are", "server app3:8000 max_fails=0 backup;\n", "", "app3:8000"},
	})
	provoke(t, conf, check, []breach{
		{"sockets cut while quiet", "proxy_read_timeout 75s;    # a replica", "proxy_read_timeout 15s;    # a replica", "proxy_read_timeout 75s"},
		{"what clients say appended", "X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for", "$proxy_add_x"},
		{"forms repeated", "error timeout http_503", "error timeout http_503 non_idempotent", "non_idempotent"},
	})
}
