package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/serve"
	"lockstep/static"
)

// The application inside the browser is a page, what it loads, and a service
// worker that keeps all of it: files, which any server can serve. This one does
// below /wasm/, and Export writes them into a folder.

// workerFile is the service worker's file beside the page: it can't be elsewhere,
// because it serves what is below its own address.
const workerFile = "sw.js"

// bootMeta is the Content-Security-Policy of the page that loads the application, and compiles
// WebAssembly; as much of it as a page may say itself, where no server does.
const bootMeta = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; " + serve.CommonPolicy + "; " + serve.TrustedTypes

const bootPolicy = bootMeta + "; frame-ancestors 'none'"

// shipped are the assets that the page loads.
func shipped() []string {
	return append([]string{"wasm.js", "worker.js", "lockstep.wasm", "app.js", "app.css", "favicon.svg"}, more()...)
}

// more are those that it loads for the pages of some kinds only.
func more() (names []string) {
	for _, kind := range app.KindNames() {
		if app.HasState(app.Home(kind)) {
			names = slices.Concat(names, app.Scripts(kind), app.Styles(kind))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// bootPage is the page. Its assets are below its own folder, because a service
// worker answers for nothing else: above all for the worker's script.
func bootPage(assets *static.Assets) pages.Boot {
	url := func(name string) string { return "." + assets.URL(name) }
	shelf := make(map[string]string)
	for _, name := range more() {
		shelf[name] = url(name)
	}
	text, _ := json.Marshal(shelf) // strings can be
	return pages.Boot{
		Style: url("app.css"), Icon: url("favicon.svg"),
		Install: pages.Install{Manifest: manifestFile, Picture: url("icon.png")},
		Start:   url("wasm.js"), Worker: url("worker.js"), Program: url("lockstep.wasm"), Size: assets.Size("lockstep.wasm"),
		Script: url("app.js"), More: string(text), Offline: workerFile,
	}
}

// A boot is the page that loads the application, and its service worker. They
// don't change once there is a program.
type boot struct{ page, worker []byte }

func newBoot(assets *static.Assets, page pages.Boot) (boot, error) {
	var b bytes.Buffer
	if err := pages.BootPage(page).Render(context.Background(), &b); err != nil { // it needs no context
		return boot{}, err
	}
	files := []string{"./"}
	for _, name := range shipped() {
		files = append(files, "."+assets.URL(name))
	}
	// Browsers look for a new version when the script has changed: it must, when
	// anything of the page or of its headers does.
	version := sha256.Sum256(slices.Concat(b.Bytes(), []byte(bootPolicy), []byte(serve.WorkerPolicy)))
	worker, err := static.ServiceWorker(files, hex.EncodeToString(version[:8]))
	return boot{b.Bytes(), worker}, err
}

// bootHere is the boot as this server has it, when there is a program.
func bootHere(assets *static.Assets) (boot, error) {
	page := bootPage(assets)
	page.ServerURL = "../"
	return newBoot(assets, page)
}

// compilingPage is the page while the server compiles the application. No service
// worker keeps it.
func compilingPage(assets *static.Assets, text string) pages.Boot {
	page := bootPage(assets)
	page.ServerURL, page.Progress, page.Text = "../", "progress", text
	page.Worker, page.Program = "", ""
	return page
}

// A programHandler serves the application that runs in browsers, or says that there is none, or
// none yet.
type programHandler struct {
	assets *static.Assets
	server *serve.Server
	boot   func() (boot, error) // made once, when there is a program
}

func newProgramHandler(assets *static.Assets, s *serve.Server) *programHandler {
	return &programHandler{assets, s, sync.OnceValues(func() (boot, error) { return bootHere(assets) })}
}

// load serves the page that loads the application into the browser, or says that
// there is none, or none yet.
func (h *programHandler) load(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	switch p := h.assets.Progress(); p.Stage {
	case static.Missing:
		return noProgram(p)
	case static.Compiling:
		return sendPage(c, h.server, http.StatusOK, pages.BootPage(compilingPage(h.assets, p.Text)))
	}
	b, err := h.boot()
	if err != nil {
		return err
	}
	c.Response().Header().Set("Content-Security-Policy", bootPolicy)
	return h.server.Send(c.Response(), c.Request(), http.StatusOK, b.page)
}

// noProgram is the answer where a program is needed.
func noProgram(p static.Progress) error {
	return &serve.Problem{Status: http.StatusServiceUnavailable, Title: "The application is not here", Text: p.Text}
}

// serviceWorker serves it. Without a program there is none: browsers go on with
// the one that they have.
func (h *programHandler) serviceWorker(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	if p := h.assets.Progress(); p.Stage != static.Ready {
		return noProgram(p)
	}
	b, err := h.boot()
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "text/javascript; charset=utf-8", b.worker)
}

// A progress is what pages ask for while the server compiles the program.
type progress struct {
	Stage   static.Stage `json:"stage"`
	Share   float64      `json:"share"` // of what is done, from 0 to 1
	Text    string       `json:"text"`
	Worker  string       `json:"worker,omitempty"` // paths, when it is ready
	Program string       `json:"program,omitempty"`
}

func (h *programHandler) progress(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	p := h.assets.Progress()
	answer := progress{Stage: p.Stage, Share: p.Share(), Text: p.Text}
	if p.Stage == static.Ready {
		base := baseOf(c)
		answer.Worker, answer.Program = base+h.assets.URL("worker.js"), base+h.assets.URL("lockstep.wasm")
	}
	return c.JSON(http.StatusOK, answer)
}

// renderer is what a page of the server needs to render itself, or to wait for it: addresses below
// base.
func (h *programHandler) renderer(base string) pages.Renderer {
	r := pages.Renderer{Script: base + h.assets.URL("replica.js")}
	if h.assets.Progress().Stage != static.Ready {
		r.Progress = base + "/wasm/progress"
		return r
	}
	r.Worker, r.Program = base+h.assets.URL("worker.js"), base+h.assets.URL("lockstep.wasm")
	return r
}

// Export writes the application for browsers into a folder that any server of
// files can serve, under any address; it is made if it does not exist, and must
// be empty if it does. Beside what the page loads are its compressed forms, .br
// and .gz, for servers that look for them. The assets must have a program.
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
	page := bootPage(assets)
	page.Policy = bootMeta
	b, err := newBoot(assets, page)
	if err != nil {
		return nil, err
	}
	m, err := newManifest(assets)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"index.html": b.page, workerFile: b.worker, manifestFile: m}
	for _, name := range append(shipped(), "icon.png") {
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
