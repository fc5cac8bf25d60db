// Command release builds the programs for every platform, packs them into
// archives with their bills of materials, and writes the checksums. The same
// commit gives the same bytes, wherever it is built. "make dist" runs it.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

const defaultPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// A release is what the command line asks for.
type release struct {
	root      string // of the repository
	out       string // folder for the archives
	version   string
	sbom      string // path of cyclonedx-gomod
	platforms string // GOOS/GOARCH, by comma
	made      int64  // the time of all files, in seconds since 1970
}

// A file of an archive.
type file struct {
	name string
	mode os.FileMode
	body []byte
}

func main() {
	var r release
	flag.StringVar(&r.root, "root", "..", "`folder` of the repository")
	flag.StringVar(&r.out, "out", "../bin/dist", "`folder` that is replaced by the archives")
	flag.StringVar(&r.version, "version", "", "`name` of the release")
	flag.StringVar(&r.sbom, "sbom", "", "`path` of cyclonedx-gomod")
	flag.StringVar(&r.platforms, "platforms", defaultPlatforms, "`list` of GOOS/GOARCH, by comma")
	flag.Int64Var(&r.made, "time", 0, "`seconds` since 1970 that all files are dated with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := r.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1) // nothing is left to stop
	}
}

func (r release) run(ctx context.Context) (err error) {
	if r.version == "" || r.sbom == "" {
		return errors.New("-version and -sbom are needed")
	}
	for _, path := range []*string{&r.root, &r.out, &r.sbom} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o755)); err != nil {
		return err
	}
	if err := r.forBrowsers(ctx); err != nil {
		return err
	}
	var sums strings.Builder
	for platform := range strings.SplitSeq(r.platforms, ",") {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("%q is not GOOS/GOARCH", platform)
		}
		name, archive, err := r.platform(ctx, goos, goarch)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		if err := os.WriteFile(filepath.Join(r.out, name), archive, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(archive), name)
		fmt.Printf("%s  %.1f MB\n", name, float64(len(archive))/1e6)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// forBrowsers makes the program for browsers, which the servers of all platforms embed.
func (r release) forBrowsers(ctx context.Context) error {
	r.root = filepath.Join(r.root, "static")
	_, err := r.command(ctx, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="), "go", "run", "./wasmbuild")
	return err
}

// platform returns the archive for one platform.
func (r release) platform(ctx context.Context, goos, goarch string) (name string, archive []byte, err error) {
	env := append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=")
	files, err := r.documents()
	if err != nil {
		return "", nil, err
	}
	for _, program := range []string{"cmd/web", "tools/loadgen"} {
		built, err := r.build(ctx, program, goos, env)
		if err != nil {
			return "", nil, err
		}
		bill, err := r.bill(ctx, program, env)
		if err != nil {
			return "", nil, err
		}
		files = append(files, built, bill)
	}
	dir := "lockstep_" + r.version + "_" + goos + "_" + goarch
	if goos == "windows" {
		archive, err = r.zip(dir, files)
		return dir + ".zip", archive, err
	}
	archive, err = r.tar(dir, files)
	return dir + ".tar.gz", archive, err
}

func (r release) documents() (files []file, err error) {
	for _, name := range []string{"LICENSE", "README.md"} {
		body, err := os.ReadFile(filepath.Join(r.root, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, body})
	}
	return files, nil
}

// build compiles a program with the flags of the Dockerfile.
func (r release) build(ctx context.Context, program, goos string, env []string) (file, error) {
	name := filepath.Base(program)
	if goos == "windows" {
		name += ".exe"
	}
	dir, err := os.MkdirTemp("", "release")
	if err != nil {
		return file{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a folder that stays behind harms nobody
	path := filepath.Join(dir, name)
	if _, err := r.command(ctx, env, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "program",
		"-ldflags", "-s -w -buildid= -X main.release="+r.version, "-o", path, "./"+program); err != nil {
		return file{}, err
	}
	body, err := os.ReadFile(path)
	return file{name, 0o755, body}, err
}

// bill lists the modules in a program. Licences are what a program has read
// out of their texts, so they are called evidence.
func (r release) bill(ctx context.Context, program string, env []string) (file, error) {
	env = append(env, "GOWORK=off") // a program is a module of its own
	body, err := r.command(ctx, env, r.sbom, "app", "-json", "-licenses", "-std", "-noserial", "-notimestamp", program)
	return file{filepath.Base(program) + ".cdx.json", 0o644, body}, err
}

// command runs in the repository, and returns what it prints.
func (r release) command(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = r.root, env, &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, complaint.Bytes())
	}
	return out, nil
}

func (r release) tar(dir string, files []file) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: dir + "/" + f.name, Mode: int64(f.mode), Size: int64(len(f.body)), ModTime: time.Unix(r.made, 0), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return b.Bytes(), err
}

func (r release) zip(dir string, files []file) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: dir + "/" + f.name, Method: zip.Deflate, Modified: time.Unix(r.made, 0).UTC()}
		h.SetMode(f.mode)
		part, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(part, bytes.NewReader(f.body)); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
