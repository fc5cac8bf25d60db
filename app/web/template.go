package web

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"regexp"
	"strings"
	"sync"

	"lockstep/components"
)

// A page is the same for everybody but for its tokens and the ids of its forms. So it is rendered
// once for each version that is asked for, with slots in their places: a thousand tabs that reload
// together cost one rendering.

// maxTemplates is how many counters' pages are kept. They are small, and the one that everybody
// looks at comes back at once.
const maxTemplates = 64

// A template is a page with slots. It does not change.
type template struct {
	page  components.Page // what it was rendered from
	parts [][]byte        // one more than slots
	slots []byte          // which value comes next: '0' to '5'
}

// fill returns the page with the values in their slots.
func (t *template) fill(values [6]string) []byte {
	var b bytes.Buffer
	for i, part := range t.parts {
		b.Write(part)
		if i < len(t.slots) {
			b.WriteString(values[t.slots[i]-'0'])
		}
	}
	return b.Bytes()
}

// templates may be used concurrently.
type templates struct {
	mark string // begins each slot; nobody can guess it and name a counter so
	slot *regexp.Regexp

	mu     sync.Mutex           // guards the rest
	byName map[string]*template // by key; of the newest version
}

func newTemplates() *templates {
	mark := "slot-" + randomID() + "-"
	return &templates{mark: mark, slot: regexp.MustCompile(mark + "[0-5]"), byName: make(map[string]*template)}
}

// fill returns the page as HTML.
func (ts *templates) fill(ctx context.Context, p components.Page) ([]byte, error) {
	socket, ticket, _ := strings.Cut(p.Socket, "=")
	values := [...]string{p.CSRF, p.Ops[0], p.Ops[1], p.Ops[2], ticket, html.EscapeString(p.Install.Origin)}
	p.CSRF, p.Install.Origin = ts.mark+"0", ts.mark+"5"
	p.Socket = socket + "=" + ts.mark + "4"
	p.Ops = [3]string{ts.mark + "1", ts.mark + "2", ts.mark + "3"}
	t, err := ts.get(ctx, p)
	if err != nil {
		return nil, err
	}
	return t.fill(values), nil
}

// get returns the template of a page that has slots.
func (ts *templates) get(ctx context.Context, p components.Page) (*template, error) {
	ts.mu.Lock()
	t := ts.byName[key(p)]
	ts.mu.Unlock()
	if t != nil && t.page == p {
		return t, nil
	}
	t, err := ts.render(ctx, p)
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

// key is the same for the versions of a page, of which the newest is kept: Links.Click is counter
// and base path.
func key(p components.Page) string { return p.Links.Click + " " + p.Outcome }

// render renders a page and cuts it at its slots.
func (ts *templates) render(ctx context.Context, p components.Page) (*template, error) {
	var b bytes.Buffer
	if err := components.CounterPage(p).Render(ctx, &b); err != nil {
		return nil, fmt.Errorf("web: render: %w", err)
	}
	t, body, from := &template{page: p}, b.Bytes(), 0
	for _, slot := range ts.slot.FindAllIndex(body, -1) {
		t.parts = append(t.parts, body[from:slot[0]])
		t.slots = append(t.slots, body[slot[1]-1])
		from = slot[1]
	}
	t.parts = append(t.parts, body[from:])
	return t, nil
}
