package redispubsub

import (
	"bytes"
	"context"
	"sync"

	"lockstep/pubsub/driver"
)

// conn is a connection to one Redis, or to all masters of a cluster. When one
// of its links is lost the conn has ended: it is not known what was missed.
type conn struct {
	// set once
	*driver.Inbox
	links   []*link // all
	classic *link   // where all topics are; nil: nowhere
	sharded []*link // by partition; nil: none
	parts   []partition
	running sync.WaitGroup // the goroutines of all links; they end with the Inbox
}

// A way is where a topic is, and how it is called there.
type way struct {
	link    *link
	channel string
}

// ways returns where a topic is: in one place, or in two while replicas of two
// versions are to hear each other.
func (c *conn) ways(topic string) (all []way) {
	if c.sharded != nil {
		i := partitionOf(topic)
		all = append(all, way{c.sharded[i], c.parts[i].tag + topic})
	}
	if c.classic != nil {
		all = append(all, way{c.classic, topic})
	}
	return all
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	payload = bytes.Clone(payload) // the caller may be gone when it is sent
	for _, w := range c.ways(topic) {
		if err := w.link.publish(ctx, publication{w.channel, payload, make(chan error, 1)}); err != nil {
			return err
		}
	}
	return nil
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	for _, w := range c.ways(topic) {
		if err := w.link.subscribe(ctx, w.channel); err != nil {
			return err
		}
	}
	return nil
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	for _, w := range c.ways(topic) {
		if err := w.link.unsubscribe(ctx, w.channel); err != nil {
			return err
		}
	}
	return nil
}

// Close implements driver.Conn. It waits for all goroutines.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.running.Wait()
	c.closeLinks()
	return nil
}

func (c *conn) closeLinks() {
	for _, l := range c.links {
		l.close()
	}
}
