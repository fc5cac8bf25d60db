// Package driver is what a broker backend implements so that pubsub.Hub can
// use it. A driver moves bytes and nothing else: the hub owns the registry of
// handlers, ordering, deadlines, retries, reconnection and the heartbeat.
//
// It is not for applications: they use package pubsub. Authors of a backend
// implement Driver and Conn and run drivertest.Run against a real server.
package driver

import (
	"context"
	"errors"
)

// ErrClosed is returned by the methods of a Conn after Close.
var ErrClosed = errors.New("driver: connection closed")

// A Driver opens connections to one broker. It holds configuration only, so
// that opening again after a fault starts from nothing. It is safe for
// concurrent use.
type Driver interface {
	// Name is the backend's short name for logs and pages, e.g. "redis".
	Name() string
	// Open makes one live connection and verifies it (a round trip to the
	// server), so that nil means "this broker answers". ctx bounds the call,
	// not the life of the connection. It does not retry. Its errors never
	// contain a password.
	Open(ctx context.Context) (Conn, error)
}

// A Conn is one live connection to a broker.
//
// It never retries and never reconnects: an error is returned as it is, and
// the hub closes the connection and opens a new one. A client library's own
// silent reconnection must be turned off, because it loses messages that
// nobody then knows to reload.
//
// A call whose context is done, or ends, returns an error promptly. Publish,
// Subscribe, Unsubscribe and Close may be called concurrently with each other
// and with Receive; Close ends the calls under way. The hub never runs two Subscribe or
// Unsubscribe calls for the same topic at once, and only one goroutine calls
// Receive: always, from the beginning, so other calls may wait for it.
//
// A topic is any non-empty UTF-8 string without a NUL byte of at most
// MaxTopic bytes; a driver escapes what its broker cannot carry, and two
// different topics never reach each other's subscribers.
type Conn interface {
	// Publish sends payload to every subscriber of topic on every
	// connection, this one included. A nil error means that the broker has
	// accepted it. Payloads of one goroutine on one topic arrive in the order
	// of its calls. The payload is not kept after the call and may be empty.
	//
	// A payload beyond what the broker can carry is not an error: the
	// driver sends a notice instead, which arrives as a Message with Gap
	// set and no payload, so that subscribers reload from the store.
	Publish(ctx context.Context, topic string, payload []byte) error

	// Subscribe returns nil when the broker has confirmed: every message
	// published on topic after that, by any connection, arrives at Receive.
	// Subscribing again to a topic is harmless and does not deliver twice.
	// An error means that it is unknown whether the broker has recorded it;
	// Unsubscribe, or closing the connection, makes it certain.
	Subscribe(ctx context.Context, topic string) error

	// Unsubscribe returns nil when no further message of topic will be
	// received but those already under way. Unsubscribing what was never
	// subscribed is harmless.
	Unsubscribe(ctx context.Context, topic string) error

	// Receive blocks until a message arrives, ctx is done or the connection
	// breaks. It does not return because nothing is subscribed yet. Messages
	// of one topic come in the order in which the broker accepted them.
	// After an error other than ctx's the connection is of no more use.
	// After ctx's error Receive may be called again and has lost nothing.
	Receive(ctx context.Context) (Message, error)

	// Close ends the connection; a blocked Receive returns ErrClosed or
	// another error at once. Closing twice is harmless.
	Close() error
}

// MaxTopic is the longest topic a driver must carry, in bytes, the prefix of
// the hub included.
const MaxTopic = 512

// MaxPayload is the payload every driver must carry unchanged, in bytes. A
// larger one arrives unchanged or as a Gap (see Conn.Publish).
const MaxPayload = 4096

// A Message is what arrives on a subscribed topic.
type Message struct {
	Topic string
	// Payload is the receiver's own: the driver does not touch it again.
	Payload []byte
	// Gap means that messages of Topic may have been lost, or were too large
	// to carry: reload from the store. With an empty Topic it holds for every
	// topic of this connection. Payload is nil.
	Gap bool
	// Trusted means that a replica of the same application has sent the
	// message: it has a signature that only a replica can make, or nobody else
	// reaches the broker. A driver that can't know leaves it false.
	Trusted bool
	// Forged means that a message without a valid signature was dropped, and
	// that this Gap stands for it.
	Forged bool
}
