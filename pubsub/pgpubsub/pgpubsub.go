// Package pgpubsub is a driver over PostgreSQL's LISTEN and NOTIFY.
//
// All topics share one channel; the topic is inside the payload, so any UTF-8
// topic works and nothing is folded or cut to 63 bytes. One goroutine sends
// what has gathered while its last round trip was under way in one statement:
// a NOTIFY takes a lock over all commits of the database, and many small ones
// serialise every writer. Broadcast after the commit of what it announces,
// never inside that transaction.
package pgpubsub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"lockstep/pubsub/driver"
)

// batch is how many notifications one statement carries at most.
const batch = 256

// Options of a Driver. Zero values are the defaults.
type Options struct {
	// Channel names the applications that hear each other; it may be any
	// text, e.g. the hub's prefix. Default "lockstep".
	Channel string
	// ListenURL is where to LISTEN, if not where to NOTIFY: behind PgBouncer
	// in transaction mode LISTEN is silently dead. Default: the same.
	ListenURL string
}

// A Driver opens connections to one database. It is safe for concurrent use.
type Driver struct {
	publish, listen *pgx.ConnConfig
	channel         string
}

// NewDriver returns a driver for a postgres:// URL. It does not connect. Its
// errors contain no password.
func NewDriver(url string, opts *Options) (*Driver, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.ListenURL == "" {
		o.ListenURL = url
	}
	d := &Driver{channel: channelName(o.Channel)}
	var err error
	if d.publish, err = parse(url); err != nil {
		return nil, err
	}
	d.listen, err = parse(o.ListenURL)
	return d, err
}

func parse(url string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("pgpubsub: not a valid PostgreSQL URL (postgres://user:password@host:port/database)")
	}
	// No prepared statements: they do not survive a pooler between us and
	// the server.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	return c, nil
}

// channelName is a name that PostgreSQL neither folds nor cuts: lower case and
// less than 64 bytes, whatever the text.
func channelName(text string) string {
	if text == "" {
		text = "lockstep"
	}
	sum := sha256.Sum256([]byte(text))
	return "lockstep_" + hex.EncodeToString(sum[:8])
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "postgres" }

// Open implements driver.Driver: it connects twice, once to listen.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	listen, err := pgx.ConnectConfig(ctx, d.listen)
	if err != nil {
		return nil, err
	}
	if _, err := listen.Exec(ctx, "LISTEN "+pgx.Identifier{d.channel}.Sanitize()); err != nil {
		return nil, errors.Join(err, listen.Close(ctx))
	}
	publish, err := pgx.ConnectConfig(ctx, d.publish)
	if err != nil {
		return nil, errors.Join(err, listen.Close(ctx))
	}
	life, cancel := context.WithCancel(context.Background())
	c := &conn{
		Inbox: driver.NewInbox(cancel), channel: d.channel, outgoing: make(chan *notification), topics: make(map[string]struct{}),
	}
	c.running.Go(func() { c.listen(life, listen) })
	c.running.Go(func() { c.publish(life, publish) })
	return c, nil
}

// conn is one connection: two of the database, each used by one goroutine.
type conn struct {
	// set once
	*driver.Inbox
	channel  string
	outgoing chan *notification
	running  sync.WaitGroup // listen and publish; both end with the Inbox

	mu     sync.Mutex
	topics map[string]struct{} // subscribed; guarded by mu
}

// A notification waits to be sent.
type notification struct {
	topic   string
	payload []byte
	done    chan error // of size 1
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	n := &notification{topic, payload, make(chan error, 1)}
	select {
	case c.outgoing <- n:
	case <-c.Ended():
		return c.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-n.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends what gathers until the conn is dead. It alone uses db.
func (c *conn) publish(life context.Context, db *pgx.Conn) {
	defer c.release(db)
	var seq uint64
	for {
		var batch []*notification
		select {
		case n := <-c.outgoing:
			batch = c.gather(n)
		case <-c.Ended():
			return
		}
		texts := make([]string, len(batch))
		for i, n := range batch {
			seq++
			texts[i] = encode(seq, n.topic, n.payload)
		}
		// Bound parameters; the rows of unnest come in their order.
		_, err := db.Exec(life, "SELECT pg_notify($1, p) FROM unnest($2::text[]) AS p", c.channel, texts)
		if err != nil {
			err = fmt.Errorf("pgpubsub: notify: %w", err)
		}
		for _, n := range batch {
			n.done <- err
		}
		if err != nil {
			c.End(err)
			return
		}
	}
}

// gather returns a first notification and those that wait behind it.
func (c *conn) gather(first *notification) []*notification {
	ns := []*notification{first}
	for len(ns) < batch {
		select {
		case n := <-c.outgoing:
			ns = append(ns, n)
		default:
			return ns
		}
	}
	return ns
}

// listen takes in notifications until the conn is dead. It alone uses db.
func (c *conn) listen(life context.Context, db *pgx.Conn) {
	defer c.release(db)
	for {
		n, err := db.WaitForNotification(life)
		if err != nil {
			c.End(fmt.Errorf("pgpubsub: listen: %w", err))
			return
		}
		m, err := decode(n.Payload)
		if err != nil || !c.subscribed(m.Topic) {
			continue // somebody else's, or of no interest here
		}
		if !c.Put(m) {
			return
		}
	}
}

// release closes a database connection that its goroutine has done with. The
// server may be gone, so it does not wait for its goodbye.
func (c *conn) release(db *pgx.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.Close(ctx) // it is given up: nobody can act on its error
}

func (c *conn) subscribed(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.topics[topic]
	return ok
}

// Subscribe implements driver.Conn. The connection has listened from its
// beginning: what is published from now on passes subscribed.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.change(ctx, func() { c.topics[topic] = struct{}{} })
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.change(ctx, func() { delete(c.topics, topic) })
}

func (c *conn) change(ctx context.Context, f func()) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	return nil
}

// Close implements driver.Conn. It waits for both goroutines.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.running.Wait()
	return nil
}
