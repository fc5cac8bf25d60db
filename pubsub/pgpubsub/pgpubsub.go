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
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/pgclient"
	"lockstep/pubsub/driver"
)

// batch is how many notifications one statement carries at most.
const batch = 256

// poolerTimeout is how long a notification may take through a pooler.
const poolerTimeout = time.Second

// errPooler: the session is another one in each transaction.
var errPooler = errors.New("nothing that is notified comes back: a pooler such as PgBouncer stands between, in transaction mode; " +
	"connect directly, use its session mode, or name the server itself with ?listen=host:port")

// errApart: the address for listening is not where the other one leads.
var errApart = errors.New("nothing that is notified comes here: the address for listening is of another server or database")

// errOnce is what pgx gets when it wants another connection.
var errOnce = errors.New("pgpubsub: a connection is made only once")

// Options of a Driver. Zero values are the defaults.
type Options struct {
	// Channel names the applications that share messages; it may be any
	// text, e.g. the hub's prefix. Default "lockstep".
	Channel string
	// ListenURL is where to LISTEN, if not where to NOTIFY: behind PgBouncer
	// in transaction mode LISTEN is silently dead. Default: the URL with the
	// address that its option "listen" has, or else the same.
	ListenURL string
}

// A Driver opens connections to one database. It is safe for concurrent use.
type Driver struct {
	publish, listen *place
	channel         string
}

// A place is where to connect, and what is done to each connection. Hooks may be nil.
type place struct {
	config *pgx.ConnConfig
	before func(context.Context, *pgx.ConnConfig) error
	after  func(context.Context, *pgx.Conn) error
}

// NewDriver returns a driver for a postgres:// or postgresql:// URL. Of several
// hosts in it the one that takes writes is used. It does not connect. Its
// errors contain no password.
//
// Behind PgBouncer in transaction mode the option listen has the address of the
// server itself, for the one connection that listens:
//
//	postgres://user:password@pooler:6432/database?listen=db:5432
func NewDriver(url string, opts *Options) (*Driver, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	url, listen, err := pgclient.SplitListen(url)
	if err != nil {
		return nil, fmt.Errorf("pgpubsub: %w", err)
	}
	publish, err := placeOf(url)
	if err != nil {
		return nil, err
	}
	o.ListenURL = cmp.Or(o.ListenURL, listen)
	return newDriver(publish, &o)
}

// NewDriverLike is NewDriver for the database that a pool leads to: with its hosts, TLS, user,
// BeforeConnect and AfterConnect. The driver has connections of its own, two for each hub, and
// never uses or closes the pool's: LISTEN takes a session for as long as the hub runs. Nil is an
// error.
func NewDriverLike(pool *pgxpool.Pool, opts *Options) (*Driver, error) {
	if pool == nil {
		return nil, errNoPool
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	config := pool.Config()
	pgclient.Prepare(config.ConnConfig, pgclient.Use{Broker: true})
	return newDriver(&place{config.ConnConfig, config.BeforeConnect, config.AfterConnect}, &o)
}

// errNoPool is the error of a pool that is nil.
var errNoPool = errors.New("pgpubsub: there is no pool of connections")

// newDriver returns a driver that publishes at a place.
func newDriver(publish *place, o *Options) (*Driver, error) {
	d := &Driver{publish: publish, listen: publish, channel: channelName(o.Channel)}
	if o.ListenURL == "" {
		return d, nil
	}
	var err error
	d.listen, err = placeOf(o.ListenURL)
	return d, err
}

// placeOf reads a URL.
func placeOf(url string) (*place, error) {
	config, err := pgclient.Parse(url, pgclient.Use{Broker: true})
	if err != nil {
		return nil, fmt.Errorf("pgpubsub: %w", err)
	}
	return &place{config: config}, nil
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
	listen, err := connect(ctx, d.listen)
	if err != nil {
		return nil, err
	}
	pooled, err := d.startListening(ctx, listen)
	if err != nil {
		release(listen)
		return nil, fmt.Errorf("pgpubsub: listen at %s: %w", address(listen), err)
	}
	publish, err := connect(ctx, d.publish)
	if err != nil {
		release(listen)
		return nil, err
	}
	if pooled || d.listen != d.publish {
		if err := d.hears(ctx, listen, publish, pooled); err != nil {
			release(listen)
			release(publish)
			return nil, fmt.Errorf("pgpubsub: listen at %s: %w", address(listen), err)
		}
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &conn{
		Inbox: driver.NewInbox(cancel), channel: d.channel, outgoing: make(chan notification), topics: make(map[string]struct{}),
	}
	c.running.Go(func() { c.listen(life, listen) })
	c.running.Go(func() { c.publish(life, publish) })
	return c, nil
}

// startListening has a session listen, and reports whether there is a pooler
// between it and the server: those give clients numbers of their own.
func (d *Driver) startListening(ctx context.Context, db *pgx.Conn) (pooled bool, err error) {
	if _, err := db.Exec(ctx, "LISTEN "+pgx.Identifier{d.channel}.Sanitize()); err != nil {
		return false, err
	}
	var server uint32
	err = db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&server)
	return server != db.PgConn().PID(), err
}

// hears returns an error unless what one session notifies comes to the other.
// Behind a pooler that gives each transaction another session of the server
// LISTEN succeeds, and nothing comes; nor does it from another server.
func (d *Driver) hears(ctx context.Context, listen, publish *pgx.Conn, pooled bool) error {
	if _, err := publish.Exec(ctx, "SELECT pg_notify($1, '')", d.channel); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, poolerTimeout)
	defer cancel()
	_, err := listen.WaitForNotification(ctx)
	switch {
	case err == nil:
		return nil
	case pooled:
		return fmt.Errorf("%w: %w", errPooler, err)
	}
	return fmt.Errorf("%w: %w", errApart, err)
}

// connect makes one connection and no other after it: pgx would make another
// one to have a statement cancelled whose context has ended, in a goroutine of
// its own that waits 15 s for a server that does not answer.
func connect(ctx context.Context, at *place) (*pgx.Conn, error) {
	var connected atomic.Bool
	config := at.config.Copy()
	if at.before != nil {
		if err := at.before(ctx, config); err != nil {
			return nil, err
		}
	}
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Load() {
			return nil, errOnce
		}
		c, err := dial(ctx, network, addr) // several times, to find the right host
		if err == nil {
			_ = pgclient.KeepAlive(c) // it has ended, or the system can't: then the hub's heartbeat does it
		}
		return c, err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	connected.Store(true)
	if err != nil || at.after == nil {
		return c, err
	}
	if err := at.after(ctx, c); err != nil {
		release(c)
		return nil, err
	}
	return c, nil
}

// release closes a database connection that its goroutine has done with, and
// waits for what pgx has left running. The server may be gone, so it is not
// told.
func release(db *pgx.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.PgConn().Conn().Close() // it has ended: nobody can
	_ = db.Close(ctx)              // act on their errors
	<-db.PgConn().CleanupDone()
}

// address is where a connection leads.
func address(db *pgx.Conn) string { return db.PgConn().Conn().RemoteAddr().String() }

// conn is one connection: two of the database, each used by one goroutine.
type conn struct {
	// set once
	*driver.Inbox
	channel  string
	outgoing chan notification
	running  sync.WaitGroup // listen and publish; both end with the Inbox
	seq      atomic.Uint64  // of the last notification

	mu     sync.Mutex
	topics map[string]struct{} // subscribed; guarded by mu
}

// A notification waits to be sent.
type notification struct {
	text string
	done chan error // of size 1
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	// Encoded here: the caller and its payload may be gone when it is sent.
	n := notification{encode(c.seq.Add(1), topic, payload), make(chan error, 1)}
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

// publish sends what gathers while its last round trip is under way, until the
// conn has ended. It alone uses db.
func (c *conn) publish(life context.Context, db *pgx.Conn) {
	defer release(db)
	for {
		select {
		case first := <-c.outgoing:
			c.send(life, db, driver.Gather(first, c.outgoing, batch))
		case <-c.Ended():
			return
		}
	}
}

// send notifies in one round trip. An error is the end of the connection.
func (c *conn) send(life context.Context, db *pgx.Conn, ns []notification) {
	texts := make([]string, len(ns))
	for i, n := range ns {
		texts[i] = n.text
	}
	err := notify(life, db, c.channel, texts)
	if err != nil {
		c.End(fmt.Errorf("pgpubsub: notify at %s: %w", address(db), err))
		err = c.Usable(life)
	}
	for _, n := range ns {
		n.done <- err
	}
}

// notify sends texts in one statement, and has the server say that it still
// takes writes: others hear nothing from one that has been set to read-only.
func notify(ctx context.Context, db *pgx.Conn, channel string, texts []string) error {
	var readOnly string
	var sent int
	// Bound parameters; the rows of unnest come in their order.
	err := db.QueryRow(ctx, "SELECT count(pg_notify($1, p)), current_setting('transaction_read_only') FROM unnest($2::text[]) AS p", channel, texts).
		Scan(&sent, &readOnly)
	if err == nil && readOnly != "off" {
		return pgclient.ErrReadOnly
	}
	return err
}

// listen takes in notifications until the conn is dead. It alone uses db.
func (c *conn) listen(life context.Context, db *pgx.Conn) {
	defer release(db)
	for {
		n, err := db.WaitForNotification(life)
		if err != nil {
			c.End(fmt.Errorf("pgpubsub: listen at %s: %w", address(db), err))
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
