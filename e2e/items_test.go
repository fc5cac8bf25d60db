package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// noMoves makes a browser like those that can't move an element.
const noMoves = `for (const { prototype } of [Element, Document, DocumentFragment]) delete prototype.moveBefore;`

// A mover is a kind of browser with the scripts of lists.
type mover struct {
	engine
	before string // a script
}

func movers() (all []mover) {
	for _, e := range engines() {
		all = append(all, mover{engine: e})
	}
	blunt := mover{engine: engines()[0], before: noMoves}
	blunt.name += " without moveBefore"
	return append(all, blunt)
}

// shownItems waits for a version, has another element get the focus, and reads what the list shows.
const shownItems = `(async () => {
  const room = document.getElementById('list'), was = document.activeElement?.id, wants = %d, next = %q;
  for (let i = 0; room.dataset.version !== String(wants); i++) {
    if (i > 5000) return 'version ' + room.dataset.version;
    await new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
  }
  const all = [...document.getElementById('items').children].map((el) => [el.id, el.querySelector('[name=text]').value,
    el.querySelector('[name=done]').checked, el.querySelector('span').textContent].join(' '));
  const active = document.activeElement?.id, kept = window.focused;
  const lost = kept && kept.isConnected && kept !== document.activeElement ? 'the focus was lost: ' + kept.id + ', ' + active + '\n' : '';
  window.focused = document.getElementById(next);
  window.focused?.focus();
  return lost + all.join('\n');
})()`

// TestAListIsWhatItsChangesMake: chance has items come, change, move and go, a tab is sent frames
// that leave out versions and begin at older bases, or all of it, and has the focus anywhere.
func TestAListIsWhatItsChangesMake(t *testing.T) {
	t.Parallel()
	operations := 600
	if os.Getenv("LOCKSTEP_LISTS") == "full" {
		operations = 10_000
	}
	for _, m := range movers() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			fuzzItems(t, m, rand.New(rand.NewPCG(seed, 1)), operations)
		})
	}
}

func fuzzItems(t *testing.T, m mover, chance *rand.Rand, operations int) {
	t.Helper()
	b := newBook(60)
	s := newPuppet(t, part{topic: "list:a", before: m.before, body: func() string { return b.html() }})
	tab := s.visit(t, m.start(t))
	if got := tab.evaluate(`String(typeof Element.prototype.moveBefore)`); (got == "undefined") != (m.before != "") {
		t.Fatalf("moveBefore is %s", got)
	}
	shown, frames, changes := b.version, 0, 0
	for changes < operations {
		for range 1 + chance.IntN(6) {
			n := 1 + chance.IntN(12)
			changes += n
			b.step(chance, n)
		}
		base := max(1, shown-chance.IntN(5))
		if chance.IntN(20) == 0 {
			base = -1
		}
		focus := ""
		if len(b.order) > 0 {
			focus = []string{"c-", "x-"}[chance.IntN(2)] + b.order[chance.IntN(len(b.order))].id
		}
		s.frame("list:a", base, b.version, b.since(base))
		shown = b.version
		frames++
		if got, want := tab.evaluate(fmt.Sprintf(shownItems, b.version, focus)), b.shown(); got != want {
			t.Fatalf("after %d changes in %d frames, the last from %d to %d:\ngot\n%s\nwant\n%s", changes, frames, base, b.version, got, want)
		}
	}
	if hellos := s.take(isHello); len(hellos) > 0 {
		t.Errorf("the tab has asked for all of it: %+v", hellos)
	}
	t.Logf("%d changes in %d frames", changes, frames)
}

// shows waits until a list has these items.
func showsItems(p *page, want string) {
	p.t.Helper()
	eventually(p.t, "the items "+want, func() error {
		got := p.evaluate(`[...document.getElementById('items').children].map(({ id }) => id).join(' ')`)
		if got != want {
			return fmt.Errorf("there are %s", got)
		}
		return nil
	})
}

func ids(b *book) string {
	var all []string
	for _, it := range b.order {
		all = append(all, it.id)
	}
	return strings.Join(all, " ")
}

// TestAFrameThatDoesNotFitIsNotShown: the tab says what it shows instead, and not again and again.
func TestAFrameThatDoesNotFitIsNotShown(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			b := newBook(3)
			s := newPuppet(t, part{topic: "list:a", body: func() string { return b.html() }})
			tab := s.visit(t, e.start(t))
			first := ids(b)
			chance := rand.New(rand.NewPCG(1, 1))
			for range 5 {
				b.step(chance, 3)
			}
			for range 20 { // from a version that the tab has not seen
				s.frame("list:a", 4, b.version, b.since(4))
			}
			if hello := s.waitFor("what it shows", isHello); hello.At["list:a"] != [2]uint64{1, 1} {
				t.Errorf("got a hello with %v, want version 1", hello.At)
			}
			if got := len(s.take(isHello)); got > 0 {
				t.Errorf("the tab has said it %d times more in the same second", got)
			}
			showsItems(tab, first)
			s.frame("list:a", -1, b.version, b.since(-1))
			showsItems(tab, ids(b))
			b.step(chance, 3)
			s.frame("list:a", b.version-1, b.version, b.since(b.version-1))
			showsItems(tab, ids(b))
			if got := tab.evaluate(`list.dataset.epoch + ' ' + list.dataset.version`); got != fmt.Sprintf("1 %d", b.version) {
				t.Errorf("the room says %s, want version %d", got, b.version)
			}
			// It says that it follows an item that never was.
			s.frame("list:a", b.version, b.version+1, `<hx-list hx-target="#items" put="`+b.order[0].id+`:i-none"></hx-list>`)
			if hello := s.waitFor("that it shows nothing", isHello); hello.At["list:a"] != [2]uint64{0, 0} {
				t.Errorf("got a hello with %v, want version 0", hello.At)
			}
			b.step(chance, 3)
			s.frame("list:a", -1, b.version, b.since(-1))
			showsItems(tab, ids(b))
		})
	}
}

// TestAListInARoomThatIsMorphedIsTakenItemByItem: a tab that renders itself has no changes of
// items.
func TestAListInARoomThatIsMorphedIsTakenItemByItem(t *testing.T) {
	t.Parallel()
	for _, m := range movers() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := newBook(40)
			s := newPuppet(t, part{topic: "list:a", before: m.before, body: func() string { return `<div id="live">` + b.html() + `</div>` }})
			tab := s.visit(t, m.start(t))
			chance := rand.New(rand.NewPCG(2, 2))
			last := b.order[len(b.order)-1]
			tab.evaluate(fmt.Sprintf(`window.last = document.getElementById(%q); document.getElementById('x-' + last.id).focus(); ''`, last.id))
			for range 20 {
				b.step(chance, 8)
				if b.byID[last.id] == nil { // it stays, now at the front
					b.order = append([]*bookItem{last}, b.order...)
					b.byID[last.id] = last
					delete(b.gone, last.id)
				}
				s.frame("list:a", -1, b.version, `<hx-partial hx-target="#live" hx-swap="innerMorph">`+b.html()+`</hx-partial>`)
				if got, want := tab.evaluate(fmt.Sprintf(shownItems, b.version, "x-"+last.id)), b.shown(); got != want {
					t.Fatalf("got\n%s\nwant\n%s", got, want)
				}
				if got := tab.evaluate(`String([last.isConnected, document.activeElement.id === 'x-' + last.id])`); got != "true,true" {
					t.Fatalf("got %s: the item is another, or has lost the focus", got)
				}
			}
		})
	}
}
