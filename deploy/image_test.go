package deploy_test

import (
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// maxImage is what an image may weigh, in bytes.
const maxImage = 46 << 20

// imageTime is the date of all files of an image, in seconds since 1970.
const imageTime = 1_700_000_000

// An image is what the last stage of the Dockerfile makes, done by hand: with
// its commands, from the files that .dockerignore lets through.
type image struct {
	root       string // the folder that is its file system
	user       string // uid:gid
	env        []string
	entrypoint []string
	health     []string
	size       int64 // bytes of its files
}

func buildImage(t *testing.T) image {
	t.Helper()
	d := parseDockerfile(t, read(t, "Dockerfile"))
	img := image{root: t.TempDir()}
	out := filepath.Join(t.TempDir(), "out")
	dir := t.TempDir()
	copyContext(t, dir)
	for _, stage := range []string{"files", "program", "build-web"} {
		for c := range commands[*instructions.RunCommand](d.stage(t, stage)) {
			runBuild(t, dir, regexp.MustCompile(`/out\b`).ReplaceAllString(strings.Join(c.CmdLine, " "), out))
		}
	}
	for _, c := range d.stage(t, "web").Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			img.copy(t, c, out)
		case *instructions.UserCommand:
			img.user = c.User
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				img.env = append(img.env, kv.Key+"="+kv.Value)
			}
		case *instructions.EntrypointCommand:
			img.entrypoint = c.CmdLine
		case *instructions.HealthCheckCommand:
			img.health = c.Health.Test[1:] // after "CMD"
		}
	}
	return img
}

// runBuild runs a RUN of the Dockerfile in dir, a copy of the context: a file which
// .dockerignore forgets is missed there.
func runBuild(t *testing.T, dir, line string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION=v0.0.0-test", "SOURCE_DATE_EPOCH="+strconv.Itoa(imageTime))
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, b)
	}
}

func copyContext(t *testing.T, dir string) {
	t.Helper()
	ignored := dockerignore(t)
	for _, path := range tracked(t) {
		skip, err := ignored.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		if skip {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tracked are the repository's files, new ones too.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// copy does a COPY, and counts what it weighs.
func (img *image) copy(t *testing.T, c *instructions.CopyCommand, out string) {
	t.Helper()
	source := strings.Replace(c.SourcePaths[0], "/out", out, 1)
	target := filepath.Join(img.root, c.DestPath)
	info, err := os.Stat(source)
	if err != nil {
		t.Fatalf("COPY %s: %v", c.SourcePaths[0], err)
	}
	if info.IsDir() {
		img.copyAll(t, source, target)
		return
	}
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, b, info.Mode()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(target, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	img.size += info.Size()
}

// copyAll copies a folder as COPY does: with its dates.
func (img *image) copyAll(t *testing.T, source, target string) {
	t.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", source+"/.", target).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err := filepath.WalkDir(source, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			img.size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// jail runs a command in the image: its root read-only, as its user, without
// capabilities. data becomes /data; "" leaves that read-only as well.
func (img *image) jail(t *testing.T, data string, env []string, argv ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can change the root of a process")
	}
	script := `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
[ -z "$2" ] || mount --bind "$2" "$1/data" || exit 99
root=$1 user=$3; shift 3
exec chroot --userspec="$user" "$root" "$@"`
	cmd := exec.Command(tool(t, "unshare", "util-linux"), append([]string{"--mount", "sh", "-c", script, "sh", img.root, data, img.user}, argv...)...)
	cmd.Env = append(append([]string{"PATH=" + os.Getenv("PATH")}, img.env...), env...)
	return cmd
}

// volume is a folder as an engine makes it for VOLUME: the image user's own.
func (img *image) volume(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var uid, gid int
	if _, err := fmt.Sscanf(img.user, "%d:%d", &uid, &gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	// Everybody may pass through what the test's own folder is in.
	for p := filepath.Dir(dir); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTheImageRunsReadOnlyAsNobody: what the Dockerfile makes is small, serves,
// checks itself and keeps its count in /data only.
func TestTheImageRunsReadOnlyAsNobody(t *testing.T) {
	img := buildImage(t)
	t.Logf("the image is %.1f MB", float64(img.size)/1e6)
	if img.size > maxImage {
		t.Errorf("got %d bytes, want at most %d", img.size, maxImage)
	}
	wantOneDate(t, img.root)
	wantItsModules(t, filepath.Join(img.root, "web"))
	port := freePort(t)
	env := []string{"PORT=" + port} // as a platform would set it
	data := img.volume(t)

	if out, err := img.jail(t, data, env, img.health...).CombinedOutput(); err == nil {
		t.Errorf("got health 0 before there is a server: %s", out)
	}
	server := img.jail(t, data, env, img.entrypoint...)
	server.Stdout, server.Stderr = t.Output(), t.Output()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }() // ends with the server, for which the test waits below
	t.Cleanup(func() { _ = server.Process.Kill() })

	url := "http://127.0.0.1:" + port
	eventually(t, "the server", func() error { return answers(url + "/readyz") })
	if out, err := img.jail(t, data, env, img.health...).CombinedOutput(); err != nil {
		t.Errorf("got %v of -healthcheck, want 0: %s", err, out)
	}
	for _, path := range []string{"/c/lobby", "/wasm/", "/wasm/sw.js"} {
		if err := answers(url + path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	wantNobody(t, server.Process.Pid, img.user)
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v after SIGTERM, want 0", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server has not ended 30 s after SIGTERM")
	}
	if _, err := os.Stat(filepath.Join(data, "lockstep.db")); err != nil {
		t.Errorf("the store is not in /data: %v", err)
	}
	wantNothingWritten(t, img.root)

	// Without a volume there is one clear line, and no crash.
	out, err := img.jail(t, "", env, img.entrypoint...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read-only file system") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("got %v and %q without /data, want one line that says so", err, out)
	}
	if out, err := img.jail(t, "", nil, img.entrypoint[0], "-version").Output(); err != nil || string(out) != "web v0.0.0-test\n" {
		t.Errorf("got %q, %v; want the version", out, err)
	}
}

// wantOneDate wants all of the image to be of the time that was asked for.
func wantOneDate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Unix() != imageTime {
			t.Errorf("%s is of %s", path, info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantItsModules wants a program to say what it is made of: a bill of materials is read out of it.
func wantItsModules(t *testing.T, program string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, m := range info.Deps {
		said[m.Path] = true
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/web")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Fields(string(out))
	if len(wanted) < 20 {
		t.Fatalf("cmd/web needs %q: are these all?", wanted)
	}
	for _, path := range wanted {
		if !said[path] {
			t.Errorf("the program does not say that %s is in it", path)
		}
	}
}

// wantNobody wants a process to be the user that the image names, with no
// capabilities.
func wantNobody(t *testing.T, pid int, user string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	uid, _, _ := strings.Cut(user, ":")
	for _, want := range []string{`Uid:\s+` + uid + `\s`, `CapEff:\s+0+\n`} {
		if !regexp.MustCompile(want).Match(b) {
			t.Errorf("got\n%s\nwant %s", b, want)
		}
	}
}

// wantNothingWritten wants the image to have what was copied into it only.
func wantNothingWritten(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Base(path) != "web" && filepath.Base(path) != "ca-certificates.crt" {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
