package deploy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// signals are those that a compose file may name.
var signals = map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGQUIT": syscall.SIGQUIT, "SIGINT": syscall.SIGINT}

// A composedNginx is nginx as docker-compose.yml runs it: its command, its mounts, its signal.
type composedNginx struct {
	files string // copy of the folder "deploy"
	addr  string
	cmd   *exec.Cmd
	stop  syscall.Signal
}

// composeNginx starts the service in mounts of its own. What is mounted is a copy, in which only
// the address, the paths and the replicas differ.
func composeNginx(t *testing.T, replica string) *composedNginx {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount what docker-compose.yml mounts")
	}
	p, err := loadCompose(t, read(t, "docker-compose.yml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Services["nginx"]
	dir, port := t.TempDir(), freePort(t)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the workers of root are somebody else
		t.Fatal(err)
	}
	n := &composedNginx{files: filepath.Join(dir, "repository", "deploy"), addr: "127.0.0.1:" + port, stop: signals[s.StopSignal]}
	conf := strings.NewReplacer("/run/", dir+"/", "listen 8000", "listen "+n.addr).Replace(read(t, "deploy/nginx.conf"))
	n.write(t, "nginx.conf", conf)
	n.write(t, "nginx-replicas.conf", replicasConf(t, []string{replica}))
	script := "set -e\n"
	for _, v := range s.Volumes {
		script += bind(t, v, n.files, filepath.Join(dir, v.Target))
	}
	args := append([]string{"--mount", "sh", "-c", script + `exec "$@"`, "sh", tool(t, "nginx", "nginx-light")}, s.Entrypoint[1:]...)
	if i := slices.Index(args, "/etc/lockstep/nginx.conf"); i > 0 {
		args[i] = filepath.Join(dir, args[i])
	} else {
		args = append(args, "-c", filepath.Join(dir, "/etc/nginx/nginx.conf")) // where the image's is
	}
	n.cmd = exec.Command(tool(t, "unshare", "util-linux"), args...) // each becomes the next one: its process is nginx
	n.cmd.Stderr = t.Output()
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // it has ended, if all is well
		_ = n.cmd.Wait()
	})
	return n
}

// bind is a command that mounts a volume of the compose file below another root.
func bind(t *testing.T, v types.ServiceVolumeConfig, files, target string) string {
	t.Helper()
	deploy, err := filepath.Abs("../deploy")
	if err != nil {
		t.Fatal(err)
	}
	source := strings.Replace(v.Source, deploy, files, 1)
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return fmt.Sprintf("mkdir -p %q && mount --bind %q %q\n", target, source, target)
	}
	return fmt.Sprintf("mkdir -p %q && touch %q && mount --bind %q %q\n", filepath.Dir(target), target, source, target)
}

// write writes a file as editors do: another one takes the name.
func (n *composedNginx) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(n.files, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(n.files, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestNginxOfTheComposeFileSeesAnEdit of its files, and cuts no tab off.
func TestNginxOfTheComposeFileSeesAnEdit(t *testing.T) {
	one, other := newFake(t, says("one")), newFake(t, says("other"))
	n := composeNginx(t, one.addr)
	n.says(t, "one")
	n.write(t, "nginx-replicas.conf", replicasConf(t, []string{other.addr}))
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil { // docker compose kill -s HUP nginx
		t.Fatal(err)
	}
	n.says(t, "other")
}

// says waits until pages are what a replica says.
func (n *composedNginx) says(t *testing.T, want string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // an old worker keeps its own
	eventually(t, want+" behind nginx", func() error {
		resp, err := client.Get("http://" + n.addr + "/")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && string(body) != want {
			err = fmt.Errorf("got %q", body)
		}
		return err
	})
}

// TestNginxOfTheComposeFileEndsAtOnce though tabs are open: nobody is served meanwhile.
func TestNginxOfTheComposeFileEndsAtOnce(t *testing.T) {
	held := make(chan struct{})
	defer close(held)
	replica := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			says("page")(w, r)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		<-held
	})
	n := composeNginx(t, replica.addr)
	n.says(t, "page")
	tab, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	_, _ = io.WriteString(tab, "GET /ws/c/lobby HTTP/1.1\r\nHost: counter.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(tab), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v; want a websocket", resp, err)
	}
	began := time.Now()
	if err := n.cmd.Process.Signal(n.stop); err != nil {
		t.Fatal(err)
	}
	_ = n.cmd.Wait() // how it ends is its own matter
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("nginx took %s to end, and served nobody meanwhile", took.Round(time.Second))
	}
}
