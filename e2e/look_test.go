package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lockstep/app/pages"
	"lockstep/internal/testserver"
)

// What a page looks like, and what it does not do while it is looked at.

// media has a page believe in features of its medium, such as forced-colors.
func (p *page) media(kind string, features ...string) {
	p.t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: kind}
	for i := 0; i < len(features); i += 2 {
		params.Features = append(params.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.t.Fatal(err)
	}
}

// size gives a page's window a size in CSS pixels.
func (p *page) size(width, height int64) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1,
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// unguarded has a page take HTML from a test, which its security policy forbids.
func (p *page) unguarded() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true}); err != nil {
		p.t.Fatal(err)
	}
}

// A scene is what a page may show: parts of it that change, as they are.
type scene struct {
	Counter string // HTML
	Status  string
	Notice  string
	Waiting string // clicks
	Tabs    string
	Replica string
	Switch  string // what it waits for
}

// counts are those whose looks differ.
func counts() []int64 {
	all := []int64{0, 7, 42, 998, 999, 1000, 1001, math.MaxInt64, math.MinInt64, -1, -9, -10, -99, -100, -999, -1000}
	for n := int64(10000); n < math.MaxInt64/10; n *= 10 {
		all = append(all, n-1, n, 1-n, -n, n/10*8+n/100*8)
	}
	return append(all, 8888888888888888888, -8888888888888888888)
}

// notices are what a page may say in so many words: the longest that it has.
func notices() []string {
	return []string{
		"the count is at its limit",
		"this click is too old to be counted without counting it twice",
		"the count can't be saved at the moment; what you did waits",
		"Too many clicks are waiting. This one was not counted.",
		"The application for browsers could not be compiled, and the log of the server says why: " +
			"correct it and start the server again, with “go run ./cmd/web”.",
	}
}

// scenes are all that a page may show.
func scenes(t *testing.T) (all []scene) {
	t.Helper()
	counter := func(n int64, known bool) string {
		var b bytes.Buffer
		c := pages.Counter{Name: "kitchen", Topic: "counter:kitchen", N: n, Known: known}
		if err := pages.CounterView(c).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	base := scene{Counter: counter(0, true), Status: "live", Waiting: "0", Tabs: "1 tab here", Replica: "one"}
	all = append(all, base)
	add := func(change func(*scene)) {
		s := base
		change(&s)
		all = append(all, s)
	}
	for _, n := range counts() {
		add(func(s *scene) { s.Counter = counter(n, true) })
	}
	add(func(s *scene) { s.Counter = counter(0, false) })
	for _, status := range []string{"live", "degraded", "offline", "connecting"} {
		for _, notice := range append(notices(), "") {
			for _, waiting := range []string{"0", "1", "1000"} {
				add(func(s *scene) { s.Status, s.Notice, s.Waiting = status, notice, waiting })
			}
		}
	}
	for _, tabs := range []string{"no tabs here", "19,500 tabs here"} {
		add(func(s *scene) { s.Tabs = tabs })
		add(func(s *scene) {
			s.Tabs, s.Replica = tabs, "lockstep-7d9f8c6b5-x2x4q.eu-central-1.compute.internal:8001"
		})
	}
	for _, text := range []string{"…", "Compiling: 100 %"} {
		add(func(s *scene) { s.Switch = text })
	}
	return all
}

// watchBoxes shows scenes one after the other, and says what has moved from where it was in the
// first, or does not fit: a line for each.
const watchBoxes = `((scenes) => {
  const $ = (s) => document.querySelector(s);
  const show = (s) => {
    $('#live').innerHTML = s.Counter;
    $('#status').dataset.state = s.Status;
    $('#notice').textContent = s.Notice;
    $('#waiting').hidden = s.Waiting === '0';
    $('#waiting').dataset.n = s.Waiting;
    $('#waiting b').textContent = s.Waiting;
    $('#tabs').textContent = s.Tabs;
    $('#replica').textContent = s.Replica;
    $('#renderer').hidden = !s.Switch;
    $('#renderer .wait').textContent = s.Switch;
  };
  if (!$('#renderer .wait')) $('#renderer').append(Object.assign(document.createElement('small'), { className: 'wait' }));
  const box = (e) => {
    const { left, top, right, bottom } = e.getBoundingClientRect();
    return [left, top, right, bottom].map((v) => Math.round(v * 10) / 10);
  };
  const pressable = [...document.querySelectorAll('a, button, input:not([type=hidden])')].filter((e) => !e.closest('[popover]'));
  const name = (e) => e.id || e.className || e.textContent.trim();
  const boxes = () => pressable.map((e) => [name(e), ...box(e)].join(' '));
  const meets = ([l, t, r, b], [l2, t2, r2, b2]) => l < r2 && l2 < r && t < b2 && t2 < b;
  const wrong = [];
  let first;
  for (const s of scenes) {
    show(s);
    const now = boxes(), what = JSON.stringify({ ...s, Counter: $('.number').textContent });
    first ??= now;
    now.forEach((b, i) => b === first[i] || wrong.push('moved: ' + first[i] + ' to ' + b + ': ' + what));
    if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than the window: ' + what);
    for (const e of document.querySelectorAll('.number, .explain, .notice, #waiting, #status, .facts > *, #said')) {
      if (!e.checkVisibility({ visibilityProperty: true }) || !e.textContent.trim()) continue;
      const at = box(e);
      if (at[0] < 0 || at[2] > innerWidth) wrong.push(name(e) + ' is cut: ' + what);
      if (e.className === 'number' && e.scrollWidth > e.clientWidth) wrong.push('the number is wider than its room: ' + what);
      for (const p of pressable) {
        if (p.checkVisibility({ visibilityProperty: true }) && meets(at, box(p))) wrong.push(name(e) + ' covers ' + name(p) + ': ' + what);
      }
    }
  }
  return wrong.slice(0, 5).join('\n');
})`

// TestNothingThatCanBePressedMoves: whoever is about to press a button presses that one, whatever
// somebody else does at that moment.
func TestNothingThatCanBePressedMoves(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	p := newPage(t, newBrowser(t))
	p.unguarded()
	p.navigate(server.url + "/c/kitchen")
	p.isLive()
	server.kill() // nothing else changes the page
	all, err := json.Marshal(scenes(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, window := range [][2]int64{
		{320, 568}, {360, 640}, {390, 844}, {480, 800}, {481, 800}, {600, 900}, {640, 320}, {768, 1024}, {844, 390}, {1024, 768},
		{1440, 900}, {1920, 1080}, {3840, 2160},
	} {
		p.size(window[0], window[1])
		if wrong := p.evaluate(watchBoxes + `(` + string(all) + `)`); wrong != "" {
			t.Errorf("at %d x %d:\n%s", window[0], window[1], wrong)
		}
	}
}

// arming is what keeps the answer from being pressed, as long as it goes on.
const arming = `document.querySelector('[data-action=reset]').getAnimations().filter((a) => a.animationName === 'arm')`

// TestAResetIsAskedFor: one press, or two in the same place, take nobody's count away.
func TestAResetIsAskedFor(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	browser := newBrowser(t)
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts: %v", scripts), func(t *testing.T) {
			p := newPage(t, browser)
			p.scripts(scripts)
			p.navigate(server.url + fmt.Sprintf("/c/ask-%v", scripts))
			if scripts {
				p.isLive()
			}
			p.click("increment")
			p.showsCount(1)
			for _, window := range [][2]int64{{320, 568}, {390, 844}, {844, 390}, {1440, 900}} {
				p.size(window[0], window[1])
				p.clickOn(".asker")
				p.isAsked(true)
				p.evaluate(`document.querySelector('.keep').click(), ''`)
				p.isAsked(false)
				// Here the answer would be, were it below the button that asks.
				p.do(chromedp.DoubleClick(chromedp.CSS(".asker")))
				p.evaluate(`document.querySelector('#ask').hidePopover(), ''`)
				p.isAsked(false)
			}
			// A press that comes at once does not count, wherever the answer is: time stands still.
			if got := p.evaluate(`document.querySelector('.asker').click(), ` + arming + `.map((a) => (a.pause(), a.effect.getComputedTiming().endTime)).join()`); got != "500" {
				t.Errorf("an answer is taken after %s ms, want 500", got)
			}
			p.clickOn("[data-action=reset]")
			p.isAsked(true)
			if s, err := p.state(); err != nil || s.Count != "1" {
				t.Errorf("got %+v, %v; want a count of 1 still", s, err)
			}
			p.evaluate(arming + `.forEach((a) => a.play()), ''`)
			p.isArmed()
			p.clickOn("[data-action=reset]")
			p.showsCount(0)
			p.isAsked(false)
		})
	}
}

// scripts switches JavaScript on or off.
func (p *page) scripts(on bool) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		p.t.Fatal(err)
	}
}

// isAsked waits until the question before a reset is shown, or is not.
func (p *page) isAsked(yes bool) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the question to be shown: %v", yes), func() error {
		if got := p.evaluate(`String(document.querySelector('#ask').matches(':popover-open'))`); got != fmt.Sprint(yes) {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// counts from n on in the page, twenty times a second for a while, and returns what script says
// then: its value is a string.
func (p *page) countsFast(forSeconds int, script string) string {
	p.t.Helper()
	return p.evaluate(fmt.Sprintf(`new Promise((done) => {
  let n = 100;
  const timer = setInterval(() => {
    const counter = document.querySelector('#counter');
    counter.dataset.count = ++n;
    counter.dataset.version = n;
    counter.querySelector('.number').textContent = n;
  }, 50);
  setTimeout(() => { clearInterval(timer); done(%s); }, 1000 * %d);
})`, script, forSeconds))
}

// aloneWithACount opens a page whose server is then gone, so that only the test changes it; it
// shows no more than a person sees who looks at its number.
func aloneWithACount(t *testing.T) *page {
	t.Helper()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	p := newPage(t, newBrowser(t))
	p.navigate(server.url + "/c/kitchen")
	p.isLive()
	return p
}

// TestAFastCountDoesNotFlash: light that goes on and off more than three times a second can cause
// seizures (WCAG 2.3.1). Nothing but the digits themselves changes: no opacity, no colour.
func TestAFastCountDoesNotFlash(t *testing.T) {
	p := aloneWithACount(t)
	for _, scheme := range []string{"light", "dark"} {
		p.media("screen", "prefers-color-scheme", scheme, "prefers-reduced-motion", "no-preference")
		p.evaluate(`(() => {
  window.begun = new Set();
  window.lights = new Set();
  const look = () => {
    for (let e = document.querySelector('.number'); e; e = e.parentElement) {
      const { opacity, color, backgroundColor, filter, visibility } = getComputedStyle(e);
      lights.add([e.tagName, opacity, color, backgroundColor, filter, visibility].join(' '));
    }
    for (const a of document.querySelector('main').getAnimations({ subtree: true })) if (a.effect.target.matches('#live *')) begun.add(a);
    window.looking = requestAnimationFrame(look);
  };
  cancelAnimationFrame(window.looking);
  window.since = performance.now();
  look();
})(), ''`)
		var got struct {
			Begun, Lights, Elements int
			Took                    float64 // seconds
		}
		raw := p.countsFast(3, `JSON.stringify({Begun: begun.size, Lights: lights.size, Took: (performance.now() - since) / 1000,
  Elements: new Set([...lights].map((l) => l.split(' ')[0])).size})`)
		if err := json.Unmarshal([]byte(raw), &got); err != nil {
			t.Fatal(err)
		}
		if got.Lights != got.Elements {
			t.Errorf("%s: %d elements had %d different lights: %s", scheme, got.Elements, got.Lights, p.evaluate(`[...lights].join('\n')`))
		}
		if got.Begun == 0 || float64(got.Begun) > 1+2*got.Took {
			t.Errorf("%s: got %d marks in %.1f seconds, want some, and two a second at most", scheme, got.Begun, got.Took)
		}
	}
	p.media("screen", "prefers-reduced-motion", "reduce")
	// The last mark may not have ended, and a slow browser learns of the wish later: what is counted
	// begins when it has shown some frames without a mark.
	p.evaluate(`new Promise((done) => {
  let still = 0;
  const look = () => {
    const marks = document.querySelector('main').getAnimations({ subtree: true }).some((a) => a.effect.target.matches('#live *'));
    still = matchMedia('(prefers-reduced-motion: reduce)').matches && !marks ? still + 1 : 0;
    if (still < 5) return requestAnimationFrame(look);
    begun.clear();
    done('');
  };
  look();
})`)
	if got := p.countsFast(1, `String(begun.size)`); got != "0" {
		t.Errorf("got %s marks for somebody who wants less motion", got)
	}
}

// TestAFastCountIsSpokenOfCalmly, and soon after an own click.
func TestAFastCountIsSpokenOfCalmly(t *testing.T) {
	p := aloneWithACount(t)
	p.evaluate(`(() => {
  window.said = [];
  window.titles = [];
  new MutationObserver(() => said.push(document.querySelector('#said').textContent))
    .observe(document.querySelector('#said'), { childList: true, characterData: true, subtree: true });
  new MutationObserver(() => titles.push(document.title)).observe(document.querySelector('title'), { childList: true });
})(), ''`)
	var got struct {
		Said, Titles []string
		Live         int
	}
	raw := p.countsFast(6, `JSON.stringify({Said: said, Titles: titles, Live: document.querySelectorAll('#live [aria-live], #live [role=status]').length})`)
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Said) < 1 || len(got.Said) > 3 || !strings.HasPrefix(got.Said[0], "The count is 1") || got.Live != 0 {
		t.Errorf("got %q said in 6 seconds, %d more places that speak; want a sentence every few seconds", got.Said, got.Live)
	}
	if len(got.Titles) < 2 || len(got.Titles) > 8 || !strings.HasSuffix(got.Titles[0], " · kitchen · Lockstep") {
		t.Errorf("got the titles %q in 6 seconds, want about one a second", got.Titles)
	}
	p.reload()
	p.isLive()
	for i := range 3 {
		p.click("increment")
		within(t, patience/6, "the own click to be spoken of", func() error {
			want := fmt.Sprintf("The count is %d.", i+1)
			if said := p.evaluate(`document.querySelector('#said').textContent`); said != want {
				return fmt.Errorf("got %q, want %q", said, want)
			}
			return nil
		})
	}
	within(t, patience/6, "the title", func() error {
		if got, want := p.evaluate(`document.title`), "3 · kitchen · Lockstep"; got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

// picture is what a person sees of a part of the page.
func (p *page) picture(selector string) image.Image {
	p.t.Helper()
	var shot []byte
	p.try(func(ctx context.Context) (err error) {
		shot, err = chromedp.Run(ctx, chromedp.Screenshot(chromedp.CSS(selector)))
		return err
	})
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.t.Fatal(err)
	}
	return picture
}

// linear has the light of each of the 256 values of a colour (sRGB).
func linear() (light [256]float64) {
	for i := range light {
		v := float64(i) / 255
		light[i] = v / 12.92
		if v > 0.04045 {
			light[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return light
}

// luminances are those of all pixels, in order: from 0, black, to 1 (WCAG, relative luminance).
func luminances(picture image.Image) (all []float64) {
	r, light := picture.Bounds(), linear()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			red, green, blue, _ := picture.At(x, y).RGBA()
			all = append(all, 0.2126*light[red>>8]+0.7152*light[green>>8]+0.0722*light[blue>>8])
		}
	}
	return all
}

// TestASwitchThatIsOnLooksOnInForcedColours, in dark and in light ones.
func TestASwitchThatIsOnLooksOnInForcedColours(t *testing.T) {
	t.Parallel()
	p := aloneWithACount(t)
	for _, scheme := range []string{"light", "dark"} {
		p.media("screen", "forced-colors", "active", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
		look := func(checked string) []float64 {
			p.evaluate(`document.querySelector('#renderer').setAttribute('aria-checked', '` + checked + `'), ''`)
			all := luminances(p.picture(".knob"))
			if low, high := slices.Min(all), slices.Max(all); (high+0.05)/(low+0.05) < 3 {
				t.Errorf("%s, on: %s: nothing can be seen: from %.2f to %.2f", scheme, checked, low, high)
			}
			return all
		}
		off, on := look("false"), look("true")
		differ := 0
		for i := range off {
			if math.Abs(on[i]-off[i]) > 0.3 {
				differ++
			}
		}
		if differ < len(off)/4 {
			t.Errorf("%s: on and off differ in %d of %d pixels", scheme, differ, len(off))
		}
	}
}

// TestPaperHasTheNumber: dark on white, also of a page that is dark, and without what can't be
// pressed there.
func TestPaperHasTheNumber(t *testing.T) {
	t.Parallel()
	p := aloneWithACount(t)
	p.evaluate(`document.querySelector('.number').textContent = '888', ''`)
	for _, status := range []string{"live", "offline"} {
		p.media("print", "prefers-color-scheme", "dark", "prefers-reduced-motion", "reduce")
		p.evaluate(`document.querySelector('#status').dataset.state = '` + status + `', ''`)
		all := luminances(p.picture(".number"))
		dark := 0
		for _, l := range all {
			if l < 0.1 {
				dark++
			}
		}
		if slices.Max(all) < 0.95 || dark < len(all)/100 {
			t.Errorf("%s: got a paper of %.2f, and %d of %d pixels dark", status, slices.Max(all), dark, len(all))
		}
		if got := p.evaluate(`[...document.querySelectorAll('button, input')].filter((e) => e.checkVisibility()).length + ''`); got != "0" {
			t.Errorf("%s: got %s controls on paper", status, got)
		}
	}
}

// A haltingBody is that of a page whose network stands still for a moment in its middle.
type haltingBody struct {
	io.ReadCloser
	first int64 // bytes that come at once
}

func (b *haltingBody) Read(into []byte) (int, error) {
	if b.first == 0 {
		<-time.After(500 * time.Millisecond) // more than a browser waits before it shows what it has
		b.first = -1
	}
	if b.first < 0 {
		return b.ReadCloser.Read(into)
	}
	n, err := b.ReadCloser.Read(into[:min(int64(len(into)), b.first)])
	b.first -= int64(n)
	return n, err
}

// halting returns the address of a proxy of a server behind which the pages of counters come in two
// parts.
func halting(t *testing.T, server *process) string {
	t.Helper()
	target, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: func(r *http.Response) error {
			if strings.HasPrefix(r.Request.URL.Path, "/c/") {
				r.Body = &haltingBody{r.Body, r.ContentLength / 2}
			}
			return nil
		},
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// TestNothingShiftsWhileThePageLoads: room is reserved for what scripts show.
func TestNothingShiftsWhileThePageLoads(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	slow, browser := halting(t, server), newBrowser(t)
	for _, window := range [][2]int64{{320, 568}, {390, 844}, {768, 1024}, {1024, 768}, {1440, 900}} {
		p := newPage(t, browser)
		p.size(window[0], window[1])
		p.navigate(slow + fmt.Sprintf("/c/kitchen-%d", window[0])) // each has one tab
		p.isLive()
		eventually(t, "the switch to be shown", func() error {
			if p.evaluate(`String(document.querySelector('#renderer').checkVisibility({ visibilityProperty: true }))`) != "true" {
				return errors.New("it is not")
			}
			return nil
		})
		got := p.evaluate(`new Promise((done) => {
  const shifts = [];
  const at = ({ top, left, width, height }) => [left, top, width, height].join(' ');
  new PerformanceObserver((list) => list.getEntries().forEach((e) => shifts.push(e.value + ': ' + e.sources.map((s) =>
    (s.node?.className ?? s.node?.nodeName) + ' from ' + at(s.previousRect) + ' to ' + at(s.currentRect)).join(', '))))
    .observe({ type: 'layout-shift', buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(shifts.join('\n')), 100)));
})`)
		if got != "" {
			t.Errorf("at %d x %d: got a layout shift of %s", window[0], window[1], got)
		}
		p.close()
	}
}

// TestADoubleClickWithoutScriptsIsNotSilent: the browser takes the first back, or sends the same
// form twice, which counts once.
func TestADoubleClickWithoutScriptsIsNotSilent(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	p := newPage(t, newBrowser(t))
	p.scripts(false)
	for i := range 3 {
		p.navigate(server.url + fmt.Sprintf("/c/double-%d", i))
		p.do(chromedp.DoubleClick(chromedp.CSS("[data-action=increment]")))
		eventually(t, "the page to say what became of it", func() error {
			got := p.evaluate(`document.querySelector('#counter')?.dataset.count + ' ' + document.querySelector('.outcome')?.textContent`)
			if got != "2 That was done." && !(strings.HasPrefix(got, "1 ") && strings.Contains(got, "was done")) {
				return fmt.Errorf("got %s", got)
			}
			return nil
		})
	}
}

// TestAFailureInTheBrowserCanBeTriedAgain, with the boot page, and when the application is there.
func TestAFailureInTheBrowserCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	f := newInterceptor(t, server)
	f.setEdit(func(path string, a *reply) {
		if isFile(path, "lockstep.wasm") {
			a.status, a.header, a.body = http.StatusServiceUnavailable, http.Header{}, nil
		}
	})
	p := newPage(t, newBrowser(t))
	p.navigate(f.url + "/wasm/?name=again")
	eventually(t, "the failure, and a way on", func() error {
		if got := p.evaluate(`String(document.querySelector('#failure:not([hidden])') && document.querySelector('#again a')?.checkVisibility())`); got != "true" {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
	f.setEdit(nil)
	p.clickOn("#again a")
	p.isLive()
	p.click("increment")
	p.showsCount(1)
	if got := p.evaluate(`document.title`); !strings.HasSuffix(got, " · again · Lockstep") {
		t.Errorf("got the title %q", got)
	}
}

// WCAG 2.3.1: a flash is a pair of opposing changes of a tenth of the light and more, at a time in
// a quarter of ten degrees of the field of vision: that is 341 by 256 CSS pixels.
const (
	flashChange = 0.1
	fieldWidth  = 341
	fieldHeight = 256
	flashArea   = fieldWidth * fieldHeight / 4
)

// changed returns how many pixels have become lighter from one picture to the next, or darker, in
// the field of vision that has most of them.
func changed(from, to []float64, width int) (most int) {
	for _, way := range []float64{1, -1} {
		most = max(most, densest(len(to)/width, width, func(i int) bool { return way*(to[i]-from[i]) >= flashChange }))
	}
	return most
}

// densest returns how many pixels are in, in the field of vision that has most of them.
func densest(height, width int, in func(i int) bool) (most int) {
	sums := make([]int, (width+1)*(height+1)) // of all pixels above and to the left
	at := func(x, y int) *int { return &sums[y*(width+1)+x] }
	for i := range height * width {
		x, y, n := i%width, i/width, 0
		if in(i) {
			n = 1
		}
		*at(x+1, y+1) = n + *at(x, y+1) + *at(x+1, y) - *at(x, y)
	}
	for y := range max(1, height-fieldHeight+1) {
		for x := range max(1, width-fieldWidth+1) {
			right, bottom := min(x+fieldWidth, width), min(y+fieldHeight, height)
			most = max(most, *at(right, bottom)-*at(x, bottom)-*at(right, y)+*at(x, y))
		}
	}
	return most
}

// TestTheDigitsOfAFastCountAreNoFlash: from one count to the next too little of the picture changes
// to be half a flash, however many of its digits do.
func TestTheDigitsOfAFastCountAreNoFlash(t *testing.T) {
	t.Parallel()
	p := aloneWithACount(t)
	p.size(1440, 900) // digits are as large as they get
	for _, scheme := range []string{"light", "dark"} {
		p.media("screen", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
		var last []float64
		most := 0
		for i := range 8 {
			p.evaluate(fmt.Sprintf(`document.querySelector('.number').textContent = '%d', ''`, 101+111*i+i%3))
			picture := p.picture(".stage")
			now := luminances(picture)
			if last != nil {
				most = max(most, changed(last, now, picture.Bounds().Dx()))
			}
			last = now
		}
		if most == 0 || most >= flashArea {
			t.Errorf("%s: %d pixels change at a time, want some, and fewer than %d", scheme, most, flashArea)
		}
	}
}
