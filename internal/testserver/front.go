package testserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A Front is a reverse proxy with its configuration of deploy/proxies: two sites, of which the
// second is below a path, in front of three replicas.
type Front struct {
	*Server        // URL is the first site
	Below   string // URL of the second, without a slash at its end
}

// A frontProduct is how one of them is started.
type frontProduct struct {
	debian  string            // package; "": there is none
	program []string          // names
	files   map[string]string // of deploy/proxies, by what they are called in the configuration
	main    string            // one of files
	command func(path, config, dir string) *exec.Cmd
}

func frontProducts() map[string]frontProduct {
	return map[string]frontProduct{
		"nginx": {"nginx-light", []string{"nginx", "/usr/sbin/nginx"}, nil, "nginx.conf", func(path, config, dir string) *exec.Cmd {
			return exec.Command(path, "-p", dir, "-c", config, "-e", "stderr", "-g", "daemon off; pid "+dir+"/pid;")
		}},
		"haproxy": {"haproxy", []string{"haproxy", "/usr/sbin/haproxy"}, nil, "haproxy.cfg", func(path, config, _ string) *exec.Cmd {
			return exec.Command(path, "-f", config)
		}},
		"apache": {"apache2", []string{"apache2", "/usr/sbin/apache2"}, nil, "apache.conf", func(path, config, _ string) *exec.Cmd {
			return exec.Command(path, "-f", config, "-DFOREGROUND")
		}},
		"caddy": {"caddy", []string{"caddy", "/usr/bin/caddy"}, nil, "Caddyfile", func(path, config, dir string) *exec.Cmd {
			cmd := exec.Command(path, "run", "--config", config, "--adapter", "caddyfile")
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
			return cmd
		}},
		"traefik": {"", []string{"traefik", "../bin/traefik"}, map[string]string{"/etc/traefik/traefik-routes.yml": "traefik-routes.yml"}, "traefik.yml",
			func(path, config, _ string) *exec.Cmd { return exec.Command(path, "--configFile="+config) }},
	}
}

// Fronts are the names of the products that NewFront knows, in order.
func Fronts() []string { return []string{"nginx", "haproxy", "apache", "caddy", "traefik"} }

// NewFront starts a product in front of replicas, host:port; a single one takes the place of all.
// change is what a test has different in the configuration; nil is nothing. A product that Debian
// does not have is skipped when it is missing, wherever the others would fail the test: "make
// bin/traefik" builds it.
func NewFront(t testing.TB, product string, change *strings.Replacer, replicas ...string) *Front {
	t.Helper()
	p := frontProducts()[product]
	path := frontProgram(t, product, p)
	dir, ports := publicDir(t), [2]int{FreePort(t), FreePort(t)}
	local := []string{"8080", strconv.Itoa(ports[0]), "8081", strconv.Itoa(ports[1]), "/run/apache2/", dir + "/"}
	for i := range 3 {
		local = append(local, "127.0.0.1:800"+strconv.Itoa(i+1), replicas[i%len(replicas)])
	}
	for name, file := range p.files {
		local = append(local, name, filepath.Join(dir, file))
	}
	for _, file := range append([]string{p.main}, values(p.files)...) {
		text := string(read(t, filepath.Join(deployDir(t), "proxies", file)))
		if change != nil {
			changed := change.Replace(text)
			if changed == text && file == p.main {
				t.Fatalf("testserver: nothing in %s is to be changed", file)
			}
			text = changed
		}
		writeFile(t, filepath.Join(dir, file), strings.NewReplacer(local...).Replace(text))
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "http://" + s.Addr
	s.command = func() *exec.Cmd { return p.command(path, filepath.Join(dir, p.main), dir) }
	s.ping = func(ctx context.Context) error { return answers(ctx, s.URL+"/healthz") }
	return &Front{s.run(), "http://127.0.0.1:" + strconv.Itoa(ports[1]) + "/counter"}
}

// HasFront reports whether NewFront would not skip the test.
func HasFront(product string) bool {
	p := frontProducts()[product]
	return p.debian != "" || p.find() != ""
}

func frontProgram(t testing.TB, product string, p frontProduct) string {
	t.Helper()
	if p.debian != "" {
		return program(t, p.debian, p.program...)
	}
	path := p.find()
	if path == "" {
		t.Skipf("%s is not there: Debian does not have it, and \"make bin/%s\" takes some minutes", product, product)
	}
	return path
}

// find returns where the program is, or "".
func (p frontProduct) find() string {
	for _, name := range p.program {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// answers returns nil when the server behind answers with 200.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // the status is all
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
