package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"html"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"lockstep/app"
	"lockstep/app/pages"
)

// A page is the same for everybody but for its tokens and the ids of its forms. So it is rendered
// once for each version that is asked for, with slots in their places: a thousand tabs that reload
// together cost one rendering.

// slots is how many values a page has.
const slots = 7

// maxTemplates is how many pages are kept. They are small, and the one that everybody
// looks at comes back at once.
const maxTemplates = 64

// A template is a page with slots. It does not change.
type template struct {
	page  pages.Page // what it was rendered from
	about app.Content
	parts [][]byte // one more than slots
	slots []byte   // which value comes next, from 'a' on
}

// fill returns the page with the values in their slots.
func (t *template) fill(values [slots]string) []byte {
	var b bytes.Buffer
	for i, part := range t.parts {
		b.Write(part)
		if i < len(t.slots) {
			b.WriteString(values[t.slots[i]-'a'])
		}
	}
	return b.Bytes()
}

// templates may be used concurrently.
type templates struct {
	mark string // begins each slot; nobody can guess it and name anything so
	slot *regexp.Regexp

	mu     sync.Mutex           // guards the rest
	byName map[string]*template // by key; of the newest version
}

func newTemplates() *templates {
	mark := "slot-" + rand.Text() + "-"
	return &templates{mark: mark, slot: regexp.MustCompile(mark + "[a-z]"), byName: make(map[string]*template)}
}

// fill returns the page as HTML.
func (ts *templates) fill(ctx context.Context, p pages.Page, about app.Content) ([]byte, error) {
	at := strings.LastIndexByte(p.Socket, '=') + 1
	values := [slots]string{
		p.Socket[at:], html.EscapeString(p.Install.Origin), html.EscapeString(p.Grants), p.User, html.EscapeString(p.Outcome), p.Former, p.Lane,
	}
	p.Socket, p.Install.Origin, p.Grants, p.User = p.Socket[:at]+ts.nth(0), ts.nth(1), ts.nth(2), ts.nth(3)
	if p.Lane != "" {
		p.Lane = ts.nth(6)
	}
	if p.Outcome != "" {
		p.Outcome = ts.nth(4)
	}
	if p.Former != "" {
		p.Former = ts.nth(5)
	}
	t, err := ts.get(ctx, p, about)
	if err != nil {
		return nil, err
	}
	return t.fill(values), nil
}

// nth is the slot of the i-th value.
func (ts *templates) nth(i int) string { return ts.mark + string(rune('a'+i)) }

// get returns the template of a page that has slots.
func (ts *templates) get(ctx context.Context, p pages.Page, about app.Content) (*template, error) {
	ts.mu.Lock()
	t := ts.byName[key(p)]
	ts.mu.Unlock()
	if t != nil && reflect.DeepEqual(t.page, p) && reflect.DeepEqual(t.about, about) {
		return t, nil
	}
	t, err := ts.render(ctx, p, about)
	if err != nil {
		return nil, err
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.byName) >= maxTemplates {
		clear(ts.byName)
	}
	ts.byName[key(p)] = t
	return t, nil
}

// key is the same for the versions of a page, of which the newest is kept: Links.Do is topic and
// base path.
func key(p pages.Page) string {
	return p.Links.Do + " " + p.Outcome + " " + p.Former + " " + strconv.FormatBool(p.Small)
}

// render renders a page and cuts it at its slots.
func (ts *templates) render(ctx context.Context, p pages.Page, about app.Content) (*template, error) {
	var b bytes.Buffer
	if err := about.Document(p).Render(ctx, &b); err != nil {
		return nil, fmt.Errorf("web: render: %w", err)
	}
	t, body, from := &template{page: p, about: about}, b.Bytes(), 0
	for _, slot := range ts.slot.FindAllIndex(body, -1) {
		t.parts = append(t.parts, body[from:slot[0]])
		t.slots = append(t.slots, body[slot[1]-1])
		from = slot[1]
	}
	t.parts = append(t.parts, body[from:])
	return t, nil
}
