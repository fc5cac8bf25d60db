package pgstate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"lockstep/state"
)

// An earlier version kept counters in lockstep_counter, each with the prefix and
// a slash before its name. They are taken over by transactions of which one goes
// on at a time, whatever replicas start together: the first renames the table and
// puts a function that fails in the place of the former one, so that replicas
// of the earlier version can neither go on nor start anew beside this one; each
// of the others turns some counters into records. Where other applications have
// counters in the table it stays, and only the own ones are taken out of it.
//
// The epoch becomes greater than the former one: tabs that are open do not go
// backwards. Former ops are forgotten.

// takeMost is how many counters are taken over by one transaction.
const takeMost = 1000

// errFormer is the end of an Open without Options.Counter.
var errFormer = errors.New("the database has counters of an earlier version: open it with Options.Counter, which takes them over, " +
	"or drop them: DROP TABLE IF EXISTS lockstep_counter, lockstep_former, lockstep_op, lockstep_meta")

// stopFormer keeps programs of the earlier version from the database.
const stopFormer = `
	ALTER TABLE lockstep_counter RENAME TO lockstep_former;
	DROP TABLE IF EXISTS lockstep_op;
	DROP FUNCTION IF EXISTS lockstep_apply(text, text[], bigint[], boolean[], interval), lockstep_epoch(), lockstep_incarnation();
	CREATE FUNCTION lockstep_apply(text, text[], bigint[], boolean[], interval) RETURNS TABLE (e bigint, n bigint, v bigint, applied boolean[])
	LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'a newer version has taken over the counters of this database';
	END $$`

// A counterFunc is Options.Counter.
type counterFunc func(name string, n int64) (topic string, data []byte)

// takeOver takes over the counters of an earlier version, if there are any.
func (s *Store) takeOver(ctx context.Context, counter counterFunc) error {
	var more bool
	err := s.pool.QueryRow(ctx, "SELECT coalesce(to_regclass('lockstep_former'), to_regclass('lockstep_counter')) IS NOT NULL").Scan(&more)
	if err != nil {
		return err
	}
	for more {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			more, err = s.takeSome(ctx, tx, counter)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeSome does one transaction's work, and reports whether there is more.
func (s *Store) takeSome(ctx context.Context, tx pgx.Tx, counter counterFunc) (more bool, err error) {
	if _, err := tx.Exec(ctx, lockSchema); err != nil {
		return false, err
	}
	table, err := s.former(ctx, tx)
	switch {
	case err != nil || table == "":
		return false, err
	case counter == nil:
		return false, errFormer
	case table == "lockstep_counter":
		if _, err := tx.Exec(ctx, "LOCK TABLE lockstep_counter"); err != nil {
			return false, err
		}
		var others bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM lockstep_counter WHERE NOT "+isOwn+")", s.formerPrefix()).Scan(&others)
		if err != nil {
			return false, err
		}
		if !others {
			_, err := tx.Exec(ctx, stopFormer, pgx.QueryExecModeSimpleProtocol)
			return true, err
		}
	}
	return s.takeFrom(ctx, tx, table, counter)
}

// isOwn tells the own counters ($1 is formerPrefix) from those of others.
const isOwn = "(substring(convert_to(name, 'UTF8') FROM 1 FOR length($1::bytea)) = $1::bytea)"

func (s *Store) formerPrefix() []byte { return append(s.prefix[:len(s.prefix):len(s.prefix)], '/') }

// former returns the table that has own counters, or "". It asks pg_class: what
// to_regclass says may be from before a wait for lockSchema.
func (s *Store) former(ctx context.Context, tx pgx.Tx) (table string, err error) {
	err = tx.QueryRow(ctx, "SELECT coalesce(max(relname), '') FROM pg_class WHERE relname IN ('lockstep_counter', 'lockstep_former')"+
		" AND relkind = 'r' AND pg_table_is_visible(oid)").Scan(&table)
	if err != nil || table == "" {
		return "", err
	}
	var own bool
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+" WHERE "+isOwn+")", s.formerPrefix()).Scan(&own)
	if err != nil || !own {
		return "", err
	}
	return table, nil
}

// takeFrom turns some counters of a table, of which there are some, into
// records.
func (s *Store) takeFrom(ctx context.Context, tx pgx.Tx, table string, counter counterFunc) (more bool, err error) {
	rows, err := tx.Query(ctx, "DELETE FROM "+table+" WHERE name = ANY(ARRAY(SELECT name FROM "+table+" WHERE "+isOwn+
		" ORDER BY name LIMIT $2)) RETURNING name, n, v", s.formerPrefix(), takeMost)
	if err != nil {
		return false, err
	}
	type row struct {
		Name string
		N, V int64
	}
	counters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return false, err
	}
	topics, data, versions := make([][]byte, len(counters)), make([][]byte, len(counters)), make([]int64, len(counters))
	for i, c := range counters {
		name := strings.TrimPrefix(c.Name, string(s.formerPrefix()))
		topic, d := counter(name, c.N)
		if err := state.CheckTopic(topic); err != nil || len(d) == 0 || len(d) > state.MaxData {
			return false, fmt.Errorf("counter %q as topic %q with %d bytes: %w", name, topic, len(d), errors.Join(err, state.ErrBadStep))
		}
		topics[i], data[i], versions[i] = []byte(topic), d, max(c.V, 1)
	}
	if err := s.takeRecords(ctx, tx, topics, data, versions); err != nil {
		return false, err
	}
	return true, dropFormer(ctx, tx, table)
}

// dropFormer drops a table that programs of the earlier version do not find,
// when it has no counters any more.
func dropFormer(ctx context.Context, tx pgx.Tx, table string) error {
	if table != "lockstep_former" {
		return nil
	}
	var more bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM lockstep_former)").Scan(&more)
	if err == nil && !more {
		_, err = tx.Exec(ctx, "DROP TABLE lockstep_former, lockstep_meta")
	}
	return err
}

// takeRecords makes records, in an epoch that is newer than the former one.
func (s *Store) takeRecords(ctx context.Context, tx pgx.Tx, topics, data [][]byte, versions []int64) error {
	var app int32
	if err := tx.QueryRow(ctx, "SELECT (lockstep_here($1, $2)).id", s.prefix, s.head()[3]).Scan(&app); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE lockstep_app a SET epoch = m.epoch + 1 FROM lockstep_meta m WHERE a.prefix = $1 AND a.epoch <= m.epoch`, s.prefix)
	if err != nil {
		return err
	}
	made, err := tx.Exec(ctx, `INSERT INTO lockstep_topic (app, topic, v, logged, trimmed, data)
		SELECT $1, q.topic, q.v, 0, 0, q.data FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS q(topic, v, data)
		ON CONFLICT DO NOTHING`, app, topics, versions, data)
	if err == nil && made.RowsAffected() != int64(len(topics)) {
		err = errors.New("two counters of an earlier version are of one topic, or there is a newer state already: " +
			"stop the programs of the earlier version, and delete from lockstep_counter or lockstep_former what is not right")
	}
	return err
}
