package deploy_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A builder is a BuildKit of this test, with nothing in its caches.
type builder struct {
	socket string
	base   string // a folder that is the image of Go

}

// startBuilder starts the BuildKit that "make image-check" builds. Without it the test is skipped.
func startBuilder(t *testing.T) *builder {
	t.Helper()
	if os.Getenv("LOCKSTEP_IMAGE_CHECK") == "" {
		t.Skip("it takes minutes, and a BuildKit: make image-check")
	}
	if os.Getuid() != 0 {
		t.Fatal("BuildKit needs root")
	}
	tool(t, "runc", "runc")
	dir := t.TempDir()
	b := &builder{socket: "unix://" + filepath.Join(dir, "socket"), base: filepath.Join(dir, "base")}
	b.makeBase(t)
	cmd := exec.Command(bin(t, "buildkitd"), "--root", filepath.Join(dir, "root"), "--addr", b.socket, "--oci-worker-net=host",
		"--allow-insecure-entitlement", "network.host", "--containerd-worker=false")
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("BuildKit said\n%s", said.Bytes()[max(0, said.Len()-4000):])
		}
	})
	eventually(t, "BuildKit", func() error {
		return exec.Command(bin(t, "buildctl"), "--addr", b.socket, "debug", "workers").Run()
	})
	return b
}

func bin(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// makeBase makes what stands for the image of Go, which no registry is asked for: a shell, this
// machine's Go, and its authorities. Modules come from this machine as far as it has them.
func (b *builder) makeBase(t *testing.T) {
	t.Helper()
	cache := strings.TrimSpace(goSays(t, "GOMODCACHE"))
	modules := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(cache, "cache", "download"))))
	t.Cleanup(modules.Close)
	script := `set -eu
mkdir -p "$1"/bin "$1"/usr/bin "$1"/usr/local "$1"/etc/ssl/certs "$1"/tmp "$1"/root
chmod 1777 "$1"/tmp
echo root:x:0:0:root:/root:/bin/sh >"$1"/etc/passwd
cp "$2" "$1"/bin/busybox
for name in sh find rmdir mkdir touch true cp; do ln -s busybox "$1/bin/$name"; done
cp -r "$3" "$1"/usr/local/go
ln -s /usr/local/go/bin/go "$1"/usr/bin/go
cp /etc/ssl/certs/ca-certificates.crt "$1"/etc/ssl/certs/`
	if out, err := exec.Command("sh", "-c", script, "sh", b.base, tool(t, "busybox", "busybox-static"), strings.TrimSpace(goSays(t, "GOROOT"))).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	env := fmt.Sprintf("GOPROXY=%s,%sGOSUMDB=%sGOTOOLCHAIN=local\n", modules.URL, goSays(t, "GOPROXY"), goSays(t, "GOSUMDB"))
	if err := os.WriteFile(filepath.Join(b.base, "usr/local/go/go.env"), []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
}

// goSays is what the go command says of its environment, as a line.
func goSays(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// An archive is an image, or one for each platform, as a file in OCI's layout.
type archive map[string][]byte

// build builds a target of the Dockerfile in a folder.
func (b *builder) build(t *testing.T, dir, target, platforms string, args ...string) archive {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image.tar")
	cmd := exec.Command(bin(t, "buildctl"), append([]string{"--addr", b.socket, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context=" + dir, "--local", "dockerfile=" + root, "--local", "base=" + b.base, "--opt", "context:base=local:base", "--opt", "build-arg:GO_IMAGE=base",
		"--opt", "target=" + target, "--opt", "platform=" + platforms, "--opt", "force-network-mode=host", "--allow", "network.host",
		"--opt", "build-arg:VERSION=v0.0.0-test", "--opt", "build-arg:REVISION=abc", "--opt", "build-arg:SOURCE_DATE_EPOCH=" + strconv.Itoa(imageTime),
		"--output", "type=oci,dest=" + out}, args...)...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", target, err, said[max(0, len(said)-4000):])
	}
	return unpack(t, out)
}

func unpack(t *testing.T, path string) archive {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := archive{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			t.Fatal(err)
		}
		if a[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// A descriptor names a blob.
type descriptor struct {
	Digest      string
	Annotations map[string]string
	Platform    struct{ Architecture string }
}

// read reads a blob, or the index.
func (a archive) read(t *testing.T, name string, into any) {
	t.Helper()
	if digest, ok := strings.CutPrefix(name, "sha256:"); ok {
		name = "blobs/sha256/" + digest
	}
	if err := json.Unmarshal(a[name], into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// images are the digests of the images by architecture, and attested those of what is attached.
func (a archive) images(t *testing.T) (images map[string]string, attested []string) {
	t.Helper()
	var index struct{ Manifests []descriptor }
	a.read(t, "index.json", &index)
	if len(index.Manifests) == 1 && index.Manifests[0].Platform.Architecture == "" {
		digest := index.Manifests[0].Digest
		index.Manifests = nil
		a.read(t, digest, &index)
	}
	images = map[string]string{}
	for _, m := range index.Manifests {
		if m.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			attested = append(attested, m.Digest)
			continue
		}
		images[m.Platform.Architecture] = m.Digest
	}
	return images, attested
}

// TestTheImageIsTheSameAgain: BuildKit makes the images of two folders, at two times, without what
// it has from the first. Layers and configuration are the same bytes, without any option of the
// exporter. What is attached says how they were made.
func TestTheImageIsTheSameAgain(t *testing.T) {
	b := startBuilder(t)
	one, other := t.TempDir(), filepath.Join(t.TempDir(), "deeper")
	copyContext(t, one)
	copyContext(t, other)
	for _, c := range []struct {
		target, platforms string
		architectures     []string
	}{
		{"loadgen", "linux/amd64,linux/arm64", []string{"amd64", "arm64"}},
		{"web", "linux/amd64", []string{"amd64"}},
	} {
		first := b.build(t, one, c.target, c.platforms, "--opt", "attest:provenance=mode=max")
		images, attested := first.images(t)
		again, _ := b.build(t, other, c.target, c.platforms, "--no-cache").images(t)
		for _, architecture := range c.architectures {
			if images[architecture] == "" || images[architecture] != again[architecture] {
				t.Errorf("%s for %s: got %q and then %q", c.target, architecture, images[architecture], again[architecture])
			}
		}
		if len(attested) != len(c.architectures) {
			t.Errorf("%s: %d images and %d attestations", c.target, len(images), len(attested))
		}
		for _, digest := range attested {
			wantProvenance(t, first, digest)
		}
		wantLabels(t, first, images[c.architectures[0]])
	}
}

// wantProvenance wants an attestation to say of what the image was made.
func wantProvenance(t *testing.T, a archive, digest string) {
	t.Helper()
	var manifest struct{ Layers []descriptor }
	a.read(t, digest, &manifest)
	kinds := ""
	for _, l := range manifest.Layers {
		kinds += l.Annotations["in-toto.io/predicate-type"] + " "
	}
	if !strings.Contains(kinds, "slsa.dev/provenance") {
		t.Errorf("got attestations of %q, want the provenance", kinds)
	}
}

// wantLabels wants the labels, with what the arguments said.
func wantLabels(t *testing.T, a archive, digest string) {
	t.Helper()
	var manifest struct{ Config descriptor }
	a.read(t, digest, &manifest)
	var config struct {
		Created string
		Config  struct {
			Labels  map[string]string
			Volumes map[string]any
		}
	}
	a.read(t, manifest.Config.Digest, &config)
	if config.Created != "2023-11-14T22:13:20Z" || len(config.Config.Volumes) > 0 {
		t.Errorf("the image is of %s and has volumes %v", config.Created, config.Config.Volumes)
	}
	for _, name := range wantedLabels {
		if _, ok := config.Config.Labels["org.opencontainers.image."+name]; !ok {
			t.Errorf("the image has no label %s", name)
		}
	}
	if got := config.Config.Labels["org.opencontainers.image.version"]; got != "v0.0.0-test" {
		t.Errorf("the image says that it is %q", got)
	}
}
