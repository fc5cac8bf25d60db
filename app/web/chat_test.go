package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A counting store counts what it is asked for.
type counting struct {
	state.Store
	reads, logs, entries atomic.Int64
}

func (c *counting) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	c.reads.Add(1)
	return c.Store.Read(ctx, topics...)
}

func (c *counting) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	first, all, err := c.Store.Entries(ctx, topic, after, most)
	c.logs.Add(1)
	c.entries.Add(int64(len(all)))
	return first, all, err
}

// asked returns what the store was asked for since the last call.
func (c *counting) asked() (a struct{ reads, logs, entries int64 }) {
	a.reads, a.logs, a.entries = c.reads.Swap(0), c.logs.Swap(0), c.entries.Swap(0)
	return a
}

// newChat returns a store in which log:x has n entries of a hundred letters.
func newChat(t *testing.T, n int) *counting {
	t.Helper()
	store := &counting{Store: memstate.New(nil)}
	b := state.NewBatcher(store, nil, app.Logs())
	p := state.NewProducer(b, store, "log:x", state.ProducerClient([]byte("a secret of tests"), "x"), &state.ProducerOptions{User: "ab12cd34"})
	if _, err := p.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		text := strings.Repeat(fmt.Sprintf("word %04d ", i), 10)
		if err := p.Send(t.Context(), "say", state.Fields{"text": {text}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.asked()
	return store
}

// TestALongChatOpensAsAShortOne: a page of it has the newest entries, and asks the store for no
// more than that of a short one does, the first time and afterwards.
func TestALongChatOpensAsAShortOne(t *testing.T) {
	const (
		short, long = 100, 10_000
		known       = 200       // entries that a room knows
		most        = 60 * 1000 // bytes of a page
		rounds      = 3
		pages       = 50 // in a round
	)
	stores := map[int]*counting{short: newChat(t, short), long: newChat(t, long)}
	took := make(map[int][]time.Duration)
	asked := make(map[int]any)
	for range rounds {
		for _, n := range []int{short, long} { // paired, so that what else the machine does is the same for both
			store := stores[n]
			handler := newServer(t, store, nil)
			visit := func() string {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/log/x", nil))
				if w.Code != http.StatusOK {
					t.Fatalf("got %d %s", w.Code, w.Body)
				}
				return w.Body.String()
			}
			store.asked()
			body := visit()
			first := store.asked()
			if got, want := numbersOn(body), fmt.Sprintf("%d-%d of 50", n-49, n); got != want {
				t.Errorf("the page of %d has the entries %s, want %s", n, got, want)
			}
			if len(body) > most {
				t.Errorf("the page of %d has %d bytes, want %d at most", n, len(body), most)
			}
			if first.logs != 1 || first.entries > known {
				t.Errorf("the first page of %d read %+v, want one read of at most %d entries", n, first, known)
			}
			began := time.Now()
			for range pages {
				visit()
			}
			took[n] = append(took[n], time.Since(began)/pages)
			again := store.asked()
			if again.logs != 0 || again.entries != 0 {
				t.Errorf("%d more pages of %d read %+v: what is known is not to be read again", pages, n, again)
			}
			asked[n] = [2]int64{first.reads, again.reads}
			t.Logf("%d entries: %d bytes, %v a page", n, len(body), took[n][len(took[n])-1])
		}
	}
	if asked[short] != asked[long] {
		t.Errorf("a long chat has its record read %v times, a short one %v", asked[long], asked[short])
	}
	slices.Sort(took[short])
	slices.Sort(took[long])
	t.Logf("a page of %d takes %.2f times as long as one of %d", long, float64(took[long][rounds/2])/float64(took[short][rounds/2]), short)
}
