package driver

import (
	"context"
	"sync"
)

// An Inbox is the receiving side of a Conn, and its end: for drivers with a
// goroutine that reads from the broker, and may be made to wait. That goroutine
// calls Put, Conn.Receive calls Receive, and End is for each goroutine that
// notices that the connection is of no more use. All methods may be called
// concurrently. A Queue has the same methods, and its Put does not wait.
type Inbox struct {
	messages chan Message
	ended    chan struct{}
	release  func()

	once sync.Once
	err  error // why ended; readable when ended is closed
}

// NewInbox returns an open inbox. release is called once, by the first End,
// and frees what the Conn holds; it must not wait for the goroutine that
// calls Put. Nil: there is nothing to free.
func NewInbox(release func()) *Inbox {
	return &Inbox{messages: make(chan Message), ended: make(chan struct{}), release: release}
}

// Put leaves a message for Receive, and waits until it is taken: so a slow
// receiver is the broker's to notice. It reports false when the inbox has
// ended.
func (b *Inbox) Put(m Message) bool {
	select {
	case b.messages <- m:
		return true
	case <-b.ended:
		return false
	}
}

// Receive is Conn.Receive.
func (b *Inbox) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-b.messages:
		return m, nil
	case <-b.ended:
		return Message{}, b.err
	case <-ctx.Done():
		return Message{}, ctx.Err()
	}
}

// End ends the connection. The first reason counts; it must not be nil.
func (b *Inbox) End(err error) {
	b.once.Do(func() {
		b.err = err
		close(b.ended)
		if b.release != nil {
			b.release()
		}
	})
}

// Ended is closed when the connection has ended; then Usable says why.
func (b *Inbox) Ended() <-chan struct{} { return b.ended }

// Usable returns nil, or why no call can be made: why the connection has
// ended, or ctx's error.
func (b *Inbox) Usable(ctx context.Context) error {
	select {
	case <-b.ended:
		return b.err
	default:
		return ctx.Err()
	}
}
