package lockstep

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	templruntime "github.com/a-h/templ/runtime"

	"lockstep/htmx"
	"lockstep/live"
)

// A Room is what there is of one topic. It is a component: in a page it is the newest state, which
// stays in step from then on. The zero Room is none.
type Room struct {
	app   *App
	topic string
	items string           // what the ids of the elements of its items begin with
	tag   string           // of its element; "": that of its kind
	attrs templ.Attributes // of its element
}

// Topic is the name of what the room shows.
func (r Room) Topic() string { return r.topic }

// ID is the id of its element.
func (r Room) ID() string { return roomID(r.topic) }

// Cast returns the attributes of a control, or of an element with some, whose changes are cast at
// the room: see OnSoft.
func (r Room) Cast(name string) templ.Attributes {
	return templ.Attributes{"data-cast": name, "data-topic": r.topic}
}

// With has the room's element be another than a div, ul or ol, with more attributes.
func (r Room) With(tag string, attrs templ.Attributes) Room {
	r.tag, r.attrs = tag, attrs
	return r
}

// roomID is the id of the element of a topic's room. Those of two topics differ, and it can stand
// in a selector as it is.
func roomID(topic string) string {
	kind, key, _ := strings.Cut(topic, ":")
	if ValidKey(key) {
		return "r-" + kind + "_" + key
	}
	return "x-" + kind + "_" + base64.RawURLEncoding.EncodeToString([]byte(key))
}

// room returns the room of a topic. The ids of its items begin with a hash of the topic: they are
// sent often, and a page may have items of the same id in two rooms.
func (a *App) room(topic string) Room {
	sum := sha256.Sum256([]byte(topic))
	return Room{app: a, topic: topic, items: "i" + base64.RawURLEncoding.EncodeToString(sum[:4]) + "-"}
}

// A Page is what a page shows and needs, while it is rendered: see WithPage. Its methods may be
// called concurrently.
type Page struct {
	// User is who the page is for.
	User User
	// To returns where the form of an action posts to, without JavaScript. fields are what it sends
	// beside what the person fills in. It may be called concurrently. Nil: forms do nothing then.
	To func(topic, action string, fields ...string) string
	// Older returns the address of entries of a log before a number. Nil: there is none.
	Older func(topic string, before uint64) string

	mu      sync.Mutex // guards the rest
	topics  []string
	err     error
	scripts []string
}

// pageKey finds a Page in a context.
type pageKey struct{}

// WithPage returns a context for a page that is rendered. Rooms and forms take note in it of what
// they show.
func WithPage(ctx context.Context, p *Page) context.Context {
	return context.WithValue(ctx, pageKey{}, p)
}

// pageOf returns the page that is rendered; one that nobody sees, if there is none.
func pageOf(ctx context.Context) *Page {
	if p, ok := ctx.Value(pageKey{}).(*Page); ok {
		return p
	}
	return new(Page)
}

// Topics returns those of the rooms that the page has shown so far, in that order.
func (p *Page) Topics() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.topics)
}

// Err returns why some of what the page shows may be old, or is not known; nil: it is not.
func (p *Page) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Scripts returns the names of those in package static that the page needs beside app.js, in the
// order in which they run.
func (p *Page) Scripts() (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range []string{listScript, logScript, formsScript, dragScript} {
		if slices.Contains(p.scripts, name) {
			names = append(names, name)
		}
	}
	return names
}

// Scripts of package static that some pages need.
const (
	listScript  = "list.js"
	logScript   = "log.js" // it goes on where list.js ends
	formsScript = "forms.js"
	dragScript  = "drag.js"
)

func (p *Page) needs(scripts ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scripts = append(p.scripts, scripts...)
}

func (p *Page) shows(topic string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.topics, topic) {
		p.topics = append(p.topics, topic)
	}
	p.err = errors.Join(p.err, err)
}

// readTimeout is how long a page waits for the store before it is served with
// what this replica knows.
const readTimeout = 1500 * time.Millisecond

// degradedTimeout is readTimeout while it is known that something is wrong.
const degradedTimeout = 250 * time.Millisecond

// Patience returns a context for what a page reads: it does not wait for long, and for less while
// it is known that something is wrong.
func (a *App) Patience(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := readTimeout
	if a.rt.Status() == htmx.Degraded {
		timeout = degradedTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// Render implements templ.Component.
func (r Room) Render(ctx context.Context, w io.Writer) error {
	if r.app == nil {
		return errors.New("lockstep: the zero Room has nothing to show")
	}
	if b := r.app.board(r.topic); b != nil {
		return r.renderBoard(ctx, w, b)
	}
	f, key, ok := r.app.family(r.topic)
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoTopic, r.topic)
	}
	patient, cancel := r.app.Patience(ctx)
	defer cancel()
	page := pageOf(ctx)
	if err := r.app.maySee(patient, page.User, r.topic); err != nil {
		return r.element(ctx, w, "div", nil, refused(err))
	}
	l, err := f.newest(patient, key)
	page.shows(r.topic, err)
	if f.kind.hasLog() {
		page.needs(listScript, logScript)
		return r.renderLog(ctx, w, page, f, l)
	}
	if f.kind.hasItems() {
		page.needs(listScript)
		return r.renderItems(ctx, w, f, key, l)
	}
	_, c := f.kind.lookOf(key, l, 0)
	return r.element(ctx, w, "div", versionOf(l), c)
}

func (r Room) renderBoard(ctx context.Context, w io.Writer, b *board) error {
	if err := r.app.maySee(ctx, pageOf(ctx).User, r.topic); err != nil {
		return r.element(ctx, w, "div", nil, refused(err))
	}
	pageOf(ctx).shows(r.topic, nil)
	c, ok := b.render(r.topic)
	if !ok {
		c = templ.NopComponent
	}
	return r.element(ctx, w, "div", nil, c)
}

// versionOf are the attributes by which a page's script knows what the page shows.
func versionOf(l loaded) templ.Attributes {
	return templ.Attributes{
		"data-epoch": strconv.FormatUint(l.Epoch, 10), "data-version": strconv.FormatUint(l.Version, 10),
	}
}

func (r Room) renderItems(ctx context.Context, w io.Writer, f *family, key string, l loaded) error {
	attrs := versionOf(l)
	attrs["data-list"] = true
	it, ok := f.kind.itemsOf(key, l)
	if !ok {
		return r.element(ctx, w, "ul", attrs, unknown())
	}
	return r.element(ctx, w, "ul", attrs, childrenOf(it, 0))
}

// renderLog renders a log in a box that scrolls. Scripts know its parts by their attributes.
func (r Room) renderLog(ctx context.Context, w io.Writer, page *Page, f *family, l loaded) error {
	_, key, _ := strings.Cut(r.topic, ":")
	it, known := f.kind.itemsOf(key, l)
	from := max(it.Len-f.kind.window(), 0)
	before := it.First + uint64(from)
	older := ""
	if page.Older != nil {
		older = page.Older(r.topic, before)
	}
	outer := versionOf(l)
	outer["data-topic"], outer["class"] = r.topic, "log"
	list := r
	list.topic = ""
	body := templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if _, err := fmt.Fprintf(w, `<div class="log-box" role="log" tabindex="0" data-stick>`); err != nil {
			return err
		}
		if older != "" {
			if err := writeOlder(w, older, before < 2); err != nil {
				return err
			}
		}
		entries := unknown()
		if known {
			entries = childrenOf(it, from)
		}
		if err := list.element(ctx, w, "ol", templ.Attributes{"id": r.ID(), "class": "entries", "data-list": true, "data-items": r.items}, entries); err != nil {
			return err
		}
		_, err := io.WriteString(w, `</div><button class="unread" type="button" data-unread hidden><b>0</b> new</button>`+
			`<p class="missed" role="status" data-missed hidden>You were away for long: some entries are not shown here. `+
			`<button class="quiet" type="button">OK</button></p>`)
		return err
	})
	return writeElement(ctx, w, "div", outer, body)
}

// element writes the room's element.
func (r Room) element(ctx context.Context, w io.Writer, tag string, attrs templ.Attributes, content Component) error {
	all := make(templ.Attributes)
	maps.Copy(all, r.attrs)
	maps.Copy(all, attrs)
	if r.topic != "" {
		all["id"], all["data-topic"] = r.ID(), r.topic
	}
	if r.tag != "" {
		tag = r.tag
	}
	return writeElement(ctx, w, tag, all, content)
}

// writeElement writes an element with attributes and content.
func writeElement(ctx context.Context, w io.Writer, tag string, attrs templ.Attributes, content Component) error {
	if _, err := io.WriteString(w, "<"+tag); err != nil {
		return err
	}
	if err := templruntime.RenderAttributes(ctx, w, io.Discard, tag, attrs); err != nil {
		return err
	}
	if _, err := io.WriteString(w, ">"); err != nil {
		return err
	}
	if err := content.Render(ctx, w); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</"+tag+">")
	return err
}

// elementOf is an element with attributes and content.
func elementOf(tag string, attrs templ.Attributes, content Component) Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error { return writeElement(ctx, w, tag, attrs, content) })
}

// childrenOf are items, from one on.
func childrenOf(it live.Items, from int) Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		for i := from; i < it.Len; i++ {
			if err := it.Item(i).Render().Render(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// allItems is the element of a frame that has all items of a list.
func allItems(target string, n int, item func(i int) Component) Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		if _, err := fmt.Fprintf(w, `<hx-list hx-target="%s" all>`, target); err != nil {
			return err
		}
		for i := range n {
			if err := item(i).Render(ctx, w); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, "</hx-list>")
		return err
	})
}

// unknown is what a room shows of a state that is not known.
func unknown() Component {
	return templ.Raw(`<p class="not-known">This is not known yet.</p>`)
}
