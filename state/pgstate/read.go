package pgstate

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"lockstep/state"
)

// Read implements state.Store.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		return nil, ctx.Err()
	}
	names := make([][]byte, len(topics))
	for i, topic := range topics {
		names[i] = []byte(topic)
	}
	rows, err := s.pool.Query(ctx, `
		SELECT a.epoch, coalesce(t.v, 0), t.data
		FROM lockstep_here($1, $2) AS a CROSS JOIN unnest($3::bytea[]) WITH ORDINALITY AS q(topic, i)
		LEFT JOIN LATERAL (SELECT t.v, t.data FROM lockstep_topic t WHERE t.app = a.id AND t.topic = q.topic OFFSET 0) t ON true
		ORDER BY q.i`, s.prefix, s.head()[3], names)
	if err != nil {
		return nil, s.failed("read", err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r state.Record, err error) {
		var epoch, version int64
		err = row.Scan(&epoch, &version, &r.Data)
		r.Epoch, r.Version = uint64(epoch), uint64(version)
		return r, err
	})
	if err != nil {
		return nil, s.failed("read", err)
	}
	return records, nil
}

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	rows, err := s.pool.Query(ctx, `
		SELECT g.n, g.entry
		FROM lockstep_here($1, $2) AS a JOIN lockstep_topic t ON t.app = a.id AND t.topic = $3
		CROSS JOIN LATERAL (SELECT g.n, g.entry FROM lockstep_log g WHERE g.topic = t.id AND g.n > greatest($4, t.trimmed) ORDER BY g.n LIMIT $5) g
		ORDER BY g.n`, s.prefix, s.head()[3], []byte(topic), int64(min(after, math.MaxInt64)), int64(max(most, 0)))
	if err != nil {
		return 0, nil, s.failed("entries", err)
	}
	var first uint64
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (entry []byte, err error) {
		var n int64
		err = row.Scan(&n, &entry)
		if first == 0 {
			first = uint64(n)
		}
		return entry, err
	})
	if err != nil {
		return 0, nil, s.failed("entries", err)
	}
	if first == 0 {
		first = after + 1
	}
	return first, entries, nil
}

// Finish implements state.Store. A mark for a lane that is being moved at the
// same time is left out: the move would take it back.
func (s *Store) Finish(ctx context.Context, marks ...state.Mark) error {
	topics, clients, lasts := make([]string, len(marks)), make([]pgtype.UUID, len(marks)), make([]int64, len(marks))
	names := make([][]byte, len(marks))
	for i, m := range marks {
		topics[i], names[i] = m.Topic, []byte(m.Topic)
		clients[i] = pgtype.UUID{Bytes: m.Client, Valid: true}
		lasts[i] = int64(min(m.UpTo, state.MaxSeq))
	}
	if err := state.CheckRead(topics...); err != nil {
		return err
	}
	if len(marks) == 0 {
		return ctx.Err()
	}
	_, err := s.pool.Exec(ctx, "SELECT lockstep_finish($1, $2, $3, $4, $5::bytea[], $6::uuid[], $7::bigint[])",
		append(s.head(), names, clients, lasts)...)
	if err != nil {
		return s.failed("finish", err)
	}
	return nil
}
