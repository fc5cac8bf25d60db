// Package pgstate keeps states in PostgreSQL, for all replicas that share it.
// Each step of a Commit is one call of a function in the database; all steps
// are one transaction and one round trip, durable as the server is
// (synchronous_commit).
//
// It does not notify anybody: NOTIFY inside the writing transaction would
// serialise all writers of the database.
//
// It needs PostgreSQL 13 or later; before 14 each step of a sweep reads the
// whole table of lanes.
package pgstate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/pgclient"
	"lockstep/precondition"
	"lockstep/state"
)

const (
	// connections is how many the pool holds at most, where the URL does not
	// say pool_max_conns: calls are merged before they get here, and more
	// connections on one hot row are slower.
	connections = 8
	// lifetime is how long a connection is used, where the URL does not say
	// pool_max_conn_lifetime: an address that leads elsewhere is followed even
	// when the server that it led to does not know that it was replaced.
	lifetime = time.Minute
	// readOnly is SQLSTATE 25006: the server takes no writes.
	readOnly = "25006"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Prefix sets applications apart that share a database. Default
	// "lockstep:".
	Prefix string
	// Lifetime is how long a lane is known at least after its last move. Of
	// replicas that differ in it the shortest counts. Default state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish, as
	// Lifetime. Default state.DoneLifetime.
	DoneLifetime time.Duration
	// Counter returns the topic and the data of a counter that an earlier
	// version has left, which kept nothing else. The first Open calls it for
	// each. Nil: Open refuses a database with such counters.
	Counter func(name string, n int64) (topic string, data []byte)
	// Preconditions is told what each server does not meet; nil: nobody.
	Preconditions *precondition.Part
}

// A Store is a state.Store in PostgreSQL.
type Store struct {
	pool     *pgxpool.Pool
	prefix   []byte
	lifetime time.Duration
	done     time.Duration
	shift    atomic.Int64 // ns that the clock for lanes is ahead; tests move it

	stop    context.CancelFunc // ends sweep
	sweeper sync.WaitGroup
}

// Open connects to the database at a postgres:// or postgresql:// URL and makes
// the tables and functions if they are not there; several replicas may do so at
// once. Of several hosts in the URL it uses the one that takes writes.
// pool_max_conns and the other options of pgxpool may be in the URL; "listen",
// which is for brokers, does nothing. Its errors contain no password.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	config, err := configure(url)
	if err != nil {
		return nil, fmt.Errorf("pgstate: %w", err)
	}
	return open(ctx, config, opts)
}

// OpenLike is Open for the database that a pool leads to: with its hosts, TLS, user and hooks. The
// store has a pool of its own, of 8 connections at most, and never uses or closes the other: it
// must know that each of its connections is to a server that takes writes, and make all anew when
// one is not. Nil is an error.
func OpenLike(ctx context.Context, pool *pgxpool.Pool, opts *Options) (*Store, error) {
	if pool == nil {
		return nil, errNoPool
	}
	config := pool.Config()
	config.MaxConns = min(config.MaxConns, connections)
	config.MinConns, config.MinIdleConns = 0, 0
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = lifetime, lifetime/4
	return open(ctx, config, opts)
}

// errNoPool is the error of a pool that is nil.
var errNoPool = errors.New("pgstate: there is no pool of connections")

// open opens a store with a pool that is configured but for what makes its connections safe.
func open(ctx context.Context, config *pgxpool.Config, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Store{prefix: []byte(cmp.Or(o.Prefix, "lockstep:")), lifetime: state.Lifetime, done: state.DoneLifetime}
	if o.Lifetime > 0 {
		s.lifetime = o.Lifetime
	}
	if o.DoneLifetime > 0 {
		s.done = o.DoneLifetime
	}
	pgclient.Prepare(config.ConnConfig, pgclient.Use{Preconditions: o.Preconditions})
	var err error
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("pgstate: %w", err)
	}
	if err := s.prepare(ctx, o.Counter); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("pgstate: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.sweeper.Go(func() { s.sweep(background) }) // ends with Close
	return s, nil
}

// configure reads a URL. What it says about the pool counts.
func configure(raw string) (*pgxpool.Config, error) {
	raw, _, err := pgclient.SplitListen(raw) // which is the broker's
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		return nil, pgclient.URLError(err)
	}
	said := func(string) bool { return false }
	if u, err := url.Parse(raw); err == nil {
		said = u.Query().Has
	}
	if !said("pool_max_conns") {
		config.MaxConns = connections
	}
	if !said("pool_max_conn_lifetime") {
		config.MaxConnLifetime = lifetime
		config.MaxConnLifetimeJitter = lifetime / 4
	}
	return config, nil
}

// prepare makes the schema, unless this very schema is there (a role that may
// not create anything can use it, and a replica that starts locks nothing), and
// takes over what an earlier version has left.
func (s *Store) prepare(ctx context.Context, counter counterFunc) error {
	var there string
	err := s.pool.QueryRow(ctx, "SELECT coalesce(obj_description(to_regclass('lockstep_app'), 'pg_class'), '')").Scan(&there)
	if err != nil {
		return err
	}
	if there != schemaMark() {
		if err := s.create(ctx); err != nil {
			return err
		}
	}
	return s.takeOver(ctx, counter)
}

// schemaMark is the comment on the tables that a schema has made.
func schemaMark() string {
	return fmt.Sprintf("made by pgstate, schema %x", sha256.Sum256([]byte(schema)))
}

// create makes the schema. The advisory lock lets one replica do it at a time:
// CREATE … IF NOT EXISTS alone fails when two do.
func (s *Store) create(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSchema); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema+"COMMENT ON TABLE lockstep_app IS '"+schemaMark()+"'", pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// lockSchema lets one replica at a time change tables.
const lockSchema = "SELECT pg_advisory_xact_lock(hashtextextended('lockstep state schema', 0))"

// failed returns a call's error, wrapped. An error that says that the pool's
// connections may lead to the wrong server is the end of all of them: each
// would fail once more, or for ever.
func (s *Store) failed(call string, err error) error {
	if pgclient.Elsewhere(err) {
		s.pool.Reset()
	}
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == readOnly {
		err = pgclient.ErrReadOnly
	}
	return fmt.Errorf("pgstate: %s: %w", call, err)
}

// Close implements state.Store. It waits for calls that are under way.
func (s *Store) Close() error {
	s.stop()
	s.sweeper.Wait()
	s.pool.Close()
	return nil
}
