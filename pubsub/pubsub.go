// Package pubsub keeps the replicas of an application informed: what is
// broadcast on a topic reaches every subscriber of that topic on every
// replica, through a broker chosen by a driver.
//
// A broadcast is a hint, not the truth: brokers lose messages, so a
// subscriber that must not miss a change keeps its state in a store and
// reloads it when a Message says Gap. Package pubsub is not a queue: nothing
// is kept for subscribers that are away.
package pubsub

import (
	"context"
	"errors"
)

var (
	// ErrNotConnected means that there is no connection to the broker at the moment.
	// The hub goes on trying.
	ErrNotConnected = errors.New("pubsub: not connected to the broker")
	// ErrStopped means that the hub was never started, or has been stopped.
	ErrStopped = errors.New("pubsub: the hub is not running")
	// ErrBadTopic means that a topic is empty, too long, not UTF-8 or contains NUL.
	ErrBadTopic = errors.New("pubsub: not a valid topic")
)

// A Message is what a Handler gets.
type Message struct {
	Topic   string
	Payload []byte // shared by all handlers of this hub: do not change it
	// Gap means that messages of Topic may have been lost (a reconnection, a
	// full queue, a payload too large for the broker): reload from the store.
	// Payload is nil.
	Gap bool
	// Trusted means that a replica of this application has sent the message:
	// it is signed (package signedpubsub), or nobody else reaches the broker.
	// What any other says may be a lie: check it with the store before
	// anybody is shown it.
	Trusted bool
}

// A Handler receives the messages of one subscription, in order, one at a
// time. ctx ends when the hub stops or Options.HandlerTimeout has passed. An
// error, or a panic, is logged and counted, and touches nobody else. A slow
// handler delays only its own session: when its queue is full the queued
// messages are dropped and replaced by one Gap for each topic.
type Handler func(ctx context.Context, m Message) error
