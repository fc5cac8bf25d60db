package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/history"
)

// TestARollingRestartBehindNginxIsNotNoticed: all replicas are replaced one
// after the other behind the nginx.conf that is deployed, over a real Redis,
// while tabs click and visitors load pages, send forms and open sockets. No
// click is lost or counted twice, no tab goes back, and nobody gets an error.
//
// It fails when nginx does not ask replicas that it takes for dead (without the second list in
// nginx-replicas.conf nobody is left when the third one is away: the others came back less than
// 3 s ago), and when it hands on the 503 that a draining replica answers to a new socket.
func TestARollingRestartBehindNginxIsNotNoticed(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3, "-trusted-proxies", "loopback")
	base := w.nginx()
	w.group.open("/", base)
	for range 149 { // a drain sends 500 away in a second: it is to last for a while
		w.group.connect(base)
	}
	w.group.connected()
	w.load()
	visitors := newVisitors(w, base)
	for _, p := range w.ps {
		if code := p.term(); code != 0 {
			t.Errorf("got exit code %d, want 0", code)
		}
		w.hold(500 * time.Millisecond)
		p.restart()
		w.recovered()
	}
	visitors.leave()
	w.settle()
	if n := w.group.h.Acknowledged(); n < 100 {
		t.Errorf("only %d clicks were acknowledged: too few to say anything", n)
	}
}

// visitors do again and again what people without an open tab do, as it can
// go wrong on its own: they load a page, send its form and open its socket.
type visitors struct {
	w    *cluster
	base string
	http *http.Client

	done   chan struct{}
	coming sync.WaitGroup
	times  [3]atomic.Int64 // that each was done
}

func newVisitors(w *cluster, base string) *visitors {
	w.Helper()
	v := &visitors{w: w, base: base, done: make(chan struct{}), http: newVisitorClient(w)}
	for i, do := range []func() error{v.page, v.form, v.socket} {
		v.coming.Go(func() { v.repeat(do, &v.times[i]) })
	}
	w.Cleanup(v.leave)
	return v
}

// leave ends the visits; it is an error when there were hardly any.
func (v *visitors) leave() {
	select {
	case <-v.done:
		return
	default:
	}
	close(v.done)
	v.coming.Wait()
	for i, what := range []string{"pages", "forms", "sockets"} {
		if n := v.times[i].Load(); n < 10 {
			v.w.Errorf("only %d %s: too few to say anything", n, what)
		}
	}
}

func (v *visitors) repeat(do func() error, times *atomic.Int64) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-v.done:
			return
		case <-tick.C:
		}
		times.Add(1)
		if err := do(); err != nil {
			v.w.Error(err)
		}
	}
}

func (v *visitors) page() error {
	code, body, err := v.request(http.MethodGet, "/", "")
	if err == nil && (code != http.StatusOK || !strings.Contains(body, `id="counter"`)) {
		err = fmt.Errorf("got %d for a page, want 200: %s", code, body)
	}
	return err
}

// form clicks without JavaScript, on the page that is shown. What is not answered with a
// redirect may or may not have been counted.
func (v *visitors) form() error {
	code, body, err := v.request(http.MethodGet, "/", "")
	if err != nil {
		return err
	}
	p, err := readPage(body)
	if err != nil || p.forms["increment"] == "" {
		return fmt.Errorf("got %d for a page, and no form: %w: %s", code, err, body)
	}
	// The lane in the form's address is a client that makes one op.
	op := history.Op{ID: history.ID{Client: p.forms["increment"], Seq: 1}, User: p.user, Do: "increment"}
	v.w.group.h.Sent("visitors", op)
	code, body, err = v.request(http.MethodPost, p.forms["increment"], "x=y")
	if err != nil {
		return err
	}
	if code != http.StatusSeeOther {
		return fmt.Errorf("got %d for a form, want 303: %s", code, body)
	}
	code, body, err = v.request(http.MethodGet, "/", "") // where it leads
	if err != nil {
		return err
	}
	shown, ok := parseRoot(body)
	if code != http.StatusOK || !ok {
		return fmt.Errorf("got %d after a form, want 200: %s", code, body)
	}
	v.w.group.h.Shown("visitors", shown.state())
	v.w.group.h.Acked("visitors", op.ID)
	return nil
}

func (v *visitors) socket() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, v.base+v.w.group.address(v.base), &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {v.base}}})
	if err != nil {
		code := 0
		if resp != nil {
			code = resp.StatusCode
		}
		return fmt.Errorf("got %d for a socket, want 101: %w", code, err)
	}
	return ws.CloseNow()
}

// request returns the status and the body of what the visitor is answered.
func (v *visitors) request(method, path, form string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, v.base+path, strings.NewReader(form))
	if err != nil {
		return 0, "", err
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.base)
	}
	return fetchBy(v.http, req)
}
