package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Defaults of a Kind.
const (
	DefaultMaxData = 64 << 10 // bytes
	DefaultLimit   = time.Second
)

// ErrLater means that a state was written by a later version of the program. It
// is never overwritten.
var ErrLater = errors.New("state: written by a later version of this program, which alone can read it")

// A Call is what an action may know beside the state and its input. What it has
// is the same for each try of an op, but for At.
type Call struct {
	Topic string // e.g. "poll:lunch"
	Key   string // e.g. "lunch"
	User  string // who did it; "": nobody in particular
	// UserName is what people call them; "": nothing.
	UserName string
	Op       string // names the op among all of its topic
	// At is when this try was made, by the replica's clock, or the tab's.
	At time.Time

	told *[]any // nil: nobody listens
}

// Tell has the answer to the person who acted say more, if the op is applied: see Answer.Told. It
// is told once, with the first answer, and may be lost.
func (c Call) Tell(what any) {
	if c.told != nil {
		*c.told = append(*c.told, what)
	}
}

// An Action returns the state that comes of one op. It must be pure: it is run
// again when another replica was faster, and in the tab that waits for the
// answer; it must not change the state that it is given, nor keep it. An error
// is the answer to the person who acted: the op is refused for good, and changes
// nothing.
type Action[S any] func(s S, in Fields, c Call) (S, error)

// Do returns an action whose input is a struct: its fields are filled from the
// form's fields of the same names, with a lower case first letter, or those in a
// tag `form:"name"`. They are strings, booleans, numbers, and slices of these; Do
// panics with others. A field of the form that is missing or empty fills nothing; one
// that can't be read refuses the op.
func Do[S, In any](f func(s S, in In, c Call) (S, error)) Action[S] {
	input := newFiller(reflect.TypeFor[In]())
	return func(s S, fields Fields, c Call) (S, error) {
		var in In
		if err := input.fill(reflect.ValueOf(&in).Elem(), fields); err != nil {
			return s, err
		}
		return f(s, in, c)
	}
}

// Read returns a function that fills a struct from a form's fields, as Do does. It panics as Do
// does.
func Read[In any]() func(fields Fields) (In, error) {
	input := newFiller(reflect.TypeFor[In]())
	return func(fields Fields) (in In, err error) {
		err = input.fill(reflect.ValueOf(&in).Elem(), fields)
		return in, err
	}
}

// A Kind is a type of state: what its bytes mean, and what can be done to it. Its
// topics are Name, a colon and a key. All fields but Name are optional. A Kind
// is not changed after it was given to a Batcher. Its methods may be called
// concurrently, and so are its functions, for different topics.
type Kind[S any] struct {
	Name string // 1 to 32 of a-z, 0-9 and -
	// New returns the state of a topic that was never written. Nil: the zero S.
	New func() S
	// Actions by name. Void and names of more than 64 bytes can't be any.
	Actions map[string]Action[S]

	// Marshal and Unmarshal are the codec. Nil: JSON.
	Marshal   func(s S) ([]byte, error)
	Unmarshal func(data []byte) (S, error)
	// Schema is the number of the form of S that Marshal writes, from 1; 0 is 1. It
	// grows when data that were written before can't be read by Unmarshal any more,
	// or data that are written now not by the program before. Upgrade reads data
	// of a lower schema.
	Schema  int
	Upgrade func(schema int, data []byte) (S, error)

	// Diff returns a change that leads from a state to a newer one, and Patch the newer
	// state: what is sent to replicas and tabs that have the older state, in place of the
	// whole newer one. Diff may return nil, when the whole is shorter. Patch is given what
	// may be of somebody else, with any state: it returns an error when they don't fit.
	// Actions of a kind with these never change the state that they are given, not even when
	// they fail, for others have it too. Nil: the methods Diff and Patch of S, if it has them as
	// List has; else there are no changes, and whole states are sent. Both or none are nil.
	Diff  func(before, after S) ([]byte, error)
	Patch func(s S, change []byte) (S, error)

	// Log returns where a state has its log; a kind whose S is a Log needs none. Nil: the kind has
	// no log. Keep and KeepFor say which entries stay in the store, when others are
	// appended: as many of the newest as Keep, and none that are older than KeepFor by a
	// sixteenth or more. 0: all of them. A log to which nothing is appended keeps what it has.
	Log     func(s *S) Appender
	Keep    int
	KeepFor time.Duration

	// MaxData bounds the state in bytes: an op that makes it longer is refused.
	// Default DefaultMaxData; at most the constant MaxData less 32, and half of that for a
	// kind with a log: it bounds what an op appends, too.
	MaxData int
	// Limit is how long an action may take. An op whose action takes longer three
	// times is refused for good. Default DefaultLimit.
	Limit time.Duration
}

// Topic returns the topic of a key.
func (k Kind[S]) Topic(key string) string { return k.Name + ":" + key }

// Read returns the state in the Data of a record; New's if they are empty. The
// error wraps ErrLater when a later version of the program has written them; else
// they are damaged, or of another program.
func (k Kind[S]) Read(data []byte) (s S, err error) {
	if len(data) == 0 {
		if k.New != nil {
			return k.New(), nil
		}
		return s, nil
	}
	schema, rest, err := readSchema(data)
	switch {
	case err != nil:
		return s, fmt.Errorf("state: %s: %w", k.Name, err)
	case schema > k.schema():
		return s, fmt.Errorf("%s: %w", k.Name, ErrLater)
	case schema < k.schema() && k.Upgrade == nil:
		return s, fmt.Errorf("state: %s: data of schema %d, and there is no Upgrade", k.Name, schema)
	case schema < k.schema():
		s, err = k.Upgrade(schema, rest)
	case k.Unmarshal != nil:
		s, err = k.Unmarshal(rest)
	default:
		err = json.Unmarshal(rest, &s)
	}
	if err != nil {
		return s, fmt.Errorf("state: %s: %w", k.Name, err)
	}
	return s, nil
}

// Write returns a state as the Data of a record: the schema's number, a space
// and what Marshal returns. Its error is that of Marshal. It does not look at
// MaxData.
func (k Kind[S]) Write(s S) (data []byte, err error) {
	marshal := k.Marshal
	if marshal == nil {
		marshal = func(s S) ([]byte, error) { return json.Marshal(s) }
	}
	if a, ok := any(s).(appendsJSON); ok && k.Marshal == nil {
		if data, err = a.AppendJSON(k.appendSchema(nil)); err != nil {
			return nil, fmt.Errorf("state: %s: %w", k.Name, err)
		}
		return data, nil
	}
	rest, err := marshal(s)
	if err != nil {
		return nil, fmt.Errorf("state: %s: %w", k.Name, err)
	}
	return append(k.appendSchema(make([]byte, 0, len(rest)+4)), rest...), nil
}

// An appendsJSON writes what json.Marshal does, sooner.
type appendsJSON interface {
	AppendJSON(b []byte) ([]byte, error)
}

// appendSchema appends what Data begin with.
func (k Kind[S]) appendSchema(b []byte) []byte {
	return append(strconv.AppendInt(b, int64(k.schema()), 10), ' ')
}

func (k Kind[S]) schema() int { return max(k.Schema, 1) }

func isLater(err error) bool { return errors.Is(err, ErrLater) }

func readSchema(data []byte) (schema int, rest []byte, err error) {
	number, rest, ok := bytes.Cut(data, []byte(" "))
	if schema, err = strconv.Atoi(string(number)); !ok || err != nil || schema < 1 {
		return 0, nil, errors.New("the data are not of this program")
	}
	return schema, rest, nil
}

// A Reducer is a Kind, whatever its state.
type Reducer interface {
	// name is that of the kind.
	name() string
	// problem says why the kind can't be one; nil: it can.
	problem() error
	// most and limit are MaxData and Limit.
	most() int
	limit() time.Duration
	// read, act and write are Read, an action and Write. act returns the state
	// as it was when it returns an error.
	read(data []byte) (any, error)
	act(s any, op *Op, c Call) (any, error)
	write(s any) ([]byte, error)
	// shares says that actions don't change the state that they are given, even when
	// they fail.
	shares() bool
	// diff is Change.
	diff(before, after any) ([]byte, error)
	// take takes what an action has appended to the log out of a state; rest is without it.
	// An error is a reason, and then rest is nothing.
	take(s any, at time.Time) (rest any, a appended, err error)
	// entries is EntriesOf.
	entries(s any) (n uint64, isLog bool)
}

// NameOf returns the name of a kind.
func NameOf(r Reducer) string { return r.name() }

// Problem returns why a kind can't be one; nil: it can.
func Problem(r Reducer) error { return r.problem() }

// EntriesOf returns how many entries a topic's log has had, by a state that Kind.Read has returned.
// isLog is false when the kind has no log.
func EntriesOf(r Reducer, s any) (n uint64, isLog bool) { return r.entries(s) }

func (k Kind[S]) name() string { return k.Name }

func (k Kind[S]) problem() error {
	if len(k.Name) < 1 || len(k.Name) > 32 || strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("state: the kind %q: a name is 1 to 32 of a-z, 0-9 and -", k.Name)
	}
	for name, action := range k.Actions {
		if name == "" || name == Void || len(name) > 64 || action == nil {
			return fmt.Errorf("state: %s can't have an action %q", k.Name, name)
		}
	}
	if k.MaxData < 0 || k.MaxData > MaxData-32 || k.Schema < 0 || k.Limit < 0 || k.Keep < 0 || k.KeepFor < 0 {
		return fmt.Errorf("state: the kind %s has a limit that can't be", k.Name)
	}
	if k.appender(new(S)) != nil && k.MaxData > MaxData/2-32 {
		return fmt.Errorf("state: the kind %s has a log, and MaxData that leave it no room", k.Name)
	}
	if (k.Diff == nil) != (k.Patch == nil) {
		return fmt.Errorf("state: the kind %s has one of Diff and Patch", k.Name)
	}
	return nil
}

func (k Kind[S]) most() int {
	if k.MaxData == 0 {
		return DefaultMaxData
	}
	return k.MaxData
}

func (k Kind[S]) limit() time.Duration {
	if k.Limit == 0 {
		return DefaultLimit
	}
	return k.Limit
}

func (k Kind[S]) read(data []byte) (any, error) { return k.Read(data) }

func (k Kind[S]) write(s any) ([]byte, error) {
	state, _ := s.(S) // what read or act returned
	return k.Write(state)
}

// What the person who acted is told.
var (
	errUnknownAction = errors.New(ReasonUnknown)
	errTooLarge      = errors.New(ReasonTooLarge)
)

func (k Kind[S]) act(s any, op *Op, c Call) (any, error) {
	action, ok := k.Actions[op.Do]
	if !ok {
		return s, errUnknownAction
	}
	state, _ := s.(S) // what read or act returned
	next, err := action(state, op.In, c)
	if err != nil {
		return s, err
	}
	return next, nil
}

// keyOf returns the kind and the key of a topic.
func keyOf(topic string) (kind, key string) {
	kind, key, _ = strings.Cut(topic, ":")
	return kind, key
}
