package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lockstep/pubsub/driver"
)

// pumped is how many messages wait for a case: more than it ever has under way.
const pumped = 4096

// A link is a connection of a case, used as a hub uses one: a goroutine receives from the beginning
// and all the time, so that other calls may wait for it. Its Receive hands on what that has got.
// A case that is about Receive itself takes it over with alone, and gives it back with resume.
type link struct {
	// set once
	driver.Conn
	env  *env
	name string // in errors

	got chan driver.Message // by the pump

	mu     sync.Mutex // guards the rest
	pump   *pump      // nil: the case receives itself
	topics map[string]bool
	seen   map[message]bool // that the case has had
	early  []message        // overtook what was expected
}

// errGap: a connection that heals has done so, for a reason of its own.
var errGap = errors.New("got a gap")

// A message is one without its flags.
type message struct{ topic, payload string }

// A pump is the goroutine that receives on a link. It ends when it is stopped, and with the
// connection.
type pump struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error // why it has ended
}

// newLink takes charge of a connection.
func (e *env) newLink(c driver.Conn, name string) *link {
	l := &link{Conn: c, env: e, name: name, got: make(chan driver.Message, pumped), topics: make(map[string]bool), seen: make(map[message]bool)}
	l.resume()
	return l
}

// resume has a goroutine receive again.
func (l *link) resume() {
	ctx, stop := context.WithCancel(context.WithoutCancel(l.env.ctx))
	p := &pump{stop: stop, ended: make(chan struct{})}
	l.mu.Lock()
	l.pump = p
	l.mu.Unlock()
	go func() { // ends with alone or end, and with the connection
		defer close(p.ended)
		for p.err == nil {
			var m driver.Message
			if m, p.err = l.Conn.Receive(ctx); p.err == nil {
				p.err = l.hand(ctx, m)
			}
		}
	}()
}

func (l *link) hand(ctx context.Context, m driver.Message) error {
	select {
	case l.got <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// alone ends the goroutine that receives: from now on Receive is the driver's own.
func (l *link) alone() error {
	l.mu.Lock()
	p := l.pump
	l.pump = nil
	l.mu.Unlock()
	if p == nil {
		return nil
	}
	p.stop()
	return l.env.within("Receive, after the end of its context,", func() error { <-p.ended; return nil })
}

// end ends what is left of the link, after Close, and reports what does not end.
func (l *link) end() error {
	if err := l.alone(); err != nil {
		return fmt.Errorf("after Close: %w", err)
	}
	return nil
}

// Receive implements driver.Conn.
func (l *link) Receive(ctx context.Context) (driver.Message, error) {
	defer l.env.doing(l.name, "Receive", "")()
	l.mu.Lock()
	p := l.pump
	l.mu.Unlock()
	m, err := l.receive(ctx, p)
	return m, l.env.explain("Receive", err)
}

func (l *link) receive(ctx context.Context, p *pump) (driver.Message, error) {
	select {
	case m := <-l.got:
		return m, nil
	default:
	}
	if p == nil {
		return l.Conn.Receive(ctx)
	}
	select {
	case m := <-l.got:
		return m, nil
	case <-ctx.Done():
		return driver.Message{}, ctx.Err()
	case <-p.ended:
	}
	select {
	case m := <-l.got: // it came before the end
		return m, nil
	default:
		return driver.Message{}, p.err
	}
}

// Publish implements driver.Conn.
func (l *link) Publish(ctx context.Context, topic string, payload []byte) error {
	defer l.env.doing(l.name, "Publish", topic)()
	return l.env.explain("Publish", l.Conn.Publish(ctx, topic, payload))
}

// Subscribe implements driver.Conn.
func (l *link) Subscribe(ctx context.Context, topic string) error {
	defer l.env.doing(l.name, "Subscribe", topic)()
	l.subscribed(topic, true)
	return l.env.explain("Subscribe", l.Conn.Subscribe(ctx, topic))
}

// Unsubscribe implements driver.Conn.
func (l *link) Unsubscribe(ctx context.Context, topic string) error {
	defer l.env.doing(l.name, "Unsubscribe", topic)()
	err := l.Conn.Unsubscribe(ctx, topic)
	l.subscribed(topic, false)
	return l.env.explain("Unsubscribe", err)
}

func (l *link) subscribed(topic string, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[topic] = is
}

// Close implements driver.Conn.
func (l *link) Close() error {
	defer l.env.doing(l.name, "Close", "")()
	return l.Conn.Close()
}

// next receives the next message that is not one that the case has had already, where the driver
// may deliver it again.
func (l *link) next(ctx context.Context) (driver.Message, error) {
	for {
		m, err := l.Receive(ctx)
		if err != nil || m.Gap {
			return m, err
		}
		if l.first(message{m.Topic, string(m.Payload)}) || !l.env.harness.Duplicates {
			return m, nil
		}
	}
}

// first notes a message and reports whether it is the first of its kind.
func (l *link) first(m message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.seen[m]
	l.seen[m] = true
	return !before
}

// expect receives one message and compares it. What the driver has declared may come between.
func (l *link) expect(ctx context.Context, want message) error {
	for !l.cameEarly(want) {
		m, err := l.Receive(ctx)
		if err != nil {
			return fmt.Errorf("receive, waiting for %s on %s: %w", short(want.payload), short(want.topic), err)
		}
		got := message{m.Topic, string(m.Payload)}
		switch {
		case !m.Gap && got == want:
			l.first(got)
			return nil
		case m.Gap && l.env.harness.Heals:
			return fmt.Errorf("%w, waiting for %s on %s", errGap, short(want.payload), short(want.topic))
		case m.Gap || !l.excused(got):
			return fmt.Errorf("got %s on %s (gap %v), want %s on %s", short(got.payload), short(got.topic), m.Gap, short(want.payload), short(want.topic))
		}
	}
	return nil
}

// cameEarly reports whether a message has overtaken others, and takes it.
func (l *link) cameEarly(want message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.early, want)
	if i < 0 {
		return false
	}
	l.early = slices.Delete(l.early, i, i+1)
	l.seen[want] = true
	return true
}

// excused reports whether a message may come out of turn: again, or too early. What is not
// subscribed is never excused.
func (l *link) excused(m message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.env.harness.Duplicates && l.seen[m]:
		return true
	case l.env.harness.Unordered && l.topics[m.topic]:
		l.early = append(l.early, m)
		return true
	}
	return false
}

// explain adds to the error of a call that has taken all the time of its case what to look at.
func (e *env) explain(call string, err error) error {
	if err == nil || !errors.Is(e.ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w, after %v: %s", err, patience, advice(call))
}

// advice says what to look at when a call does not end.
func advice(call string) string {
	switch call {
	case "Open":
		return "is the server there, and does it answer? Open must end with its context"
	case "Publish":
		return "does it wait for something that the receiving side holds, such as a lock or a full queue? " +
			"A goroutine calls Receive on each connection all the time, as the hub does; Publish must end with its context, and with Close"
	case "Subscribe", "Unsubscribe":
		return "does the broker's confirmation get past the messages that wait for Receive, and does whoever reads it take a lock that " + call + " holds? " +
			"It must end with its context, and with Close"
	case "Receive":
		return "nothing has arrived. Was the subscription confirmed by the broker before Subscribe returned, does a full queue drop in silence, " +
			"is a message of the own connection left out? Receive must end with its context, and with Close"
	case "Close":
		return "it must not wait for calls under way: it ends them. Does it say goodbye to a server that does not answer?"
	}
	return "it must end with its context, and with Close"
}
