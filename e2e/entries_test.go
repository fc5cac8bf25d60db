package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	states "lockstep/state"
)

const logTopic = "log:a"

const logStyle = `#room{position:relative}[data-stick]{height:300px;overflow-y:auto}#log{margin:0;padding:0;list-style:none}#log>li{padding:4px}
.pending{color:gray}`

// entry is one of a log, as a page has it.
func entry(n int, id, text string) string {
	return fmt.Sprintf(`<li id="m-%s" data-n="%d"><b>somebody</b> <span>%s</span></li>`, id, n, text)
}

// entries are those from one number up to another.
func entries(from, to int) string {
	var html strings.Builder
	for n := from; n <= to; n++ {
		html.WriteString(entry(n, fmt.Sprintf("e%d", n), fmt.Sprintf("entry %d", n)))
	}
	return html.String()
}

// newLog serves a page with the entries from one number up to another, which is its version.
func newLog(t testing.TB, from, to int, before string) *puppet {
	t.Helper()
	s := newPuppet(t, part{topic: logTopic, style: logStyle, before: before, body: func() string {
		return fmt.Sprintf(`<section id="room" data-topic="log:a" data-epoch="1" data-version="%d"><div id="box" role="log" data-stick tabindex="0">`+
			`<a class="older" href="/log/a?before=%d"%s>Older</a><ol id="log" data-list>%s</ol></div>`+
			`<button type="button" data-unread hidden><b>0</b> new</button><p data-missed hidden>missed <button type="button">OK</button></p>`+
			`<form id="say" data-topic="log:a" data-do="say" data-preview="#log" hx-ws:send><input name="text" id="text" required><button>Send</button>`+
			`<template><li><b>me</b> <span data-value="text"></span></li></template></form></section>`,
			to, from, map[bool]string{true: " hidden"}[from <= 1], entries(from, to))
	}})
	return s
}

// logState is what a person sees of a log.
const logState = `(() => {
  const box = document.getElementById('box'), log = document.getElementById('log'), button = document.querySelector('[data-unread]');
  return JSON.stringify({
    End: box.scrollHeight - box.scrollTop - box.clientHeight < 8, N: log.children.length, First: log.firstElementChild?.id ?? '',
    Last: log.lastElementChild?.id ?? '', Pending: [...log.querySelectorAll('.pending')].map((el) => el.innerText.trim()).join('|'),
    Unread: button.hidden ? '' : button.textContent, Missed: !document.querySelector('[data-missed]').hidden,
    Older: document.querySelector('a.older').hidden ? '' : document.querySelector('a.older').search,
    Text: document.getElementById('text').value, Ids: new Set([...log.children].map(({ id }) => id)).size === log.children.length,
  });
})()`

// showsLog waits until a log is so: "name:value" pairs of its state, in JSON's spelling.
func showsLog(p *page, want ...string) {
	p.t.Helper()
	eventually(p.t, "the log", func() error {
		got := p.evaluate(logState)
		for _, w := range append(want, `"Ids":true`) {
			if !strings.Contains(got, w) {
				return fmt.Errorf("it is %s, want %s", got, w)
			}
		}
		return nil
	})
}

// addEntries sends entries that follow a version, of which there is one for each.
func (s *puppet) addEntries(base, to int) {
	s.t.Helper()
	s.frame(logTopic, base, to, `<hx-list hx-target="#log">`+entries(base+1, to)+`</hx-list>`)
}

// write has a person write something, and send it with the keyboard.
func (s *puppet) write(p *page, text string) heardMessage {
	s.t.Helper()
	p.evaluate(fmt.Sprintf(`document.getElementById('text').focus(); document.getElementById('text').value = %q;
    document.getElementById('text').dispatchEvent(new Event('input', { bubbles: true })); ''`, text))
	p.press(keyEnter)
	return s.waitFor("what was written", isOp)
}

// opName is what the store calls an op.
func opName(t testing.TB, m heardMessage) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(m.Op[0].(string))
	if err != nil || len(raw) != len(states.Client{}) {
		t.Fatalf("got the client %v, %v", m.Op[0], err)
	}
	op := states.Op{Client: states.Client(raw), Seq: m.seq}
	return op.Name()
}

// TestALogInThePage plays each case in each kind of browser.
func TestALogInThePage(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		play func(t *testing.T, open opener)
	}{
		{"it stays at its end unless the person reads further up", logStaysAtItsEnd},
		{"what a person writes is shown at once, and confirmed in its place", ownEntryIsConfirmedInItsPlace},
		{"what is refused is given back", refusedEntryIsGivenBack},
		{"what waits is shown again after a reload", whatWaitsIsShownAgain},
		{"without digests an own entry has another id until it is confirmed", ownEntryWithoutDigests},
		{"older entries come above what is read", olderEntriesComeAbove},
		{"older entries come while the person stays at the top", olderEntriesComeAtTheTop},
		{"older entries that come after a gap are left out", olderEntriesAfterAGap},
		{"an entry of another's name changes no other", namesakeStandsAlone},
		{"an entry before all that are shown is left out", earlierEntryIsLeftOut},
		{"a gap is said", aGapIsSaid},
		{"a fresh start keeps what is known and what waits", aFreshStartKeepsWhatIsKnown},
		{"a log that was restored is shown alone", aRestoredLogIsShownAlone},
		{"pictures that come late leave it at its end", latePicturesLeaveItAtItsEnd},
		{"a page that stays open keeps a part of it", aLongLogIsCut},
		{"new entries are said once, and calmly", newEntriesAreSaidCalmly},
	}
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			open := e.start(t)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.play(t, open) })
			}
		})
	}
}

// namesakeStandsAlone: whoever writes may have an id come again.
func namesakeStandsAlone(t *testing.T, open opener) {
	s := newLog(t, 1, 3, "")
	tab := s.visit(t, open)
	showsLog(tab, `"N":3`)
	again := `<hx-list hx-target="#log">` + entry(4, "e2", "something else") + `</hx-list>`
	s.frame(logTopic, 3, 4, again)
	showsLog(tab, `"N":4`, `"Last":"m-e2-4"`)
	s.frame(logTopic, 3, 5, `<hx-list hx-target="#log">`+entry(4, "e2", "something else")+entry(5, "e5", "more")+`</hx-list>`)
	showsLog(tab, `"N":5`, `"Last":"m-e5"`)
	if got, want := tab.evaluate(`document.getElementById('m-e2').innerText`), "entry 2"; !strings.Contains(got, want) {
		t.Errorf("got %q where %q was", got, want)
	}
}

// earlierEntryIsLeftOut: a frame may lead from before where the tab began.
func earlierEntryIsLeftOut(t *testing.T, open opener) {
	s := newLog(t, 51, 100, "")
	tab := s.visit(t, open)
	showsLog(tab, `"N":50`)
	s.frame(logTopic, 48, 101, `<hx-list hx-target="#log">`+entries(49, 50)+entries(101, 101)+`</hx-list>`)
	showsLog(tab, `"N":51`, `"First":"m-e51"`, `"Last":"m-e101"`)
}

func logStaysAtItsEnd(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	showsLog(tab, `"End":true`, `"N":50`)
	s.addEntries(50, 52)
	showsLog(tab, `"End":true`, `"N":52`, `"Last":"m-e52"`, `"Unread":""`)
	tab.evaluate(`box.scrollTop = 200; ''`)
	top := tab.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(String(box.scrollTop)))))`)
	s.addEntries(52, 53)
	s.addEntries(51, 55) // some of them again
	showsLog(tab, `"End":false`, `"N":55`, `"Last":"m-e55"`, `"Unread":"3 new"`)
	if got := tab.evaluate(`String(box.scrollTop)`); got != top {
		t.Errorf("what is read is at %s, was at %s", got, top)
	}
	tab.clickOn(`[data-unread]`)
	showsLog(tab, `"End":true`, `"Unread":""`)
	if got := tab.evaluate(`document.activeElement.id`); got != "box" {
		t.Errorf("the focus is at %q, want the log", got)
	}
	s.addEntries(55, 56)
	showsLog(tab, `"End":true`, `"N":56`)
	tab.evaluate(`box.scrollTop = 0; ''`)
	tab.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(''))))`)
	s.addEntries(56, 57)
	showsLog(tab, `"End":false`, `"Unread":"1 new"`)
	tab.evaluate(`box.scrollTop = box.scrollHeight; ''`) // as a person does
	showsLog(tab, `"End":true`, `"Unread":""`)
}

func ownEntryIsConfirmedInItsPlace(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	tab.evaluate(`window.added = 0; new MutationObserver((all) => { for (const { addedNodes } of all) added += addedNodes.length; })
    .observe(log, { childList: true }); ''`)
	first := s.write(tab, "hello <b>&amp;")
	if first.Do != "say" || first.T != logTopic || first.In["text"] != "hello <b>&amp;" {
		t.Errorf("got %+v", first)
	}
	id := opName(t, first)
	showsLog(tab, `"Pending":"me hello <b>&amp;"`, `"Last":"m-`+id+`"`, `"Text":""`, `"End":true`)
	second := s.write(tab, "again")
	tab.evaluate(`window.mine = document.getElementById('m-` + id + `'); document.getElementById('text').value = 'again'; ''`)
	s.frame(logTopic, 50, 52, `<hx-list hx-target="#log">`+entries(51, 51)+entry(52, id, "hello")+`</hx-list>`)
	s.answer(first, "")
	showsLog(tab, `"Pending":"me again"`, `"N":53`, `"Last":"m-`+opName(t, second)+`"`, `"End":true`)
	s.frame(logTopic, 52, 54, `<hx-list hx-target="#log">`+entry(53, opName(t, second), "again")+entries(54, 54)+`</hx-list>`)
	s.answer(second, "")
	showsLog(tab, `"Pending":""`, `"N":54`, `"Last":"m-e54"`, `"Text":"again"`)
	want := "m-e50 m-e51 m-" + id + " m-" + opName(t, second) + " m-e54"
	if got := tab.evaluate(`[...log.children].slice(49).map(({ id }) => id).join(' ')`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := tab.evaluate(`String([mine.isConnected, mine.className, mine.innerText.trim()])`); got != "true,,somebody hello" {
		t.Errorf("the entry that was shown at once is %s", got)
	}
	if got := tab.evaluate(`String(added)`); got > "4" { // two of this person's, and two of others
		t.Errorf("%s nodes were added", got)
	}
}

func refusedEntryIsGivenBack(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	m := s.write(tab, "too rude")
	showsLog(tab, `"Pending":"me too rude"`, `"Text":""`)
	s.answer(m, "mind your words")
	showsLog(tab, `"Pending":""`, `"N":50`, `"Text":"too rude"`)
	if got := tab.evaluate(`document.getElementById('notice').textContent`); got != "mind your words" {
		t.Errorf("the notice says %q", got)
	}
	m = s.write(tab, "ruder")
	showsLog(tab, `"Pending":"me ruder"`, `"Text":""`)
	tab.evaluate(`document.getElementById('text').value = 'something else'; ''`)
	s.answer(m, "mind your words")
	showsLog(tab, `"Pending":""`, `"Text":"something else"`)
}

func whatWaitsIsShownAgain(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	m := s.write(tab, "written before the reload")
	s.write(tab, "and this")
	showsLog(tab, `"Pending":"me written before the reload|me and this"`)
	eventually(t, "the outbox to have it", func() error {
		if got := tab.evaluate(readOutbox); strings.Count(got, `"seq"`) != 2 {
			return errorOf(got)
		}
		return nil
	})
	tab.reload()
	tab.isLive()
	showsLog(tab, `"Pending":"me written before the reload|me and this"`, `"N":52`, `"End":true`)
	again := s.waitFor("it again", isOp)
	if again.Op[0] != m.Op[0] || again.seq != m.seq {
		t.Errorf("got %v, want the op that was sent before", again.Op)
	}
	s.frame(logTopic, 50, 51, `<hx-list hx-target="#log">`+entry(51, opName(t, m), "written before the reload")+`</hx-list>`)
	s.answer(again, "")
	showsLog(tab, `"Pending":"me and this"`, `"N":52`)
}

func ownEntryWithoutDigests(t *testing.T, open opener) {
	s := newLog(t, 1, 50, `Object.defineProperty(crypto, 'subtle', { value: undefined });`)
	tab := s.visit(t, open)
	m := s.write(tab, "hello")
	showsLog(tab, `"Pending":"me hello"`)
	s.frame(logTopic, 50, 51, `<hx-list hx-target="#log">`+entry(51, opName(t, m), "hello")+`</hx-list>`)
	s.answer(m, "")
	showsLog(tab, `"Pending":""`, `"N":51`, `"Last":"m-`+opName(t, m)+`"`, `"End":true`)
}

func olderEntriesComeAbove(t *testing.T, open opener) {
	s := newLog(t, 101, 150, "")
	var away atomic.Bool
	s.mux.HandleFunc("/log/a", func(w http.ResponseWriter, r *http.Request) {
		if away.Swap(false) {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		var before int
		_, _ = fmt.Sscan(r.FormValue("before"), &before)
		if r.Header.Get("HX-Request") != "true" || before < 2 {
			t.Errorf("got a request with %v for %s", r.Header, r.URL)
		}
		from := max(1, before-60)
		_, _ = w.Write([]byte(entries(from, before-1)))
		if from > 1 {
			_, _ = fmt.Fprintf(w, `<a class="older" href="/log/a?before=%d">Older</a>`, from)
		}
	})
	tab := s.visit(t, open)
	showsLog(tab, `"N":50`, `"Older":"?before=101"`, `"End":true`)
	// What is read must not move, whichever it is: the place of an entry is asked for in each frame.
	tab.evaluate(`window.read = document.getElementById('m-e102'); window.places = new Set();
    box.scrollTop = 60; (function look() { places.add(Math.round(read.getBoundingClientRect().top)); requestAnimationFrame(look); })(); ''`)
	showsLog(tab, `"N":110`, `"First":"m-e41"`, `"Older":"?before=41"`, `"End":false`, `"Unread":""`)
	tab.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(''))))`)
	if got := tab.evaluate(`String([...places])`); strings.Contains(got, ",") {
		t.Errorf("what is read was at %s", got)
	}
	s.addEntries(150, 151)
	showsLog(tab, `"N":111`, `"Unread":"1 new"`)
	away.Store(true)
	tab.evaluate(`box.scrollTop = 0; ''`)
	eventually(t, "the page to ask while there is no answer", func() error {
		if away.Load() {
			return errorOf("it has not asked")
		}
		return nil
	})
	showsLog(tab, `"N":111`, `"Older":"?before=41"`)
	at := `String(Math.round(document.getElementById('m-e41').getBoundingClientRect().top))`
	was := tab.evaluate(at)
	tab.clickOn(`a.older`)
	showsLog(tab, `"N":151`, `"First":"m-e1"`, `"Older":""`)
	if got := tab.evaluate(at); got != was {
		t.Errorf("what is read at the very top is at %s, was at %s", got, was)
	}
	want := entries(1, 151)
	if got := tab.evaluate(`log.innerHTML`); got != want {
		t.Errorf("the entries are not in their order: %s", got)
	}
}

// olderEntriesComeAtTheTop: whoever holds the scroll bar there sees no change of what is in sight,
// and a request that failed is made again.
func olderEntriesComeAtTheTop(t *testing.T, open opener) {
	s := newLog(t, 201, 250, "")
	var failed atomic.Bool
	s.mux.HandleFunc("/log/a", func(w http.ResponseWriter, r *http.Request) {
		var before int
		_, _ = fmt.Sscan(r.FormValue("before"), &before)
		if before == 101 && failed.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(entries(max(1, before-50), before-1)))
		if before > 51 {
			_, _ = fmt.Fprintf(w, `<a class="older" href="/log/a?before=%d">Older</a>`, before-50)
		}
	})
	tab := s.visit(t, open)
	showsLog(tab, `"N":50`, `"Older":"?before=201"`, `"End":true`)
	tab.evaluate(`new MutationObserver(() => { box.scrollTop = 0; }).observe(log, { childList: true });
		box.addEventListener('scroll', () => { box.scrollTop = 0; }); box.scrollTop = 0; ''`)
	showsLog(tab, `"N":250`, `"First":"m-e1"`, `"Older":""`)
	if got := tab.evaluate(`log.innerHTML`); got != entries(1, 250) {
		t.Errorf("the entries are not in their order: %s", got)
	}
}

// olderEntriesAfterAGap: they are not what comes before the first any more.
func olderEntriesAfterAGap(t *testing.T, open opener) {
	s := newLog(t, 101, 150, "")
	asked, answer := make(chan struct{}), make(chan struct{})
	s.mux.HandleFunc("/log/a", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("before") != "101" { // what is before the gap's end
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		close(asked)
		<-answer
		_, _ = w.Write([]byte(entries(51, 100)))
		_, _ = fmt.Fprint(w, `<a class="older" href="/log/a?before=51">Older</a>`)
	})
	tab := s.visit(t, open)
	showsLog(tab, `"N":50`, `"End":true`)
	tab.clickOn(`a.older`)
	<-asked
	s.frame(logTopic, -1, 300, `<hx-list hx-target="#log" all>`+entries(251, 300)+`</hx-list>`)
	showsLog(tab, `"N":50`, `"First":"m-e251"`, `"Missed":true`)
	close(answer)
	eventually(t, "the request to end", func() error {
		if got := tab.evaluate(`String(document.querySelector('a.older').ariaBusy)`); got != "null" {
			return errorOf(got)
		}
		return nil
	})
	showsLog(tab, `"N":50`, `"First":"m-e251"`, `"Older":"?before=251"`)
}

func aGapIsSaid(t *testing.T, open opener) {
	s := newLog(t, 51, 100, "")
	tab := s.visit(t, open)
	m := s.write(tab, "mine")
	showsLog(tab, `"Pending":"me mine"`)
	s.frame(logTopic, -1, 300, `<hx-list hx-target="#log" all>`+entries(251, 300)+`</hx-list>`)
	showsLog(tab, `"N":51`, `"First":"m-e251"`, `"Last":"m-`+opName(t, m)+`"`, `"Missed":true`, `"Older":"?before=251"`, `"End":true`)
	tab.clickOn(`[data-missed] button`)
	showsLog(tab, `"Missed":false`)
}

func aFreshStartKeepsWhatIsKnown(t *testing.T, open opener) {
	s := newLog(t, 51, 100, "")
	tab := s.visit(t, open)
	s.addEntries(97, 101)
	showsLog(tab, `"N":51`)
	tab.evaluate(`window.old = document.getElementById('m-e60'); window.shared = document.getElementById('m-e101'); ''`)
	s.frame(logTopic, -1, 120, `<hx-list hx-target="#log" all>`+entries(90, 120)+`</hx-list>`)
	showsLog(tab, `"N":70`, `"First":"m-e51"`, `"Last":"m-e120"`, `"Missed":false`, `"End":true`)
	if got := tab.evaluate(`String([old.isConnected, shared.isConnected])`); got != "true,true" {
		t.Errorf("got %s, want the elements that were there", got)
	}
	if got := tab.evaluate(`log.innerHTML`); got != entries(51, 120) {
		t.Errorf("the entries are not in their order: %s", got)
	}
	s.frame(logTopic, -1, 140, `<hx-list hx-target="#log" all>`+entries(121, 140)+`</hx-list>`) // nothing is missing either
	showsLog(tab, `"N":20`, `"First":"m-e121"`, `"Last":"m-e140"`, `"Missed":false`, `"Older":"?before=121"`)
	// What a broadcast has said, and never was.
	s.say(object{"t": logTopic, "e": 1, "v": 138, "back": true, "swap": "none", "content": `<hx-list hx-target="#log" all>` + entries(100, 138) + `</hx-list>`})
	showsLog(tab, `"N":39`, `"First":"m-e100"`, `"Last":"m-e138"`, `"Missed":false`)
}

// aRestoredLogIsShownAlone: of what the store has lost nothing stays, whatever numbers say.
func aRestoredLogIsShownAlone(t *testing.T, open opener) {
	s := newLog(t, 51, 100, "")
	tab := s.visit(t, open)
	showsLog(tab, `"N":50`)
	restored := func(epoch, from, to int) string {
		var html strings.Builder
		for n := from; n <= to; n++ {
			html.WriteString(entry(n, fmt.Sprintf("r%d-%d", epoch, n), "after the restore"))
		}
		s.say(object{
			"t": logTopic, "e": epoch, "v": to, "swap": "none", "content": `<hx-list hx-target="#log" all>` + html.String() + `</hx-list>`,
		})
		return html.String()
	}
	want := restored(2, 101, 120)
	showsLog(tab, `"N":20`, `"First":"m-r2-101"`, `"Last":"m-r2-120"`, `"Older":"?before=101"`)
	if got := tab.evaluate(`log.innerHTML`); got != want {
		t.Errorf("got %s", got)
	}
	restored(3, 21, 60)
	showsLog(tab, `"N":40`, `"First":"m-r3-21"`, `"Last":"m-r3-60"`, `"Missed":true`)
}

func latePicturesLeaveItAtItsEnd(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	release := make(chan struct{})
	s.mux.HandleFunc("/late.svg", func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="50" height="400"/>`))
	})
	tab := s.visit(t, open)
	s.frame(logTopic, 50, 51, `<hx-list hx-target="#log"><li id="m-e51" data-n="51"><img src="/late.svg" alt=""></li></hx-list>`)
	showsLog(tab, `"N":51`, `"End":true`)
	height := tab.evaluate(`String(box.scrollHeight)`)
	close(release)
	eventually(t, "the picture", func() error {
		if got := tab.evaluate(`String(box.scrollHeight)`); got == height {
			return errorOf(got)
		}
		return nil
	})
	showsLog(tab, `"End":true`)
	// It has grown, and something else has scrolled it: the person has not.
	tab.evaluate(`log.lastElementChild.style.height = '900px'; box.dispatchEvent(new Event('scroll')); ''`)
	showsLog(tab, `"End":true`)
}

func aLongLogIsCut(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	s.addEntries(50, 1900)
	showsLog(tab, `"N":1900`, `"Older":""`, `"End":true`)
	tab.evaluate(`box.scrollTop = 100; ''`)
	tab.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(''))))`)
	s.addEntries(1900, 2100)
	showsLog(tab, `"N":2100`, `"First":"m-e1"`, `"Unread":"200 new"`)
	tab.clickOn(`[data-unread]`)
	showsLog(tab, `"N":2000`, `"First":"m-e101"`, `"Older":"?before=101"`, `"End":true`)
	s.addEntries(2100, 2101)
	showsLog(tab, `"N":2000`, `"First":"m-e102"`, `"Last":"m-e2101"`, `"Older":"?before=102"`, `"End":true`)
}

func newEntriesAreSaidCalmly(t *testing.T, open opener) {
	s := newLog(t, 1, 50, "")
	tab := s.visit(t, open)
	tab.evaluate(`window.saidAll = []; window.added = 0; new MutationObserver(() => saidAll.push(said.textContent)).observe(said, { childList: true });
    new MutationObserver((all) => { for (const { addedNodes } of all) added += addedNodes.length; }).observe(log, { childList: true }); ''`)
	s.addEntries(50, 51)
	eventually(t, "the first entry to be said", func() error {
		if got := tab.evaluate(`saidAll.join('|')`); got != "somebody entry 51" {
			return errorOf(got)
		}
		return nil
	})
	for n := 51; n < 60; n++ {
		s.addEntries(n, n+1)
	}
	eventually(t, "the others to be said", func() error {
		if got := tab.evaluate(`saidAll.join('|')`); got != "somebody entry 51|9 new" {
			return errorOf(got)
		}
		return nil
	})
	if got := tab.evaluate(`added + ' ' + box.getAttribute('aria-live')`); got != "10 off" {
		t.Errorf("got %s: each is added once, and said by nobody else", got)
	}
}
