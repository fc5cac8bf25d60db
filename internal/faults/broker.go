package faults

import (
	"context"
	"sync"

	"lockstep/pubsub/driver"
)

// Driver returns the driver of the replica that runs, or is about to be started.
func (r *Replica) Driver(d driver.Driver) driver.Driver { return &broker{d, r, r.current()} }

// A broker is that of a replica.
type broker struct {
	driver.Driver
	r    *Replica
	life *life
}

// Unwrap implements driver.Unwrapper.
func (b *broker) Unwrap() driver.Driver { return b.Driver }

// Open implements driver.Driver.
func (b *broker) Open(ctx context.Context) (driver.Conn, error) {
	if err := b.reach(ctx); err != nil {
		return nil, err
	}
	c, err := b.Driver.Open(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, b: b, ended: make(chan struct{})}
	b.r.mu.Lock()
	lost := b.r.cut || b.life.isOver()
	if !lost {
		b.r.links[l] = struct{}{}
	}
	b.r.mu.Unlock()
	if lost { // meanwhile
		_ = c.Close() // nobody has it
		return nil, b.reach(ctx)
	}
	return l, nil
}

// reach returns why there is no way to the broker, when the replica is not frozen any more.
func (b *broker) reach(ctx context.Context) error {
	if err := b.r.wait(ctx, b.life); err != nil {
		return err
	}
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	if b.r.cut {
		return ErrCut
	}
	return nil
}

// A link is a connection of a replica to its broker.
type link struct {
	driver.Conn
	b *broker

	once  sync.Once
	why   error         // readable when ended is closed
	ended chan struct{} // closed by end
}

// end breaks the link.
func (l *link) end(why error) {
	l.once.Do(func() {
		l.why = why
		close(l.ended)
	})
	_ = l.Conn.Close() // it is over in any case
}

// said is an error as the replica hears it: that of a link that was broken says so.
func (l *link) said(err error) error {
	select {
	case <-l.ended:
		return l.why
	default:
		return err
	}
}

// Publish implements driver.Conn.
func (l *link) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := l.b.r.wait(ctx, l.b.life); err != nil {
		return err
	}
	return l.said(l.Conn.Publish(ctx, topic, payload))
}

// Subscribe implements driver.Conn.
func (l *link) Subscribe(ctx context.Context, topic string) error {
	if err := l.b.r.wait(ctx, l.b.life); err != nil {
		return err
	}
	return l.said(l.Conn.Subscribe(ctx, topic))
}

// Receive implements driver.Conn. Messages that come while the replica is frozen wait; a gap is
// never lost: a broker that says so keeps its promise.
func (l *link) Receive(ctx context.Context) (driver.Message, error) {
	for {
		// Before a message is taken: ctx may end the wait, and nothing may be lost by that.
		if err := l.b.r.wait(ctx, l.b.life); err != nil {
			return driver.Message{}, l.said(err)
		}
		m, err := l.Conn.Receive(ctx)
		if err != nil {
			return m, l.said(err)
		}
		if m.Gap || !l.b.r.dropped() {
			return m, nil
		}
	}
}

// Close implements driver.Conn.
func (l *link) Close() error {
	l.b.r.mu.Lock()
	delete(l.b.r.links, l)
	l.b.r.mu.Unlock()
	return l.Conn.Close()
}
