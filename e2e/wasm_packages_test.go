package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPackagesInTheBrowser runs the tests of what is only for browsers where it
// belongs: compiled to WebAssembly, in a worker of Chromium.
func TestPackagesInTheBrowser(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t)
	for _, pkg := range []string{"pubsub/jspubsub", "state/idbstate", "live/jslive", "live/jsmain"} {
		t.Run(pkg, func(t *testing.T) {
			p := newPage(t, browser)
			p.navigate(serveTests(t, pkg))
			var result testResult
			within(t, 10*patience, "the tests of "+pkg, func() error { // a store computes for a minute
				if err := json.Unmarshal([]byte(p.evaluate("JSON.stringify(result)")), &result); err != nil {
					return err
				}
				if result.Code < 0 {
					return fmt.Errorf("they are not over: %s", result.Output)
				}
				return nil
			})
			if result.Code != 0 || !strings.Contains(result.Output, "PASS") || testing.Verbose() {
				t.Logf("exit code %d\n%s", result.Code, result.Output)
			}
			if result.Code != 0 {
				t.Fail()
			}
		})
	}
}

type testResult struct {
	Code   int // -1: not over
	Output string
}

const testPage = `<!doctype html><title>tests</title><script>
const result = {Code: -1, Output: ''};
const worker = new Worker('worker.js');
worker.onmessage = ({data}) => { if (typeof data === 'number') result.Code = data; else result.Output += data; };
worker.onerror = (e) => { result.Output += e.message; result.Code = 2; };
WebAssembly.compileStreaming(fetch('test.wasm')).then((module) => {
  worker.postMessage({module, args: ['-test.v', '-test.shuffle=on', '-test.timeout=5m']});
});
</script>`

// testWorker runs the tests. They may call spawn to run their program in
// another worker, with other arguments.
const testWorker = `importScripts('wasm_exec.js');
const text = new TextDecoder();
globalThis.fs.writeSync = (_, bytes) => { postMessage(text.decode(bytes)); return bytes.length; };
onmessage = async ({data: {module, args}}) => {
  onmessage = null;
  globalThis.spawn = (...args) => {
    const other = new Worker(location.href);
    other.postMessage({module, args});
    return other;
  };
  const go = new Go();
  go.argv = ['test', ...args];
  go.exit = (code) => postMessage(code);
  await go.run(await WebAssembly.instantiate(module, go.importObject));
};
`

// serveTests serves a page that runs the tests of a package.
func serveTests(t *testing.T, pkg string) (url string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(dir, "test.wasm"), "./"+pkg)
	build.Dir = ".."
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(testPage)) })
	mux.HandleFunc("GET /worker.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(testWorker))
	})
	mux.HandleFunc("GET /wasm_exec.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(strings.TrimSpace(string(root)), "lib/wasm/wasm_exec.js"))
	})
	mux.HandleFunc("GET /test.wasm", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, "test.wasm"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}
