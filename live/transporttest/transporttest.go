// Package transporttest is what every transport of live promises to tabs, as one
// suite: wslive and httplive pass it. It is for tests, and knows no wire but
// htmx's.
package transporttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/htmx"
	"lockstep/live"
)

// A Server serves tabs with one transport, until the test ends.
type Server interface {
	// Dial connects a tab. An error means that it was refused.
	Dial(t *testing.T) (Tab, error)
	// Stall connects a tab that reads nothing at all.
	Stall(t *testing.T)
}

// A Tab is the other end of one connection. One goroutine uses it.
type Tab interface {
	// Say sends messages, all at once where the transport can.
	Say(messages ...string)
	// Hear waits for the next message, or for the code that the connection was
	// closed with: then there are no more.
	Hear() (message string, closed live.Code)
	// Vanish ends the connection without a word.
	Vanish()
}

// A Start serves view on a runtime. The suite ends the runtime before the server.
type Start func(t *testing.T, rt *live.Runtime, view live.View) Server

// Run tests a transport.
func Run(t *testing.T, start Start) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"a tab is welcomed and answered", testAnswers},
		{"an acknowledgement comes in or behind a frame that has its op", testAckAfterFrame},
		{"tabs end at the same state", testInStep},
		{"a tab that renders itself is sent states", testStates},
		{"what is not accepted closes with its code", testCodes},
		{"a tab that sends too much is refused, and then closed", testLimits},
		{"a view that fails to mount closes the tab", testMountFails},
		{"a replica that drains answers, sends away and takes nobody", testDrain},
		{"a replica that stops says so", testStop},
		{"a tab that vanishes leaves", testVanish},
		{"a tab that reads nothing is closed", testStalled},
		{"a status comes again and again", testBeats},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, &suite{start: start}) })
	}
}

// patience is how long something may take on a loaded machine.
const patience = 30 * time.Second

// A suite is one test's runtime and server.
type suite struct {
	start  Start
	opts   live.Options
	rt     *live.Runtime
	server Server
}

// serve begins to serve a page.
func (s *suite) serve(t *testing.T, p *page) {
	t.Helper()
	s.rt = live.NewRuntime(&s.opts)
	s.rt.Start()
	p.begin(s.rt)
	s.server = s.start(t, s.rt, p)
	t.Cleanup(s.rt.Stop) // the server's cleanup comes later, and was registered before
}

// dial connects a tab that must be let in.
func (s *suite) dial(t *testing.T) *tab {
	t.Helper()
	c, err := s.server.Dial(t)
	if err != nil {
		t.Fatal(err)
	}
	return &tab{Tab: c, t: t}
}

// sessions waits until the runtime has n.
func (s *suite) sessions(t *testing.T, n int) {
	t.Helper()
	s.eventually(t, func() error {
		if got := s.rt.Stats().Sessions; got != n {
			return fmt.Errorf("got %d sessions, want %d", got, n)
		}
		return nil
	})
}

// eventually waits until f returns nil.
func (s *suite) eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for err := f(); err != nil; err = f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}

// A tab understands what it hears.
type tab struct {
	Tab
	t      *testing.T
	n      int             // of the newest frame
	before map[htmx.Op]int // n when the acknowledgement of an op came
	status int             // how many have come
	all    strings.Builder // messages
}

// heard is what a message may say.
type heard struct {
	T, Status, Content string
	State, Refused     *string
	Op                 []any // the client, and the seq
	Ack                [][]any
	Retry              bool
	Clock              int64
}

// ops returns which ops are acknowledged.
func (m heard) ops() (all []htmx.Op) {
	for _, name := range m.Ack {
		all = append(all, m.named(name))
	}
	return all
}

// named returns the op of a name, or none.
func (m heard) named(name []any) htmx.Op {
	if len(name) != 2 {
		return htmx.Op{}
	}
	client, _ := name[0].(string)
	seq, _ := name[1].(float64)
	return htmx.Op{Topic: m.T, Client: client, Seq: uint64(seq)}
}

// until hears until cond holds, or fails. A closed tab hears nothing more.
func (b *tab) until(what string, cond func(heard) bool) {
	b.t.Helper()
	for {
		m, code := b.Hear()
		if code != 0 {
			b.t.Fatalf("closed with %d instead of %s; it heard %s", code, what, b.all.String())
		}
		if cond(b.take(m)) {
			return
		}
	}
}

// closed hears until the tab is closed.
func (b *tab) closed() live.Code {
	for {
		m, code := b.Hear()
		if code != 0 {
			return code
		}
		b.take(m)
	}
}

func (b *tab) take(message string) heard {
	var m heard
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		b.t.Errorf("got %q: %v", message, err)
	}
	fmt.Fprintln(&b.all, message)
	if m.Status != "" {
		b.status++
	}
	var n int
	if _, err := fmt.Sscanf(content(m), "n=%d.", &n); err == nil {
		b.n = max(b.n, n)
	}
	if (m.Status != "" || m.Ack != nil || m.Op != nil) && m.Clock == 0 {
		b.t.Errorf("got %s, which has no clock", message)
	}
	for _, op := range m.ops() {
		if b.before == nil {
			b.before = make(map[htmx.Op]int)
		}
		b.before[op] = b.n
	}
	return m
}

// content is what a frame shows.
func content(m heard) string {
	if m.State != nil {
		return *m.State
	}
	_, c, _ := strings.Cut(m.Content, ">")
	return c
}

// client is the page load that all ops of the suite are of.
const client = "a-client-of-the-suite-"

func click(action string, n int) string {
	return fmt.Sprintf(`{"op":[%q,%d,1],"seen":1,"t":"x","do":%q}`, client, n, action)
}

// op is that of a click.
func op(n int) htmx.Op { return htmx.Op{Topic: "x", Client: client, Seq: uint64(n)} }

func acks(n int) func(heard) bool {
	return func(m heard) bool {
		ops := m.ops()
		return len(ops) > 0 && ops[len(ops)-1] == op(n)
	}
}

const hello = `{"hello":2,"client":"` + client + `","at":{"x":[0,0]}}`

func testAnswers(t *testing.T, s *suite) {
	s.serve(t, new(page))
	b := s.dial(t)
	b.until("a status", func(m heard) bool { return m.Status == "live" })
	b.Say(hello)
	b.Say(click("add", 1))
	b.until("the acknowledgement", acks(1))
	b.Say(click("refuse", 2))
	b.until("the refusal", func(m heard) bool {
		return m.Refused != nil && *m.Refused == "no" && m.named(m.Op) == op(2) && !m.Retry
	})
}

func testAckAfterFrame(t *testing.T, s *suite) {
	const clicks = 100
	p := new(page)
	s.serve(t, p)
	b := s.dial(t)
	for n := range clicks {
		if n%3 == 0 {
			b.Say(hello, click("add", n))
		} else {
			b.Say(click("add", n))
		}
	}
	for len(b.before) < clicks {
		b.until("an acknowledgement", func(m heard) bool { return len(m.Ack) > 0 })
	}
	for op, shown := range b.before {
		if at := p.at(op); at == 0 || shown < at {
			t.Errorf("%v made the count %d, and was acknowledged when the tab had seen %d", op, at, shown)
		}
	}
}

func testInStep(t *testing.T, s *suite) {
	s.serve(t, new(page))
	tabs := []*tab{s.dial(t), s.dial(t), s.dial(t)}
	for n, b := range tabs {
		b.Say(click("add", 2*n), click("add", 2*n+1))
	}
	for _, b := range append(tabs, s.dial(t)) {
		for b.n < 2*len(tabs) {
			b.until("the last state", func(m heard) bool { return content(m) != "" })
		}
		if b.n != 2*len(tabs) {
			t.Errorf("got %d, want %d", b.n, 2*len(tabs))
		}
	}
}

func testStates(t *testing.T, s *suite) {
	s.serve(t, new(page))
	b := s.dial(t)
	b.Say(strings.Replace(hello, `"at"`, `"as":"data","at"`, 1), click("add", 1))
	b.until("a state", func(m heard) bool { return m.State != nil && b.n == 1 })
	b.until("the acknowledgement", acks(1))
}

func testCodes(t *testing.T, s *suite) {
	s.serve(t, new(page))
	other := s.dial(t)
	for name, c := range map[string]struct {
		send []string
		want live.Code
	}{
		"a message that is too long": {[]string{strings.Repeat("x", htmx.MaxEvent+1)}, live.CodeTooLong},
		"not UTF-8":                  {[]string{"\xff"}, live.CodeInvalid},
		"much nonsense":              {strings.Split(strings.Repeat("{ ", 17)+"{", " "), live.CodeAbuse},
		"a view that panics":         {[]string{click("panic", 1)}, live.CodeInternal},
	} {
		b := s.dial(t)
		b.Say(c.send...)
		if got := b.closed(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
		b.Vanish()
	}
	other.Say(click("add", 2))
	other.until("the acknowledgement", acks(2))
	s.sessions(t, 1)
}

func testLimits(t *testing.T, s *suite) {
	s.serve(t, &page{stingy: true})
	b := s.dial(t)
	b.Say(click("add", 1))
	b.until("the refusal", func(m heard) bool { return m.named(m.Op) == op(1) && m.Retry && m.Refused == nil })
}

func testMountFails(t *testing.T, s *suite) {
	s.serve(t, &page{broken: errors.New("no")})
	b := s.dial(t)
	if got := b.closed(); got != live.CodeInternal {
		t.Errorf("got %d, want %d", got, live.CodeInternal)
	}
	s.sessions(t, 0)
}

func testDrain(t *testing.T, s *suite) {
	p := &page{slow: make(chan struct{})}
	s.serve(t, p)
	b := s.dial(t)
	b.until("a status", func(m heard) bool { return m.Status == "live" })
	b.Say(click("slow", 1))
	s.eventually(t, func() error {
		if s.rt.Stats().Events == 0 {
			return errors.New("the click has not come")
		}
		return nil
	})
	drained := make(chan error, 1)
	go func() { drained <- s.rt.Drain(t.Context(), 0) }() // ends with the test
	s.eventually(t, func() error {
		if !errors.Is(s.rt.Err(), live.ErrDraining) {
			return errors.New("it does not drain")
		}
		return nil
	})
	close(p.slow)
	b.until("the acknowledgement of what was sent before", acks(1))
	if got := b.closed(); got != live.CodeRestart {
		t.Errorf("got %d, want %d", got, live.CodeRestart)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := s.server.Dial(t); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v for a tab that comes now, want 503", err)
	}
}

func testStop(t *testing.T, s *suite) {
	s.serve(t, new(page))
	b := s.dial(t)
	s.sessions(t, 1)
	s.rt.Stop()
	if got := b.closed(); got != live.CodeRestart {
		t.Errorf("got %d, want %d", got, live.CodeRestart)
	}
}

func testVanish(t *testing.T, s *suite) {
	s.serve(t, new(page))
	b := s.dial(t)
	b.until("a status", func(m heard) bool { return m.Status == "live" })
	s.sessions(t, 1)
	b.Vanish()
	s.sessions(t, 0)
	if got := s.rt.Closed(live.ReasonLost) + s.rt.Closed(live.ReasonLeft); got < 1 {
		t.Errorf("got %d sessions that were lost or left, want one", got)
	}
}

func testStalled(t *testing.T, s *suite) {
	s.opts.SendTimeout = 200 * time.Millisecond
	p := &page{large: bytes.Repeat([]byte("x"), 256<<10)}
	s.serve(t, p)
	s.server.Stall(t)
	s.sessions(t, 1)
	s.eventually(t, func() error {
		p.add(htmx.Op{})
		if s.rt.Closed(live.ReasonSendTimeout) != 1 {
			return errors.New("it is still connected")
		}
		return nil
	})
	s.sessions(t, 0)
}

func testBeats(t *testing.T, s *suite) {
	s.opts.StatusInterval = 20 * time.Millisecond
	s.serve(t, new(page))
	b := s.dial(t)
	b.until("the third status", func(heard) bool { return b.status == 3 })
}
