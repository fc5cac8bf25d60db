package livetest_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/livetest"
	"lockstep/serve"
)

// text is a component of HTML as it is.
func text(html string) templ.Component { return templ.Raw(html) }

// all are components, one after the other.
func all(parts ...templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		for _, p := range parts {
			if err := p.Render(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// form is a form of a room, with content.
func form(f lockstep.Form, html string) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return f.Render(templ.WithChildren(ctx, text(html)), w)
	})
}

type note struct{ Text, Colour string }

type edit struct {
	Text, Colour string
	Loud         bool
}

// notes is an application with one shared note, which is what was written last.
func notes(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	kind := lockstep.Share(app, "note", func(n note) templ.Component {
		return text("<p>" + templ.EscapeString(n.Text) + " in " + templ.EscapeString(n.Colour) + "</p>")
	})
	lockstep.On(kind, "write", func(n note, in edit, _ lockstep.Call) (note, error) {
		if in.Text == "bad" {
			return n, lockstep.Refused("nobody may write that")
		}
		if in.Loud {
			in.Text = strings.ToUpper(in.Text)
		}
		return note{in.Text, in.Colour}, nil
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component {
		room := kind.At("lobby")
		return all(text(`<h1>Notes</h1><a href="/other?x=1">Other</a>`), room, form(room.Form("write").With(templ.Attributes{"data-reset": true}), `
			<label>Text <input name="text" required></label>
			<label for="c">Colour</label><select id="c" name="colour"><option value="r">Red<option value="b">Blue</select>
			<label><input type="checkbox" name="loud"> Loud</label>
			<button>Write</button>`))
	}))
	mux.Handle("/other", s.Page(func(r *http.Request) templ.Component {
		return text("<p>other " + templ.EscapeString(r.URL.RawQuery) + `</p><details><summary>More</summary><p>inside</p></details><form action="/other"><input name="q" aria-label="Query"></form>`)
	}))
	return s, mux
}

func TestAFormIsFilledInAsPeopleDo(t *testing.T) {
	for name, open := range map[string]func(c *livetest.Cluster) *livetest.Tab{
		"with scripts":    func(c *livetest.Cluster) *livetest.Tab { return c.Open("/") },
		"without scripts": func(c *livetest.Cluster) *livetest.Tab { return c.NoScript().Open("/") },
	} {
		t.Run(name, func(t *testing.T) {
			c := livetest.Start(t, 2, notes)
			ann, bob := open(c), c.Open("/")
			ann.Find(livetest.Label("Text")).Type("hello")
			ann.Find(livetest.Label("Colour")).Select("Blue")
			ann.Find(livetest.Role("checkbox", "Loud")).Check()
			ann.Find(livetest.Role("button", "Write")).Click()
			ann.Sees("HELLO in b")
			bob.Sees("HELLO in b")
			ann.Find(livetest.Label("Text")).Says("")
			ann.Find(livetest.Label("Text")).Type("bad").Submit()
			ann.Sees("nobody may write that")
			bob.Sees("HELLO in b")
		})
	}
}

func TestWhatIsRefusedIsGivenBack(t *testing.T) {
	ann := livetest.Start(t, 1, notes).Open("/")
	ann.Find(livetest.Label("Text")).Type("bad").Submit()
	ann.Sees("nobody may write that")
	ann.Find(livetest.Label("Text")).Says("bad")
}

func TestAFormIsEmptyAsSoonAsWhatWasInItIsKept(t *testing.T) {
	c := livetest.Start(t, 1, notes)
	ann, bob := c.Open("/"), c.Open("/")
	ann.Live()
	ann.Offline()
	field := ann.Find(livetest.Label("Text"))
	field.Type("one").Submit()
	field.Says("")
	field.Type("one")
	ann.Online()
	bob.Sees("one in r")
	ann.Answered()
	field.Says("one") // it is the next
}

func TestPagesAreWalkedThrough(t *testing.T) {
	ann := livetest.Start(t, 1, notes).Open("/")
	ann.Find(livetest.Role("link", "Other")).Click()
	ann.Sees("other x=1")
	ann.SeesNot("inside")
	ann.Find(livetest.CSS("summary")).Click()
	ann.Sees("inside")
	ann.Find(livetest.Label("Query")).Type("a b").Submit()
	ann.Sees("other q=a+b")
	if got := ann.URL(); got != "/other?q=a+b" {
		t.Errorf("got %s", got)
	}
	ann.Go("/nowhere")
	if ann.Code() != http.StatusNotFound {
		t.Errorf("got %d", ann.Code())
	}
}

// TestAPageWithoutRoomsIsLive: it says how the replica is, and sends what other pages have left.
func TestAPageWithoutRoomsIsLive(t *testing.T) {
	livetest.Start(t, 1, notes).Open("/other").Live()
}

func TestAPageWithTooManyRoomsSaysSo(t *testing.T) {
	c := livetest.Start(t, 1, func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
		kind := lockstep.Share(app, "x", func(int) templ.Component { return text("") })
		s := serve.New(app, nil, opts)
		return s, s.Page(func(r *http.Request) templ.Component {
			n, _ := strconv.Atoi(r.URL.Query().Get("n"))
			var rooms []templ.Component
			for i := range n {
				rooms = append(rooms, kind.At(strconv.Itoa(i)))
			}
			return all(rooms...)
		})
	})
	c.Open("/?n=64").Live()
	if got := c.Open("/?n=65").Code(); got != http.StatusInternalServerError {
		t.Errorf("got %d", got)
	}
}

// TestOpsOfClosedTabsAreSentByOthers: each of the ways in which a tab may go.
func TestOpsOfClosedTabsAreSentByOthers(t *testing.T) {
	for name, leave := range map[string]func(tab *livetest.Tab){
		"the tab is closed, and another is there":   func(tab *livetest.Tab) { tab.Close() },
		"the tab shows another page, which is live": func(tab *livetest.Tab) { tab.Online(); tab.Go("/") },
		"the tab shows a page that is not live":     func(tab *livetest.Tab) { tab.Online(); tab.Go("/other") },
	} {
		t.Run(name, func(t *testing.T) {
			c := livetest.Start(t, 2, notes)
			ann := c.Open("/")
			second := ann.Browser().Open("/")
			second.Live()
			ann.Offline()
			ann.Find(livetest.Label("Text")).Type("kept").Submit()
			leave(ann)
			second.Sees("kept in r")
			second.Answered()
			c.Open("/").Sees("kept in r")
		})
	}
}

func TestATabGoesToAnotherReplicaAndBack(t *testing.T) {
	c := livetest.Start(t, 2, notes)
	ann := c.Replica(0).Open("/")
	ann.Live()
	c.Replica(0).Stop()
	ann.WaitFor("another replica", func(ann *livetest.Tab) bool { return ann.Replica() == c.Replica(1) })
	ann.Live()
	c.Restart(0)
	c.Replica(1).Crash()
	ann.WaitFor("the first replica", func(ann *livetest.Tab) bool { return ann.Replica() == c.Replica(0) })
	ann.Find(livetest.Label("Text")).Type("here").Submit()
	ann.Sees("here in r")
}

func TestTimePassesAtOnceInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(countingStore)
		c := livetest.StartWith(t, 1, notes, &livetest.Options{Store: store.init()})
		ann := c.Open("/")
		ann.Find(livetest.Label("Text")).Type("here").Submit()
		ann.Sees("here in r")
		time.Sleep(2 * time.Minute)
		if store.marks.Load() != 1 {
			t.Errorf("the tab has said %d times that it is done", store.marks.Load())
		}
	})
}

func TestATabThatIsLeftSaysThatItIsDone(t *testing.T) {
	store := new(countingStore)
	c := livetest.StartWith(t, 1, notes, &livetest.Options{Store: store.init()})
	ann, bob := c.Open("/"), c.Open("/")
	ann.Find(livetest.Label("Text")).Type("here").Submit()
	ann.Answered()
	ann.Close()
	bob.WaitFor("the mark", func(*livetest.Tab) bool { return store.marks.Load() == 1 })
}
