package former

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep/internal/pgclient"
)

const (
	// connections is how many the pool holds at most.
	connections = 8
	// lifetime is how long a connection is used.
	lifetime = time.Minute
)

// A Postgres is a Store in PostgreSQL. Each Apply is one call of a function in
// the database: one round trip, one transaction.
type Postgres struct{ pool *pgxpool.Pool }

// OpenPostgres connects to the database at a URL and makes the tables and the
// functions if they are not there.
func OpenPostgres(ctx context.Context, url string) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, pgclient.URLError(err)
	}
	config.MaxConns, config.MaxConnLifetime, config.MaxConnLifetimeJitter = connections, lifetime, lifetime/4
	pgclient.Prepare(config.ConnConfig, pgclient.Use{})
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema, pgx.QueryExecModeSimpleProtocol); err != nil {
		pool.Close()
		return nil, err
	}
	return &Postgres{pool}, nil
}

// Apply implements Store.
func (s *Postgres) Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error) {
	if err := check(name, ops); err != nil {
		return v, nil, err
	}
	ids := make([]string, len(ops))
	amounts := make([]int64, len(ops))
	resets := make([]bool, len(ops))
	for i, op := range ops {
		ids[i], amounts[i] = op.ID, 1
	}
	var epoch, version int64
	err = s.pool.QueryRow(ctx, "SELECT e, n, v, applied FROM lockstep_apply($1, $2::text[], $3::bigint[], $4::bool[], $5::interval)",
		"lockstep:/"+name, ids, amounts, resets, window).Scan(&epoch, &v.N, &version, &applied)
	v.Epoch, v.Version = uint64(epoch), uint64(version)
	return v, applied, err
}

// Close implements Store. It waits for calls that are under way.
func (s *Postgres) Close() error {
	s.pool.Close()
	return nil
}

// schema may run again and again.
//
// lockstep_apply locks the counter's row first: ops of one counter go one
// after the other. Every call looks whether the server has been started anew or
// is another: then the epoch grows.
const schema = `
CREATE TABLE IF NOT EXISTS lockstep_meta (
	one         boolean PRIMARY KEY DEFAULT true CHECK (one),
	epoch       bigint NOT NULL,
	incarnation text   NOT NULL
);
CREATE TABLE IF NOT EXISTS lockstep_counter (
	name text   PRIMARY KEY,
	n    bigint NOT NULL DEFAULT 0,
	v    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS lockstep_op (
	name   text NOT NULL,
	id     text NOT NULL,
	until  timestamptz NOT NULL,
	PRIMARY KEY (name, id)
);
CREATE INDEX IF NOT EXISTS lockstep_op_until ON lockstep_op (until);

CREATE OR REPLACE FUNCTION lockstep_incarnation() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	sys text := '';
	timeline text := '';
BEGIN
	BEGIN
		SELECT system_identifier::text INTO sys FROM pg_control_system();
	EXCEPTION WHEN insufficient_privilege OR feature_not_supported THEN
		NULL;
	END;
	BEGIN
		timeline := left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);
	EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR object_not_in_prerequisite_state THEN
		NULL;
	END;
	RETURN concat_ws('/', sys, timeline, pg_relation_filenode('lockstep_counter'), extract(epoch FROM pg_postmaster_start_time()));
END $$;

CREATE OR REPLACE FUNCTION lockstep_epoch() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	here text := lockstep_incarnation();
	e bigint;
BEGIN
	SELECT m.epoch INTO e FROM lockstep_meta m WHERE m.incarnation = here;
	IF FOUND THEN
		RETURN e;
	END IF;
	INSERT INTO lockstep_meta AS m (epoch, incarnation)
		VALUES ((extract(epoch FROM clock_timestamp()) * 1000)::bigint, here)
		ON CONFLICT (one) DO UPDATE SET incarnation = here, epoch =
			CASE m.incarnation WHEN here THEN m.epoch ELSE greatest(m.epoch + 1, excluded.epoch) END
		RETURNING m.epoch INTO e;
	RETURN e;
END $$;

CREATE OR REPLACE FUNCTION lockstep_apply(p_name text, p_ids text[], p_amounts bigint[], p_resets boolean[], p_window interval,
	OUT e bigint, OUT n bigint, OUT v bigint, OUT applied boolean[])
LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'on', true);
	END IF;
	e := lockstep_epoch();
	INSERT INTO lockstep_counter AS c (name) VALUES (p_name)
		ON CONFLICT (name) DO UPDATE SET v = c.v RETURNING c.n, c.v INTO n, v;
	applied := array_fill(false, ARRAY[cardinality(p_ids)]);
	FOR i IN 1 .. cardinality(p_ids) LOOP
		INSERT INTO lockstep_op (name, id, until) VALUES (p_name, p_ids[i], clock_timestamp() + p_window)
			ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		n := CASE WHEN p_resets[i] THEN 0 ELSE n + p_amounts[i] END;
		v := v + 1;
		applied[i] := true;
	END LOOP;
	UPDATE lockstep_counter c SET n = lockstep_apply.n, v = lockstep_apply.v WHERE c.name = p_name;
END $$;
`
