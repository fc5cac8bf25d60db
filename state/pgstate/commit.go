package pgstate

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"lockstep/state"
)

// Commit implements state.Store. The steps are one transaction, so that they
// wait for the disk once; what one of them finds changes nothing for others.
func (s *Store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := state.Check(steps); err != nil {
		return state.Failed(len(steps), err)
	}
	if len(steps) == 0 {
		return nil
	}
	var batch pgx.Batch
	order := inOrder(steps)
	for _, i := range order {
		batch.Queue(commit, s.arguments(&steps[i])...)
	}
	results := s.pool.SendBatch(ctx, &batch)
	outcomes := make([]state.Outcome, len(steps))
	var err error
	for _, i := range order {
		if outcomes[i], err = outcome(results.QueryRow()); err != nil {
			break
		}
	}
	// Nothing was done before the transaction has ended well.
	if ended := results.Close(); err == nil {
		err = ended
	}
	if err != nil {
		return state.Failed(len(steps), s.failed("commit", err))
	}
	return outcomes
}

// inOrder returns the numbers of steps in the order of their topics: calls that
// have topics in common then wait for one another, and not each for the other.
func inOrder(steps []state.Step) []int {
	order := make([]int, len(steps))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(steps[a].Topic, steps[b].Topic) })
	return order
}

const commit = `SELECT holds, e, v, d, lasts, starts, refused, made FROM lockstep_commit($1, $2, $3, $4,
	$5::bytea, $6::bigint, $7::bigint, $8::bytea, $9::bytea[], $10::bigint,
	$11::uuid[], $12::bigint[], $13::bigint[], $14::bytea[], $15::bigint[], $16::bigint[], $17::bytea[])`

// arguments are those of commit.
func (s *Store) arguments(step *state.Step) []any {
	n := len(step.Moves)
	clients, mins, maxs, lasts, starts := make([]pgtype.UUID, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	var was, refused [][]byte // nearly always nil
	for i := range step.Moves {
		m := &step.Moves[i]
		clients[i] = pgtype.UUID{Bytes: m.Client, Valid: true}
		mins[i], maxs[i] = int64(min(m.Min, state.MaxSeq+1)), int64(m.Max)
		lasts[i], starts[i] = int64(m.To.Last), int64(m.To.From)
		was, refused = put(was, n, i, m.Was), put(refused, n, i, m.To.Refused)
	}
	return append(s.head(), []byte(step.Topic), int64(step.Base.Epoch), int64(step.Base.Version), step.Data, entries(step.Log), int64(step.Keep),
		clients, mins, maxs, was, lasts, starts, refused)
}

// head are the arguments that all functions begin with.
func (s *Store) head() []any {
	return []any{s.prefix, s.lifetime, s.done, time.Duration(s.shift.Load())}
}

// put makes text the one at i of n, of which nil are all while none has any.
func put(texts [][]byte, n, i int, text []byte) [][]byte {
	if len(text) == 0 {
		return texts
	}
	if texts == nil {
		texts = make([][]byte, n)
	}
	texts[i] = text
	return texts
}

// entries returns log entries of which none is nil: that would be NULL.
func entries(log [][]byte) [][]byte {
	if !slices.ContainsFunc(log, func(e []byte) bool { return e == nil }) {
		return log
	}
	log = slices.Clone(log)
	for i := range log {
		if log[i] == nil {
			log[i] = []byte{}
		}
	}
	return log
}

// outcome reads what commit has answered.
func outcome(row pgx.Row) (o state.Outcome, err error) {
	var holds bool
	var epoch, version int64
	var data []byte
	var lasts, starts []int64
	var refused [][]byte
	var made []bool
	if err := row.Scan(&holds, &epoch, &version, &data, &lasts, &starts, &refused, &made); err != nil {
		return state.Outcome{}, err
	}
	o.Record = state.Record{Epoch: uint64(epoch), Version: uint64(version), Data: data}
	if holds {
		o.Made = made
		return o, nil
	}
	o.Err = state.ErrConflict
	o.Lanes = make([]state.Lane, len(lasts))
	for i := range lasts {
		o.Lanes[i] = state.Lane{Last: uint64(lasts[i]), From: uint64(starts[i]), Refused: refused[i]}
	}
	return o, nil
}
