package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lockstep/components"
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
		"the count can't be saved at the moment; your click waits",
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
		c := components.Counter{Name: "kitchen", Topic: "counter:kitchen", N: n, Known: known}
		if err := components.CounterView(c).Render(t.Context(), &b); err != nil {
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
		add(func(s *scene) { s.Tabs, s.Replica = tabs, "lockstep-7d9f8c6b5-x2x4q.eu-central-1.compute.internal:8001" })
	}
	for _, text := range []string{"…", "Compiling: 100 %"} {
		add(func(s *scene) { s.Switch = text })
	}
	return all
}

// watchBoxes shows scenes one after the other, and says what has moved from where it was in the first,
// or does not fit: a line for each.
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

// TestAResetIsAskedFor: one press, or two in the same place, take nobody's count away.
func TestAResetIsAskedFor(t *testing.T) {
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
			// A press that comes at once does not count, wherever the answer is.
			p.evaluate(`document.querySelector('.asker').click(), ''`)
			p.clickOn("[data-action=reset]")
			p.isAsked(true)
			if s, err := p.state(); err != nil || s.Count != "1" {
				t.Errorf("got %+v, %v; want a count of 1 still", s, err)
			}
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

