package transporttest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"lockstep/htmx"
	"lockstep/live"
)

// A page is a view of one number, which clicks add to. Fields are set before it
// is served.
type page struct {
	broken error         // Mount fails with it
	stingy bool          // it lets no message through
	slow   chan struct{} // "slow" counts when it is closed
	large  []byte        // each frame has it

	rooms *live.Rooms[int] // set by begin

	mu  sync.Mutex // guards the rest
	n   int
	ops map[htmx.Op]int // n after each
}

// begin makes the page's room.
func (p *page) begin(rt *live.Runtime) {
	p.ops = make(map[htmx.Op]int)
	p.rooms = live.NewRooms(rt, nil, live.RoomsOptions[int]{
		Topic: func(key string) string { return key },
		Render: func(_ string, n int) (string, live.Component) {
			return "#x", text(fmt.Sprintf("n=%d.%s", n, p.large))
		},
		Order: func(n int) (uint64, uint64) { return 1, uint64(n) },
		Data:  func(n int) ([]byte, error) { return fmt.Appendf(nil, "n=%d.", n), nil },
		Load: func(_ context.Context, keys ...string) ([]int, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			all := make([]int, len(keys))
			for i := range all {
				all[i] = p.n
			}
			return all, nil
		},
	})
}

// Mount implements live.View.
func (p *page) Mount(ctx context.Context, s *live.Session) error {
	if p.broken != nil {
		return p.broken
	}
	return p.rooms.Join(ctx, s, "x")
}

// HandleEvent implements live.View.
func (p *page) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	switch e.Do {
	case "panic":
		panic("a broken view")
	case "refuse":
		s.Refuse(e.Op, "no", false)
		return nil
	case "slow":
		s.BeginOp()
		go func() { // ends when the test closes slow
			defer s.EndOp()
			<-p.slow
			p.add(e.Op)
			p.rooms.Ack(s, "x", e.Op)
		}()
		return nil
	}
	p.add(e.Op)
	p.rooms.Ack(s, "x", e.Op)
	return nil
}

// Allow implements live.Limiter.
func (p *page) Allow() bool { return !p.stingy }

// add counts an op, and shows it.
func (p *page) add(op htmx.Op) {
	p.mu.Lock()
	p.n++
	n := p.n
	p.ops[op] = n
	p.mu.Unlock()
	p.rooms.Commit("x", n)
}

// at returns what the number was after an op; 0: it was not counted.
func (p *page) at(op htmx.Op) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ops[op]
}

// text is a component.
type text string

// Render implements live.Component.
func (x text) Render(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(x))
	return err
}
