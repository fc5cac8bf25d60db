package natsstate

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"lockstep/state"
)

// Finish implements state.Store. Marks are stored all at once, and read again when
// one of the lanes has moved meanwhile. A lane that moves each time is not marked: its
// client is not done.
func (s *Store) Finish(ctx context.Context, marks ...state.Mark) error {
	topics := make([]string, len(marks))
	for i := range marks {
		topics[i] = marks[i].Topic
	}
	if err := state.CheckRead(topics...); err != nil {
		return err
	}
	if len(marks) == 0 {
		return ctx.Err()
	}
	if err := s.finish(ctx, marks); err != nil {
		return fmt.Errorf("natsstate: finish: %w", err)
	}
	return nil
}

// marking bounds the tries of Finish.
const marking = 10

func (s *Store) finish(ctx context.Context, marks []state.Mark) error {
	upTo := make(map[laneKey]uint64, len(marks))
	subjects := make([]string, 0, len(marks))
	keys := make([]laneKey, 0, len(marks))
	for _, m := range marks {
		key := laneKey{m.Topic, m.Client}
		if _, twice := upTo[key]; !twice {
			subjects = append(subjects, s.subjects.lanes(m.Topic)+m.Client.String())
			keys = append(keys, key)
		}
		upTo[key] = max(upTo[key], m.UpTo)
	}
	for try := range marking {
		if !later(ctx, try) {
			return ctx.Err()
		}
		l, now, err := s.ready(ctx)
		if err != nil {
			return err
		}
		old, err := s.aged(ctx, l, &now)
		if err != nil {
			return err
		}
		seen, err := s.look(ctx, subjects)
		if err != nil {
			return err
		}
		var messages []*nats.Msg
		for i, key := range keys {
			before, err := readLane(seen.messages[subjects[i]])
			if err != nil {
				return fmt.Errorf("%s: %w", subjects[i], err)
			}
			if m := s.mark(subjects[i], before, upTo[key], old); m != nil {
				messages = append(messages, m)
			}
		}
		if len(messages) == 0 {
			return nil
		}
		together := len(messages)
		if try >= alone { // then each by itself
			together = 1
		}
		if again, err := s.publishAll(ctx, l, messages, together); !again {
			return err
		}
	}
	return nil
}

// publishAll stores messages, so many together, and reports whether one was rejected.
func (s *Store) publishAll(ctx context.Context, l *link, messages []*nats.Msg, together int) (again bool, err error) {
	for part := range slices.Chunk(messages, together) {
		first, err := l.publish(ctx, part)
		switch {
		case err == nil:
			s.rise(first + uint64(len(part)) - 1)
		case rejected(err):
			again = true
		default:
			s.doubt()
			return false, err
		}
	}
	return again, nil
}

// mark returns the message that marks a lane as done, or nil where that changes
// nothing.
func (s *Store) mark(subject string, l lane, upTo uint64, old ages) *nats.Msg {
	last := l.known(old).Last
	if last == 0 || last > upTo || l.done && l.mark == old.done.N {
		return nil
	}
	l.done, l.mark = true, old.done.N
	return expires(put(subject, l.seq, l.bytes()), kept(s.done))
}
