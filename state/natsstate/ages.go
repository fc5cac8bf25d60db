package natsstate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/state"
)

// ages are those of lanes, and of lanes that are done, for all topics. They are one
// message, which is written anew at each age: whoever finds first that it is time
// does so.
type ages struct {
	at          uint64 // the sequence of the message; 0: they are not known
	lanes, done state.Age
}

// An agesMessage is what is on the subject of the ages. Times are in ms.
type agesMessage struct {
	Lanes uint64 `json:"lanes"`
	Since int64  `json:"lanes_since"`
	Done  uint64 `json:"done"`
	Until int64  `json:"done_since"`
}

// jitter is how much two replicas may differ in what they take for the server's time.
const jitter = 2 * time.Second

// aged returns the ages at this moment. Two replicas agree on when the next one
// begins, but for what they differ in the server's time; so who remembers ages that
// are out of date finds that they are, and that another replica was faster.
func (s *Store) aged(ctx context.Context, l *link, now *life) (ages, error) {
	s.mu.Lock()
	old := s.ages
	s.mu.Unlock()
	for try := range tries {
		if !later(ctx, try) {
			return old, ctx.Err()
		}
		clock := time.Now().Add(now.offset + time.Duration(s.ahead.Load()))
		next := old
		next.lanes, next.done = at(old.lanes, clock, s.lifetime), at(old.done, clock, s.done)
		if old.at != 0 && next == old {
			return old, nil
		}
		err := s.writeAges(ctx, l, &next)
		if rejected(err) {
			if old, err = s.readAges(ctx, l, now); err != nil {
				return old, err
			}
			s.keepAges(now, old)
			continue
		}
		if err != nil {
			s.doubt()
			return old, err
		}
		s.keepAges(now, next)
		return next, nil
	}
	return old, errContended
}

// at is what an age is at a time.
func at(a state.Age, now time.Time, lifetime time.Duration) state.Age {
	if now.Before(a.Since) && a.Since.Sub(now) < jitter {
		return a
	}
	a = a.At(now, lifetime)
	a.Since = time.UnixMilli(a.Since.UnixMilli())
	return a
}

// keepAges remembers ages of a life.
func (s *Store) keepAges(now *life, a ages) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.epoch == now.epoch && a.at > s.ages.at {
		s.ages = a
	}
}

// writeAges writes ages in the place of those before.
func (s *Store) writeAges(ctx context.Context, l *link, a *ages) error {
	data, err := json.Marshal(agesMessage{a.lanes.N, a.lanes.Since.UnixMilli(), a.done.N, a.done.Since.UnixMilli()})
	if err != nil {
		return err
	}
	a.at, err = l.publish(ctx, []*nats.Msg{put(s.subjects.ages(), a.at, data)})
	return err
}

// readAges reads them; there are none yet, perhaps.
func (s *Store) readAges(ctx context.Context, l *link, now *life) (ages, error) {
	subject := s.subjects.ages()
	got, err := s.lookAt(ctx, l, now, []string{s.subjects.epoch(), subject})
	if err != nil {
		return ages{}, err
	}
	if got == nil {
		s.doubt()
		return ages{}, errNobody
	}
	m := got[subject]
	if m.seq == 0 {
		return ages{}, nil
	}
	var is agesMessage
	if err := json.Unmarshal(m.data, &is); err != nil {
		return ages{}, fmt.Errorf("on %s: %w", subject, errFormat)
	}
	return ages{
		at:    m.seq,
		lanes: state.Age{N: is.Lanes, Since: time.UnixMilli(is.Since)},
		done:  state.Age{N: is.Done, Since: time.UnixMilli(is.Until)},
	}, nil
}
