package testserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Nginx starts nginx as a balancer in front of upstreams, given as host:port,
// with the configuration that deploying needs: a peer is never taken out
// (max_fails=0), because one that was restarted would otherwise get one
// websocket in ten seconds, and a request goes to the next peer when one
// fails, unless it was sent and may have changed something (a POST).
func Nginx(t testing.TB, upstreams ...string) *Server {
	t.Helper()
	path := nginxBinary(t)
	dir := publicDir(t)
	port := FreePort(t)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxConfig(dir, port, upstreams)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Dir: dir, stopBy: syscall.SIGTERM}
	s.URL = "http://" + s.Addr
	s.command = func() *exec.Cmd {
		return exec.Command(path, "-p", dir, "-c", config, "-e", "stderr") // so that a failed test shows it
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

// nginxBinary also looks where only root's PATH leads.
func nginxBinary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "nginx", "nginx-light")
	return ""
}

func nginxConfig(dir string, port int, upstreams []string) string {
	var peers strings.Builder
	for _, u := range upstreams {
		fmt.Fprintf(&peers, "    server %s max_fails=0;\n", u)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the folder is of this user
	}
	return user + fmt.Sprintf(`daemon off;
worker_processes 1;
worker_shutdown_timeout 10s;
pid %[1]s/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream app {
    least_conn;
%[2]s  }
  server {
    listen 127.0.0.1:%[3]d;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_connect_timeout 1s;
      proxy_read_timeout 75s;
      proxy_next_upstream error timeout;
    }
  }
}
`, dir, peers.String(), port)
}
