package e2e_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// A boardState is what a page shows of a board, but its own cursor.
type boardState struct {
	Cursors [][2]float64 // of each, where its tip is, as a share of the board
	People  []string
	Types   string // who does
	Said    string
}

// board returns what the page shows, once all that moves has come to rest.
func (p *page) board() (s boardState) {
	p.t.Helper()
	raw := p.evaluate(`(() => {
  const ground = document.querySelector('#ground').getBoundingClientRect();
  const tip = (el) => {
    const { left, top } = el.getBoundingClientRect();
    return [(left - ground.left) / ground.width, (top - ground.top) / ground.height];
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  return JSON.stringify({
    Cursors: all('#ground .cursor').map(tip), People: all('#people .who').map((el) => el.textContent),
    Types: document.querySelector('#typists').textContent, Said: document.querySelector('#said').textContent,
  });
})()`)
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// boardShows waits until the board is as cond wants it.
func (p *page) boardShows(what string, cond func(boardState) bool) {
	p.t.Helper()
	eventually(p.t, "the board to show "+what, func() error {
		if s := p.board(); !cond(s) {
			return fmt.Errorf("it shows %+v", s)
		}
		return nil
	})
}

// pointAt moves the mouse to a place on the board, given as a share of it; beyond 1 it is
// outside.
func (p *page) pointAt(x, y float64) {
	p.t.Helper()
	var ground struct{ X, Y, Width, Height float64 }
	raw := p.evaluate(`JSON.stringify(document.querySelector('#ground').getBoundingClientRect())`)
	if err := json.Unmarshal([]byte(raw), &ground); err != nil {
		p.t.Fatal(err)
	}
	_, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{
		Type: input.DispatchMouseEventTypeMouseMoved, X: ground.X + x*ground.Width, Y: ground.Y + y*ground.Height,
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// cursorAt is a condition: the only cursor is at a place.
func cursorAt(x, y float64) func(boardState) bool {
	return func(s boardState) bool {
		return len(s.Cursors) == 1 && math.Abs(s.Cursors[0][0]-x) < .02 && math.Abs(s.Cursors[0][1]-y) < .02
	}
}

func nobody(s boardState) bool { return len(s.Cursors)+len(s.People) == 0 && s.Types == "" }

// TestPeopleSeeEachOtherAtABoard, though different replicas serve them.
func TestPeopleSeeEachOtherAtABoard(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, broker string) {
		ps := startCluster(t, 2, broker)
		browser := newBrowser(t)
		ann, bob := visit(t, browser, ps[0].url+"/soft/studio"), visit(t, browser, ps[1].url+"/soft/studio")
		ann.strict, bob.strict = true, true
		for _, place := range [][2]float64{{.25, .5}, {.8, .2}, {.3, .7}} {
			ann.pointAt(place[0], place[1])
			bob.boardShows("where the other's cursor is", cursorAt(place[0], place[1]))
		}
		bob.pointAt(.6, .6)
		ann.boardShows("the other's cursor, and not its own", cursorAt(.6, .6))
		if got := bob.board(); len(got.People) != 1 || strings.Count(got.People[0], " ") != 1 {
			t.Errorf("got the people %q, want one with a name", got.People)
		}
		// Another board is another place, and who comes late sees who is there.
		other := visit(t, browser, ps[0].url+"/soft/other")
		late := visit(t, browser, ps[1].url+"/soft/studio")
		late.boardShows("both", func(s boardState) bool { return len(s.Cursors) == 2 && len(s.People) == 2 })
		if !nobody(other.board()) {
			t.Errorf("another board shows %+v", other.board())
		}
		late.close()
		// The cursor goes with the pointer, and with the tab.
		bob.pointAt(.5, 1.3)
		ann.boardShows("that the other's cursor has left", nobody)
		bob.pointAt(.5, .5)
		ann.boardShows("that it is back", cursorAt(.5, .5))
		bob.close()
		ann.boardShows("that the other has gone", nobody)
	})
}

func TestABoardShowsWhoTypesAndNotWhat(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-replicas", "1", "-store", "mem:")
	browser := newBrowser(t)
	ann, bob := visit(t, browser, p.url+"/soft/studio"), visit(t, browser, p.url+"/soft/studio")
	bob.evaluate(`window.heard = [], document.querySelector('main').addEventListener('htmx:ws:before:message:incoming',
		(e) => heard.push(e.detail.message.data)), ''`)
	ann.do(chromedp.SendKeys(chromedp.CSS("#text"), "a secret"))
	bob.boardShows("who types", func(s boardState) bool { return strings.HasSuffix(s.Types, " is typing…") && len(s.People) == 1 })
	bob.boardShows("it to those who hear the page", func(s boardState) bool { return strings.HasSuffix(s.Said, " is typing…") })
	bob.boardShows("that nobody types any more", nobody)
	if got := bob.evaluate(`heard.join()`); strings.Contains(got, "secret") || !strings.Contains(got, `"types":true`) {
		t.Errorf("the other tab got %s, want that somebody types, and not what", got)
	}
}

// TestTheKeysMoveACursorToo, and whoever moves it by them sees it.
func TestTheKeysMoveACursorToo(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	browser := newBrowser(t)
	ann, bob := visit(t, browser, p.url+"/soft/studio"), visit(t, browser, p.url+"/soft/studio")
	ann.do(chromedp.Focus(chromedp.CSS("#ground")))
	for range 5 {
		ann.evaluate(`document.querySelector('#ground').dispatchEvent(
			new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true, cancelable: true })), ''`)
	}
	bob.boardShows("where the keys have moved it", cursorAt(.6, .5))
	ann.boardShows("its own", cursorAt(.6, .5))
	ann.evaluate(`document.querySelector('#ground').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true })), ''`)
	bob.boardShows("nobody", nobody)
	ann.boardShows("nobody", nobody)
}

// TestAHiddenTabIsNotAtTheBoard: nobody looks at it, and it says nothing more.
func TestAHiddenTabIsNotAtTheBoard(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	browser := newBrowser(t)
	ann, bob := visit(t, browser, p.url+"/soft/studio"), visit(t, browser, p.url+"/soft/studio")
	ann.pointAt(.5, .5)
	bob.boardShows("the other's cursor", cursorAt(.5, .5))
	ann.hide(true)
	bob.boardShows("that the other is not there", nobody)
	ann.hide(false)
	ann.pointAt(.4, .4)
	bob.boardShows("that it is back", cursorAt(.4, .4))
}

func TestEverybodyCanUseABoard(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	browser := newBrowser(t)
	ann, bob := visit(t, browser, p.url+"/soft/studio"), visit(t, browser, p.url+"/soft/studio")
	ann.size(1280, 1400) // nothing is scrolled
	for i, scheme := range []string{"light", "dark"} {
		bob.media("screen", "prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce")
		ann.pointAt(.5, .5+float64(i)/10)
		bob.boardShows("a cursor and who types", func(s boardState) bool {
			ann.do(chromedp.SendKeys(chromedp.CSS("#text"), "x")) // it lasts for a moment
			return len(s.Cursors) == 1 && s.Types != ""
		})
		bob.looksRight("a board, " + scheme)
		for _, width := range []int64{320, 390, 768, 1440} {
			bob.size(width, 800)
			if got := bob.evaluate(`String(document.documentElement.scrollWidth - innerWidth)`); got != "0" {
				t.Errorf("at a width of %d the page is %s wider than its window", width, got)
			}
		}
	}
}

// TestABoardSaysWhatItNeeds: there is nothing to see of others without scripts.
func TestABoardSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	without := newPage(t, newBrowser(t))
	without.scripts(false)
	without.navigate(p.url + "/soft/studio")
	if got := without.evaluate(`document.querySelector('#board').innerText`); !strings.Contains(got, "needs JavaScript") {
		t.Errorf("got %q, want what is needed", got)
	}
}

// TestABoardWorksWithoutWebsockets: over a stream, and requests that bring what is cast.
func TestABoardWorksWithoutWebsockets(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	network := newMiddlebox(t, refuses, p.addr())
	browser := newBrowser(t)
	ann, bob := newPage(t, browser), visit(t, browser, p.url+"/soft/studio")
	ann.navigate(network.url + "/soft/studio")
	ann.until("to do without a websocket", func(s state) bool { return s.Status == "live" && ann.overPlainHTTP() })
	for _, place := range [][2]float64{{.25, .5}, {.4, .2}} {
		ann.pointAt(place[0], place[1])
		bob.boardShows("where the other's cursor is", cursorAt(place[0], place[1]))
		bob.pointAt(place[1], place[0])
		ann.boardShows("where the other's cursor is", cursorAt(place[1], place[0]))
	}
	ann.hide(true)
	bob.boardShows("that the other is not there", func(s boardState) bool { return len(s.Cursors) == 0 })
}
