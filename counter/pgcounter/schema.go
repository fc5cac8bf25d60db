package pgcounter

// schema may run again and again.
//
// lockstep_apply locks the counter's row first: ops of one counter go one
// after the other, a concurrent duplicate waits and then finds the op
// recorded, and batches can't deadlock. The loop applies fresh ops in their
// order, so that a reset between increments means what it says; bigint
// arithmetic raises 22003 when the count leaves its range, and the whole call
// is undone. A database with synchronous_commit off would acknowledge ops that
// a crash loses, so it is on for this one transaction.
//
// The epoch is the time in ms when the tables were made. It grows when they
// may be older than what was seen before: the server was started anew (nothing
// tells a folder left by a crash from an older copy of it), the system
// identifier is another (restored elsewhere), the timeline (a standby was
// promoted, or a backup rolled forward to an earlier point) or the file of the
// table (dropped, truncated). Every call looks, because a pooler hides new
// connections; that takes 14 µs. What a managed server does not let us read is
// left out. Rows deleted one by one are not noticed.
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
