// Package pgcounter keeps counters in PostgreSQL, for all replicas that share
// it. Each Apply is one call of a function in the database: one round trip,
// one transaction, durable as the server is (synchronous_commit).
//
// It does not notify anybody: NOTIFY inside the writing transaction would
// serialise all writers of the database.
package pgcounter

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/counter"
	"lockstep/internal/pgclient"
	"lockstep/precondition"
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
	// pruneEvery is how often old ops are forgotten, pruneStep how many at
	// once.
	pruneEvery = 30 * time.Second
	pruneStep  = 5000
	// numericOutOfRange is SQLSTATE 22003: the count has left bigint.
	numericOutOfRange = "22003"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Prefix sets applications apart that share a database. Default
	// "lockstep:".
	Prefix string
	// Window is how long an op is remembered. Default counter.DedupWindow.
	Window time.Duration
	// Preconditions is told what each server does not meet; nil: nobody.
	Preconditions *precondition.Part
}

// A Store is a counter.Store in PostgreSQL.
type Store struct {
	pool   *pgxpool.Pool
	prefix string
	window time.Duration

	stop   context.CancelFunc // ends prune
	pruner sync.WaitGroup
}

// Open connects to the database at a postgres:// or postgresql:// URL and makes
// the tables and the function if they are not there; several replicas may do
// so at once. Of several hosts in the URL it uses the one that takes writes.
// pool_max_conns and the other options of pgxpool may be in the URL. Its
// errors contain no password.
func Open(ctx context.Context, url string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Store{prefix: cmp.Or(o.Prefix, "lockstep:"), window: counter.DedupWindow}
	if o.Window > 0 {
		s.window = o.Window
	}
	config, err := configure(url, o.Preconditions)
	if err != nil {
		return nil, fmt.Errorf("pgcounter: %w", err)
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("pgcounter: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("pgcounter: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.pruner.Go(func() { s.prune(background) }) // ends with Close
	return s, nil
}

// configure reads a URL. What it says about the pool counts.
func configure(raw string, seen *precondition.Part) (*pgxpool.Config, error) {
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
	pgclient.Prepare(config.ConnConfig, pgclient.Use{Preconditions: seen})
	return config, nil
}

// failed returns a call's error, wrapped. An error that says that the pool's
// connections may lead to the wrong server is the end of all of them: each
// would fail once more, or for ever.
func (s *Store) failed(call string, err error) error {
	if pgclient.Elsewhere(err) {
		s.pool.Reset()
	}
	return fmt.Errorf("pgcounter: %s: %w", call, err)
}

// prepare makes the schema, unless this very schema is there: a role that may
// not create anything can use it, and a replica that starts locks nothing.
func (s *Store) prepare(ctx context.Context) error {
	var there string
	err := s.pool.QueryRow(ctx, "SELECT coalesce(obj_description(to_regclass('lockstep_meta'), 'pg_class'), '')").Scan(&there)
	if err != nil || there == schemaMark() {
		return err
	}
	return s.create(ctx)
}

// schemaMark is the comment on the tables that a schema has made.
func schemaMark() string {
	return fmt.Sprintf("made by pgcounter, schema %x", sha256.Sum256([]byte(schema)))
}

// create makes the schema. The advisory lock lets one replica do it at a time:
// CREATE … IF NOT EXISTS alone fails when two do.
func (s *Store) create(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('lockstep counter schema', 0))"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema+"COMMENT ON TABLE lockstep_meta IS '"+schemaMark()+"'", pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// key is the name of a counter among those of all applications. No name
// contains a slash: "a" and "bx" is another key than "ab" and "x".
func (s *Store) key(name string) string { return s.prefix + "/" + name }

// Apply implements counter.Store.
func (s *Store) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, ops); err != nil {
		return counter.Value{}, nil, err
	}
	ids := make([]string, len(ops))
	amounts := make([]int64, len(ops))
	resets := make([]bool, len(ops))
	for i, op := range ops {
		ids[i], amounts[i], resets[i] = op.ID, op.Amount(), op.Kind == counter.Reset
	}
	var v counter.Value
	var epoch, version int64
	var applied []bool
	err := s.pool.QueryRow(ctx, "SELECT e, n, v, applied FROM lockstep_apply($1, $2::text[], $3::bigint[], $4::bool[], $5::interval)",
		s.key(name), ids, amounts, resets, s.window).Scan(&epoch, &v.N, &version, &applied)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == numericOutOfRange {
		return counter.Value{}, nil, counter.ErrOverflow
	}
	if err != nil {
		return counter.Value{}, nil, s.failed("apply", err)
	}
	v.Epoch, v.Version = uint64(epoch), uint64(version)
	return v, applied, nil
}

// Get implements counter.Store.
func (s *Store) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if len(names) == 0 {
		return nil, ctx.Err()
	}
	full := make([]string, len(names))
	for i, name := range names {
		if !counter.ValidName(name) {
			return nil, counter.ErrBadName
		}
		full[i] = s.key(name)
	}
	rows, err := s.pool.Query(ctx, `
		SELECT m.epoch, coalesce(c.n, 0), coalesce(c.v, 0), current_setting('transaction_read_only')
		FROM lockstep_epoch() AS m(epoch), unnest($1::text[]) WITH ORDINALITY AS q(name, i) LEFT JOIN lockstep_counter c ON c.name = q.name
		ORDER BY q.i`, full)
	if err != nil {
		return nil, s.failed("get", err)
	}
	values, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (v counter.Value, err error) {
		var epoch, version int64
		var readOnly string
		err = row.Scan(&epoch, &v.N, &version, &readOnly)
		if err == nil && readOnly != "off" {
			// What it says may be old: writes go to another server by now.
			err = pgclient.ErrReadOnly
		}
		v.Epoch, v.Version = uint64(epoch), uint64(version)
		return v, err
	})
	if err != nil {
		return nil, s.failed("get", err)
	}
	return values, nil
}

// Close implements counter.Store. It waits for calls that are under way.
func (s *Store) Close() error {
	s.stop()
	s.pruner.Wait()
	s.pool.Close()
	return nil
}

// prune forgets old ops until ctx ends.
func (s *Store) prune(ctx context.Context) {
	again := time.NewTicker(min(pruneEvery, s.window))
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		// What is not forgotten now is the next time: an error changes
		// nothing that anybody relies on.
		_ = s.forget(ctx)
	}
}

// forget deletes the ops whose time has come, of all applications, in steps
// that hold no lock for long. Several replicas doing so pass each other by.
func (s *Store) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pruneEvery)
	defer cancel()
	for {
		done, err := s.pool.Exec(ctx, `
			DELETE FROM lockstep_op WHERE ctid = ANY(ARRAY(
				SELECT ctid FROM lockstep_op WHERE until < now() ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED))`, pruneStep)
		if err != nil || done.RowsAffected() < pruneStep {
			return err
		}
	}
}
