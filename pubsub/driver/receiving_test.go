package driver_test

import (
	"context"
	"errors"
	"testing"

	"lockstep/pubsub/driver"
)

// receiving is what a Queue and an Inbox have in common: all that the author of a driver needs.
type receiving interface {
	Put(m driver.Message) bool
	Receive(ctx context.Context) (driver.Message, error)
	End(err error)
	Ended() <-chan struct{}
	Usable(ctx context.Context) error
}

func TestAQueueAndAnInboxEndAlike(t *testing.T) {
	for name, open := range map[string]func(release func()) receiving{
		"queue": func(release func()) receiving { return driver.NewQueue(release) },
		"inbox": func(release func()) receiving { return driver.NewInbox(release) },
	} {
		t.Run(name, func(t *testing.T) {
			released := 0
			r := open(func() { released++ })
			put := make(chan bool, 1)
			go func() { put <- r.Put(driver.Message{Topic: "a"}) }() // ends with Receive
			if m, err := r.Receive(t.Context()); err != nil || m.Topic != "a" || !<-put {
				t.Errorf("got %+v, %v", m, err)
			}
			if err := r.Usable(t.Context()); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := r.Receive(ctx); !errors.Is(err, context.Canceled) || !errors.Is(r.Usable(ctx), context.Canceled) {
				t.Errorf("got %v of a context that has ended", err)
			}
			select {
			case <-r.Ended():
				t.Error("it has ended before its end")
			default:
			}
			first := errors.New("first")
			r.End(first)
			r.End(driver.ErrClosed)
			<-r.Ended()
			if _, err := r.Receive(t.Context()); !errors.Is(err, first) || !errors.Is(r.Usable(ctx), first) || released != 1 || r.Put(driver.Message{}) {
				t.Errorf("got %v, and %d releases, after two ends", err, released)
			}
			open(nil).End(driver.ErrClosed) // there is nothing to release
		})
	}
}

func TestAQueueBoundsTheBytesThatWait(t *testing.T) {
	q := driver.NewQueue(nil)
	const each, most = 1 << 20, 16
	for i := range most + 1 {
		q.Put(driver.Message{Topic: "a", Payload: append(make([]byte, each-1), byte(i))})
	}
	if m, err := q.Receive(t.Context()); err != nil || !m.Gap {
		t.Errorf("got %d bytes, %v; want a gap", len(m.Payload), err)
	}
	if m, err := q.Receive(t.Context()); err != nil || m.Payload[each-1] != most {
		t.Errorf("got %+v, %v; want the last", m.Topic, err)
	}
	q.Put(driver.Message{Topic: "a", Payload: make([]byte, (most+1)*each)}) // alone, so that it gets through
	if m, err := q.Receive(t.Context()); err != nil || m.Gap {
		t.Errorf("got a gap, %v", err)
	}
}
