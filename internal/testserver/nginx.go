package testserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Nginx starts nginx with the configuration of deploy/ in front of upstreams,
// given as host:port. What differs from a real site is where it listens, the
// upstreams, and where its files are.
func Nginx(t testing.TB, upstreams ...string) *Server {
	t.Helper()
	path := program(t, "nginx-light", "nginx", "/usr/sbin/nginx") // only root's PATH leads there
	dir := publicDir(t)
	port := FreePort(t)
	config := filepath.Join(dir, "nginx.conf")
	deploy := deployDir(t)
	writeFile(t, config, localised(t, string(read(t, filepath.Join(deploy, "nginx.conf"))), dir, port))
	replicas := string(read(t, filepath.Join(deploy, "nginx-replicas.conf")))
	writeFile(t, filepath.Join(dir, "nginx-replicas.conf"), withUpstreams(t, replicas, upstreams))
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "http://" + s.Addr
	s.command = func() *exec.Cmd {
		return exec.Command(path, "-p", dir, "-c", config, "-e", "stderr", "-g", "daemon off;") // so that a failed test shows it
	}
	s.ping = func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	return s.run()
}

// deployDir returns the folder of what is deployed, of the module that the test
// is in.
func deployDir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		deploy := filepath.Join(at, "deploy")
		if _, err := os.Stat(filepath.Join(deploy, "nginx.conf")); err == nil {
			return deploy
		}
		if at == filepath.Dir(at) {
			t.Fatalf("testserver: no deploy/nginx.conf above %s", dir)
		}
	}
}

// localised is the configuration with the address and the paths of a test.
func localised(t testing.TB, config, dir string, port int) string {
	t.Helper()
	config = replaceAll(t, config, `(?m)^(\s*listen) 8000\b`, fmt.Sprintf("${1} 127.0.0.1:%d", port))
	return replaceAll(t, config, ` /run/`, " "+dir+"/")
}

// withUpstreams is the list of upstreams with those of a test. What the list
// says of each beside its address is kept: each stands there as often as one
// of the list does.
func withUpstreams(t testing.TB, list string, upstreams []string) string {
	t.Helper()
	var roles []string // what stands behind an address
	for _, m := range regexp.MustCompile(`(?m)^server \S+(.*)$`).FindAllStringSubmatch(list, -1) {
		if !slices.Contains(roles, m[1]) {
			roles = append(roles, m[1])
		}
	}
	if len(roles) == 0 {
		t.Fatalf("testserver: no server in %q", list)
	}
	var b strings.Builder
	for _, role := range roles {
		for _, u := range upstreams {
			fmt.Fprintf(&b, "server %s%s\n", u, role)
		}
	}
	return b.String()
}

// replaceAll fails the test when there is nothing to replace: the file has
// changed, and the test would run something else than it says.
func replaceAll(t testing.TB, text, pattern, by string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	if !re.MatchString(text) {
		t.Fatalf("testserver: nothing in deploy/nginx.conf looks like %s", pattern)
	}
	return re.ReplaceAllString(text, by)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
