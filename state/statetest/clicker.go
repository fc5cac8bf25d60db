package statetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"lockstep/state"
)

// A clicker is a client whose ops add to a number, as a replica commits them:
// whatever answer is lost, each is to count once. One goroutine uses it.
type clicker struct {
	client state.Client
	seq    uint64
	base   state.Record // the newest that it knows
	sum    int64        // of its ops that were acknowledged
	amount int64        // of the newest op
	found  int          // ops that a try did whose answer was lost
	note   func(state.Record)
}

func newClicker(h *history) *clicker { return &clicker{client: freshClient(), note: h.note} }

// click adds to the number at a store, and goes on until the op is dealt with.
// An error says what is wrong. What came between ctx and the store may have
// been done or not: it is tried again with the context that again returns.
func (c *clicker) click(ctx context.Context, s state.Store, topic string, again func(error) (context.Context, error)) error {
	c.seq++
	c.amount = rand.Int64N(1000) - 500
	for {
		n, err := number(c.base.Data)
		if err != nil {
			return err
		}
		o := s.Commit(ctx, state.Step{Topic: topic, Base: c.base, Data: strconv.AppendInt(nil, n+c.amount, 10), Moves: []state.Move{click(c.client, c.seq)}})[0]
		switch {
		case o.Err == nil && !o.Record.Newer(c.base):
			return fmt.Errorf("%s was done on %s", show(o.Record), show(c.base))
		case o.Err == nil:
			c.base = state.Record{Epoch: o.Record.Epoch, Version: o.Record.Version, Data: strconv.AppendInt(nil, n+c.amount, 10)}
			c.note(c.base)
			c.sum += c.amount
			return nil
		case conflicts(o):
			done, err := c.learn(o)
			if err != nil {
				return err
			}
			if done {
				c.found++
				c.sum += c.amount
				return nil
			}
		default:
			if ctx, err = again(o.Err); err != nil {
				return err
			}
		}
	}
}

// learn takes over what a conflict says, and reports whether the op was done by
// a try whose answer was lost.
func (c *clicker) learn(o state.Outcome) (done bool, err error) {
	if c.base.Newer(o.Record) {
		return false, fmt.Errorf("a conflict was answered with %s, after %s", show(o.Record), show(c.base))
	}
	if !o.Record.Same(c.base) {
		c.base = o.Record
		c.note(c.base)
	}
	switch last := o.Lanes[0].Last; last {
	case c.seq:
		return true, nil
	case c.seq - 1:
		return false, nil
	default:
		return false, fmt.Errorf("the lane is at %d while %d is tried", last, c.seq)
	}
}

// noErrors lets no call fail.
func noErrors(err error) (context.Context, error) { return nil, err }

// number is what data mean that clickers write.
func number(data []byte) (int64, error) {
	if len(data) == 0 {
		return 0, nil
	}
	return strconv.ParseInt(string(data), 10, 64)
}

// A history holds the states that were seen of a topic. It may be used
// concurrently.
type history struct {
	mu    sync.Mutex // guards the rest
	seen  map[[2]uint64][]byte
	wrong string
}

func newHistory() *history { return &history{seen: make(map[[2]uint64][]byte)} }

// note takes a state that was seen, and finds one that has the same version.
func (h *history) note(r state.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := [2]uint64{r.Epoch, r.Version}
	if before, known := h.seen[key]; known && !bytes.Equal(before, r.Data) {
		h.wrong = fmt.Sprintf("%s was %q before", show(r), before)
	}
	h.seen[key] = slices.Clone(r.Data)
}

// check fails when two states had the same version.
func (h *history) check(e *env) {
	e.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong != "" {
		e.Error(h.wrong)
	}
}

// wantSum compares the number, and the lanes, with what clickers did.
func (e *env) wantSum(clickers []*clicker) {
	e.Helper()
	var sum int64
	for _, c := range clickers {
		sum += c.sum
	}
	record := e.read()
	if n, err := number(record.Data); n != sum || err != nil {
		e.Errorf("got %s, want %d", show(record), sum)
	}
	for part := range slices.Chunk(clickers, state.MaxMoves) {
		clients := make([]state.Client, len(part))
		want := make([]state.Lane, len(part))
		for i, c := range part {
			clients[i], want[i] = c.client, lane(c.seq)
		}
		e.wantLanes(e.peek(clients...), want...)
	}
}
