// Package state keeps what people share: state of any type, by topic, changed
// by ops that are each applied exactly once, whatever is killed, sent again or
// reordered.
//
// A Store keeps bytes. It knows no types and runs no code of the application:
// it compares and sets. A Kind says what the bytes of a type of topic mean and
// what its actions do, in pure functions. A Batcher puts the two together: it
// runs the actions of the ops that wait, commits what comes of them, and runs
// them again on the newer state when another replica was faster.
//
// A List and a Log are for states that are many things: what has changed is told, and not
// the whole. A Producer does ops for a program that may be killed at any time.
//
// The Example of Kind is a kind of one's own. The package knows no pages, sockets
// or brokers; docs/exactly-once.md says why an op counts once, line by line.
package state

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Limits of one call of a Store. Bytes are counted without what a backend adds.
const (
	MaxTopic   = 256       // bytes of a topic
	MaxData    = 512 << 10 // bytes of a step's Data and Log together: a message of NATS takes 1 MB
	MaxRefused = 4 << 10   // bytes of a lane's Refused
	MaxMoves   = 256       // moves of a step
	MaxLog     = 256       // log entries of a step
	MaxSteps   = 64        // steps of a Commit
	MaxRead    = 256       // topics of a Read, and marks of a Finish
)

// Lifetimes of lanes, where the options of a backend do not say them. The words
// are those of Options of each backend.
const (
	// Lifetime is how long a lane is known at least after its last move, by the
	// store's clock: a day more than ops are taken for.
	Lifetime = OpLifetime + 24*time.Hour
	// OpLifetime is how old an op may be.
	OpLifetime = 7 * 24 * time.Hour
	// DoneLifetime is how long a lane is known at least after the last Finish.
	DoneLifetime = 10 * time.Minute
)

// Errors that callers decide on.
var (
	// ErrConflict means that a step's Base, or one of its Moves, does not hold.
	// Nothing of the step was done.
	ErrConflict = errors.New("state: another commit came first")
	// ErrBadStep means that a call is not valid. Nothing of it was done.
	ErrBadStep = errors.New("state: not a valid step")
)

// A Client is one load of a page, or what else makes ops: 128 random bits. They
// are a secret of the client and the store, and must not be in a state or a log.
type Client [16]byte

// String returns the client as it is written on the wire: 22 of base64url.
func (c Client) String() string { return base64.RawURLEncoding.EncodeToString(c[:]) }

// ParseClient reads what String returns, and nothing else.
func ParseClient(s string) (c Client, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(c) || len(s) != 22 {
		return Client{}, errors.New("state: a client is 22 characters of base64url")
	}
	return Client(b), nil
}

// A Record is a topic's state in a store. Records of a topic are ordered by
// (Epoch, Version); the zero Record is older than any other. Epoch grows when
// the store may have lost data, and was never used before. Version grows with
// each commit, by one or more, and never begins anew within an epoch. Neither
// counts ops.
type Record struct {
	Epoch, Version uint64
	Data           []byte // empty: none was ever written; what a store returns is not to be changed
}

// Newer reports whether r is a later state than s.
func (r Record) Newer(s Record) bool {
	if r.Epoch != s.Epoch {
		return r.Epoch > s.Epoch
	}
	return r.Version > s.Version
}

// Same reports whether r and s have the same epoch and version.
func (r Record) Same(s Record) bool { return r.Epoch == s.Epoch && r.Version == s.Version }

// A Lane is what a store knows of a client on a topic. The zero Lane is that of
// a client that it does not know.
//
// A store forgets lanes by an Age, so that no jump of its clock, however far,
// makes it forget what was in use before a lifetime has passed.
type Lane struct {
	Last uint64 // the seq that was dealt with last; seqs begin with 1
	From uint64 // the lowest seq whose answer the client may still need; it never falls
	// Refused says which seqs from From to Last were refused, and why, as the
	// caller wrote it. The store does not look into it. Nearly always it is empty.
	Refused []byte
}

// A Move changes the lane of a client. It holds when the Last of the lane is
// from Min to Max (a client that is not known has 0) and its Refused is Was. So
// a replica can make a move for a client of which it knows nothing, and a move
// holds at most once, however often and late it is tried.
type Move struct {
	Client   Client
	Min, Max uint64
	Was      []byte
	To       Lane // its Last is greater than Max; a From that is lower than the lane's stays as it is
}

// A Step is a change of one topic. A store keeps none of its slices: they are
// the caller's again after Commit.
type Step struct {
	Topic string
	Base  Record   // what the step was computed from; its Data is not looked at
	Data  []byte   // nil: the data stays as it is
	Log   [][]byte // entries to append
	Keep  int      // how many of the newest entries stay, with those of Log; 0: all
	// Moves are the lanes that change, each client once; one at least. A Step
	// with a move whose Min is greater than its Max never holds: it reads lanes.
	Moves []Move
}

// An Outcome is what became of a step.
type Outcome struct {
	// Err is nil when the step was done; ErrConflict or ErrBadStep, as they are,
	// when nothing was done. With any other error it is unknown whether the step
	// was done, or will be: the same step again is safe, for its moves hold once.
	Err error
	// Record is the newest, when the step was done or conflicts. Its Data is nil
	// when it was done, and when Base is the newest still.
	Record Record
	// Lanes are those of the moves, when the step conflicts. They are not newer
	// than Record: what a lane says was dealt with is in the record, too.
	Lanes []Lane
	// Made says which moves made a lane, when the step was done.
	Made []bool
}

// A Mark says that a client is done with a topic up to a seq: it needs no more
// answers.
type Mark struct {
	Topic  string
	Client Client
	UpTo   uint64
}

// A Store keeps the states of topics, for all replicas that share it. Its
// methods may be called concurrently, by every goroutine of every replica. They
// do not retry. Topics are any valid UTF-8 of 1 to MaxTopic bytes.
type Store interface {
	// Commit does steps, of different topics, in one round trip. Each is one
	// atomic step, as durable as the store can make it, and succeeds or fails by
	// itself. It returns as many outcomes as steps, in their order. A step that
	// conflicts is answered with all that its next try needs.
	Commit(ctx context.Context, steps ...Step) []Outcome

	// Read returns the newest records of topics in their order, in one round
	// trip. A topic that was never written has Version 0 and the epoch of the
	// store, and makes nothing.
	Read(ctx context.Context, topics ...string) ([]Record, error)

	// Entries returns the log entries of a topic behind the one numbered after,
	// most at most, the oldest first, and the number of the first. Numbers begin
	// with 1 and grow by one with each entry. A first greater than after+1 means
	// that those between are gone. With nothing behind after, or a most below 1,
	// there are none, and first is after+1.
	Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error)

	// Finish lets lanes go after DoneLifetime, unless they have gone on: a mark
	// whose UpTo is lower than the lane's Last changes nothing, and a later move
	// takes it back. It changes no version. After an error some are marked,
	// perhaps, which is harmless.
	Finish(ctx context.Context, marks ...Mark) error

	// Close releases what the store holds. Closing twice is harmless.
	Close() error
}

// Check returns nil, or why steps are not valid, which wraps ErrBadStep. Each
// Commit begins with it.
func Check(steps []Step) error {
	if len(steps) > MaxSteps {
		return bad("%d steps, and %d are the most", len(steps), MaxSteps)
	}
	if twice(steps, func(s *Step) string { return s.Topic }) {
		return bad("two steps of one topic")
	}
	for i := range steps {
		if err := steps[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// CheckTopic returns nil, or why a topic is not valid, which wraps ErrBadStep.
func CheckTopic(topic string) error {
	if len(topic) < 1 || len(topic) > MaxTopic || !utf8.ValidString(topic) {
		return bad("a topic is 1 to %d bytes of UTF-8", MaxTopic)
	}
	return nil
}

// CheckRead returns nil, or why the topics of a Read, or of marks, are not
// valid, which wraps ErrBadStep.
func CheckRead(topics ...string) error {
	if len(topics) > MaxRead {
		return bad("%d topics, and %d are the most", len(topics), MaxRead)
	}
	for _, topic := range topics {
		if err := CheckTopic(topic); err != nil {
			return err
		}
	}
	return nil
}

// Failed returns n outcomes with an error: what a Commit returns when all of it
// failed.
func Failed(n int, err error) []Outcome {
	outcomes := make([]Outcome, n)
	for i := range outcomes {
		outcomes[i].Err = err
	}
	return outcomes
}

// Failure returns the last error of outcomes that is not the store's answer to a step, as a
// conflict is: what a Commit failed of. Nil: it has not failed.
func Failure(outcomes []Outcome) (failed error) {
	for _, o := range outcomes {
		if o.Err != nil && !isConflict(o.Err) && !errors.Is(o.Err, ErrBadStep) {
			failed = o.Err
		}
	}
	return failed
}

// check is Check of one step.
func (s *Step) check() error {
	if err := CheckTopic(s.Topic); err != nil {
		return err
	}
	size := len(s.Data)
	for _, entry := range s.Log {
		size += len(entry)
	}
	switch {
	case s.Data != nil && len(s.Data) == 0:
		return bad("data that is empty; nil leaves it as it is")
	case size > MaxData:
		return bad("%d bytes, and %d are the most", size, MaxData)
	case len(s.Log) > MaxLog || s.Keep < 0:
		return bad("%d log entries, of which %d stay", len(s.Log), s.Keep)
	case len(s.Moves) < 1 || len(s.Moves) > MaxMoves:
		return bad("%d moves, and 1 to %d can be", len(s.Moves), MaxMoves)
	}
	if twice(s.Moves, func(m *Move) Client { return m.Client }) {
		return bad("two moves of one client")
	}
	for i := range s.Moves {
		if err := s.Moves[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// twice reports whether two of a list have the same key.
func twice[E any, K comparable](list []E, key func(*E) K) bool {
	if len(list) < 2 {
		return false
	}
	keys := make(map[K]struct{}, len(list))
	for i := range list {
		keys[key(&list[i])] = struct{}{}
	}
	return len(keys) < len(list)
}

func (m *Move) check() error {
	switch {
	case m.To.Last <= m.Max || m.To.From < 1 || m.To.From > m.To.Last || m.To.Last > MaxSeq:
		return bad("a move from %d to %d, from %d", m.Max, m.To.Last, m.To.From)
	case len(m.Was) > MaxRefused || len(m.To.Refused) > MaxRefused:
		return bad("a list of refusals that is too long")
	}
	return nil
}

// MaxSeq is the greatest seq: numbers of JavaScript are exact up to it.
const MaxSeq = 1<<53 - 1

// Holds reports whether the move holds for a lane. Stores that compare in Go
// use it.
func (m *Move) Holds(l Lane) bool {
	return m.Min <= l.Last && l.Last <= m.Max && bytes.Equal(m.Was, l.Refused)
}

// Moved returns what a lane is after the move, which holds.
func (m *Move) Moved(l Lane) Lane {
	return Lane{Last: m.To.Last, From: max(l.From, m.To.From), Refused: m.To.Refused}
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadStep, fmt.Sprintf(format, args...))
}
