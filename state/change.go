package state

import (
	"fmt"
	"time"
)

// A sharer is a state that an action can't change in place, but by what is in an item.
type sharer interface{ shares() }

// A patcher is a state with changes, as List is one.
type patcher[S any] interface {
	Diff(before S) ([]byte, error)
	Patch(change []byte) (S, error)
}

// Change returns what leads from a state to a newer one, for Apply: the schema's number, a
// space and what Diff returns. Nil: the kind has no changes, or Diff says that there is none.
func (k Kind[S]) Change(before, after S) (change []byte, err error) {
	if k.Diff != nil {
		change, err = k.Diff(before, after)
	} else if p, ok := any(after).(patcher[S]); ok {
		change, err = p.Diff(before)
	}
	if err != nil {
		return nil, fmt.Errorf("state: %s: %w", k.Name, err)
	}
	if change == nil {
		return nil, nil
	}
	return append(k.appendSchema(nil), change...), nil
}

// Apply returns the state to which a change leads, which Change has made from s, or anything
// else. The error says that it can't, or that the change is of another version of the program;
// then the whole state is to be read. The caller sees to it that s is what the change was made
// from.
func (k Kind[S]) Apply(s S, change []byte) (after S, err error) {
	schema, rest, err := readSchema(change)
	if err != nil {
		return s, fmt.Errorf("state: %s: %w", k.Name, err)
	}
	if schema != k.schema() {
		return s, fmt.Errorf("state: %s: a change of schema %d", k.Name, schema)
	}
	p, ok := any(s).(patcher[S])
	switch {
	case k.Patch != nil:
		after, err = k.Patch(s, rest)
	case ok:
		after, err = p.Patch(rest)
	default:
		err = fmt.Errorf("it has no changes")
	}
	if err != nil {
		return s, fmt.Errorf("state: %s: %w", k.Name, err)
	}
	return after, nil
}

func (k Kind[S]) shares() bool {
	var s S
	_, ok := any(s).(sharer)
	return ok || k.Diff != nil
}

func (k Kind[S]) diff(before, after any) ([]byte, error) {
	b, _ := before.(S) // what read or act returned
	a, _ := after.(S)
	return k.Change(b, a)
}

// appender returns where a state has its log, or nil.
func (k Kind[S]) appender(s *S) Appender {
	if k.Log != nil {
		return k.Log(s)
	}
	a, _ := any(s).(Appender)
	return a
}

func (k Kind[S]) take(s any, at time.Time) (any, appended, error) {
	state, _ := s.(S) // what act returned
	log := k.appender(&state)
	if log == nil {
		return s, appended{}, nil
	}
	a, err := log.take(at, retention{k.Keep, k.KeepFor})
	return state, a, err
}

func (k Kind[S]) entries(s any) (uint64, bool) {
	state, _ := s.(S) // what read or act returned; none has a log, too
	log := k.appender(&state)
	if log == nil {
		return 0, false
	}
	return log.count(), true
}
