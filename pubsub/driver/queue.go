package driver

import (
	"context"
	"sync"
)

// queueLimit and queueBytes are how many messages, and bytes of their payloads, wait for a
// connection whose Receive is slow.
const (
	queueLimit = 1024
	queueBytes = 16 << 20
)

// A Queue is the receiving side of a Conn, and its end: for drivers whose
// client calls back and must not be made to wait. It has the methods of an
// Inbox, which is for drivers that read from their broker themselves, and whose
// Put waits. A Queue holds 1024 messages, or 16 MiB. When it is full they are
// dropped and one Gap takes their place: what is behind is reloaded, not caught
// up with. All methods may be called concurrently, Receive by one goroutine at a
// time.
type Queue struct {
	wake    chan struct{} // of size 1: something waits
	ended   chan struct{}
	release func()

	mu      sync.Mutex // guards the rest
	waiting []Message
	bytes   int   // of the payloads of waiting
	err     error // why ended
}

// NewQueue returns an open, empty queue. release is called once, by the first
// End, and frees what the Conn holds; nil: there is nothing to free.
func NewQueue(release func()) *Queue {
	return &Queue{wake: make(chan struct{}, 1), ended: make(chan struct{}), release: release}
}

// Put leaves a message for Receive. It does not wait. It reports false, and does
// nothing, when the queue has ended.
func (q *Queue) Put(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false
	}
	if len(q.waiting) >= queueLimit || q.bytes+len(m.Payload) > queueBytes && len(q.waiting) > 0 {
		q.waiting, q.bytes = []Message{{Gap: true}}, 0
	}
	q.waiting = append(q.waiting, m)
	q.bytes += len(m.Payload)
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
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
	q.bytes -= len(m.Payload)
	return m, true
}

// End ends the connection: what waits is dropped. The first reason counts; it
// must not be nil.
func (q *Queue) End(err error) {
	if q.end(err) && q.release != nil {
		q.release()
	}
}

// end records the end, and reports whether it is the first.
func (q *Queue) end(err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false
	}
	q.err, q.waiting, q.bytes = err, nil, 0
	close(q.ended)
	return true
}

// Ended is closed when the connection has ended; then Usable says why.
func (q *Queue) Ended() <-chan struct{} { return q.ended }

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
