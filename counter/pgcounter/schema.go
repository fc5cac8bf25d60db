package pgcounter

// schema may run again and again.
//
// lockstep_apply locks the counter's row first: ops of one counter go one
// after the other, a concurrent duplicate waits and then finds the op
// recorded, and batches can't deadlock. The loop applies fresh ops in their
// order, so that a reset between increments means what it says; bigint
// arithmetic raises 22003 when the count leaves its range, and the whole call
// is undone.
//
// The epoch is the time in ms when the database was made, and grows when the
// database is another one than before: its system identifier has changed,
// e.g. because a dump was restored elsewhere.
const schema = `
CREATE TABLE IF NOT EXISTS lockstep_meta (
	one   boolean PRIMARY KEY DEFAULT true CHECK (one),
	epoch bigint  NOT NULL,
	system text   NOT NULL
);
CREATE TABLE IF NOT EXISTS lockstep_counter (
	name text   PRIMARY KEY,
	n    bigint NOT NULL DEFAULT 0,
	v    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS lockstep_op (
	name text NOT NULL,
	id   text NOT NULL,
	at   timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (name, id)
);
CREATE INDEX IF NOT EXISTS lockstep_op_at ON lockstep_op (at);

DO $$
DECLARE
	now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
	sys text := '';
BEGIN
	BEGIN
		SELECT system_identifier::text INTO sys FROM pg_control_system();
	EXCEPTION WHEN insufficient_privilege THEN
		sys := '';
	END;
	INSERT INTO lockstep_meta (epoch, system) VALUES (now_ms, sys)
	ON CONFLICT (one) DO UPDATE SET epoch = greatest(lockstep_meta.epoch + 1, now_ms), system = excluded.system
		WHERE excluded.system <> '' AND lockstep_meta.system <> excluded.system;
END $$;

CREATE OR REPLACE FUNCTION lockstep_apply(p_name text, p_ids text[], p_amounts bigint[], p_resets boolean[],
	OUT e bigint, OUT n bigint, OUT v bigint, OUT applied boolean[])
LANGUAGE plpgsql AS $$
BEGIN
	SELECT epoch INTO STRICT e FROM lockstep_meta;
	INSERT INTO lockstep_counter AS c (name) VALUES (p_name)
		ON CONFLICT (name) DO UPDATE SET v = c.v RETURNING c.n, c.v INTO n, v;
	applied := array_fill(false, ARRAY[cardinality(p_ids)]);
	FOR i IN 1 .. cardinality(p_ids) LOOP
		INSERT INTO lockstep_op (name, id) VALUES (p_name, p_ids[i]) ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		n := CASE WHEN p_resets[i] THEN 0 ELSE n + p_amounts[i] END;
		v := v + 1;
		applied[i] := true;
	END LOOP;
	UPDATE lockstep_counter c SET n = lockstep_apply.n, v = lockstep_apply.v WHERE c.name = p_name;
END $$;
`
