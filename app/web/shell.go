package web

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"lockstep/components"
)

// A page is the same for everybody but for its tokens and the ids of its forms. So
// it is rendered once for each version that is asked for, with holes in their
// places: a thousand tabs that reload together cost one rendering.

// maxShells is how many counters' pages are kept. They are small, and the one
// that everybody looks at comes back at once.
const maxShells = 64

// A shell is a page with holes.
type shell struct {
	page  components.Page // what it was rendered from
	parts [][]byte        // one more than holes
	holes []byte          // which of the fills comes next: '0' to '4'
}

// shells may be used concurrently.
type shells struct {
	mark string // begins each hole; nobody can guess it and name a counter so
	hole *regexp.Regexp

	mu     sync.Mutex
	byName map[string]*shell // of the newest version; a shell does not change
}

func newShells() *shells {
	mark := "hole-" + randomID() + "-"
	return &shells{mark: mark, hole: regexp.MustCompile(mark + "[0-4]"), byName: make(map[string]*shell)}
}

// page returns the page as HTML.
func (ss *shells) page(ctx context.Context, p components.Page) ([]byte, error) {
	socket, ticket, _ := strings.Cut(p.Socket, "=")
	fills := [...]string{p.CSRF, p.Ops[0], p.Ops[1], p.Ops[2], ticket}
	p.CSRF = ss.mark + "0"
	p.Socket = socket + "=" + ss.mark + "4"
	p.Ops = [3]string{ss.mark + "1", ss.mark + "2", ss.mark + "3"}
	sh, err := ss.get(ctx, p)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for i, part := range sh.parts {
		b.Write(part)
		if i < len(sh.holes) {
			b.WriteString(fills[sh.holes[i]-'0'])
		}
	}
	return b.Bytes(), nil
}

// get returns the shell of a page that has holes.
func (ss *shells) get(ctx context.Context, p components.Page) (*shell, error) {
	ss.mu.Lock()
	sh := ss.byName[p.Counter.Name]
	ss.mu.Unlock()
	if sh != nil && sh.page == p {
		return sh, nil
	}
	sh, err := ss.render(ctx, p)
	if err != nil {
		return nil, err
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.byName) >= maxShells {
		clear(ss.byName)
	}
	ss.byName[p.Counter.Name] = sh
	return sh, nil
}

func (ss *shells) render(ctx context.Context, p components.Page) (*shell, error) {
	var b bytes.Buffer
	if err := components.CounterPage(p).Render(ctx, &b); err != nil {
		return nil, fmt.Errorf("web: render: %w", err)
	}
	sh, html, from := &shell{page: p}, b.Bytes(), 0
	for _, hole := range ss.hole.FindAllIndex(html, -1) {
		sh.parts = append(sh.parts, html[from:hole[0]])
		sh.holes = append(sh.holes, html[hole[1]-1])
		from = hole[1]
	}
	sh.parts = append(sh.parts, html[from:])
	return sh, nil
}
