package state

import (
	"fmt"
	"time"
)

// Preview returns the data that come of data and ops that nobody has committed,
// in their order, and how many of the ops have an effect: what a tab shows while
// it waits for their answers. Ops that would be refused have none, and neither
// has any when the data can't be read. An action that panics refuses its op; one
// that never returns is not given up, as it is by a Batcher.
func (k Kind[S]) Preview(key string, data []byte, ops []Op) ([]byte, int) {
	s, err := k.Read(data)
	if err != nil {
		return data, 0
	}
	var done []*Op
	for i := range ops {
		next, err := k.try(s, &ops[i], key)
		if err == nil {
			s, done = next, append(done, &ops[i])
			continue
		}
		// The action may have changed what it was given.
		if s, err = k.again(data, done, key); err != nil {
			return data, 0
		}
	}
	if len(done) == 0 {
		return data, 0
	}
	after, err := k.Write(s)
	if err != nil || len(after) > k.most() {
		return data, 0
	}
	return after, len(done)
}

// again is the state after ops that have an effect.
func (k Kind[S]) again(data []byte, ops []*Op, key string) (s S, err error) {
	if s, err = k.Read(data); err != nil {
		return s, err
	}
	for _, op := range ops {
		if s, err = k.try(s, op, key); err != nil {
			return s, err
		}
	}
	return s, nil
}

// try runs the action of an op. A panic is an error.
func (k Kind[S]) try(s S, op *Op, key string) (next S, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("state: panic in an action: %v", p)
		}
	}()
	action, ok := k.Actions[op.Do]
	if !ok {
		return s, errUnknownAction
	}
	return action(s, op.In, Call{Topic: k.Topic(key), Key: key, User: op.User, UserName: op.UserName, Op: op.Name(), At: time.Now().Add(-op.Age)})
}

// PreviewState is Preview of a state that is known decoded: it returns what comes of s, and
// how many of the ops have an effect. s is not changed. What they append to a log is in the
// state: see Log.Appended.
func (k Kind[S]) PreviewState(key string, s S, ops []Op) (S, int) {
	if !k.shares() {
		return k.previewCopy(key, s, ops)
	}
	after, n := s, 0
	for i := range ops {
		if next, err := k.try(after, &ops[i], key); err == nil {
			after, n = next, n+1
		}
	}
	if data, err := k.Write(after); err != nil || len(data) > k.most() {
		return s, 0
	}
	return after, n
}

// previewCopy is PreviewState of a kind whose actions may change what they are given.
func (k Kind[S]) previewCopy(key string, s S, ops []Op) (S, int) {
	data, err := k.Write(s)
	if err != nil {
		return s, 0
	}
	data, n := k.Preview(key, data, ops)
	if n == 0 {
		return s, 0
	}
	after, err := k.Read(data)
	if err != nil {
		return s, 0
	}
	return after, n
}
