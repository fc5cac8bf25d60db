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

// loaderPage is the page. Its assets are below its own folder, because a service
// worker answers for nothing else: above all for the worker's script.
func loaderPage(assets *static.Assets) components.Loader {
	url := func(name string) string { return "." + assets.URL(name) }
	return components.Loader{
		Style: url("app.css"), Icon: url("favicon.svg"),
		Start: url("wasm.js"), Worker: url("worker.js"), Program: url("lockstep.wasm"), Size: assets.Size("lockstep.wasm"),
		Script: url("app.js"), Offline: keeper,
	}
}

// A loader is the page that loads the application, and its service worker. They
// don't change while the program runs.
type loader struct{ page, worker []byte }

func newLoader(assets *static.Assets, page components.Loader) (loader, error) {
	var b bytes.Buffer
	if err := components.LoaderPage(page).Render(context.Background(), &b); err != nil { // it needs no context
		return loader{}, err
	}
	files := []string{"./"}
	for _, name := range shipped() {
		files = append(files, "."+assets.URL(name))
	}
	// Browsers look for a new version when the script has changed: it must, when
	// anything of the page or of its headers does.
	version := sha256.Sum256(slices.Concat(b.Bytes(), []byte(loaderPolicy), []byte(workerPolicy)))
	worker, err := static.ServiceWorker(files, hex.EncodeToString(version[:8]))
	return loader{b.Bytes(), worker}, err
}

// loaderHere is the loader as this server has it.
func loaderHere(assets *static.Assets) (loader, error) {
	page := loaderPage(assets)
	page.Twin = "../"
	return newLoader(assets, page)
}

// load serves the page that loads the application into the browser.
func (s *Server) load(c echo.Context) error {
	l, err := s.loader()
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", loaderPolicy)
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.HTMLBlob(http.StatusOK, l.page)
}

// keeper serves the service worker.
func (s *Server) keeper(c echo.Context) error {
	l, err := s.loader()
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", l.worker)
}

// Export writes the application for browsers into a folder that any server of
// files can serve, under any address; it is made if it does not exist, and must
// be empty if it does. Beside what the page loads are its compressed forms, .br
// and .gz, for servers that look for them.
func Export(assets *static.Assets, dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	files, err := exported(assets)
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
func exported(assets *static.Assets) (map[string][]byte, error) {
	page := loaderPage(assets)
	page.Policy = loaderMeta
	l, err := newLoader(assets, page)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"index.html": l.page, keeper: l.worker}
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
