package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

// A frontVisitor is a browser without a window that comes from an address of its own.
type frontVisitor struct {
	t      *testing.T
	client *http.Client
}

// visitorFrom returns a visitor of the loopback: each of its addresses is another one to a server.
func visitorFrom(t *testing.T, addr string) *frontVisitor {
	t.Helper()
	client := newVisitorClient(t)
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	client.Transport = transport
	return &frontVisitor{t, client}
}

// ask sends one request; a form makes it a POST. headers are by name and value in turn.
func (v *frontVisitor) ask(address string, form url.Values, headers ...string) (*http.Response, string) {
	v.t.Helper()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(text)
}

// originOf is what a browser says of where a page is from.
func originOf(address string) string {
	u, _ := url.Parse(address)
	return u.Scheme + "://" + u.Host
}

// page opens a counter's page of a site, all that it loads too, and returns the addresses of its
// socket and of a form.
func (v *frontVisitor) page(site, name string) (socket, form string) {
	v.t.Helper()
	resp, body := v.ask(site+"/c/"+name, nil)
	p, err := readPage(body)
	if err != nil || p.forms["increment"] == "" {
		v.t.Fatalf("%s: got %d, and no page of a counter: %v: %s", site, resp.StatusCode, err, body)
	}
	prefix := strings.TrimPrefix(site, originOf(site))
	for _, link := range loadPattern.FindAllStringSubmatch(body, -1) {
		if !strings.HasPrefix(link[1], prefix+"/") {
			v.t.Errorf("%s leads outside", link[1])
		}
		if resp, _ := v.ask(originOf(site)+link[1], nil); resp.StatusCode != http.StatusOK {
			v.t.Errorf("%s: got %d", link[1], resp.StatusCode)
		}
	}
	return originOf(site) + p.socket, originOf(site) + p.forms["increment"]
}

// send sends a form as a browser without JavaScript does, and follows where it leads.
func (v *frontVisitor) send(site, form string) error {
	v.t.Helper()
	if !strings.HasPrefix(form, site+"/") {
		v.t.Errorf("%s: the form is sent to %s", site, form)
	}
	resp, body := v.ask(form, url.Values{"x": {"y"}}, "Origin", originOf(site))
	if resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("a form is answered with %d: %s", resp.StatusCode, body)
	}
	back, err := resp.Location()
	if err != nil {
		return err
	}
	if resp, _ := v.ask(back.String(), nil); resp.StatusCode != http.StatusOK || !strings.HasPrefix(back.String(), site+"/") {
		return fmt.Errorf("a form leads to %s (%d)", back, resp.StatusCode)
	}
	return nil
}

// click opens a socket of a counter, and clicks on it until it is answered.
func (v *frontVisitor) click(site, name, socket string) error {
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, socket, &websocket.DialOptions{
		HTTPClient: v.client, HTTPHeader: http.Header{"Origin": {originOf(site)}},
	})
	if err != nil {
		if resp != nil {
			return fmt.Errorf("a socket is answered with %d", resp.StatusCode)
		}
		return err
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte(clickText(newOpOn("counter:"+name)))); err != nil {
		return err
	}
	for {
		_, m, err := ws.Read(ctx)
		if err != nil || strings.Contains(string(m), `"ack"`) {
			return err
		}
	}
}

// all does on a site what a visitor can do.
func (v *frontVisitor) all(site, name string) {
	v.t.Helper()
	socket, form := v.page(site, name)
	if err := v.click(site, name, socket); err != nil {
		v.t.Errorf("%s: %v", site, err)
	}
	if err := v.send(site, form); err != nil {
		v.t.Errorf("%s: %v", site, err)
	}
	if _, body := v.ask(site+"/c/"+name, nil); !strings.Contains(body, `data-count="2"`) {
		v.t.Errorf("%s: the page does not show two clicks: %s", site, body)
	}
}

// startBehind starts a replica that believes a proxy on this machine, and nobody else on it. Each
// address may send 100 requests, and then as good as none.
func startBehind(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, t.TempDir(), append([]string{
		"-addr", address(testserver.FreePort(t)), "-trusted-proxies", "127.0.0.1", "-exempt", "none",
		"-request-rate", "0.01", "-request-burst", "100",
	}, args...)...)
}

func TestBehindEachProxyAsItsDocumentationHasIt(t *testing.T) {
	t.Parallel()
	for _, product := range testserver.Fronts() {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			p := startBehind(t)
			front := testserver.NewFront(t, product, nil, p.addr())
			one, other := visitorFrom(t, "127.0.0.2"), visitorFrom(t, "127.0.0.3")
			one.all(front.URL, "root")
			one.all(front.Below, "below")
			t.Run("in Chromium", func(t *testing.T) {
				browser := newBrowser(t)
				for site, name := range map[string]string{front.URL: "root", front.Below: "below"} {
					page := visit(t, browser, site+"/c/"+name)
					page.click("increment")
					page.showsCount(3)
				}
			})
			for range 25 { // what is so with most is noticed by then
				visitorFrom(t, "127.0.0.4").ask(front.URL+"/c/root", nil, "Accept-Language", "en")
			}
			if _, metrics := get(t, p.admin()+"/metrics"); strings.Contains(metrics, `part="proxy"`) {
				t.Errorf("the proxy is not as it must be: %s", metrics)
			}
			// Each visitor has the address that it has, whatever it says.
			last := 0
			for i := range 120 {
				resp, _ := one.ask(front.URL+"/c/root", nil, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "Forwarded", fmt.Sprintf("for=198.51.100.%d", i))
				last = resp.StatusCode
			}
			if last != http.StatusTooManyRequests {
				t.Errorf("got %d after 120 requests of one address, want 429", last)
			}
			if resp, _ := other.ask(front.URL+"/c/root", nil); resp.StatusCode != http.StatusOK {
				t.Errorf("got %d for another address, want 200", resp.StatusCode)
			}
		})
	}
}

// What nginx does as its documentation has it, or others write it, where nothing can be mended but
// here: the replica asks to be told.
func TestBehindAnNginxThatSaysLess(t *testing.T) {
	t.Parallel()
	const (
		host   = "    proxy_set_header Host $http_host;      # with the port; $host has none\n"
		prefix = "    proxy_set_header X-Forwarded-Prefix /counter;\n"
		belowH = "    proxy_set_header Host $http_host;\n"
	)
	for _, tc := range []struct {
		name     string
		change   *strings.Replacer
		args     func(front *testserver.Front) []string
		helpless bool // without args it does not work
	}{
		{"it asks by the replica's name", strings.NewReplacer(host, "", belowH, ""), origins, true},
		{"it takes the port off", strings.NewReplacer(host, "    proxy_set_header Host $host;\n", belowH, "    proxy_set_header Host $host;\n"), origins, true},
		{
			"it says the name elsewhere", strings.NewReplacer(host, "    proxy_set_header X-Forwarded-Host $http_host;\n", belowH, "    proxy_set_header X-Forwarded-Host $http_host;\n"),
			func(*testserver.Front) []string { return nil }, false,
		},
		{
			"it says nothing of the path", strings.NewReplacer(prefix, ""),
			func(*testserver.Front) []string { return []string{"-base-path", "/counter"} }, true,
		},
		{
			"it leaves the path on", strings.NewReplacer(prefix, "", "http://lockstep/;", "http://lockstep;", "http://lockstep$1", "http://lockstep/counter$1"),
			func(*testserver.Front) []string { return []string{"-base-path", "/counter"} }, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := startBehind(t)
			front := testserver.NewFront(t, "nginx", tc.change, p.addr())
			if tc.helpless && works(t, front) {
				t.Error("it works without being told: then nothing is tested here")
			}
			p.kill()
			p.args = append(p.args, tc.args(front)...)
			p.restart()
			visitorFrom(t, "127.0.0.3").all(front.Below, "told")
		})
	}
}

// The balancer of -replicas stands between: it passes on what the proxy says.
func TestBehindAProxyAndTheBalancer(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(freePorts(t, 3)), "-replicas", "2", "-trusted-proxies", "127.0.0.1",
		"-exempt", "none", "-request-rate", "0.01", "-request-burst", "100")
	front := testserver.NewFront(t, "apache", nil, p.addr())
	one, other := visitorFrom(t, "127.0.0.2"), visitorFrom(t, "127.0.0.3")
	one.all(front.URL, "root")
	one.all(front.Below, "below")
	last := 0
	for range 300 { // each replica counts for itself
		resp, _ := one.ask(front.URL+"/c/root", nil)
		last = resp.StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("got %d after 300 requests of one address, want 429", last)
	}
	if resp, _ := other.ask(front.URL+"/c/root", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("got %d for another address, want 200", resp.StatusCode)
	}
}

// A page that may not connect tells the person, and the log tells whoever runs the server what to
// do.
func TestAPageOfAnotherNameSaysWhyItDoesNotConnect(t *testing.T) {
	t.Parallel()
	const host = "    proxy_set_header Host $http_host;      # with the port; $host has none\n"
	p := startBehind(t)
	front := testserver.NewFront(t, "nginx", strings.NewReplacer(host, ""), p.addr())
	page := newPage(t, newBrowser(t))
	page.navigate(front.URL)
	eventually(t, "the page to say why", func() error {
		text := page.evaluate(`document.getElementById('notice').textContent`)
		if !strings.Contains(text, front.URL) || !strings.Contains(text, "asked as lockstep:") { // the upstream's name
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	p.prints("-origins", front.URL)
}

func origins(front *testserver.Front) []string {
	return []string{"-origins", originOf(front.URL) + "," + originOf(front.Below)}
}

// works reports whether a visitor can click below the path.
func works(t *testing.T, front *testserver.Front) bool {
	v := visitorFrom(t, "127.0.0.2")
	_, body := v.ask(front.Below+"/c/works", nil)
	p, err := readPage(body)
	return err == nil && v.click(front.Below, "works", originOf(front.Below)+p.socket) == nil
}

// TestNoFrontRepeatsAFormThatWasSent: it may have counted. A page is asked for again by some.
func TestNoFrontRepeatsAFormThatWasSent(t *testing.T) {
	t.Parallel()
	faults := map[string]http.HandlerFunc{
		"it breaks the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it says that it drains": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "going away", http.StatusServiceUnavailable)
		},
	}
	for _, product := range testserver.Fronts() {
		for name, fault := range faults {
			t.Run(product+", "+name, func(t *testing.T) {
				t.Parallel()
				var bad, good atomic.Int64
				replica := func(forms *atomic.Int64, answer http.HandlerFunc) string {
					s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Method != http.MethodPost {
							return // pages, and checks
						}
						_, _ = io.Copy(io.Discard, r.Body) // it has come whole
						forms.Add(1)
						answer(w, r)
					}))
					t.Cleanup(s.Close)
					return s.Listener.Addr().String()
				}
				well := replica(&good, func(http.ResponseWriter, *http.Request) {})
				front := testserver.NewFront(t, product, nil, replica(&bad, fault), well, well)
				forms := int64(0)
				for ; forms < 12 || bad.Load() == 0 && forms < 200; forms++ { // some fronts choose by chance
					visitorFrom(t, "127.0.0.2").ask(front.URL+"/do", url.Values{"n": {"1"}})
				}
				if sum := bad.Load() + good.Load(); sum != forms || bad.Load() == 0 {
					t.Errorf("got %d forms at the replicas, %d of them at the bad one; want each of %d once", sum, bad.Load(), forms)
				}
			})
		}
	}
}
