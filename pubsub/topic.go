package pubsub

import (
	"context"
	"encoding/json"
	"fmt"
)

// A Broadcaster is the part of a Hub that Topic.Broadcast needs.
type Broadcaster interface {
	Broadcast(ctx context.Context, topic string, payload []byte) error
}

// A Subscriber is the part of a Hub that Topic.Subscribe needs.
type Subscriber interface {
	SubscribeTopic(ctx context.Context, session, topic string, handler Handler) error
}

// A Topic carries values of one type as JSON. It is a name and may be copied
// and used concurrently.
type Topic[T any] struct{ name string }

// An Event is what a typed handler gets.
type Event[T any] struct {
	Topic string
	Value T    // the zero value with Gap
	Gap   bool // messages may have been lost: reload from the store
	// Trusted is as in Message.
	Trusted bool
}

// NewTopic returns the topic of that name.
func NewTopic[T any](name string) Topic[T] { return Topic[T]{name} }

// Name returns the topic's name.
func (t Topic[T]) Name() string { return t.name }

// Broadcast sends v, as Hub.Broadcast does. A value that has no JSON is an
// error.
func (t Topic[T]) Broadcast(ctx context.Context, h Broadcaster, v T) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("pubsub: encode for %q: %w", t.name, err)
	}
	return h.Broadcast(ctx, t.name, payload)
}

// Subscribe calls handler with the values of the topic from now on, as
// Hub.SubscribeTopic does. A payload that is not JSON of a T is an error of
// the subscription, which the hub logs and counts; handler is not called.
func (t Topic[T]) Subscribe(ctx context.Context, h Subscriber, session string, handler func(ctx context.Context, e Event[T]) error) error {
	return h.SubscribeTopic(ctx, session, t.name, func(ctx context.Context, m Message) error {
		e := Event[T]{Topic: m.Topic, Gap: m.Gap, Trusted: m.Trusted}
		if !m.Gap {
			if err := json.Unmarshal(m.Payload, &e.Value); err != nil {
				return fmt.Errorf("pubsub: decode of %d bytes: %w", len(m.Payload), err)
			}
		}
		return handler(ctx, e)
	})
}
