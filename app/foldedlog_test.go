package app_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/htmx"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// A folder renders what a tab has been sent of a log, as the tab does.
type folder struct {
	t      *testing.T
	render app.Render
}

// texts are the messages that it shows, in their order; those that wait have a star.
func (f folder) texts(chain string, waiting ...htmx.Event) (texts []string, html string) {
	f.t.Helper()
	target, c, err := f.render("log:x", []byte(chain), waiting, "me")
	if err != nil {
		f.t.Fatal(err)
	}
	var b strings.Builder
	if err := c.Render(f.t.Context(), &b); err != nil {
		f.t.Fatal(err)
	}
	html = b.String()
	if target != "#log" || !strings.HasPrefix(html, `<hx-list hx-target="#log" all>`) {
		f.t.Fatalf("got %s for %s", html, target)
	}
	for _, m := range regexp.MustCompile(`(?s)<li id="m-[^"]+"( data-n| class="pending").*?<span>([^<]*)</span>`).FindAllStringSubmatch(html, -1) {
		if m[1] != " data-n" {
			m[2] = "*" + m[2]
		}
		texts = append(texts, m[2])
	}
	return texts, html
}

// saysMany has a tab append entries, and waits until they are there.
func saysMany(tab *livetest.Tab, topic string, from, to int) {
	var last htmx.Op
	for i := from; i <= to; i++ {
		last = tab.Do(topic, "say", fmt.Sprintf(`{"text":"entry %d"}`, i))
	}
	tab.Until("the answers", func() bool { return tab.Acked(last) == 1 })
	time.Sleep(time.Second)
}

// A tab that renders itself is sent the newest entries of a log, and then those that come; it shows
// what it has appended itself, before that is confirmed.
func TestATabRendersALogFromWhatIsAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		const topic = "log:x"
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
		saysMany(tab, topic, 1, 70)
		before := len(tab.Messages())
		tab.Send(`{"hello":2,"as":"data"}`)
		tab.Until("the state", func() bool { return tab.Shown(topic).State != "" })
		whole := statesOf(t, tab, before)[0].State
		f := folder{t, app.NewRender()}
		if got, _ := f.texts(whole); len(got) != 50 || got[0] != "entry 21" || got[49] != "entry 70" {
			t.Errorf("got %q, want the newest of a page", got)
		}

		before = len(tab.Messages())
		saysMany(tab, topic, 71, 72)
		chain := whole
		for _, s := range statesOf(t, tab, before) {
			if s.A == nil || strings.Contains(s.State, "entry 70") {
				t.Errorf("got %s, want what was appended alone", s.State)
			}
			chain += "\n" + s.State
		}
		mine := waits(topic, "say", `{"text":"mine"}`)
		got, html := f.texts(chain, mine, waits(topic, "say", `{"text":" "}`))
		if len(got) != 51 || got[0] != "entry 23" || got[49] != "entry 72" || got[50] != "*mine" {
			t.Errorf("got %q, want the newest and what waits", got)
		}
		if !strings.Contains(html, `data-by="me"`) || !strings.Contains(html, `data-waiting="1"`) {
			t.Errorf("got %s, want an entry of this person that waits", html)
		}
		fresh := folder{t, app.NewRender()} // which remembers nothing
		if again, _ := fresh.texts(chain, mine); strings.Join(again, ",") != strings.Join(got, ",") {
			t.Errorf("got %q and %q of the same", again, got)
		}

		// All that have come since are shown, if they are more than a page has.
		before = len(tab.Messages())
		saysMany(tab, topic, 73, 152)
		for _, s := range statesOf(t, tab, before) {
			chain += "\n" + s.State
		}
		if got, _ := f.texts(chain); len(got) != 81 || got[0] != "entry 72" || got[80] != "entry 152" {
			t.Errorf("got %q, want what is behind entry 71", got)
		}
	})
}

// What is not behind what there was is no change of it: the tab asks for the whole.
func TestATabTakesNoEntriesForOthers(t *testing.T) {
	entry := func(n int) string { return fmt.Sprintf(`{"id":"e%d","at":1,"m":{"text":"entry %d"}}`, n, n) }
	line := func(version, base, n int, first int, entries ...string) string {
		s := fmt.Sprintf(`1 {"n":%d}`, n)
		m := map[string]any{"e": 1, "v": version, "s": s, "n": first, "l": entries}
		if base > 0 {
			m["a"] = base
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	whole := line(5, 0, 2, 1, entry(1), entry(2))
	f := folder{t, app.NewRender()}
	if got, _ := f.texts(whole + "\n" + line(6, 5, 3, 3, entry(3))); len(got) != 3 {
		t.Fatalf("got %q, want 3 entries", got)
	}
	for name, text := range map[string]string{
		"an entry is missing":      whole + "\n" + line(6, 5, 4, 4, entry(4)),
		"an entry is there twice":  whole + "\n" + line(6, 5, 3, 2, entry(2), entry(3)),
		"there are fewer than n":   whole + "\n" + line(6, 5, 4, 3, entry(3)),
		"another base":             whole + "\n" + line(6, 4, 3, 3, entry(3)),
		"a whole behind a whole":   whole + "\n" + line(6, 0, 3, 3, entry(3)),
		"an entry that is nothing": whole + "\n" + line(6, 5, 3, 3, `{}`),
		"a whole with nothing":     line(5, 0, 2, 1, `{}`),
	} {
		if _, _, err := app.NewRender()("log:x", []byte(text), nil, ""); err == nil {
			t.Errorf("%s can be rendered", name)
		}
	}
}
