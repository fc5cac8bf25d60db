package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/components"
	"lockstep/static"
)

// The application inside the browser is a page, what it loads, and a service
// worker that keeps all of it: files, which any server can serve. This one does
// below /wasm/, and Export writes them into a folder.

// keeper is the service worker's file beside the page: it can't be elsewhere,
// because it serves what is below its own address.
const keeper = "sw.js"

// shipped are the assets that the page loads.
func shipped() []string {
	return []string{"wasm.js", "worker.js", "lockstep.wasm", "app.js", "app.css", "favicon.svg"}
}

// shellPage is the page. Its assets are below its own folder, because a service
// worker answers for nothing else: above all for the worker's script.
func shellPage(assets *static.Assets) components.Shell {
	url := func(name string) string { return "." + assets.URL(name) }
	return components.Shell{
		Style: url("app.css"), Icon: url("favicon.svg"),
		Start: url("wasm.js"), Worker: url("worker.js"), Program: url("lockstep.wasm"), Size: assets.Size("lockstep.wasm"),
		Script: url("app.js"), Offline: keeper,
	}
}

// renderShell returns the page, and its service worker.
func renderShell(ctx context.Context, assets *static.Assets, page components.Shell) (html, script []byte, err error) {
	var b bytes.Buffer
	if err := components.ShellPage(page).Render(ctx, &b); err != nil {
		return nil, nil, err
	}
	files := []string{"./"}
	for _, name := range shipped() {
		files = append(files, "."+assets.URL(name))
	}
	// Browsers look for a new version when the script has changed: it must, when
	// anything of the page or of its headers does.
	version := sha256.Sum256(slices.Concat(b.Bytes(), []byte(shellPolicy), []byte(workerPolicy)))
	script, err = static.ServiceWorker(files, hex.EncodeToString(version[:8]))
	return b.Bytes(), script, err
}

// here is the page as this server has it, and its service worker.
func (s *Server) here(c echo.Context) (html, script []byte, err error) {
	page := shellPage(s.assets)
	page.Twin = "../"
	return renderShell(c.Request().Context(), s.assets, page)
}

// shell serves the page that loads the application into the browser.
func (s *Server) shell(c echo.Context) error {
	html, _, err := s.here(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", shellPolicy)
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.HTMLBlob(http.StatusOK, html)
}

// keeper serves the service worker.
func (s *Server) keeper(c echo.Context) error {
	_, script, err := s.here(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", script)
}

// Export writes the application for browsers into a folder that any server of
// files can serve, under any address; it is made if it does not exist, and must
// be empty if it does. Beside what the page loads are its compressed forms, .br
// and .gz, for servers that look for them.
func Export(ctx context.Context, assets *static.Assets, dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	files, err := exported(ctx, assets)
	if err != nil {
		return err
	}
	for name, body := range files {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), body); err != nil {
			return err
		}
	}
	return nil
}

// exported returns the files of the folder, by their paths in it.
func exported(ctx context.Context, assets *static.Assets) (map[string][]byte, error) {
	page := shellPage(assets)
	page.Policy = shellMeta
	html, script, err := renderShell(ctx, assets, page)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"index.html": html, keeper: script}
	for _, name := range shipped() {
		path := strings.TrimPrefix(assets.URL(name), "/")
		for suffix, encoding := range map[string]string{"": "", ".br": "br", ".gz": "gzip"} {
			f, ok := assets.Open(assets.URL(name), encoding)
			if !ok {
				return nil, fmt.Errorf("%s is missing in this build", name)
			}
			files[path+suffix] = f.Body
		}
	}
	return files, nil
}

// writeFile writes a file that is meant to be published.
func writeFile(path string, body []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644)
}
