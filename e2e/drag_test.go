package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A place is one in the window, in px.
type place struct{ X, Y float64 }

// in returns the place of an element, at a share of its height.
func (p *page) in(selector string, share float64) (at place) {
	p.t.Helper()
	raw := p.evaluate(fmt.Sprintf(`(() => {
		const {x, y, width, height} = document.querySelector(%q).getBoundingClientRect();
		return JSON.stringify({X: x + Math.min(width / 3, 60), Y: y + height * %v});
	})()`, selector, share))
	if err := json.Unmarshal([]byte(raw), &at); err != nil {
		p.t.Fatal(err)
	}
	return at
}

// card is the selector of a card by its text.
func (p *page) card(text string) string {
	p.t.Helper()
	return "#" + p.evaluate(fmt.Sprintf(`[...document.querySelectorAll('main li')].find((li) => li.firstChild.textContent.trim() === %q).id`, text))
}

// mouse has the real mouse do something.
func (p *page) mouse(does input.DispatchMouseEventType, at place) {
	p.t.Helper()
	params := input.DispatchMouseEventParams{Type: does, X: at.X, Y: at.Y, Button: input.MouseButtonLeft, ClickCount: 1}
	if does == input.DispatchMouseEventTypeMouseMoved {
		params.Buttons = 1
	}
	if _, err := chromedp.Call(p.ctx, input.DispatchMouseEvent, params); err != nil {
		p.t.Fatal(err)
	}
}

// drags takes a card with the mouse to a place, and does not let go of it.
func (p *page) drags(text string, to place) {
	p.t.Helper()
	from := p.in(p.card(text)+" p", .5)
	p.mouse(input.DispatchMouseEventTypeMousePressed, from)
	p.mouse(input.DispatchMouseEventTypeMouseMoved, place{(from.X + to.X) / 2, (from.Y + to.Y) / 2})
	p.mouse(input.DispatchMouseEventTypeMouseMoved, to)
	eventually(p.t, text+" to be where the mouse is", func() error {
		if at := p.in(p.card(text)+" p", .5); at.X-to.X > 2 || to.X-at.X > 2 || at.Y-to.Y > 2 || to.Y-at.Y > 2 {
			return fmt.Errorf("it is at %+v instead of %+v", at, to)
		}
		return nil
	})
}

func (p *page) lets(at place) {
	p.t.Helper()
	p.mouse(input.DispatchMouseEventTypeMouseReleased, at)
}

const column = "section[aria-label='%s'] ul"

// TestACardIsDragged with the mouse, between columns and in one, while somebody else moves other
// cards; also offline. It is the same element all the time.
func TestACardIsDragged(t *testing.T) {
	t.Parallel()
	server := startExample(t, "kanban", 1, "-replicas", "2")[0]
	chromium := newBrowser(t)
	ann, bob := visit(t, chromium, server.url), visit(t, chromium, server.url)
	ann.strict, bob.strict = true, true
	ann.size(1000, 1000)
	for _, text := range []string{"one", "two", "three", "four"} {
		ann.fillsIn(newText, text)
	}
	bob.showsCards("one,two,three,four |  | ")
	bob.clickOn("button[aria-label='Right four']")
	ann.showsCards("one,two,three | four | ")

	// Behind the card of another column; meanwhile that gets a second one.
	ann.evaluate(`window.dragged = document.querySelector('` + ann.card("two") + `'); ''`)
	to := ann.in(fmt.Sprintf(column, "Doing"), 1.5)
	ann.drags("two", to)
	bob.clickOn("button[aria-label='Right three']")
	ann.showsCards("one,two | four,three | ")
	if got := ann.evaluate(`String(dragged.isConnected && dragged === document.querySelector('` + ann.card("two") + `'))`); got != "true" {
		t.Error("the card that is dragged is another element now")
	}
	to = ann.in(fmt.Sprintf(column, "Doing"), 1.2)
	ann.mouse(input.DispatchMouseEventTypeMouseMoved, to)
	ann.lets(to)
	bob.showsCards("one | four,three,two | ")
	ann.showsCards("one | four,three,two | ")
	ann.isAtRest()

	// Within a column, before what is above.
	to = ann.in(ann.card("four"), .1)
	ann.drags("two", to)
	ann.lets(to)
	bob.showsCards("one | two,four,three | ")

	// Where it was, and by Escape: nothing happens.
	to = ann.in(ann.card("two"), .7)
	ann.drags("two", to)
	ann.lets(to)
	ann.drags("two", ann.in(fmt.Sprintf(column, "Done"), .5))
	ann.escapes()
	ann.isAtRest()
	ann.lets(to)
	ann.showsCards("one | two,four,three | ")

	// Into a column that is empty.
	to = ann.in(fmt.Sprintf(column, "Done"), .5)
	ann.drags("one", to)
	ann.lets(to)
	bob.showsCards(" | two,four,three | one")
}

func (p *page) escapes() {
	p.t.Helper()
	p.do(chromedp.KeyEvent(kb.Escape))
}

// isAtRest waits until nothing is dragged any more.
func (p *page) isAtRest() {
	p.t.Helper()
	eventually(p.t, "nothing to be dragged", func() error {
		if got := p.dragged(); got != "0" {
			return errors.New("something is")
		}
		return nil
	})
}

// dragged is how many elements are being dragged.
func (p *page) dragged() string {
	p.t.Helper()
	return p.evaluate(`String(document.getAnimations().filter((a) => a.effect.target.matches('[data-drag]')).length)`)
}

// touch has a finger do something.
func (p *page) touch(does input.DispatchTouchEventType, at ...place) {
	p.t.Helper()
	params := input.DispatchTouchEventParams{Type: does, TouchPoints: []*input.TouchPoint{}}
	for _, one := range at {
		params.TouchPoints = append(params.TouchPoints, &input.TouchPoint{X: one.X, Y: one.Y})
	}
	if _, err := chromedp.Call(p.ctx, input.DispatchTouchEvent, params); err != nil {
		p.t.Fatal(err)
	}
}

// TestAFingerDragsACardWhenItHasStayed, on a phone. One that moves at once scrolls.
func TestAFingerDragsACardWhenItHasStayed(t *testing.T) {
	t.Parallel()
	ann := visit(t, newBrowser(t), startExample(t, "kanban", 1)[0].url)
	ann.strict = true
	for _, text := range []string{"one", "two", "three", "four"} {
		ann.fillsIn(newText, text)
	}
	ann.showsCards("one,two,three,four |  | ")
	ann.size(360, 640)
	ann.evaluate(`document.activeElement.blur(); scrollTo(0, 0); ''`) // else the field is kept in sight
	from, to := ann.in(ann.card("one")+" p", .5), ann.in(ann.card("two"), .9)
	ann.touch(input.DispatchTouchEventTypeTouchStart, from)
	eventually(t, "the card to be taken", func() error {
		if got := ann.dragged(); got != "1" {
			return errors.New("it is not")
		}
		return nil
	})
	ann.touch(input.DispatchTouchEventTypeTouchMove, place{to.X, (from.Y + to.Y) / 2})
	ann.touch(input.DispatchTouchEventTypeTouchMove, to)
	if got := ann.evaluate(`String(scrollY)`); got != "0" {
		t.Errorf("the page scrolls by %s while a card is dragged", got)
	}
	ann.touch(input.DispatchTouchEventTypeTouchEnd)
	ann.showsCards("two,one,three,four |  | ")

	from = ann.in(ann.card("one")+" p", .5)
	ann.touch(input.DispatchTouchEventTypeTouchStart, from)
	for i := range 5 {
		ann.touch(input.DispatchTouchEventTypeTouchMove, place{from.X, from.Y - 20*float64(i)})
	}
	ann.touch(input.DispatchTouchEventTypeTouchEnd)
	eventually(t, "the page to scroll", func() error {
		if got := ann.evaluate(`String(scrollY > 0)`); got != "true" {
			return errors.New("it does not")
		}
		return nil
	})
	ann.isAtRest()
	ann.showsCards("two,one,three,four |  | ")
}

// TestACardThatIsDraggedOfflineIsMovedOnce, when there is a network again.
func TestACardThatIsDraggedOfflineIsMovedOnce(t *testing.T) {
	t.Parallel()
	server := startExample(t, "kanban", 1, "-url", "file:data")[0]
	ann := visit(t, newBrowser(t), server.url)
	ann.size(1000, 1000)
	for _, text := range []string{"one", "two"} {
		ann.fillsIn(newText, text)
	}
	ann.showsCards("one,two |  | ")
	server.kill()
	to := ann.in(fmt.Sprintf(column, "Done"), .5)
	ann.drags("one", to)
	ann.lets(to)
	ann.until("to have the card wait", func(s state) bool { return s.Kept == "1" })
	server.restart()
	ann.showsCards("two |  | one")
	ann.isLive()
	ann.showsCards("two |  | one")
}
