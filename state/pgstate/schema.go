package pgstate

// schema may run again and again. Its functions are called with a prefix, the
// two lifetimes, and how far the clock by which lanes are forgotten has been
// moved (by tests).
//
// lockstep_app has the epoch and the ages of an application. Its id is in the
// other tables: it comes of the prefix, so that it is the same when the row has
// been lost, and two prefixes of one id are refused.
//
// The epoch is the time in ms when the row was made. It grows when the data may
// be older than what was seen before: the server was started anew (nothing
// tells a folder left by a crash from an older copy of it), the system
// identifier is another (restored elsewhere), the timeline (a standby was
// promoted, or a backup rolled forward to an earlier point) or the file of a
// table (dropped, truncated). Every call looks, because a pooler hides new
// connections; that takes 14 µs. What a managed server does not let us read is
// left out. Rows deleted one by one are not noticed.
//
// An age (state.Age) is turned by the call that comes first. Nobody waits for
// it: whoever finds the row locked goes on with the age before.
//
// A lane names its topic by a random number that the topic was given: a name
// would be in each lane twice. No column that moves change has an index, so that
// moves stay within their page (HOT); only lanes that are done are in
// lockstep_lane_done.
//
// lockstep_commit looks before it locks: what conflicts writes nothing, has no
// transaction id and so waits for no disk. A step that looked right, and has
// waited for a faster one, holds the topic's row until its transaction ends: so
// that one does not wait for the disk either, unless a step of the same call
// was done. The row is the only lock that steps wait for, beside their lanes'
// own; calls take topics in order, and Finish and the sweep wait for nobody: so
// nothing deadlocks. What looks at a topic sees record and lanes as of one
// moment: an answer that says that an op is in must not come with a record that
// it is not in. A database with synchronous_commit off would acknowledge steps
// that a crash loses, so it is on for a transaction that has done one.
//
// The plans of functions are made once for a session, perhaps when tables are
// empty, and statistics are always behind where a topic is new and hot. So
// plans that depend on them are ruled out: no sequential scans, and lanes are
// looked up one by one (LATERAL; OFFSET 0 keeps it from becoming a hash join
// that reads all lanes of the topic).
const schema = `
CREATE TABLE IF NOT EXISTS lockstep_app (
	prefix      bytea       PRIMARY KEY,
	id          int         NOT NULL UNIQUE,
	epoch       bigint      NOT NULL,
	incarnation text        NOT NULL,
	age         int         NOT NULL DEFAULT 0,
	age_since   timestamptz NOT NULL,
	done        int         NOT NULL DEFAULT 0,
	done_since  timestamptz NOT NULL,
	swept       int         NOT NULL DEFAULT 0,
	page        bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS lockstep_topic (
	app     int    NOT NULL,
	topic   bytea  NOT NULL,
	id      bigint NOT NULL UNIQUE DEFAULT (random() * 9e18)::bigint,
	v       bigint NOT NULL,
	logged  bigint NOT NULL,
	trimmed bigint NOT NULL,
	data    bytea,
	PRIMARY KEY (app, topic)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS lockstep_lane (
	topic   bigint NOT NULL,
	client  uuid   NOT NULL,
	last    bigint NOT NULL,
	start   bigint NOT NULL,
	app     int    NOT NULL,
	age     int    NOT NULL,
	done    int,
	refused bytea,
	PRIMARY KEY (topic, client)
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS lockstep_lane_done ON lockstep_lane (app, done) WHERE done IS NOT NULL;
CREATE TABLE IF NOT EXISTS lockstep_log (
	topic bigint NOT NULL,
	n     bigint NOT NULL,
	entry bytea  NOT NULL,
	PRIMARY KEY (topic, n)
);
DO $$ BEGIN
	EXECUTE 'ALTER TABLE lockstep_topic ALTER COLUMN data SET COMPRESSION lz4';
EXCEPTION WHEN feature_not_supported OR syntax_error THEN
	NULL; -- the server was built without it, or is older than 14: it compresses as it can
END $$;

CREATE OR REPLACE FUNCTION lockstep_server() RETURNS text
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
	RETURN concat_ws('/', sys, timeline, pg_relation_filenode('lockstep_topic'), pg_relation_filenode('lockstep_lane'),
		pg_relation_filenode('lockstep_log'), extract(epoch FROM pg_postmaster_start_time()));
END $$;

CREATE OR REPLACE FUNCTION lockstep_here(p_prefix bytea, p_shift interval, OUT a lockstep_app)
LANGUAGE plpgsql AS $$
DECLARE
	server text;
	now timestamptz := clock_timestamp();
	fresh bigint;
BEGIN
	IF current_setting('transaction_read_only') = 'on' THEN
		-- What it says may be old: writes go to another server by now.
		RAISE EXCEPTION 'the server takes no writes' USING ERRCODE = 'read_only_sql_transaction';
	END IF;
	server := lockstep_server();
	SELECT * INTO a FROM lockstep_app p WHERE p.prefix = p_prefix AND p.incarnation = server;
	IF NOT FOUND THEN
		fresh := (extract(epoch FROM now) * 1000)::bigint;
		INSERT INTO lockstep_app (prefix, id, epoch, incarnation, age_since, done_since)
			VALUES (p_prefix, ('x' || left(encode(sha256(p_prefix), 'hex'), 8))::bit(32)::int, fresh, server, now + p_shift, now + p_shift)
			ON CONFLICT DO NOTHING;
		UPDATE lockstep_app p SET incarnation = server,
			epoch = CASE p.incarnation WHEN server THEN p.epoch ELSE greatest(p.epoch + 1, fresh) END
			WHERE p.prefix = p_prefix RETURNING p.* INTO a;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'the prefix has the same number as that of another application: choose another one';
		END IF;
	END IF;
END $$;

CREATE OR REPLACE FUNCTION lockstep_aged(p_prefix bytea, p_lifetime interval, p_done interval, p_shift interval, OUT a lockstep_app)
LANGUAGE plpgsql AS $$
DECLARE
	now timestamptz := clock_timestamp() + p_shift;
BEGIN
	a := lockstep_here(p_prefix, p_shift);
	IF now >= a.age_since AND now < a.age_since + p_lifetime / 7 AND now >= a.done_since AND now < a.done_since + p_done / 7 THEN
		RETURN;
	END IF;
	PERFORM FROM lockstep_app p WHERE p.prefix = p_prefix FOR NO KEY UPDATE SKIP LOCKED;
	IF FOUND THEN
		UPDATE lockstep_app p SET
			age = p.age + (now >= p.age_since + p_lifetime / 7)::int,
			age_since = CASE WHEN now >= p.age_since AND now < p.age_since + p_lifetime / 7 THEN p.age_since ELSE now END,
			done = p.done + (now >= p.done_since + p_done / 7)::int,
			done_since = CASE WHEN now >= p.done_since AND now < p.done_since + p_done / 7 THEN p.done_since ELSE now END
			WHERE p.prefix = p_prefix RETURNING p.* INTO a;
	END IF;
END $$;

CREATE OR REPLACE FUNCTION lockstep_commit(p_prefix bytea, p_lifetime interval, p_done interval, p_shift interval,
	p_topic bytea, p_epoch bigint, p_version bigint, p_data bytea, p_log bytea[], p_keep bigint,
	p_clients uuid[], p_mins bigint[], p_maxs bigint[], p_was bytea[], p_lasts bigint[], p_starts bigint[], p_refused bytea[],
	OUT holds boolean, OUT e bigint, OUT v bigint, OUT d bytea,
	OUT lasts bigint[], OUT starts bigint[], OUT refused bytea[], OUT made boolean[])
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	a lockstep_app := lockstep_aged(p_prefix, p_lifetime, p_done, p_shift);
	first boolean := txid_current_if_assigned() IS NULL; -- nothing was done before in this transaction
	entries bigint := coalesce(cardinality(p_log), 0);
	own bigint;
	logged bigint;
	trimmed bigint;
BEGIN
	e := a.epoch;
	LOOP
		SELECT t.id, coalesce(t.v, 0), CASE WHEN t.v <> p_version OR e <> p_epoch THEN t.data END, m.*
			INTO own, v, d, holds, lasts, starts, refused, made
			FROM (SELECT) AS one LEFT JOIN lockstep_topic t ON t.app = a.id AND t.topic = p_topic
			CROSS JOIN LATERAL (
				SELECT bool_and(q.last BETWEEN q.lo AND q.hi AND coalesce(q.refused, '') = coalesce(q.was, '')),
					array_agg(q.last), array_agg(q.start), array_agg(q.refused), array_agg(q.new)
				FROM (
					SELECT q.lo, q.hi, q.was, coalesce(l.last, 0) AS last, coalesce(l.start, 0) AS start, l.refused, l.last IS NULL AS new
					FROM unnest(p_clients, p_mins, p_maxs, p_was) WITH ORDINALITY AS q(client, lo, hi, was, i)
					LEFT JOIN LATERAL (
						SELECT k.last, k.start, k.refused FROM lockstep_lane k
						WHERE k.topic = t.id AND k.client = q.client AND k.age + 8 >= a.age AND (k.done IS NULL OR k.done + 8 >= a.done)
						OFFSET 0) l ON true
					ORDER BY q.i) q) m;
		holds := holds AND v = p_version AND e = p_epoch;
		IF NOT holds THEN
			RETURN;
		END IF;
		IF own IS NULL THEN
			INSERT INTO lockstep_topic AS t (app, topic, v, logged, trimmed, data)
				VALUES (a.id, p_topic, 1, entries, CASE WHEN p_keep > 0 THEN greatest(0, entries - p_keep) ELSE 0 END, p_data)
				ON CONFLICT DO NOTHING RETURNING t.id, t.logged, t.trimmed INTO own, logged, trimmed;
		ELSE
			UPDATE lockstep_topic t SET v = t.v + 1, data = coalesce(p_data, t.data), logged = t.logged + entries,
				trimmed = CASE WHEN p_keep > 0 THEN greatest(t.trimmed, t.logged + entries - p_keep) ELSE t.trimmed END
				WHERE t.app = a.id AND t.topic = p_topic AND t.v = p_version RETURNING t.logged, t.trimmed INTO logged, trimmed;
		END IF;
		EXIT WHEN FOUND;
		IF first THEN
			PERFORM set_config('lockstep.synchronous_commit', current_setting('synchronous_commit'), true),
				set_config('synchronous_commit', 'off', true);
			first := false;
		END IF;
	END LOOP;
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit',
			coalesce(nullif(nullif(current_setting('lockstep.synchronous_commit', true), ''), 'off'), 'on'), true);
	END IF;
	INSERT INTO lockstep_lane AS k (topic, client, last, start, app, age, refused)
		SELECT own, q.client, q.last, greatest(q.start, q.was), a.id, a.age, nullif(q.refused, '')
		FROM unnest(p_clients, p_lasts, p_starts, starts, p_refused) AS q(client, last, start, was, refused)
		ON CONFLICT (topic, client) DO UPDATE SET
			last = excluded.last, start = excluded.start, age = excluded.age, done = NULL, refused = excluded.refused;
	IF entries > 0 THEN
		INSERT INTO lockstep_log SELECT own, logged - entries + q.n, q.entry FROM unnest(p_log) WITH ORDINALITY AS q(entry, n);
	END IF;
	IF p_keep > 0 AND trimmed > 0 THEN
		-- What one step can leave over is the work of the next ones.
		DELETE FROM lockstep_log WHERE ctid = ANY(ARRAY(
			SELECT g.ctid FROM lockstep_log g WHERE g.topic = own AND g.n <= trimmed ORDER BY g.n LIMIT 1024));
	END IF;
	v := v + 1;
	lasts := NULL;
	starts := NULL;
	refused := NULL;
END $$;

CREATE OR REPLACE FUNCTION lockstep_finish(p_prefix bytea, p_lifetime interval, p_done interval, p_shift interval,
	p_topics bytea[], p_clients uuid[], p_lasts bigint[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	a lockstep_app := lockstep_aged(p_prefix, p_lifetime, p_done, p_shift);
BEGIN
	-- A mark that a crash loses only makes a lane stay longer.
	PERFORM set_config('synchronous_commit', 'off', true);
	FOR i IN 1 .. cardinality(p_topics) LOOP
		-- A lane that is locked is being moved, which takes a mark back.
		UPDATE lockstep_lane SET done = a.done WHERE ctid = (
			SELECT k.ctid FROM lockstep_lane k
			WHERE k.topic = (SELECT t.id FROM lockstep_topic t WHERE t.app = a.id AND t.topic = p_topics[i]) AND k.client = p_clients[i]
				AND k.last <= p_lasts[i] AND k.done IS DISTINCT FROM a.done
				AND k.age + 8 >= a.age AND (k.done IS NULL OR k.done + 8 >= a.done)
			FOR NO KEY UPDATE SKIP LOCKED);
	END LOOP;
END $$;

CREATE OR REPLACE FUNCTION lockstep_sweep(p_prefix bytea, p_lifetime interval, p_done interval, p_shift interval, OUT more boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	a lockstep_app := lockstep_aged(p_prefix, p_lifetime, p_done, p_shift);
	step int := 5000; -- rows; a page has less than 32 of 5000
	gone bigint;
	pages bigint;
BEGIN
	SELECT * INTO a FROM lockstep_app p WHERE p.prefix = p_prefix FOR NO KEY UPDATE SKIP LOCKED;
	more := false;
	IF NOT FOUND THEN
		RETURN; -- another replica sweeps
	END IF;
	PERFORM set_config('synchronous_commit', 'off', true);
	DELETE FROM lockstep_lane WHERE ctid = ANY(ARRAY(
		SELECT k.ctid FROM lockstep_lane k WHERE k.app = a.id AND k.done < a.done - 8 LIMIT step FOR UPDATE SKIP LOCKED));
	GET DIAGNOSTICS gone = ROW_COUNT;
	more := gone = step OR a.swept < a.age;
	IF gone = step OR NOT more THEN
		RETURN;
	END IF;
	DELETE FROM lockstep_lane WHERE ctid = ANY(ARRAY(
		SELECT k.ctid FROM lockstep_lane k
		WHERE k.ctid >= format('(%s,0)', a.page)::tid AND k.ctid < format('(%s,0)', a.page + 32)::tid AND k.app = a.id AND k.age < a.age - 8
		FOR UPDATE SKIP LOCKED));
	pages := pg_relation_size('lockstep_lane') / current_setting('block_size')::int;
	more := a.page + 32 < pages;
	UPDATE lockstep_app p SET page = CASE WHEN more THEN a.page + 32 ELSE 0 END, swept = CASE WHEN more THEN p.swept ELSE a.age END
		WHERE p.prefix = p_prefix;
END $$;
`
