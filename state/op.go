package state

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// An Op is one action of one person on a topic. (Client, Seq) is its identity
// there: it makes sending it again safe.
type Op struct {
	Client Client
	// Seq counts the ops of a client on a topic from 1, in the order in which they
	// were made.
	Seq uint64
	// From is the lowest seq whose answer the client may still need: all below are
	// settled, and will not be sent again.
	From uint64
	// Seen is the clock of a replica as the client heard it last before it made the
	// op, or before it last found it in its outbox. Zero: the op was made by this
	// replica, for this call.
	Seen time.Time
	// Age is how old the op was when it was sent, by the client's clocks.
	Age time.Duration

	Do   string // the action's name; Void withdraws what has the same identity
	In   Fields // the action's input; nil: none
	User string // who did it, as the application knows them; "": nobody in particular
	// UserName is what people call them; "": nothing.
	UserName string

	// Trace is filled in before done is called, if the op is dealt with in a step of the store. Nil:
	// nobody follows the op.
	Trace *Trace
}

// A Trace is when an op has come how far.
type Trace struct {
	// Queued is when it was submitted, Called when the store call began that has it, and Ended when
	// that was done.
	Queued, Called, Ended time.Time
	Calls                 int // of the store, with those that conflicted or failed
	Topics                int // that were changed in the last one
	Epoch, Version        uint64
}

// Void is the action that does nothing, and is refused for good: a client sends
// it with the identity of an op that it gives up. Answered Refused, the op has
// not been applied and never will be.
const Void = "void"

// Name is a text that names an op among all of its topic, for whom an action
// needs one (the key of a new item, for example). It does not tell who made the
// op: the client is a secret.
func (op *Op) Name() string {
	sum := sha256.Sum256(op.Client[:])
	var room [26]byte // 12 of base64, a hyphen, and a seq
	name := base64.RawURLEncoding.AppendEncode(room[:0], sum[:9])
	return string(strconv.AppendUint(append(name, '-'), op.Seq, 36))
}

// valid reports whether an op can be one at all.
func (op *Op) valid() bool {
	return op.From >= 1 && op.From <= op.Seq && op.Seq <= MaxSeq
}

// A Verdict is what an op is answered. All but Retry are final.
type Verdict uint8

// The verdicts.
const (
	// Retry means that the op was not dealt with: it is to be sent again.
	Retry Verdict = iota
	// Ack means that the op is applied.
	Ack
	// Refused means that the op is not applied, and never will be.
	Refused
	// Settled means that the client had said that it knows the answer.
	Settled
	// Old means that nobody knows any more whether the op was applied.
	Old
)

// String returns the verdict's name.
func (v Verdict) String() string {
	return [...]string{"retry", "ack", "refused", "settled", "old"}[min(v, Old)]
}

// An Answer is what became of an op.
type Answer struct {
	Verdict Verdict
	// Reason says why, when it is Refused or Retry, in words for the person who
	// acted.
	Reason string
	// Again is true when the op had been dealt with before: this answer is the one
	// that it had.
	Again bool
	// Epoch and Version are those of the state that has it first, when it is applied now; else 0.
	Epoch, Version uint64
	// Told is what the action has told the person, when it is applied now; see Call.Tell.
	Told []any
	// Err is why an op is to be sent again, for logs and for callers that decide on
	// it; nil when the store has dealt with the op.
	Err error
}
