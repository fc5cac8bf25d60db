package serve

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// A pair is the files of a certificate in a folder, a clock, and a log.
type pair struct {
	*certificate
	t     *testing.T
	ca    *testserver.Authority
	dir   string
	clock time.Time
	log   bytes.Buffer
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, ca: testserver.NewAuthority(t), dir: t.TempDir(), clock: time.Now()}
	p.put(p.dir, "first.example")
	p.load()
	return p
}

// load reads the files for the first time.
func (p *pair) load() {
	p.t.Helper()
	var err error
	p.certificate, err = loadCertificate(filepath.Join(p.dir, "tls.crt"), filepath.Join(p.dir, "tls.key"),
		func() time.Time { return p.clock }, slog.New(slog.NewTextHandler(&p.log, nil)))
	if err != nil {
		p.t.Fatal(err)
	}
}

// put writes a new certificate for a name into a folder.
func (p *pair) put(dir, name string) {
	p.t.Helper()
	cert, key := p.ca.Issue(p.clock.Add(time.Hour), name)
	p.move(cert, filepath.Join(dir, "tls.crt"))
	p.move(key, filepath.Join(dir, "tls.key"))
}

func (p *pair) move(from, to string) {
	p.t.Helper()
	if err := os.Rename(from, to); err != nil {
		p.t.Fatal(err)
	}
}

// name is that of the certificate which a handshake gets after a while.
func (p *pair) name(after time.Duration) string {
	p.t.Helper()
	p.clock = p.clock.Add(after)
	c, err := p.get(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return c.Leaf.DNSNames[0]
}

func TestACertificateThatIsReplacedIsServedASecondLater(t *testing.T) {
	p := newPair(t)
	p.put(p.dir, "second.example")
	if got := p.name(lookEvery - 1); got != "first.example" {
		t.Errorf("got %s: the files were looked at too soon", got)
	}
	if got := p.name(1); got != "second.example" {
		t.Errorf("got %s, want the new one", got)
	}
	if n := strings.Count(p.log.String(), "certificate replaced"); n != 1 {
		t.Errorf("got %d lines, want one: %s", n, &p.log)
	}
}

func TestACertificateThatIsBrokenIsNotServedAndSaidOnce(t *testing.T) {
	write := func(text string) func(*pair) {
		return func(p *pair) {
			if err := os.WriteFile(filepath.Join(p.dir, "tls.crt"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, breakIt := range map[string]func(*pair){
		"nonsense":   write("nonsense"),
		"half of it": write("-----BEGIN CERTIFICATE-----\nMIIB"),
		"not there":  func(p *pair) { p.move(filepath.Join(p.dir, "tls.crt"), filepath.Join(p.dir, "away")) },
		"another key": func(p *pair) {
			_, key := p.ca.Issue(p.clock, "x")
			p.move(key, filepath.Join(p.dir, "tls.key"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			breakIt(p)
			for range 3 {
				if got := p.name(lookEvery); got != "first.example" {
					t.Errorf("got %s, want the old one", got)
				}
			}
			if n := strings.Count(p.log.String(), "level=WARN"); n != 1 {
				t.Errorf("got %d warnings, want one: %s", n, &p.log)
			}
			p.put(p.dir, "second.example")
			if got := p.name(lookEvery); got != "second.example" {
				t.Errorf("got %s after it was repaired", got)
			}
		})
	}
}

// TestLinksThatPointElsewhereAreANewCertificate: Kubernetes writes a new
// folder and renames a link to it; the paths in the configuration stay.
func TestLinksThatPointElsewhereAreANewCertificate(t *testing.T) {
	p := newPair(t)
	for i, name := range []string{"one.example", "two.example", "three.example"} {
		folder := filepath.Join(p.dir, "..data_"+name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		p.put(folder, name)
		old := time.Unix(1e9, 0) // all as old as each other: the time says nothing
		for _, file := range []string{"tls.crt", "tls.key"} {
			if err := os.Chtimes(filepath.Join(folder, file), old, old); err != nil {
				t.Fatal(err)
			}
		}
		link(t, filepath.Base(folder), filepath.Join(p.dir, "..data"))
		if i == 0 {
			link(t, "..data/tls.crt", filepath.Join(p.dir, "tls.crt"))
			link(t, "..data/tls.key", filepath.Join(p.dir, "tls.key"))
		}
		if got := p.name(lookEvery); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
}

// link makes a link, or renames a new one over it.
func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"_tmp", path); err != nil {
		t.Fatal(err)
	}
}

func TestACertificateThatNobodyWillBelieveIsWarnedOf(t *testing.T) {
	p := newPair(t)
	for says, offset := range map[string]time.Duration{"has expired": 2 * time.Hour, "not valid yet": -48 * time.Hour} {
		p.log.Reset()
		real := p.clock
		p.clock = real.Add(offset)
		p.load()
		p.clock = real
		if !strings.Contains(p.log.String(), "level=WARN") || !strings.Contains(p.log.String(), says) {
			t.Errorf("got %q, want a warning: %s", &p.log, says)
		}
	}
}

func TestATLSPortIsForTLSOnly(t *testing.T) {
	p := newPair(t)
	p.put(p.dir, "localhost")
	p.load()
	addr := serving(t, newConnLimiter(0).listener(1, 0, nil, noTabs), http.HandlerFunc(hello), p.tlsConfig())
	_, port, _ := net.SplitHostPort(addr)
	for name, c := range map[string]struct {
		config *tls.Config
		proto  string // "": refused
	}{
		"a browser":    {&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, "HTTP/2.0"},
		"a websocket":  {&tls.Config{NextProtos: []string{"http/1.1"}}, "HTTP/1.1"},
		"an old phone": {&tls.Config{MaxVersion: tls.VersionTLS12}, "HTTP/1.1"},
		"a very old":   {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.RootCAs = pool(t, p.ca)
			client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: c.config, ForceAttemptHTTP2: c.proto == "HTTP/2.0"}}
			defer client.CloseIdleConnections()
			resp, err := client.Get("https://localhost:" + port)
			if err != nil {
				if c.proto != "" || !strings.Contains(err.Error(), "protocol version") {
					t.Errorf("got %v", err)
				}
				return
			}
			defer resp.Body.Close()
			if resp.Proto != c.proto {
				t.Errorf("got %s, want %s", resp.Proto, c.proto)
			}
		})
	}
	plain := call(t, "127.0.0.1", addr)
	_, _ = io.WriteString(plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if text, _ := io.ReadAll(plain.r); !strings.HasPrefix(string(text), "HTTP/1.0 400") || !strings.Contains(string(text), "HTTPS") {
		t.Errorf("got %q without TLS, want a clear 400", text)
	}
}
