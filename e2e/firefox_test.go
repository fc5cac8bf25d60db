package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/testserver"
)

// A firefox is a running Firefox, driven by WebDriver BiDi
// (https://www.w3.org/TR/webdriver-bidi/), which it speaks without a driver.
// Safe for concurrent use.
type firefox struct {
	ws   *websocket.Conn // set once
	read sync.WaitGroup  // the reader of ws

	mu      sync.Mutex // guards what follows
	last    int        // number of the newest command
	waiting map[int]chan<- bidiMessage
	console map[string][]string // by tab; "": of none
	broken  error               // why nothing can be read any more
}

// A bidiMessage is an answer to a command, or an event.
type bidiMessage struct {
	Type    string          `json:"type"` // success, error, event
	ID      int             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// object is one of JSON.
type object = map[string]any

// firefoxPrefs keep Firefox from asking, updating, reporting and fetching
// anything, and from slowing down windows that it takes for unused.
const firefoxPrefs = `
user_pref("app.normandy.enabled", false);
user_pref("app.update.disabledForTesting", true);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.discovery.enabled", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.safebrowsing.downloads.remote.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.sessionstore.resume_from_crash", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("browser.startup.page", 0);
user_pref("browser.tabs.unloadOnLowMemory", false);
user_pref("browser.topsites.contile.enabled", false);
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("dom.disable_open_during_load", false);
user_pref("dom.ipc.processHangMonitor", false);
user_pref("dom.max_script_run_time", 0);
user_pref("dom.min_background_timeout_value", 10);
user_pref("dom.timeout.enable_budget_timer_throttling", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("focusmanager.testmode", true);
user_pref("geo.provider.testing", true);
user_pref("layout.css.prefers-color-scheme.content-override", 1);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.prefetch-next", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy/v1");
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("toolkit.telemetry.server", "https://%(server)s/dummy");
user_pref("toolkit.telemetry.unified", false);
`

// newFirefox starts Firefox, without a window on a screen, until the test
// ends. A machine without it skips the test, always: not every system has it.
func newFirefox(t testing.TB) *firefox {
	t.Helper()
	path, err := exec.LookPath("firefox-esr")
	if err != nil {
		t.Skip("firefox-esr is not installed (Debian package firefox-esr)")
	}
	f := &firefox{waiting: make(map[int]chan<- bidiMessage), console: make(map[string][]string)}
	f.connect(t, startFirefox(t, path))
	f.must(t, "session.new", object{"capabilities": object{}}, nil)
	f.must(t, "session.subscribe", object{"events": []string{"log.entryAdded"}}, nil)
	return f
}

// startFirefox runs Firefox with a profile and a home of its own until the
// test ends, and returns the address where it listens.
func startFirefox(t testing.TB, path string) (url string) {
	t.Helper()
	dir := shortDir(t)
	profile := filepath.Join(dir, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &syncBuffer{}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank")
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, patience
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "MOZ_CRASHREPORTER_DISABLE=1"}
	exited, err := testserver.Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endFirefox(t, cmd.Process.Pid, exited, dir) })
	listening := regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`)
	eventually(t, "Firefox to listen", func() error {
		m := listening.FindStringSubmatch(out.String())
		if m == nil {
			return fmt.Errorf("it says %q", out)
		}
		url = m[1]
		return nil
	})
	return url
}

// endFirefox kills a Firefox with all its processes, and removes its files.
func endFirefox(t testing.TB, pid int, exited <-chan struct{}, dir string) {
	_ = syscall.Kill(-pid, syscall.SIGKILL) // it may have ended
	<-exited
	// Its other processes may be about to write.
	eventually(t, "the profile of Firefox to be removed", func() error { return os.RemoveAll(dir) })
}

// connect connects to Firefox and reads what it says until the test ends.
func (f *firefox) connect(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, url+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	f.ws = ws
	f.read.Go(f.listen)
	t.Cleanup(func() {
		ws.CloseNow()
		f.read.Wait()
		f.checkConsole(t)
	})
}

// checkConsole finds scripts that failed outside of pages: the pages have
// judged their own consoles.
func (f *firefox) checkConsole(t testing.TB) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, messages := range f.console {
		for _, m := range messages {
			if strings.HasPrefix(m, "exception") {
				t.Errorf("on a console of Firefox: %s", m)
			}
		}
	}
}

// listen reads answers and events until the connection is closed.
func (f *firefox) listen() {
	for {
		_, text, err := f.ws.Read(context.Background())
		var m bidiMessage
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		f.mu.Lock()
		switch {
		case err != nil:
			f.broken = fmt.Errorf("firefox: %w", err)
			for id, answer := range f.waiting {
				delete(f.waiting, id)
				close(answer)
			}
		case m.Type == "event":
			f.log(m)
		default:
			if answer := f.waiting[m.ID]; answer != nil {
				delete(f.waiting, m.ID)
				answer <- m // has room
			}
		}
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// log keeps a message of a console. f.mu is held.
func (f *firefox) log(m bidiMessage) {
	var entry struct {
		Level, Text, Type string
		Source            struct{ Context string }
	}
	if m.Method != "log.entryAdded" || json.Unmarshal(m.Params, &entry) != nil {
		return
	}
	level := entry.Level
	if entry.Type == "javascript" && level == "error" {
		level = "exception"
	}
	f.console[entry.Source.Context] = append(f.console[entry.Source.Context], level+": "+entry.Text)
}

// call sends a command and decodes its result, if result is not nil.
func (f *firefox) call(ctx context.Context, method string, params object, result any) error {
	id, answer, err := f.expect()
	if err != nil {
		return err
	}
	defer f.forget(id)
	text, err := json.Marshal(object{"id": id, "method": method, "params": params})
	if err != nil {
		return err
	}
	if err := f.ws.Write(ctx, websocket.MessageText, text); err != nil {
		return fmt.Errorf("firefox: %s: %w", method, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("firefox: %s: the connection has ended", method)
		case m.Type != "success":
			return fmt.Errorf("firefox: %s: %s: %s", method, m.Error, m.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-ctx.Done():
		return fmt.Errorf("firefox: %s: %w", method, ctx.Err())
	}
}

// expect returns the number of the next command and where its answer arrives.
func (f *firefox) expect() (int, <-chan bidiMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, nil, f.broken
	}
	f.last++
	answer := make(chan bidiMessage, 1) // the reader does not wait
	f.waiting[f.last] = answer
	return f.last, answer, nil
}

// forget waits no longer for an answer.
func (f *firefox) forget(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, id)
}

// must is call for a test that can't go on without it.
func (f *firefox) must(t testing.TB, method string, params object, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.call(ctx, method, params, result); err != nil {
		t.Fatal(err)
	}
}

// newPage opens a tab in a window of its own, and watches its console until
// the test ends.
func (f *firefox) newPage(t testing.TB) *page {
	t.Helper()
	var created struct{ Context string }
	f.must(t, "browsingContext.create", object{"type": "window"}, &created)
	return pageOf(context.Background(), t, &firefoxTab{f, created.Context})
}

// A firefoxTab is a tab of Firefox.
type firefoxTab struct {
	f  *firefox
	id string // of its browsing context
}

func (b *firefoxTab) navigate(ctx context.Context, url string) error {
	return b.f.call(ctx, "browsingContext.navigate", object{"context": b.id, "url": url, "wait": "complete"}, nil)
}

func (b *firefoxTab) reload(ctx context.Context) error {
	return b.f.call(ctx, "browsingContext.reload", object{"context": b.id, "wait": "complete"}, nil)
}

func (b *firefoxTab) evaluate(ctx context.Context, script string) (string, error) {
	var answer struct {
		Type             string
		Result           struct{ Type, Value string }
		ExceptionDetails struct{ Text string }
	}
	err := b.f.call(ctx, "script.evaluate", object{
		"expression": script, "target": object{"context": b.id}, "awaitPromise": true,
	}, &answer)
	switch {
	case err != nil:
		return "", err
	case answer.Type == "exception":
		return "", errors.New("firefox: script.evaluate: " + answer.ExceptionDetails.Text)
	case answer.Result.Type != "string":
		return "", fmt.Errorf("firefox: script.evaluate: got a value of type %s, want a string", answer.Result.Type)
	}
	return answer.Result.Value, nil
}

func (b *firefoxTab) click(ctx context.Context, selector string) error {
	quoted, err := json.Marshal(selector)
	if err != nil {
		return err
	}
	// It does not scroll, and does not click on what can't be seen.
	_, err = b.evaluate(ctx, `document.querySelector(`+string(quoted)+`).scrollIntoView({block: 'nearest', behavior: 'instant'}), ''`)
	if err != nil {
		return err
	}
	var found struct {
		Nodes []struct {
			SharedID string `json:"sharedId"`
		}
	}
	locator := object{"type": "css", "value": selector}
	err = b.f.call(ctx, "browsingContext.locateNodes", object{"context": b.id, "locator": locator, "maxNodeCount": 1}, &found)
	if err != nil {
		return err
	}
	if len(found.Nodes) == 0 {
		return fmt.Errorf("firefox: nothing is %s", selector)
	}
	element := object{"type": "element", "element": object{"sharedId": found.Nodes[0].SharedID}}
	return b.perform(ctx, object{"type": "pointer", "id": "mouse", "actions": []object{
		{"type": "pointerMove", "x": 0, "y": 0, "origin": element},
		{"type": "pointerDown", "button": 0},
		{"type": "pointerUp", "button": 0},
	}})
}

func (b *firefoxTab) press(ctx context.Context, k key) error {
	const shift, tab, enter = "\uE008", "\uE004", "\uE007"
	var actions []object
	act := func(what string, values ...string) {
		for _, v := range values {
			actions = append(actions, object{"type": what, "value": v})
		}
	}
	values := map[key][]string{keyTab: {tab}, keyBack: {shift, tab}, keyEnter: {enter}, keySpace: {" "}}[k]
	act("keyDown", values...)
	slices.Reverse(values)
	act("keyUp", values...)
	return b.perform(ctx, object{"type": "key", "id": "keyboard", "actions": actions})
}

// perform does what a person does with one device.
func (b *firefoxTab) perform(ctx context.Context, device object) error {
	return b.f.call(ctx, "input.performActions", object{"context": b.id, "actions": []object{device}}, nil)
}

func (b *firefoxTab) close() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := b.f.call(ctx, "browsingContext.close", object{"context": b.id}, nil)
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	console := b.f.console[b.id]
	delete(b.f.console, b.id)
	if err != nil {
		console = append(console, "exception: "+err.Error())
	}
	return console
}
