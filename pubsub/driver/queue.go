package driver

import (
	"context"
	"sync"
)

// queueLimit is how many messages wait for a connection whose Receive is slow.
const queueLimit = 1024

// A Queue is the receiving side of a Conn, and its end: for drivers whose
// client calls back and must not be made to wait; see Inbox for others. It
// holds 1024 messages. When it is full they are dropped and one Gap takes
// their place: what is behind is reloaded, not caught up with. All methods may
// be called concurrently, Receive by one goroutine at a time.
type Queue struct {
	wake  chan struct{} // of size 1: something waits
	ended chan struct{}

	mu      sync.Mutex // guards the rest
	waiting []Message
	err     error // why ended
}

// NewQueue returns an open, empty queue.
func NewQueue() *Queue {
	return &Queue{wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Put leaves a message for Receive. It does not wait. After End it does
// nothing.
func (q *Queue) Put(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return
	}
	if len(q.waiting) >= queueLimit {
		q.waiting = append(q.waiting[:0:0], Message{Gap: true})
	}
	q.waiting = append(q.waiting, m)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Receive is Conn.Receive.
func (q *Queue) Receive(ctx context.Context) (Message, error) {
	for {
		if err := q.Usable(ctx); err != nil {
			return Message{}, err
		}
		if m, ok := q.take(); ok {
			return m, nil
		}
		select {
		case <-q.wake:
		case <-q.ended:
		case <-ctx.Done():
		}
	}
}

func (q *Queue) take() (Message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return Message{}, false
	}
	m := q.waiting[0]
	q.waiting[0] = Message{} // let go of the payload
	q.waiting = q.waiting[1:]
	return m, true
}

// End ends the connection. The first reason counts; it must not be nil.
func (q *Queue) End(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err, q.waiting = err, nil
		close(q.ended)
	}
}

// Usable returns nil, or why no call can be made: why the connection has
// ended, or ctx's error.
func (q *Queue) Usable(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	return ctx.Err()
}
