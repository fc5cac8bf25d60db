package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/history"
)

// honestPause is the time between two clicks of an honest tab.
const honestPause = 50 * time.Millisecond

// honestWarm is how many clicks of an honest tab are not looked at: the page has
// just come, and so have the program's first pages and sockets.
const honestWarm = 20

// An honestTab is a tab that clicks all the time, and an honest stranger who
// comes for a page and a socket again and again. Neither must be hurt by what
// somebody at another address does.
type honestTab struct {
	v      *victim
	others others
	ws     *websocket.Conn
	stop   context.CancelFunc
	tasks  sync.WaitGroup

	mu      sync.Mutex // guards the rest
	attacks bool       // the attack has begun
	waiting map[history.ID]sentClick
	took    [2][]time.Duration // before and during the attack
	clicks  int64
	wrong   []string
}

// sentClick is a click that waits for its acknowledgement.
type sentClick struct {
	at    time.Time
	phase int
}

// honestTab opens the tab of one, and returns when it has clicked for a while.
func (v *victim) honestTab(o others) *honestTab {
	v.Helper()
	w := &honestTab{v: v, others: o, waiting: make(map[history.ID]sentClick)}
	who := v.from(honest)
	page := who.mustVisit(v.page("honest"))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, v.p.url+page.socket, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: who.http.Transport},
		HTTPHeader: http.Header{"Origin": {v.p.url}, "Cookie": {page.cookie}},
	})
	if err != nil {
		v.Fatal(err)
	}
	w.ws = ws
	life, stop := context.WithCancel(context.Background())
	w.stop = stop
	v.Cleanup(func() {
		stop()
		_ = ws.CloseNow() // it may have ended
		w.tasks.Wait()
	})
	w.tasks.Go(w.read) // ends with the connection
	w.tasks.Go(func() { w.click(life) })
	clicks := honestWarm + 10
	if v.full {
		clicks = honestWarm + 300
	}
	eventually(v, "the honest tab to have clicked for a while", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.took[0]); n < clicks {
			return fmt.Errorf("%d clicks are acknowledged; %q", n, w.wrong)
		}
		return nil
	})
	w.mu.Lock()
	w.attacks = true
	w.mu.Unlock()
	w.tasks.Go(func() { w.come(life) })
	return w
}

// click clicks until ctx ends.
func (w *honestTab) click(ctx context.Context) {
	tick := time.NewTicker(honestPause)
	defer tick.Stop()
	for op := w.v.newOpOn("honest"); ; op = op.next() {
		w.mu.Lock()
		seen := sentClick{time.Now(), 0}
		if w.attacks {
			seen.phase = 1
		}
		w.waiting[op.ID] = seen
		for id := range w.waiting {
			op.from = min(op.from, id.Seq)
		}
		w.clicks++
		w.mu.Unlock()
		// Not ctx, which would end the connection: what was sent is waited for.
		write, cancel := context.WithTimeout(context.Background(), patience)
		err := w.ws.Write(write, websocket.MessageText, []byte(clickText(op)))
		cancel()
		if err != nil {
			w.blame("a click can't be sent: %v", err)
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// read takes in what the server says.
func (w *honestTab) read() {
	for {
		_, b, err := w.ws.Read(context.Background())
		if err != nil {
			w.blame("the honest tab is cut off: %v", err)
			return
		}
		var m said
		if err := json.Unmarshal(b, &m.heard); err != nil {
			w.blame("not a message: %q", b)
			continue
		}
		if m.Op != nil || m.Error != "" {
			w.blame("a click is %s", m)
		}
		w.mu.Lock()
		for _, op := range m.Ack {
			seen := w.waiting[history.ID(op)]
			w.took[seen.phase] = append(w.took[seen.phase], time.Since(seen.at))
			delete(w.waiting, history.ID(op))
		}
		w.mu.Unlock()
	}
}

// come has a stranger come for a page and a socket again and again.
func (w *honestTab) come(ctx context.Context) {
	if w.others == haveNone {
		return
	}
	who := w.v.from(newcomer)
	tick := time.NewTicker(4 * honestPause)
	defer tick.Stop()
	for {
		if err := w.comeIn(who); err != nil && ctx.Err() == nil {
			w.blame("a newcomer is not served: %v", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *honestTab) comeIn(who *visitor) error {
	p, err := who.visit(w.v.page("newcomer"))
	if err != nil || w.others == havePages {
		return err
	}
	ws, status := who.upgrade(p.socket, "Cookie: "+p.cookie, "Origin: "+w.v.p.url)
	if ws == nil {
		return fmt.Errorf("the socket: %d", status)
	}
	defer ws.Close()
	if m := ws.hear(); m.cut || m.code != 0 {
		return fmt.Errorf("the socket is %s", m)
	}
	return nil
}

func (w *honestTab) blame(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(w.wrong, text) {
		w.wrong = append(w.wrong, text)
	}
}

// end ends the clicks, and demands that each was counted once.
func (w *honestTab) end() (before, during latencies) {
	w.v.Helper()
	w.stop()
	eventually(w.v, "the honest tab's clicks to be acknowledged", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.waiting) > 0 && len(w.wrong) == 0 {
			return fmt.Errorf("%d are not", len(w.waiting))
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.wrong {
		w.v.Errorf("somebody honest was hurt: %s", text)
	}
	if n := w.v.count("honest"); n != w.clicks {
		w.v.Errorf("got a count of %d for %d clicks of the honest tab", n, w.clicks)
	}
	return newLatencies(w.took[0][honestWarm:]), newLatencies(w.took[1])
}

// latencies are how long the clicks of an honest tab took until they were
// acknowledged.
type latencies struct{ p50, p99 time.Duration }

func newLatencies(took []time.Duration) latencies {
	if len(took) == 0 {
		return latencies{}
	}
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)-1)*percent/100] }
	return latencies{at(50), at(99)}
}

// String implements fmt.Stringer.
func (l latencies) String() string {
	if l == (latencies{}) {
		return ""
	}
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", l.p50.Seconds()*1000, l.p99.Seconds()*1000)
}
